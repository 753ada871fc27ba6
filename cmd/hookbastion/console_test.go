package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The console of a running service shows what came through a real Envoy, to readers and
// operators; a copy passes where an operator types the token, and not otherwise.
func TestConsoleThroughEnvoy(t *testing.T) {
	const reader = "a reader's token of sixteen bytes"
	dir, table := quickstart(t)
	token, readers := filepath.Join(dir, "token"), filepath.Join(dir, "readers")
	for name, text := range map[string]string{token: adminToken + "\n", readers: reader + "\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	unix := socket(t)
	p := start(t, append(serveArgs(filepath.Join(dir, "policies"), unix), "--admin-listen", "127.0.0.1:0", "--admin-token", token, "--admin-readers-token", readers)...)
	admin := "http://" + p.stderr.await(t, `admin=(\S+)`)[1]
	e := startEdge(t, unix, nil)
	deliver := func() int { return sendStatus(t, e, signed(t, table, "github", e.client.Address, []byte("the same"))) }
	if status := deliver(); status != 200 {
		t.Fatalf("status %d", status)
	}
	for deadline := time.Now().Add(generous); deliver() != 409; { // 503 until it is settled
		if time.Now().After(deadline) {
			t.Fatal("no copy is refused")
		}
	}
	ask := func(method, path, password string, form url.Values, edit func(*http.Request)) (int, string) {
		t.Helper()
		r, err := http.NewRequest(method, admin+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		if r.SetBasicAuth("me", password); password == "" {
			r.Header.Del("Authorization")
		}
		if form != nil {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		if edit != nil {
			edit(r)
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return response.StatusCode, string(text)
	}

	// Who may see it.
	var refused struct {
		Decisions []struct {
			DecisionID string `json:"decision_id"`
		}
	}
	for _, password := range []string{reader, adminToken} {
		for path, words := range map[string]string{"/": "github", "/decisions?reason=replayed": "409", "/keys": "good", "/policy": "HB073", "/webhook?name=github": "replayed", "/api/v1/settings": `"admin.readers.token"`, "/anomalies": "Unusual now"} {
			if status, text := ask("GET", path, password, nil, nil); status != 200 || !strings.Contains(text, words) {
				t.Errorf("%s: %d\n%s", path, status, text)
			}
		}
		status, text := ask("GET", "/api/v1/decisions?reason=replayed", password, nil, nil)
		if err := json.Unmarshal([]byte(text), &refused); err != nil || status != 200 || len(refused.Decisions) == 0 {
			t.Fatalf("%d %v %s", status, err, text)
		}
		var about struct {
			Digest   string
			Webhooks int
			Findings []struct{ ID string }
		}
		_, text = ask("GET", "/api/v1/policy", password, nil, nil)
		if err := json.Unmarshal([]byte(text), &about); err != nil || about.Digest == "" || about.Webhooks == 0 || len(about.Findings) == 0 {
			t.Errorf("%v %s", err, text)
		}
	}
	for path := range map[string]bool{"/": true, "/decisions": true, "/assets/x": true, "/api/v1/policy": true} {
		for _, password := range []string{"", "somebody's guess of a token"} {
			if status, _ := ask("GET", path, password, nil, nil); status != http.StatusUnauthorized {
				t.Errorf("%s with %q: %d", path, password, status)
			}
		}
	}

	// Who may let a copy through, and from where.
	path := "/decisions/" + refused.Decisions[0].DecisionID + "/redeliver"
	origin := func(text string) func(*http.Request) { return func(r *http.Request) { r.Header.Set("Origin", text) } }
	for name, c := range map[string]struct {
		password, typed string
		edit            func(*http.Request)
		status          int
	}{
		"a reader's token":         {reader, reader, nil, 403},
		"a form without a token":   {adminToken, "", nil, 403},
		"a page elsewhere":         {adminToken, adminToken, origin("https://evil.example"), 403},
		"another service here":     {adminToken, adminToken, origin("http://127.0.0.1:1"), 403},
		"a page without an origin": {adminToken, adminToken, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403},
		"a name that points here":  {adminToken, adminToken, func(r *http.Request) { r.Host = "evil.example" }, 403},
		"nobody":                   {"", adminToken, nil, 401},
	} {
		if status, text := ask("POST", path, c.password, url.Values{"token": {c.typed}}, c.edit); status != c.status {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	if status := deliver(); status != 409 {
		t.Fatalf("a refused request let a copy through: %d", status)
	}
	// One who reads may have the operators' token at hand.
	if status, text := ask("POST", path, reader, url.Values{"token": {adminToken}}, origin(admin)); status != 200 || !strings.Contains(text, "passes, once, within 15 minutes") {
		t.Errorf("%d %s", status, text)
	}
	p.stderr.await(t, `a copy may pass once.*decision=`+refused.Decisions[0].DecisionID+` webhook=github`)
	for i, want := range []int{200, 409} {
		if status := deliver(); status != want {
			t.Errorf("copy %d: %d, want %d", i, status, want)
		}
	}
	if text := p.stdout.String() + p.stderr.String(); strings.Contains(text, adminToken) || strings.Contains(text, reader) || strings.Contains(text, "guess") {
		t.Error("a token was written down")
	}

	// A policy with errors is said to be one, with the place.
	policy := filepath.Join(dir, "policies", "webhooks.yaml")
	if _, err := os.Stat(policy); err != nil {
		t.Fatal(err)
	}
	replaceFile(t, policy, "webhooks: [{name: x, colour: red}]\n")
	p.stderr.await(t, `policy not loaded`)
	if status, text := ask("GET", "/policy", reader, nil, nil); status != 200 || !strings.Contains(text, "colour") || !strings.Contains(text, "webhooks.yaml:1:") || !strings.Contains(text, "last good policy") {
		t.Errorf("%d %s", status, text)
	}
	terminate(t, p)
}
