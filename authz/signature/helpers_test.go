package signature_test

import (
	"context"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/signature"
)

var now = time.Unix(1_795_500_000, 0)

const body = `{"amount":100,"currency":"eur"}`

// schemes has one scheme for each grammar, with what differs between them.
var schemes = map[string]signature.Config{
	"bare": {Hash: signature.SHA256, Encoding: signature.Hex, Grammar: signature.Bare, Content: []signature.Part{{Kind: signature.Body}}},
	"prefix": {
		Hash: signature.SHA1, Encoding: signature.Base64, Grammar: signature.Prefix, Prefix: "sha1=",
		Content: []signature.Part{
			{Kind: signature.Method}, {Kind: signature.URL, RFC3986: true}, {Kind: signature.Literal, Text: "\n"},
			{Kind: signature.Path, RFC3986: true}, {Kind: signature.Literal, Text: "\n"}, {Kind: signature.Body},
		},
	},
	"key-value": {
		Hash: signature.SHA256, Encoding: signature.Hex, Grammar: signature.KeyValue, Key: "v1", Separator: ',',
		Content: []signature.Part{{Kind: signature.Timestamp}, {Kind: signature.Literal, Text: "."}, {Kind: signature.Body}},
		Time:    signature.Time{Key: "t", Unit: signature.Seconds},
	},
	"space-list": {
		Hash: signature.SHA256, Encoding: signature.Base64, Grammar: signature.SpaceList, Prefix: "v1",
		Content: []signature.Part{
			{Kind: signature.HeaderValue, Text: "x-id", Charset: signature.TokenChars}, {Kind: signature.Literal, Text: "."},
			{Kind: signature.Timestamp}, {Kind: signature.Literal, Text: "."}, {Kind: signature.Body},
		},
		Time: signature.Time{Header: "x-time", Unit: signature.Milliseconds},
	},
	"prefix-list": {
		Hash: signature.SHA512, Encoding: signature.Base64URL, Grammar: signature.PrefixList, Prefix: "v1=", Separator: ',',
		Content:   []signature.Part{{Kind: signature.Body}, {Kind: signature.Timestamp}},
		Time:      signature.Time{Header: "x-time", Unit: signature.RFC3339},
		Constants: []signature.Constant{{Name: "x-version", Value: "1"}},
	},
	"positional": {
		Hash: signature.SHA256, Encoding: signature.Hex, Grammar: signature.Positional, Separator: ',',
		Content: []signature.Part{{Kind: signature.Timestamp}, {Kind: signature.Literal, Text: "."}, {Kind: signature.Body}},
		Time:    signature.Time{First: true, Unit: signature.Milliseconds},
	},
}

func config(name string) signature.Config {
	c := schemes[name]
	c.Name, c.Headers, c.MaxSignatures = name, []string{"x-sig"}, 5
	return c
}

func keys() []signature.Key {
	return []signature.Key{
		{ID: "new", Secret: secret.New([]byte("a new secret of enough bytes")), NotBefore: now.Add(-time.Hour)},
		{ID: "old", Secret: secret.New([]byte("an old secret of enough bytes")), NotAfter: now.Add(time.Hour)},
		{ID: "gone", Secret: secret.New([]byte("a retired secret, still known")), NotAfter: now},
	}
}

func scheme(t testing.TB, name string) *signature.Content {
	t.Helper()
	h, err := signature.New(config(name), keys())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func request() *authz.Request {
	return &authz.Request{
		Method: authz.View("POST"), Host: authz.View("hooks.example.com"), Path: authz.View("/h?x=1"),
		Body: authz.Body{Segments: [][]byte{[]byte(body)}, State: authz.BodyWhole},
	}
}

// delivery is a request signed with a key.
func delivery(t testing.TB, h *signature.Content, key string) *authz.Request {
	t.Helper()
	req := request()
	if !h.Sign(req, signing(key)) {
		t.Fatalf("no key %q", key)
	}
	return req
}

func signing(key string) authz.Signing {
	return authz.Signing{KeyID: key, Now: now, NewID: func() string { return "msg_1" }}
}

// sign signs a request anew, with the new key.
func sign(t testing.TB, h signature.Scheme, req *authz.Request) {
	t.Helper()
	if !h.Sign(req, signing("new")) {
		t.Fatal("no new key")
	}
}

var fingerprinter = authz.NewFingerprinter(authz.FingerprintKey{1})

func run(h signature.Scheme, req *authz.Request) (authz.Reason, *authz.Call) {
	call := &authz.Call{Context: context.Background(), Request: req, Now: now, Webhook: "hook", Identity: "hook"}
	return (&signature.Check{Schemes: []signature.Scheme{h}, Fingerprinter: fingerprinter}).Run(call), call
}

// set replaces the headers of that name by the values.
func set(req *authz.Request, name string, values ...string) {
	var kept authz.Headers
	for _, h := range req.Headers {
		if string(h.Name) != name {
			kept = append(kept, h)
		}
	}
	for _, v := range values {
		kept = append(kept, authz.Header{Name: authz.View(name), Value: authz.View(v)})
	}
	req.Headers = kept
}

func value(req *authz.Request, name string) string {
	v, _ := req.Headers.Lookup(name)
	return string(v)
}
