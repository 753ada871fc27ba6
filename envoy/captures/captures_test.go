package captures_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/capture"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/envoy/captures"
	"github.com/hookbastion/hookbastion/policy"
)

var now = time.Unix(1_800_000_000, 0)

const policies = `webhooks:
  - {name: github, match: {path: /github}, provider: github, secrets: [{file: secret}]}
  - {name: stripe, match: {path: /stripe}, provider: stripe, secrets: [{file: secret}], source_ip: {allow: [192.0.2.0/24]}}
  - {name: both, match: {path: /both}, provider: github, secrets: [{file: secret}], token: {any_of: [{header: {name: X-Own, value: {file: token}}}]}}
  - {name: token, match: {path: /token}, token: {any_of: [{bearer: {value: {file: token}}}]}}
  - {name: gitlab, match: {path: /gitlab}, provider: gitlab, secrets: [{file: token}]}
  - {name: jwt, match: {path: /jwt}, provider: vonage, secrets: [{file: secret}]}
  - {name: later, match: {path: /later}, provider: github, secrets: [{file: secret, not_before: 2100-01-01T00:00:00Z}]}
  - {name: limited, match: {path: /limited}, provider: github, secrets: [{file: secret}], limits: {content_types: [text/plain]}}
  - {name: zoom, match: {path: /zoom}, provider: zoom, secrets: [{file: secret}]}
  - {name: open, match: {path: /open}, unverified: {reason: a test needs it}, source_ip: {allow: [192.0.2.0/24]}}
`

// world is a table with its keys, and a keeper whose captures can be read.
type world struct {
	table    *authz.Table
	keeper   *captures.Keeper
	identity *age.X25519Identity
}

