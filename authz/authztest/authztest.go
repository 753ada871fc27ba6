// Package authztest builds requests, times, small webhooks and files for tests of
// other packages.
package authztest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
)

// Now is the time of all tests.
var Now = time.Unix(1_795_500_000, 0)

// POST returns a request with a whole body. headers are names and values in
// turn; a name may come twice.
func POST(host, path, body string, headers ...string) *authz.Request {
	if len(headers)%2 != 0 {
		panic(fmt.Sprintf("a header without a value: %q", headers))
	}
	req := &authz.Request{
		Method: authz.View("POST"), Host: authz.View(host), Path: authz.View(path), Scheme: authz.View("https"),
		Body: authz.Body{State: authz.BodyWhole, Size: int64(len(body))},
	}
	for i := 0; i < len(headers); i += 2 {
		req.Headers = append(req.Headers, authz.Header{
			Name: authz.View(strings.ToLower(headers[i])), Value: authz.View(headers[i+1]),
		})
	}
	if body != "" {
		req.Body.Segments = [][]byte{[]byte(body)}
	}
	return req
}

// Segmented returns the request with its body cut into segments of at most size
// bytes, with an empty one between each two. It shares the headers.
func Segmented(req *authz.Request, size int) *authz.Request {
	cut := *req
	cut.Body.Segments = nil
	for _, s := range req.Body.Segments {
		for len(s) > size {
			cut.Body.Segments = append(cut.Body.Segments, s[:size], []byte{})
			s = s[size:]
		}
		cut.Body.Segments = append(cut.Body.Segments, s)
	}
	return &cut
}

// Table returns a table with one webhook, "hook", of those checks, for POST
// requests of any host and path.
func Table(checks ...authz.Check) *authz.Table {
	table := authz.NewTable()
	table.Add(&authz.Webhook{Name: "hook", Chain: authz.NewChain(checks...)}, authz.Match{Path: "/**", Methods: []string{"POST"}})
	return table
}

// Check is a check with any behaviour.
type Check struct {
	At authz.Stage
	Do func(*authz.Call) authz.Reason
}

// Stage returns At.
func (c Check) Stage() authz.Stage { return c.At }

// Run calls Do.
func (c Check) Run(call *authz.Call) authz.Reason { return c.Do(call) }

// Proven is a check that takes every request for signed.
func Proven() authz.Check {
	return Check{authz.StageSignature, func(call *authz.Call) authz.Reason {
		call.Proof = authz.ProofSignature
		return authz.OK
	}}
}

// Decide decides the request at Now and fails the test if the reason is another
// or if an answer and its reason disagree.
func Decide(t testing.TB, table *authz.Table, req *authz.Request, want authz.Reason) *authz.Decision {
	t.Helper()
	var d authz.Decision
	table.Decide(context.Background(), req, Now, &d)
	if d.Reason != want {
		t.Errorf("%s %s%s: %s, want %s", req.Method, req.Host, req.Path, d.Reason, want)
	}
	if shadow := d.Webhook != nil && d.Webhook.Shadow; !shadow && d.Forward() != d.Reason.Allows() {
		t.Errorf("%s %s%s: %s and forward %v", req.Method, req.Host, req.Path, d.Reason, d.Forward())
	}
	return &d
}

// WriteFile writes a file, and its directory, so that no reader sees a part of it.
func WriteFile(t testing.TB, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name+"~", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+"~", name); err != nil {
		t.Fatal(err)
	}
}
