package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/sample"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

// newSecret returns a secret that must appear nowhere.
func newSecret() string {
	text := rand.Text()
	envoytest.Watched.Secret("a rotated secret", text)
	return text
}

// replaceFile swaps a file as tools do: by name.
func replaceFile(t *testing.T, name, text string) {
	t.Helper()
	if err := sample.WriteFile(name+"~", []byte(text+"\n")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+"~", name); err != nil {
		t.Fatal(err)
	}
}

// signer returns a table with which deliveries of the webhook are signed with
// one secret.
func signer(t *testing.T, text string) *authz.Table {
	t.Helper()
	dir := t.TempDir()
	replaceFile(t, filepath.Join(dir, "s"), text)
	replaceFile(t, filepath.Join(dir, "p.yaml"), "webhooks: [{name: rotating, match: {path: /webhooks/rotating}, provider: github, secrets: [{file: s}]}]")
	table, err := (&cli.Policies{Paths: []string{dir}}).Table()
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// sender delivers all the time, with the key that it has been given last.
type sender struct {
	key           atomic.Pointer[authz.Table]
	good, refused atomic.Int64
	sent          atomic.Int64
	underWay      sync.RWMutex // read while a delivery is
}

func (s *sender) deliver(t *testing.T, e *edge, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		s.underWay.RLock()
		status := sendStatus(t, e, signed(t, s.key.Load(), "rotating", e.client.Address, fmt.Appendf(nil, "delivery %d", s.sent.Add(1))))
		s.underWay.RUnlock()
		if status == http.StatusOK {
			s.good.Add(1)
		} else {
			s.refused.Add(1)
		}
	}
}

// switchTo gives the sender another key and returns when nothing that was signed
// with the old one is under way.
func (s *sender) switchTo(key *authz.Table) {
	s.key.Store(key)
	s.underWay.Lock()
	defer s.underWay.Unlock()
}

// awaitGood returns when so many more deliveries were accepted.
func (s *sender) awaitGood(t *testing.T, more int64) {
	t.Helper()
	want := s.good.Load() + more
	deadline := time.Now().Add(generous)
	for s.good.Load() < want {
		if time.Now().After(deadline) {
			t.Fatalf("%d deliveries were accepted, %d refused", s.good.Load(), s.refused.Load())
		}
		s.underWay.RLock()
		s.underWay.RUnlock() //nolint:staticcheck // only to wait a while
	}
}

// TestRotationUnderLoad goes from an old key to both to a new one by changes of
// files alone, through the real Envoy: no good delivery is refused, and none that
// is signed with the retired key is accepted after its end.
func TestRotationUnderLoad(t *testing.T) {
	dir := t.TempDir()
	oldKey, newKey := newSecret(), newSecret()
	current, previous := filepath.Join(dir, "secrets", "current"), filepath.Join(dir, "secrets", "previous")
	for _, name := range []string{"secrets", "policies"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	replaceFile(t, current, oldKey)
	replaceFile(t, previous, oldKey)
	replaceFile(t, filepath.Join(dir, "policies", "p.yaml"), `webhooks:
- name: rotating
  match: {path: /webhooks/rotating}
  provider: github
  secrets: [{id: current, file: ../secrets/current}, {id: previous, file: ../secrets/previous}]`)
	unix := socket(t)
	p := start(t, append(serveArgs(filepath.Join(dir, "policies"), unix), "--admin-listen", "127.0.0.1:0")...)
	p.stderr.await(t, "msg=serving")
	e := startEdge(t, unix, nil)
	withOld, withNew := signer(t, oldKey), signer(t, newKey)

	s := &sender{}
	s.key.Store(withOld)
	stop := make(chan struct{})
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() { s.deliver(t, e, stop) })
	}
	s.awaitGood(t, 50)

	replaceFile(t, current, newKey) // both count
	p.stderr.await(t, `msg="secret taken" .*key=current`)
	s.awaitGood(t, 50) // with the old key
	if matched := matchedKeys(t, p); matched["previous"] == 0 {
		t.Errorf("the keys have matched %v times", matched)
	}
	s.switchTo(withNew)
	s.awaitGood(t, 50)

	replaceFile(t, previous, newKey) // the old one is retired
	p.stderr.await(t, `msg="secret taken" .*key=previous`)
	retired := 0
	for i := range 100 {
		if status := sendStatus(t, e, signed(t, withOld, "rotating", e.client.Address, fmt.Appendf(nil, "late %d", i))); status != http.StatusUnauthorized {
			t.Errorf("a delivery with the retired key: status %d", status)
			retired++
		}
	}
	// What cannot be a secret changes nothing, and is loud.
	replaceFile(t, current, "")
	p.stderr.await(t, `level=ERROR msg="secret not taken[^\n]* error="the secret is empty"`)
	replaceFile(t, previous, "password")
	p.stderr.await(t, `level=ERROR msg="secret not taken[^\n]* error="the secret is weak: shorter than 16 bytes"`)
	s.awaitGood(t, 50)
	if status, body := get(t, siteOf(t, p)+"/readyz"); status != http.StatusOK || !strings.Contains(body, "last good value of 2 keys") {
		t.Errorf("/readyz: %d %s", status, body)
	}
	if _, metrics := get(t, siteOf(t, p)+"/metrics"); !regexp.MustCompile(`hookbastion_secrets\{[^}]*state="last_good"[^}]*\} 2`).MatchString(metrics) {
		t.Error("no key at its last good value in /metrics")
	}
	close(stop)
	senders.Wait()
	if s.refused.Load() > 0 || retired > 0 || strings.Contains(p.stderr.String(), "policy loaded") {
		t.Errorf("%d good deliveries of %d were refused, %d accepted with the retired key:\n%s", s.refused.Load(), s.sent.Load(), retired, p.stderr)
	}
	t.Logf("%d deliveries", s.sent.Load())
}