func newWorld(t testing.TB, change func(*captures.Config)) *world {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"secret": "Zk3Vn8Qw1Lr6Tx0Yc5Hb9Md4Jf7Gs2Pe", "token": "q8Zt3Lw0Vn5Xc7Bm1Ks9Rd4Hf6Jg2PyU", "policy.yaml": policies} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set, err := policy.Load(filepath.Join(dir, "policy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{}
	w.table, err = policy.Compile(set, policy.Deps{
		Store: memory.New(memory.Config{MaxEntries: 1000}), Fingerprinter: authz.NewFingerprinter(authz.FingerprintKey{}), MaxBodyBytes: 1 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	if w.identity, err = age.GenerateX25519Identity(); err != nil {
		t.Fatal(err)
	}
	c := captures.Config{Recipients: []age.Recipient{w.identity.Recipient()}, Every: time.Second, Keep: time.Hour, MaxBody: 1 << 10}
	if change != nil {
		change(&c)
	}
	w.keeper = captures.New(c)
	return w
}

// request is a valid delivery of a webhook, before anything is done to it.
func (w *world) request(t testing.TB, webhook string, at time.Time) *authz.Request {
	t.Helper()
	req := &authz.Request{
		Method: authz.View("POST"), Path: authz.View("/" + webhook), Host: authz.View("hooks.example.com"), Source: netip.MustParseAddr("192.0.2.1"),
		Headers: authz.Headers{{Name: authz.View("content-type"), Value: authz.View("application/json")}},
	}
	req.Body.Segments = [][]byte{[]byte(`{"a":`), []byte(`1}`)}
	if hook := w.table.Webhook(webhook); hook.Unverified == "" && webhook != "jwt" {
		if err := hook.Sign(req, authz.Signing{Now: at, NewID: func() string { return "id-1" }}); err != nil {
			t.Fatal(err)
		}
	}
	req.Body.State, req.Body.Size, req.Transport.TLS = authz.BodyWhole, int64(req.Body.Len()), true
	return req
}

// decide decides and shows the keeper what came of it.
func (w *world) decide(req *authz.Request, id string, at time.Time) *authz.Decision {
	d := &authz.Decision{}
	w.table.Decide(context.Background(), req, at, d)
	w.keeper.Denied(context.Background(), w.table, req, d, id, at)
	return d
}

// read decrypts what was kept of a decision; "" if nothing was.
func (w *world) read(t *testing.T, id string, at time.Time) string {
	t.Helper()
	data, ok := w.keeper.Get(id, at)
	if !ok {
		return ""
	}
	plain, err := age.Decrypt(bytes.NewReader(data), w.identity)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(plain)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestWhatIsKept: what could be sent again is not, and what is kept is explained as it was
// denied.
func TestWhatIsKept(t *testing.T) {
	tamper := func(req *authz.Request) { req.Body.Segments[0] = []byte(`{"b":`) }
	away := func(req *authz.Request) { req.Source = netip.MustParseAddr("198.51.100.1") }
	without := func(req *authz.Request) {
		for i := range req.Headers {
			if strings.Contains(string(req.Headers[i].Name), "signature") {
				req.Headers[i].Name = authz.View("x-other-signature")
			}
		}
	}
	for name, c := range map[string]struct {
		webhook string
		change  func(*authz.Request)
		signed  time.Duration // before now
		reason  authz.Reason
		kept    bool
		masked  bool
	}{
		"valid":                           {"github", nil, 0, authz.OK, false, false},
		"tampered":                        {"github", tamper, 0, authz.SignatureInvalid, true, false},
		"no signature, but another's":     {"github", without, 0, authz.SignatureMissing, true, true},
		"a header twice":                  {"github", func(r *authz.Request) { r.Headers = append(r.Headers, r.Headers[1]) }, 0, authz.SignatureMalformed, true, true},
		"valid and too old":               {"stripe", nil, time.Hour, authz.TimestampTooOld, false, false},
		"valid and ahead":                 {"stripe", nil, -time.Hour, authz.TimestampInFuture, false, false},
		"valid from elsewhere":            {"stripe", away, 0, authz.SourceDenied, false, false},
		"tampered from elsewhere":         {"stripe", func(r *authz.Request) { away(r); tamper(r) }, 0, authz.SourceDenied, true, false},
		"valid of another type":           {"limited", nil, 0, authz.ContentType, false, false},
		"tampered of another type":        {"limited", tamper, 0, authz.ContentType, true, false},
		"valid by a key of the future":    {"later", nil, 0, authz.KeyNotValidNow, false, false},
		"valid, and a wrong token":        {"both", func(r *authz.Request) { r.Set("x-own", "wrong") }, 0, authz.TokenInvalid, false, false},
		"tampered, and a token":           {"both", tamper, 0, authz.SignatureInvalid, false, false},
		"a wrong token":                   {"token", func(r *authz.Request) { r.Set("authorization", "Bearer wrong") }, 0, authz.TokenInvalid, false, false},
		"a wrong token of a provider":     {"gitlab", func(r *authz.Request) { r.Set("x-gitlab-token", "wrong") }, 0, authz.TokenInvalid, false, false},
		"a token that is none":            {"jwt", func(r *authz.Request) { r.Set("authorization", "Bearer a.b.c") }, 0, authz.SignatureMalformed, true, true},
		"no path":                         {"github", func(r *authz.Request) { r.Path = authz.View("/nowhere") }, 0, authz.NoWebhook, false, false},
		"malformed":                       {"github", func(r *authz.Request) { r.Malformed = true }, 0, authz.MalformedRequest, false, false},
		"a body that was changed":         {"github", func(r *authz.Request) { r.Body.State = authz.BodyChanged }, 0, authz.BodyAltered, false, false},
		"a tampered body that was cut":    {"github", func(r *authz.Request) { tamper(r); r.Body.State, r.Body.Size = authz.BodyCut, 100 }, 0, authz.BodyTruncated, true, false},
		"a whole signature, cut":          {"github", func(r *authz.Request) { r.Body.State, r.Body.Size = authz.BodyCut, 100 }, 0, authz.BodyTruncated, false, false},
		"a large body":                    {"github", func(r *authz.Request) { r.Body.Segments = [][]byte{make([]byte, 2<<10)} }, 0, authz.SignatureInvalid, false, false},
		"unverified":                      {"open", away, 0, authz.SourceDenied, false, false},
		"a handshake that is none":        {"zoom", func(r *authz.Request) { r.Body.Segments = [][]byte{[]byte(`{"event":"endpoint.url_validation"}`)} }, 0, authz.SignatureInvalid, true, false},
		"a line that ends in a header":    {"github", func(r *authz.Request) { tamper(r); r.Set("x-a", "b\r\nx-c: d") }, 0, authz.SignatureInvalid, false, false},
		"a host that has another's value": {"github", func(r *authz.Request) { tamper(r); r.Host = authz.View("hooks.example.com\r\nx: y") }, 0, authz.NoWebhook, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			req := w.request(t, c.webhook, now.Add(-c.signed))
			req.Set("cookie", "session=abcdefghijklmnopqrstuvwxyz")
			if c.change != nil {
				c.change(req)
			}
			if d := w.decide(req, "decision-1", now); d.Reason != c.reason {
				t.Fatalf("denied with %s", d.Reason)
			}
			text := w.read(t, "decision-1", now)
			if kept := text != ""; kept != c.kept {
				t.Fatalf("kept: %v\n%s", kept, text)
			}
			if !c.kept {
				return
			}
			if strings.Contains(text, "abcdefghijklmnopqrstuvwxyz") || !strings.Contains(text, "cookie: redacted-") {
				t.Errorf("a cookie is kept:\n%s", text)
			}
			again, err := capture.Parse([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			f, ok := capture.TakeFacts(again)
			if !ok || !f.Time.Equal(now) || f.Reason != c.reason.String() || f.Decision != "decision-1" || f.Source != req.Source || !f.TLS {
				t.Errorf("%+v", f)
			}
			again.Source, again.Transport.TLS = f.Source, true
			d := &authz.Decision{}
			if w.table.Decide(t.Context(), again, f.Time, d); req.Body.State == authz.BodyWhole && d.Reason != c.reason {
				t.Errorf("it is explained with %s", d.Reason)
			}
			if masked := strings.Contains(text, strings.Repeat("0", 64)); masked != (c.masked && c.webhook == "github") {
				t.Errorf("masked: %v\n%s", masked, text)
			}
		})
	}
}

// TestCopiesAreKept: whoever has one cannot use it, for its nonce is spent.
func TestCopiesAreKept(t *testing.T) {
	w := newWorld(t, nil)
	for i, want := range []authz.Reason{authz.OK, authz.Replayed} {
		if d := w.decide(w.request(t, "stripe", now), fmt.Sprint("decision-", i), now); d.Reason != want {
			t.Fatal(d.Reason)
		}
	}
	text := w.read(t, "decision-1", now)
	if w.read(t, "decision-0", now) != "" || !strings.Contains(text, "stripe-signature: t=") || !strings.HasSuffix(text, "\r\n\r\n{\"a\":1}") {
		t.Errorf("%s", text)
	}
	// A token beside the signature could be used for another one.
	w = newWorld(t, nil)
	for i := range 2 {
		w.decide(w.request(t, "both", now), fmt.Sprint("decision-", i), now)
	}
	if all := w.keeper.List(now); len(all) > 0 {
		t.Errorf("%+v", all)
	}
}

// TestRedaction: what looks like a credential is not kept, wherever it stands.
func TestRedaction(t *testing.T) {
	w := newWorld(t, nil)
	req := w.request(t, "github", now)
	req.Body.Segments[0] = []byte(`{"b":`)
	const secret = "a-credential-of-somebody"
	for _, name := range []string{"authorization", "proxy-authorization", "x-api-key", "X-Auth-Token", "x-client-secret", "x-session-id"} {
		req.Set(strings.ToLower(name), "Bearer "+secret)
	}
	req.Set("x-hookbastion-capture-source", "203.0.113.99")
	req.Set(":path", "/github") // as Envoy has it
	req.Path = authz.View("/github?access_token=" + secret + "&page=2&api%5Fkey=" + secret + "&empty")
	w.decide(req, "d", now)
	text := w.read(t, "d", now)
	if text == "" || strings.Contains(text, secret) || strings.Contains(text, "203.0.113.99") {
		t.Errorf("%s", text)
	}
	for _, want := range []string{"POST /github?access_token=redacted&page=2&api%5Fkey=redacted&empty HTTP/1.1\r\n", "authorization: Bearer redacted-24\r\n", "x-hub-signature-256: sha256=", "?api_key"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// TestBounds: a flood costs one capture in an interval, and takes no room of others; what is
// too old is gone.
func TestBounds(t *testing.T) {
	w := newWorld(t, nil)
	deny := func(webhook string, at time.Time) string {
		req := w.request(t, webhook, at)
		req.Body.Segments[0] = []byte(`{"b":`)
		id := fmt.Sprint(webhook, at.UnixNano())
		w.decide(req, id, at)
		return id
	}
	first := deny("limited", now)
	for i := range 1000 {
		deny("github", now.Add(time.Duration(i)*10*time.Millisecond)) // ten seconds
	}
	count := map[string]int{}
	for _, c := range w.keeper.List(now) {
		count[c.Webhook]++
	}
	if count["github"] != 4 || count["limited"] != 1 || w.read(t, first, now) == "" {
		t.Errorf("%v", count)
	}
	// Large ones of webhooks that are flooded push out their own, and not what was there before.
	w = newWorld(t, func(c *captures.Config) { c.Every, c.MaxBody = time.Nanosecond, 1<<20 })
	first = deny("limited", now)
	for i := range 4 {
		for j, webhook := range []string{"github", "stripe"} {
			for k, change := range []func(*authz.Request){
				func(*authz.Request) {},
				func(req *authz.Request) { req.Headers = req.Headers[:1] },
				func(req *authz.Request) { req.Headers[len(req.Headers)-1].Value = authz.View("x") },
			} {
				at := now.Add(time.Duration(i*6+j*3+k+1) * time.Millisecond)
				req := w.request(t, webhook, at)
				req.Body.Segments, req.Body.Size = [][]byte{make([]byte, 1<<20)}, 1<<20
				change(req)
				w.decide(req, fmt.Sprint(at.UnixNano()), at)
			}
		}
	}
	if all := w.keeper.List(now.Add(time.Second)); len(all) < 14 || len(all) > 17 || w.read(t, first, now.Add(time.Second)) == "" {
		t.Errorf("%d are kept, and the first one is not among them", len(all))
	}
	// A minute has a bound, too.
	w = newWorld(t, func(c *captures.Config) { c.Every = time.Nanosecond })
	for i := range 1000 {
		deny("github", now.Add(time.Duration(i)*time.Millisecond))
		deny("stripe", now.Add(time.Duration(i)*time.Millisecond))
		deny("limited", now.Add(time.Duration(i)*time.Millisecond))
	}
	if all := w.keeper.List(now.Add(time.Second)); len(all) != 12 {
		t.Errorf("%d are kept", len(all))
	}
	if all := w.keeper.List(now.Add(time.Hour + time.Second)); len(all) != 0 {
		t.Errorf("%d are too old", len(all))
	}
	var none *captures.Keeper
	if _, ok := none.Get("x", now); ok || len(none.List(now)) > 0 {
		t.Error("no keeper keeps something")
	}
	none.Denied(t.Context(), w.table, w.request(t, "github", now), &authz.Decision{}, "x", now)
}

// TestAtOnce: calls, lists and readers at the same time.
func TestAtOnce(t *testing.T) {
	w := newWorld(t, func(c *captures.Config) { c.Every = time.Nanosecond })
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 20 {
				at := now.Add(time.Duration(i*20+j) * time.Minute / 16)
				req := w.request(t, "github", at)
				req.Body.Segments[0] = []byte(`{"b":`)
				w.decide(req, fmt.Sprint(i, "-", j), at)
				w.keeper.List(at)
				w.keeper.Get("0-0", at)
			}
		})
	}
	wg.Wait()
	if len(w.keeper.List(now)) == 0 {
		t.Error("nothing is kept")
	}
}

// BenchmarkDenied is what a denial costs more: where captures are off, where it is not their
// turn, and where one is made.
func BenchmarkDenied(b *testing.B) {
	w := newWorld(b, func(c *captures.Config) { c.Every = time.Nanosecond })
	req := w.request(b, "github", now)
	req.Body.Segments[0] = []byte(`{"b":`)
	d := &authz.Decision{}
	w.table.Decide(b.Context(), req, now, d)
	for name, keeper := range map[string]*captures.Keeper{"off": nil, "on": w.keeper} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if keeper != nil {
					keeper.Denied(b.Context(), w.table, req, d, "x", now)
				}
			}
		})
	}
	b.Run("made", func(b *testing.B) {
		for at := now; b.Loop(); at = at.Add(time.Minute) {
			w.keeper.Denied(b.Context(), w.table, req, d, "x", at)
		}
	})
}
