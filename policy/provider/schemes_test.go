package provider_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/signature"
	"github.com/hookbastion/hookbastion/authz/token"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/provider"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// table compiles one webhook of the provider at /a, with a secret that its
// console could show.
func table(t *testing.T, name string, s *policyv1.NamedScheme) *authz.Table {
	t.Helper()
	secret := "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTMy" // text and base64 at once
	if s.GetScheme().GetHmac().GetKeyEncoding() == policyv1.Key_HEX {
		secret = "5365637265745365637265745365637265745365637265745365637265745365"
	}
	for _, prefix := range s.GetScheme().GetHmac().GetKeyPrefixes() {
		secret = prefix + secret
	}
	dir := t.TempDir()
	text := fmt.Sprintf("webhooks: [{name: a, match: {path: /a}, provider: %s, provider_scheme: %s, secrets: [{file: secret}]}]\n", name, s.GetName())
	for file, content := range map[string]string{"secret": secret + "\n", "policy.yaml": text} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set, err := policy.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := policy.Compile(set, policy.Deps{
		Store:         replay.NewMemory(replay.MemoryConfig{MaxEntries: 1000}),
		Fingerprinter: authz.NewFingerprinter(authz.FingerprintKey{}),
		MaxBodyBytes:  1 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// sign returns the headers that the webhook asks for.
func sign(w *authz.Webhook, req *authz.Request, now time.Time) authz.Headers {
	for _, check := range w.Chain {
		switch check := check.(type) {
		case *signature.Check:
			return check.Schemes[0].Sign(req, "", now, func() string { return "msg_1" })
		case *token.Check:
			c := check.Candidates[0]
			return authz.Headers{{Name: authz.View(c.Header), Value: authz.View(c.Secret.Reveal())}}
		}
	}
	return nil
}

// Every scheme lets in what it signs, once, and nothing that is altered.
func TestSchemesRoundTrip(t *testing.T) {
	names, err := provider.Names()
	if err != nil {
		t.Fatal(err)
	}
	schemes := 0
	for _, name := range names {
		p, err := provider.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range p.GetSchemes() {
			schemes++
			t.Run(name+"/"+s.GetName(), func(t *testing.T) { roundTrip(t, name, s) })
		}
	}
	if schemes < 6 {
		t.Errorf("only %d schemes", schemes)
	}
}

func roundTrip(t *testing.T, name string, s *policyv1.NamedScheme) {
	compiled := table(t, name, s)
	now := time.Unix(1_800_000_000, 0)
	delivery := func(body string) *authz.Request {
		return &authz.Request{
			Method: authz.View("POST"), Host: authz.View("hooks.example.com"), Path: authz.View("/a"),
			Body: authz.Body{State: authz.BodyWhole, Segments: [][]byte{[]byte(body)}},
		}
	}
	decide := func(req *authz.Request, headers authz.Headers, at time.Time) authz.Reason {
		req.Headers = headers
		var d authz.Decision
		compiled.Decide(context.Background(), req, at, &d)
		if (d.Verdict == authz.Allow) != (d.Reason == authz.OK) {
			t.Errorf("verdict %s with reason %s", d.Verdict, d.Reason)
		}
		return d.Reason
	}
	headers := sign(compiled.Webhook("a"), delivery("{}"), now)
	if len(headers) == 0 {
		t.Fatal("nothing is signed")
	}
	hmac, isToken := s.GetScheme().GetHmac(), s.GetScheme().GetSharedToken() != nil
	missing, altered, copied := authz.SignatureMissing, authz.SignatureInvalid, authz.Replayed
	if isToken {
		missing, altered, copied = authz.TokenMissing, authz.OK, authz.OK // a token covers nothing
	}
	if got := decide(delivery("{}"), nil, now); got != missing {
		t.Errorf("without headers: %s, want %s", got, missing)
	}
	if got := decide(delivery("{ }"), headers, now); got != altered {
		t.Errorf("with another body: %s, want %s", got, altered)
	}
	if stamp := hmac.GetTimestamp(); stamp != nil {
		tolerance, future := policy.DefaultTolerance, policy.DefaultFuture
		if stamp.GetTolerance() != nil {
			tolerance = stamp.GetTolerance().AsDuration()
		}
		if stamp.GetFuture() != nil {
			future = stamp.GetFuture().AsDuration()
		}
		if got := decide(delivery("{}"), headers, now.Add(tolerance+time.Second)); got != authz.TimestampTooOld {
			t.Errorf("too late: %s", got)
		}
		if got := decide(delivery("{}"), headers, now.Add(-future-time.Second)); got != authz.TimestampInFuture {
			t.Errorf("too early: %s", got)
		}
	}
	if got := decide(delivery("{}"), headers, now); got != authz.OK {
		t.Errorf("its own signature: %s", got)
	}
	if got := decide(delivery("{}"), headers, now); got != copied {
		t.Errorf("a copy: %s, want %s", got, copied)
	}
}

// What a policy combines by default must go together: schemes of one kind, all
// with a signed time or none. The compiler counts on it.
func TestDefaultSchemesGoTogether(t *testing.T) {
	names, err := provider.Names()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		p, err := provider.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		kinds, seen := map[string]bool{}, map[string]bool{}
		for _, s := range p.GetSchemes() {
			if seen[s.GetName()] {
				t.Errorf("%s has two schemes %s", name, s.GetName())
			}
			seen[s.GetName()] = true
			if !s.GetOptional() {
				kinds[fmt.Sprintf("%T, signed time %v", s.GetScheme().GetKind(), s.GetScheme().GetHmac().GetTimestamp() != nil)] = true
			}
		}
		if len(kinds) != 1 {
			t.Errorf("%s combines %v", name, kinds)
		}
	}
}

func TestFilesHaveTheirNames(t *testing.T) {
	files, err := filepath.Glob("catalogue/*")
	names, nameErr := provider.Names()
	if err != nil || nameErr != nil || len(files) != len(names) {
		t.Fatalf("%d files, %d providers, %v, %v", len(files), len(names), err, nameErr)
	}
	for i, name := range names {
		if filepath.Base(files[i]) != name+".yaml" {
			t.Errorf("%s is in %s", name, files[i])
		}
	}
}

func TestNearest(t *testing.T) {
	for _, test := range []struct {
		want    string
		headers []string
	}{
		{"github", []string{"x-hub-signature-256", "x-github-event"}},
		{"github", []string{"x-hub-signature"}},
		{"gitlab", []string{"x-gitlab-token"}},
		{"slack", []string{"x-slack-signature", "x-slack-request-timestamp"}},
		{"standard-webhooks", []string{"webhook-id", "webhook-timestamp", "webhook-signature", "x-hub-signature"}},
		{"stripe", []string{"stripe-signature"}},
		{"", []string{"webhook-id", "webhook-timestamp"}}, // no proof
		{"", nil},
	} {
		has := map[string]bool{}
		for _, name := range test.headers {
			has[name] = true
		}
		got, err := provider.Nearest(func(name string) bool { return has[name] })
		if err != nil || got != test.want {
			t.Errorf("%q: %q, want %q; %v", test.headers, got, test.want, err)
		}
	}
}
