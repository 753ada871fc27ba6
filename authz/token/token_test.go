package token_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/token"
)

var now = time.Unix(1_795_500_000, 0)

func candidate(id, header, scheme, text string) token.Candidate {
	return token.Candidate{ID: id, Place: token.Place{Header: header, Scheme: scheme}, Cell: secret.NewCell(secret.New([]byte(text)))}
}

func TestRun(t *testing.T) {
	retired := candidate("retired", "x-token", "", "the retired token")
	retired.NotAfter = now
	coming := candidate("coming", "x-token", "", "the coming token")
	coming.NotBefore = now.Add(time.Second)
	check := &token.Check{Candidates: []token.Candidate{
		candidate("one", "x-token", "", "the first token"), candidate("two", "x-token", "", "the second token"),
		candidate("bearer", "authorization", "bearer", "the bearer token"), retired, coming,
	}}
	for _, c := range []struct {
		headers string
		want    authz.Reason
		id      string
	}{
		{"x-token: the first token", authz.OK, "one"},
		{"x-token: the second token", authz.OK, "two"},
		{"authorization: Bearer the bearer token", authz.OK, "bearer"},
		{"authorization: bEARER  the bearer token", authz.OK, "bearer"},
		{"x-token: wrong|authorization: Bearer the bearer token", authz.OK, "bearer"},
		{"x-token: the retired token", authz.KeyNotValidNow, ""},
		{"x-token: the coming token", authz.KeyNotValidNow, ""},
		{"x-token: the first tokeN", authz.TokenInvalid, ""},
		{"x-token: the first token ", authz.TokenInvalid, ""},
		{"x-token: the bearer token", authz.TokenInvalid, ""},
		{"x-token: the first token|x-token: the first token", authz.TokenMissing, ""},
		{"x-token: ", authz.TokenMissing, ""},
		{"authorization: the bearer token", authz.TokenMissing, ""},
		{"authorization: Basic the bearer token", authz.TokenMissing, ""},
		{"authorization: Bearer", authz.TokenMissing, ""},
		{"authorization: Bearer ", authz.TokenInvalid, ""},
		{"other: the first token", authz.TokenMissing, ""},
	} {
		req := &authz.Request{}
		for _, line := range strings.Split(c.headers, "|") {
			name, value, _ := strings.Cut(line, ": ")
			req.Headers = append(req.Headers, authz.Header{Name: authz.View(name), Value: authz.View(value)})
		}
		call := &authz.Call{Context: context.Background(), Request: req, Now: now}
		got := check.Run(call)
		if got != c.want || call.KeyID != c.id || (call.Proof == authz.ProofToken) != (c.want == authz.OK) {
			t.Errorf("%s: %s, key %q", c.headers, got, call.KeyID)
		}
	}
	if (&token.Check{}).Run(&authz.Call{Request: &authz.Request{}, Now: now}) != authz.TokenMissing {
		t.Error("no candidates is no denial")
	}
	empty := &token.Check{Candidates: []token.Candidate{candidate("1", "authorization", "bearer", ""), candidate("2", "x-token", "", "")}}
	for _, c := range []struct{ name, value string }{{"authorization", "Bearer "}, {"authorization", "Bearer    "}, {"x-token", ""}} {
		req := &authz.Request{Headers: authz.Headers{{Name: authz.View(c.name), Value: authz.View(c.value)}}}
		if got := empty.Run(&authz.Call{Request: req, Now: now}); got == authz.OK {
			t.Errorf("an empty token passes in %s: %q", c.name, c.value)
		}
	}
	req := &authz.Request{}
	if ok := check.Sign(req, authz.Signing{KeyID: "bearer"}); !ok || fmt.Sprintf("%s", req.Headers) != "[{authorization bearer the bearer token}]" {
		t.Errorf("%s", req.Headers)
	}
	if check.Sign(req, authz.Signing{KeyID: "nobody"}) {
		t.Error("a token that is not there")
	}
	// What is given is the token of a digest, whatever else the policy has.
	check.Candidates = append(check.Candidates, token.Candidate{ID: "digest", Place: token.Place{Header: "x-digest"}, Digest: secret.DigestOf([]byte("the given token"))})
	for _, c := range []struct{ id, given, want string }{
		{"", "the given token", "[{x-digest the given token}]"},
		{"digest", "the given token", "[{x-digest the given token}]"},
		{"two", "the given token", "[{x-token the second token}]"},
		{"", "", "[{x-token the first token}]"},
		{"", "another token", ""},
		{"digest", "another token", ""},
		{"digest", "", ""},
	} {
		req := &authz.Request{}
		if ok := check.Sign(req, authz.Signing{KeyID: c.id, Secret: secret.New([]byte(c.given))}); ok != (c.want != "") || ok && fmt.Sprintf("%s", req.Headers) != c.want {
			t.Errorf("%+v: %t, %s", c, ok, req.Headers)
		}
	}
}

