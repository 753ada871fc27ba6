// Package fuzz has the readers of what strangers and operators hand over as functions of
// bytes, for fuzzers that know no testing.F: libFuzzer, for which .clusterfuzzlite/build.sh
// has them built, as ClusterFuzzLite and OSS-Fuzz want it. Each returns 1 for input that
// could be read and 0 for other, and panics where something does not hold. They hold less
// than the targets beside the code, which compare with other readers; make fuzz runs both.
//
// All are safe for concurrent use.
package fuzz

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/capture"
	"github.com/hookbastion/hookbastion/authz/httpsig"
	"github.com/hookbastion/hookbastion/authz/jose"
	"github.com/hookbastion/hookbastion/authz/publickey"
	"github.com/hookbastion/hookbastion/authz/ranges"
	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/envoy/telemetry/record"
	"github.com/hookbastion/hookbastion/envoy/wire"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// nobody is a service without a webhook, so that it must deny all.
type nobody struct{}

func (nobody) Table() *authz.Table { return authz.NewTable() }

// CheckRequest hands the bytes of a call to the service. The answer starts with the status
// and is never empty: an empty one is an allow for Envoy.
func CheckRequest(data []byte) int {
	s := &envoy.Service{Source: nobody{}, Mapping: envoy.Mapping{MaxRequestBytes: 1 << 20}}
	answer := s.Answer(context.Background(), data, nil)
	if len(answer) < 2 || answer[0] != 0x0a || answer[1] == 0 {
		panic(fmt.Sprintf("the answer is an allow: %x", answer))
	}
	var check wire.Check
	return worth(check.Read([][]byte{data}) == nil)
}

// AccessLog reads a message of Envoy's access log and each entry in it.
func AccessLog(data []byte) int {
	return worth(wire.EachEntry(data, func(encoded []byte) {
		var entry wire.Entry
		entry.Read(encoded, wire.SealPlace{})
	}))
}

// Policy reads a policy file. What is wrong with it has a place.
func Policy(data []byte) int {
	_, err := strictyaml.Options{}.Decode("f", data, &policyv1.Policy{})
	var faults strictyaml.Errors
	if err != nil && (!errors.As(err, &faults) || len(faults) == 0) {
		panic(err)
	}
	for _, fault := range faults {
		if fault.Line < 1 || fault.Column < 1 || fault.Message == "" {
			panic(fault)
		}
	}
	return worth(err == nil)
}

// Record reads a line of a file of decision records.
func Record(data []byte) int {
	_, fault := record.Parse(data)
	if fault != nil && (fault.Column < 1 || fault.Column > len(data)+1 || fault.Message == "") {
		panic(fault)
	}
	return worth(fault == nil)
}

// Capture reads a request in a file. It points into the file's bytes and holds no others.
func Capture(data []byte) int {
	req, err := capture.Parse(data)
	if err == nil && !bytes.Contains(data, req.Body.Joined()) {
		panic("a body that is not in the file")
	}
	return worth(err == nil)
}

// Ranges reads a document of published addresses, as JSON and as lines. No list has a
// network that is too wide or private.
func Ranges(data []byte) int {
	read := false
	for kind, s := range map[ranges.Kind]ranges.Service{ranges.JSON: {Takes: []ranges.Take{{List: "hooks"}}}, ranges.Lines: {}} {
		set, err := s.Parse(kind, data)
		if err != nil {
			continue
		}
		if read = true; ranges.Bounded(set.Networks()) != nil {
			panic(set.Networks())
		}
	}
	return worth(read)
}

// HTTPSignature reads the two headers of RFC 9421, with a line feed between.
func HTTPSignature(data []byte) int {
	input, signature, _ := bytes.Cut(data, []byte{'\n'})
	m := &httpsig.Message{Method: "POST", Scheme: "https", Host: "h", Path: "/a?b=c", Headers: authz.Headers{
		{Name: authz.View("signature-input"), Value: input}, {Name: authz.View("signature"), Value: signature},
	}}
	all, problem := httpsig.Read(m.Headers, 4, httpsig.Dialect{})
	if problem.Exists() && problem.Reason.Allows() {
		panic("a problem that allows")
	}
	for _, s := range all {
		if _, problem := s.Base(m); problem.Exists() && problem.Reason.Allows() {
			panic("a problem that allows")
		}
	}
	return worth(len(all) > 0)
}

// Token reads a JSON Web Signature, with a payload and without. A text is one of the two at
// most.
func Token(data []byte) int {
	_, err := jose.Parse(string(data))
	_, detachedErr := jose.ParseDetached(string(data))
	if err == nil && detachedErr == nil {
		panic("a payload that is there and is not")
	}
	return worth(err == nil || detachedErr == nil)
}

// PublicKey reads keys in each format.
func PublicKey(data []byte) int {
	read := false
	for format := range publickey.Format(7) {
		reader := publickey.Reader{Format: format}
		keys, err := reader.Read(data)
		if (err == nil) != (len(keys) > 0) || len(keys) > publickey.MaxKeys {
			panic(fmt.Sprintf("%d keys, %v", len(keys), err))
		}
		read = read || err == nil
	}
	return worth(read)
}

func worth(read bool) int {
	if read {
		return 1
	}
	return 0
}
