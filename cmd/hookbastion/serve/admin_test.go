package serve

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/redeliver"
)

const refusedID = "0123456789abcdef0123456789abcdef"

// adminServer is an admin listener with a settler whose store has one delivery
// that was taken and whose copy the decision refusedID has refused.
func adminServer(t *testing.T, tokenFile string) (*httptest.Server, func() authz.Reason) {
	t.Helper()
	return adminServerOf(t, &settings.Admin{Listen: "127.0.0.1:0", Token: tokenFile})
}

func adminServerOf(t *testing.T, who *settings.Admin) (*httptest.Server, func() authz.Reason) {
	t.Helper()
	store := memory.New(memory.Config{MaxEntries: 1000})
	settler := replay.NewSettler(store, 0, replay.NewSealKey())
	check := &replay.Check{Store: store, Settler: settler, Window: time.Hour}
	deliver := func() (authz.Reason, *authz.Call) {
		call := &authz.Call{
			Context: context.Background(), Now: time.Now(), Webhook: "hook", Request: &authz.Request{},
			Fingerprint: authz.Fingerprint{1}, Proof: authz.ProofSignature,
		}
		return check.Run(call), call
	}
	if reason, _ := deliver(); reason != authz.OK {
		t.Fatal(reason)
	}
	reason, call := deliver()
	if reason != authz.Replayed {
		t.Fatal(reason)
	}
	settler.Refused(refusedID, "hook", call.Reservation)
	a, err := newAdmin(&settings.Settings{Admin: *who}, settler, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(a.server.Handler)
	t.Cleanup(server.Close)
	return server, func() authz.Reason { reason, _ := deliver(); return reason }
}

// runRedeliver runs the command.
func runRedeliver(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := redeliver.New()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	err := cmd.Execute()
	return out.String(), err
}

func TestRedeliverLetsOneCopyThrough(t *testing.T) {
	server, deliver := adminServer(t, "")
	if _, err := runRedeliver(t, "--admin", server.URL, "--decision", strings.Repeat("0", 32)); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("a decision that refused nothing: %v", err)
	}
	if reason := deliver(); reason != authz.Replayed {
		t.Errorf("before: %s", reason)
	}
	if out, err := runRedeliver(t, "--admin", server.URL, "--decision", refusedID); err != nil || !strings.Contains(out, "hook passes, once, within 15m") {
		t.Errorf("%q, %v", out, err)
	}
	for i, want := range []authz.Reason{authz.OK, authz.Replayed, authz.Replayed} {
		if reason := deliver(); reason != want {
			t.Errorf("copy %d: %s, want %s", i, reason, want)
		}
	}
	if _, err := runRedeliver(t, "--admin", server.URL, "--decision", refusedID); err == nil {
		t.Error("one refusal is good for two permits")
	}
}

func TestOnlyOperatorsReachAdmin(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	put(t, token, "an admin token of enough length\n")
	open, _ := adminServer(t, "")
	closed, deliver := adminServer(t, token)
	for _, c := range []struct {
		name   string
		server *httptest.Server
		header [][2]string
		want   int
	}{
		{"no token", closed, nil, http.StatusUnauthorized},
		{"another token", closed, [][2]string{{"Authorization", "Bearer an admin token of enough lengtH"}}, http.StatusUnauthorized},
		{"another scheme", closed, [][2]string{{"Authorization", "Basic an admin token of enough length"}}, http.StatusUnauthorized},
		{"a page's request", open, [][2]string{{"Origin", "https://evil.example"}}, http.StatusForbidden},
		{"a name that points here", open, [][2]string{{"Host", "evil.example"}}, http.StatusForbidden},
		{"a form", open, [][2]string{{"Content-Type", "application/x-www-form-urlencoded"}}, http.StatusUnsupportedMediaType},
		{"no content type", open, [][2]string{{"Content-Type", ""}}, http.StatusUnsupportedMediaType},
		{"no JSON", open, nil, http.StatusBadRequest},
	} {
		req, err := http.NewRequest(http.MethodPost, c.server.URL+"/api/v1/redeliver", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		for _, h := range c.header {
			req.Header.Set(h[0], h[1])
			if h[0] == "Host" {
				req.Host = h[1]
			}
		}
		response, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if response.StatusCode != c.want {
			t.Errorf("%s: %d, want %d", c.name, response.StatusCode, c.want)
		}
	}
	if _, err := runRedeliver(t, "--admin", closed.URL, "--decision", refusedID); err == nil {
		t.Error("without a token")
	}
	if _, err := runRedeliver(t, "--admin", closed.URL, "--decision", refusedID, "--token-file", token); err != nil {
		t.Error(err)
	}
	if reason := deliver(); reason != authz.OK {
		t.Errorf("%s", reason)
	}
	short := filepath.Join(t.TempDir(), "short")
	put(t, short, "short")
	if _, err := newAdmin(&settings.Settings{Admin: settings.Admin{Token: short}}, nil, nil, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a short token")
	}
}

func put(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