// A place is read and parsed once, however many tokens it may carry.
func TestPlacesAreReadOnce(t *testing.T) {
	query, basic := token.Place{Query: "token"}, token.Place{Header: "authorization", Scheme: "basic", Basic: true}
	list := token.Place{JSON: "value[].state"}
	check := func(n int) *token.Check {
		check := &token.Check{}
		for i := range n {
			for _, place := range []token.Place{query, basic, list} {
				check.Candidates = append(check.Candidates, token.Candidate{
					ID: fmt.Sprint("id-", i), Place: place, Digest: secret.DigestOf(fmt.Appendf(nil, "token %d", i)),
				})
			}
		}
		return check
	}
	for _, sent := range []struct{ path, authorization, body, id string }{
		{"/?a=1&token=token+7", "", "", "id-7"},
		{"/?token=token+99", "", "", ""},
		{"/?token=token+7&token=token+7", "", "", ""},
		{"/", "Basic " + base64.StdEncoding.EncodeToString([]byte("token 8")), "", "id-8"},
		{"/?token=token+8", "Basic " + base64.StdEncoding.EncodeToString([]byte("token 3")), "", "id-3"},
		{"/", "", `{"value":[{"state":"token 2"},{"state":"token 2"}]}`, "id-2"},
		{"/", "", `{"value":[{"state":"token 2"},{"state":"token 3"}]}`, ""},
		{"/", "", `{"value":[{"state":"token 2"},{"state":""}]}`, ""},
	} {
		req := &authz.Request{Path: authz.View(sent.path), Body: authz.Body{Segments: [][]byte{[]byte(sent.body)}}}
		if sent.authorization != "" {
			req.Set("authorization", sent.authorization)
		}
		call := &authz.Call{Context: context.Background(), Request: req, Now: now}
		many := check(10)
		if reason := many.Run(call); (reason == authz.OK) != (sent.id != "") || call.KeyID != sent.id {
			t.Errorf("%+v: %s, key %q", sent, reason, call.KeyID)
		}
		one := check(1)
		few := testing.AllocsPerRun(10, func() { one.Run(call) })
		if more := testing.AllocsPerRun(10, func() { many.Run(call) }); more != few {
			t.Errorf("%+v: %v allocations with one token of each place, %v with ten", sent, few, more)
		}
	}
}

// BenchmarkManyTokens looks for one of a hundred tokens in the query.
func BenchmarkManyTokens(b *testing.B) {
	check := &token.Check{}
	for i := range 100 {
		check.Candidates = append(check.Candidates, token.Candidate{
			ID: "t", Place: token.Place{Query: "token"}, Digest: secret.DigestOf(fmt.Appendf(nil, "token %d", i)),
		})
	}
	call := &authz.Call{Context: context.Background(), Request: &authz.Request{Path: authz.View("/h?a=1&b=2&token=token+99")}, Now: now}
	b.ReportAllocs()
	for b.Loop() {
		if check.Run(call) != authz.OK {
			b.Fatal("not found")
		}
	}
}
