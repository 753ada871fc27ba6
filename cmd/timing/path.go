package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/policy"
)

// The keys are in the source: nothing is protected by them.
var (
	signingKey = []byte("hbqkzjxwvyfgmpltrndscuoaei")
	token      = []byte("abcdefghijklmnopabcdefghijklmnop")
	payload    = []byte(`{"event":"timing","sent":"again and again"}`)
)

const policies = `webhooks:
- {name: signed, match: {path: /signed}, provider: github, secrets: [{file: key}]}
- {name: token, match: {path: /token}, token: {any_of: [{header: {name: x-token, value: {file: token}}}]}}
- {name: digest, match: {path: /digest}, token: {any_of: [{header: {name: x-token, value: {digest: "sha256:%x"}}}]}}
`

// pathTargets are single checks, and the whole path from the bytes of a
// CheckRequest to those of the answer.
func pathTargets() ([]*target, error) {
	table, err := compile()
	if err != nil {
		return nil, err
	}
	mac := sign(signingKey, payload)
	const prefix = "sha256="
	signature := [2]string{"x-hub-signature-256", prefix + hex.EncodeToString(mac)}
	sent := [2]string{"x-token", string(token)}
	all := []*target{
		checkTarget("the check of a signature", table, "signed", signature, len(prefix)),
		checkTarget("the check of a token", table, "token", sent, 0),
		pathTarget("the whole path, a signature", table, "/signed", signature, len(prefix)),
		pathTarget("the whole path, a token", table, "/token", sent, 0),
		pathTarget("the whole path, a token known by its digest", table, "/digest", sent, 0),
		pathTarget("control: the whole path, a loop that ends early", early(), "/signed", signature, len(prefix)),
	}
	all[len(all)-1].control = true
	for _, t := range all {
		if strings.HasSuffix(t.name, "signature") || t.control {
			t.right, t.write, t.differ = mac, inHex, anyBit
		} else {
			t.right, t.write, t.differ = token, plain, otherLetter
		}
	}
	return all, nil
}

func compile() (*authz.Table, error) {
	dir, err := os.MkdirTemp("", "hookbastion-timing-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	for name, data := range map[string][]byte{"key": signingKey, "token": token, "p.yaml": fmt.Appendf(nil, policies, sha256.Sum256(token))} {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	if err != nil {
		return nil, err
	}
	set, err := policy.Load(filepath.Join(dir, "p.yaml"))
	if err != nil {
		return nil, err
	}
	return policy.Compile(set, policy.Deps{
		Store: memory.New(memory.Config{MaxEntries: 1000}), Fingerprinter: authz.NewFingerprinter(authz.FingerprintKey{}),
		MaxBodyBytes: 1 << 20, Now: time.Now(),
	})
}

// checkTarget is the check of a webhook that looks at a header.
func checkTarget(name string, table *authz.Table, webhook string, header [2]string, skip int) *target {
	value := []byte(header[1])
	req := &authz.Request{
		Method: authz.View("POST"), Path: authz.View("/" + webhook),
		Headers: authz.Headers{{Name: authz.View(header[0]), Value: value}},
		Body:    authz.Body{State: authz.BodyWhole, Size: int64(len(payload)), Segments: [][]byte{payload}},
	}
	var check authz.Check
	for _, c := range table.Webhook(webhook).Chain {
		if c.Stage() == authz.StageSignature || c.Stage() == authz.StageToken {
			check = c
		}
	}
	now := time.Now()
	decide := func() bool {
		return check.Run(&authz.Call{Context: context.Background(), Request: req, Now: now, Webhook: webhook}) == authz.OK
	}
	return &target{name: name, batch: 4, place: value[skip:], run: func() { take(decide()) }, accepted: decide}
}

// pathTarget is the whole path with a header.
func pathTarget(name string, table *authz.Table, path string, header [2]string, skip int) *target {
	message, err := proto.Marshal(request(path, header))
	if err != nil {
		panic(err) // of our own making
	}
	place := message[bytes.Index(message, []byte(header[1]))+skip:][:len(header[1])-skip]
	service := &envoy.Service{Source: fixed{table}, Mapping: envoy.Mapping{MaxRequestBytes: 1 << 20}}
	pieces, out := [][]byte{message}, make([]byte, 0, 4<<10)
	run := func() { out, _ = service.AnswerChunks(envoy.Plain(context.Background()), pieces, out[:0]) }
	return &target{name: name, batch: 1, place: place, run: run, accepted: func() bool {
		run()
		var answer authv3.CheckResponse
		return proto.Unmarshal(out, &answer) == nil && answer.GetOkResponse() != nil
	}}
}

type fixed struct{ table *authz.Table }

// Table returns the table.
func (f fixed) Table() *authz.Table { return f.table }

// request is what Envoy sends.
func request(path string, header [2]string) *authv3.CheckRequest {
	headers := &corev3.HeaderMap{}
	for _, h := range [][2]string{
		{":authority", "hooks.example.com"}, {":method", "POST"}, {":path", path}, {"content-type", "application/json"},
		{"content-length", fmt.Sprint(len(payload))}, {"x-envoy-auth-partial-body", "false"}, header,
	} {
		headers.Headers = append(headers.Headers, &corev3.HeaderValue{Key: h[0], RawValue: []byte(h[1])})
	}
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Id: "1", Method: "POST", Path: path, Host: "hooks.example.com", Scheme: "https", Protocol: "HTTP/1.1",
			Size: int64(len(payload)), HeaderMap: headers, RawBody: payload,
		}},
	}}
}

// early is a table whose only check compares by a loop that ends early.
func early() *authz.Table {
	table := authz.NewTable()
	table.Add(&authz.Webhook{Name: "signed", Chain: authz.NewChain(earlyCheck{})}, authz.Match{Path: "/signed", Methods: []string{"POST"}})
	return table
}

type earlyCheck struct{}

// Stage returns StageSignature.
func (earlyCheck) Stage() authz.Stage { return authz.StageSignature }

// Run compares an HMAC as nobody should.
func (earlyCheck) Run(call *authz.Call) authz.Reason {
	value, _ := call.Request.Headers.Lookup("x-hub-signature-256")
	sent, err := hex.DecodeString(strings.TrimPrefix(string(value), "sha256="))
	if err != nil || !naive(sent, sign(signingKey, call.Request.Body.Segments[0])) {
		return authz.SignatureInvalid
	}
	call.Proof = authz.ProofSignature
	return authz.OK
}
