#!/bin/bash -eu
# Builds each function of package fuzz as a fuzzer of libFuzzer, with what it begins with.
# The targets beside the code need Go's own fuzzer: make fuzz. A test holds this list.
for function in AccessLog Capture CheckRequest HTTPSignature Policy PublicKey Ranges Record Token; do
    compile_go_fuzzer github.com/hookbastion/hookbastion/fuzz "$function" "$function"
    if [ -d "fuzz/testdata/$function" ]; then
        (cd "fuzz/testdata/$function" && python3 -m zipfile -c "$OUT/${function}_seed_corpus.zip" ./*)
    fi
done