// matchedKeys asks the admin listener how often each key has matched.
func matchedKeys(t *testing.T, p *process) map[string]int64 {
	t.Helper()
	live, err := (&cli.Admin{URL: "http://" + p.stderr.await(t, ` admin=(\S+)`)[1]}).Keys(context.Background())
	if err != nil || live.Since.IsZero() || !live.Complete {
		t.Fatalf("%+v, %v", live, err)
	}
	matched := map[string]int64{}
	for _, k := range live.Keys {
		if k.Webhook == "rotating" && !k.First.IsZero() && !k.Last.Before(k.First) {
			matched[k.KeyID] = k.Count
		}
	}
	return matched
}

func siteOf(t *testing.T, p *process) string {
	t.Helper()
	return "http://" + p.stderr.await(t, ` http=(\S+)`)[1]
}

// Each tenant has its own secret, through the real Envoy: that of another does
// not count, and a name without a file is unknown.
func TestTenantsHaveTheirOwnSecrets(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"secrets", "policies"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	replaceFile(t, filepath.Join(dir, "secrets", "acme"), newSecret())
	replaceFile(t, filepath.Join(dir, "secrets", "globex"), newSecret())
	replaceFile(t, filepath.Join(dir, "secrets", "weak"), "password")
	replaceFile(t, filepath.Join(dir, "secrets", "initech"), newSecret())
	replaceFile(t, filepath.Join(dir, "secrets", "acme.token"), newSecret())
	replaceFile(t, filepath.Join(dir, "secrets", "initech.token"), newSecret())
	policies := filepath.Join(dir, "policies")
	replaceFile(t, filepath.Join(policies, "p.yaml"), `webhooks:
- {name: shops, match: {path: "/webhooks/{tenant}/shop"}, provider: github, secrets: [{file: "../secrets/{tenant}"}]}
- {name: labs, match: {path: "/webhooks/{tenant}/lab"}, provider: gitlab, secrets: [{file: "../secrets/{tenant}"}]}
- name: both
  match: {path: "/webhooks/{tenant}/both"}
  token: {any_of: [{header: {name: x-token, value: {file: "../secrets/{tenant}.token"}}}]}
  provider: github
  secrets: [{file: "../secrets/{tenant}"}]
- name: tokens
  match: {path: "/webhooks/{tenant}/tokens"}
  token: {any_of: [{header: {name: x-token, value: {file: "../secrets/{tenant}.token"}}}]}`)
	unix := socket(t)
	p := start(t, serveArgs(policies, unix)...)
	p.stderr.await(t, "msg=serving")
	e := startEdge(t, unix, nil)
	table, err := (&cli.Policies{Paths: []string{policies}}).Table()
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		webhook, signedFor, sentTo string
		status                     int
	}{
		{"shops", "acme", "acme", 200},
		{"shops", "globex", "globex", 200},
		{"shops", "acme", "globex", 401},
		{"shops", "acme", "nobody", 404},
		{"shops", "weak", "weak", 503},
		{"labs", "acme", "acme", 200},
		{"labs", "acme", "globex", 401},
		{"labs", "acme", "nobody", 404},
		{"both", "acme", "acme", 200},
		{"both", "acme", "initech", 401},
		{"both", "acme", "globex", 404}, // which has no token
		{"tokens", "initech", "initech", 200},
		{"tokens", "initech", "acme", 401},
		{"tokens", "initech", "globex", 404},
	} {
		path := map[string]string{"shops": "/webhooks/%s/shop", "labs": "/webhooks/%s/lab", "both": "/webhooks/%s/both", "tokens": "/webhooks/%s/tokens"}[c.webhook]
		req, err := (&sample.Delivery{Webhook: c.webhook, Host: e.client.Address, Path: fmt.Sprintf(path, c.signedFor)}).Request(table, time.Now(), fmt.Appendf(nil, "%d", i))
		if err != nil {
			t.Fatal(err)
		}
		watchMACs(req)
		req.Path = authz.View(fmt.Sprintf(path, c.sentTo))
		status, _, err := e.client.Send(context.Background(), req)
		if err != nil {
			t.Fatal(err)
		}
		if status != c.status {
			t.Errorf("%s: signed for %s, sent to %s: status %d, want %d", c.webhook, c.signedFor, c.sentTo, status, c.status)
		}
	}
	_, metrics := get(t, siteOf(t, p)+"/metrics")
	for _, want := range []string{`state="known"[^}]*\} 8`, `state="unknown"[^}]*\} 5`} {
		if !regexp.MustCompile(`hookbastion_tenants\{[^}]*` + want).MatchString(metrics) {
			t.Errorf("no %s in /metrics", want)
		}
	}
	terminate(t, p)
	for _, reason := range []string{"tenant_unknown", "keys_unavailable"} {
		if !strings.Contains(p.stdout.String(), `"reason":"`+reason+`"`) {
			t.Errorf("no record with %s", reason)
		}
	}
	if !strings.Contains(p.stderr.String(), `error="the secret is weak: shorter than 16 bytes"`) {
		t.Error("the weak secret of a tenant is not in the log")
	}
}

