package policy_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/fetch"
)

// Whatever a key server does, no request waits for it: without keys the answer is 503,
// and where there are keys from before, these count.
func TestKeyServersThatMisbehave(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"p.yaml": `webhooks:
  - name: hook
    match: {path: /hook}
    scheme: {ed25519: {encoding: HEX, signature: {headers: [X-Sig]}, content: [{body: {}}], key_id: {headers: [X-Key]}}}
    secrets: [{url: SERVER/jwks.json}]
`}
	s := newKeyServer(t)
	s.publish("/jwks.json", `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"one","x":"`+base64.RawURLEncoding.EncodeToString(public)+`"}]}`)
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	kept := t.TempDir()
	_, events, stop := s.tableWith(t, files, fetch.ClientConfig{AllowPrivate: loopback}, kept)
	if e := ended(t, events); e.Err != nil {
		t.Fatal(e.Err)
	}
	stop()

	blocked := make(chan struct{})
	page := func(code int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code); _, _ = io.WriteString(w, text) }
	}
	for name, tt := range map[string]struct {
		misbehave http.HandlerFunc
		config    fetch.ClientConfig
		want      fetch.Failure
	}{
		"slow": {func(_ http.ResponseWriter, r *http.Request) { blocked <- struct{}{}; <-r.Context().Done() }, fetch.ClientConfig{Timeout: 300 * time.Millisecond}, fetch.Timeout},
		"dead": {func(w http.ResponseWriter, _ *http.Request) { hangUp(w) }, fetch.ClientConfig{}, fetch.Transport},
		"huge": {page(200, strings.Repeat(" ", 2<<20)), fetch.ClientConfig{}, fetch.TooLarge},
		"elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://169.254.169.254/", http.StatusFound)
		}, fetch.ClientConfig{}, fetch.Redirect},
		"HTML":       {page(200, "<html>blocked</html>"), fetch.ClientConfig{}, fetch.Content},
		"no keys":    {page(200, `{"keys":[]}`), fetch.ClientConfig{}, fetch.Content},
		"nothing":    {page(200, ""), fetch.ClientConfig{}, fetch.Content},
		"not found":  {page(404, ""), fetch.ClientConfig{}, fetch.NotFound},
		"broken":     {page(502, ""), fetch.ClientConfig{}, fetch.BadStatus},
		"unchanged":  {page(304, ""), fetch.ClientConfig{}, fetch.BadStatus},
		"not public": {page(200, "x"), fetch.ClientConfig{AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}}, fetch.Address},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.config.AllowPrivate == nil {
				tt.config.AllowPrivate = loopback
			}
			s.misbehave = tt.misbehave
			for _, keep := range []string{t.TempDir(), kept} {
				want := authz.KeysUnavailable
				if keep == kept {
					want = authz.OK
				}
				table, events, stop := s.tableWith(t, files, tt.config, keep)
				if name == "slow" {
					<-blocked // the fetch has begun, and does not end
				} else if e := ended(t, events); fetch.FailureOf(e.Err) != tt.want || e.Held != (keep == kept) {
					t.Errorf("%+v, want %v", e, tt.want)
				}
				if got := decide(table, delivery(t, table, "hook", "one", private)); got != want {
					t.Errorf("%v, want %v", got, want)
				}
				for i := range 100 {
					if got := decide(table, delivery(t, table, "hook", fmt.Sprint("other-", i), private)); got != authz.KeysUnavailable {
						t.Fatalf("an unknown key: %v", got)
					}
				}
				if name == "slow" {
					if e := ended(t, events); fetch.FailureOf(e.Err) != fetch.Timeout {
						t.Errorf("%+v", e)
					}
				}
				stop()
			}
		})
	}
}

// hangUp ends a connection without an answer.
func hangUp(w http.ResponseWriter) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = conn.Close()
	}
}
