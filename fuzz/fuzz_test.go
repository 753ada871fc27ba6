package fuzz_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	alsv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"

	"github.com/hookbastion/hookbastion/fuzz"
)

// all are the functions by their names.
var all = map[string]func([]byte) int{
	"AccessLog": fuzz.AccessLog, "Capture": fuzz.Capture, "CheckRequest": fuzz.CheckRequest, "HTTPSignature": fuzz.HTTPSignature, "Policy": fuzz.Policy,
	"PublicKey": fuzz.PublicKey, "Ranges": fuzz.Ranges, "Record": fuzz.Record, "Token": fuzz.Token,
}

// messages are seeds that are no texts.
func messages(tb testing.TB) map[string][]byte {
	tb.Helper()
	made := map[string][]byte{}
	for name, m := range map[string]proto.Message{
		"CheckRequest": &authv3.CheckRequest{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{
			Http: &authv3.AttributeContext_HttpRequest{Method: "POST", Path: "/a", Host: "h", RawBody: []byte("x"), Headers: map[string]string{"a": "b"}},
		}}},
		"AccessLog": &alsv3.StreamAccessLogsMessage{LogEntries: &alsv3.StreamAccessLogsMessage_HttpLogs{
			HttpLogs: &alsv3.StreamAccessLogsMessage_HTTPAccessLogEntries{LogEntry: []*accesslogv3.HTTPAccessLogEntry{{ProtocolVersion: accesslogv3.HTTPAccessLogEntry_HTTP2}}},
		}},
	} {
		encoded, err := proto.Marshal(m)
		if err != nil {
			tb.Fatal(err)
		}
		made[name] = encoded
	}
	return made
}

// seeds are what each function begins with.
func seeds(tb testing.TB, name string) [][]byte {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", name, "*"))
	if err != nil {
		tb.Fatal(err)
	}
	var list [][]byte
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		list = append(list, text)
	}
	if message, ok := messages(tb)[name]; ok {
		list = append(list, message)
	}
	return list
}

// Each function reads its seeds, and refuses what is none.
func TestSeedsAreRead(t *testing.T) {
	for name, function := range all {
		list := seeds(t, name)
		if len(list) == 0 {
			t.Errorf("%s begins with nothing", name)
		}
		for _, seed := range list {
			if function(seed) != 1 {
				t.Errorf("%s does not read %q", name, seed)
			}
			for n := range seed { // no end of the input is the end of the function
				function(seed[:n])
			}
		}
		if function([]byte("\xff\x00{")) != 0 {
			t.Errorf("%s reads anything", name)
		}
	}
}

// FuzzBytes runs each function on any bytes.
func FuzzBytes(f *testing.F) {
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, name := range names {
		for _, seed := range seeds(f, name) {
			f.Add(uint8(i), seed)
		}
	}
	f.Fuzz(func(_ *testing.T, n uint8, data []byte) { all[names[int(n)%len(names)]](data) })
}

// ClusterFuzzLite's files name what there is: every function of the package is built once, by
// a script that runs, in the image for Go.
func TestClusterFuzzLite(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "fuzz.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, decl := range file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.IsExported() {
			want = append(want, "github.com/hookbastion/hookbastion/fuzz "+f.Name.Name+" "+f.Name.Name)
			if all[f.Name.Name] == nil {
				t.Errorf("no test runs %s", f.Name.Name)
			}
		}
	}
	// The script, with a compiler that says what it was asked for.
	bin, out := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "compile_go_fuzzer"), []byte("#!/bin/sh\necho \"$@\"\n"), 0o700); err != nil { //nolint:gosec // it is run
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "../.clusterfuzzlite/build.sh")
	build.Dir = ".."
	build.Path, err = filepath.Abs("../.clusterfuzzlite/build.sh")
	if err != nil {
		t.Fatal(err)
	}
	build.Env = append(os.Environ(), "OUT="+out, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	said, err := build.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	got := strings.Split(strings.TrimSpace(string(said)), "\n")
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("built are\n%s\nthere are\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if zips, err := filepath.Glob(filepath.Join(out, "*_seed_corpus.zip")); err != nil || len(zips) < 7 {
		t.Errorf("%d sets of seeds, %v", len(zips), err)
	}
	for name, lines := range map[string][]string{
		"Dockerfile":   {"FROM gcr.io/oss-fuzz-base/base-builder-go", "COPY . $SRC/hookbastion", "WORKDIR $SRC/hookbastion", "COPY .clusterfuzzlite/build.sh $SRC/build.sh"},
		"project.yaml": {"language: go"},
	} {
		text, err := os.ReadFile(filepath.Join("..", ".clusterfuzzlite", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			if !slices.Contains(strings.Split(string(text), "\n"), line) {
				t.Errorf("%s lacks %q", name, line)
			}
		}
	}
	// What the image copies must not be left out of it.
	ignored, err := os.ReadFile("../.dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"!fuzz", "!fuzz/testdata", "!.clusterfuzzlite", "!go.mod", "!proto"} {
		if !slices.Contains(strings.Split(string(ignored), "\n"), line) {
			t.Errorf(".dockerignore lacks %q", line)
		}
	}
}