// serve refuses what everybody can know or guess, unless the policy allows it;
// validate, explain and sign do not.
func TestWeakSecretsAreRefused(t *testing.T) {
	const allow = ", allow_weak: {reason: the provider issues no longer ones}"
	for name, c := range map[string]struct {
		text, provider, extra, want string
	}{
		"short":             {"hunter22", "github", "", "shorter than 16 bytes"},
		"short decoded":     {"whsec_c2hvcnQtYnV0LWxvbmc=", "standard-webhooks", "", "shorter than 16 bytes"},
		"guessable":         {"my-secret-webhook-password", "github", "", "can be guessed"},
		"published":         {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "standard-webhooks", "", "is published: "},
		"published bare":    {"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "svix", "", "is published: "},
		"a provider's test": {"dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ==", "zendesk", "", "is published: "},
		"a vector":          {"8f742231b10e8888abcd99yyyzzz85a5", "slack", "", "a test vector of slack"},
		"a token":           {"hunter22", "gitlab", "", "shorter than 16 bytes"},
		"allowed":           {"hunter22", "github", allow, ""},
		"allowed known":     {"test-webhook", "github", allow, ""},
		"strong":            {newSecret(), "github", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			replaceFile(t, filepath.Join(dir, "s"), c.text)
			replaceFile(t, filepath.Join(dir, "p.yaml"),
				"webhooks: [{name: a, match: {path: /a}, provider: "+c.provider+", secrets: [{file: s"+c.extra+"}]}]")
			p := start(t, serveArgs(dir, socket(t))...)
			if c.want == "" {
				p.stderr.await(t, "msg=serving")
			} else if err := p.wait(t); err == nil || !strings.Contains(p.stderr.String(), c.want) ||
				!strings.Contains(p.stderr.String(), "p.yaml:1:") || strings.Contains(p.stderr.String(), c.text) {
				t.Errorf("%v: %s", err, p.stderr)
			}
			_, keys, err := (&cli.Policies{Paths: []string{dir}}).Keys()
			if err != nil || len(keys) != 1 {
				t.Fatalf("%d keys, %v", len(keys), err)
			}
			warned := len(cli.WeakWarnings(keys, "a", "")) > 0
			if warned != (c.want != "" || c.extra != "") {
				t.Errorf("warned: %v", warned)
			}
		})
	}
}
