package serve

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
)

// Settings are for readers, profiles for operators, and for no page elsewhere.
func TestDiagnosis(t *testing.T) {
	s := tokens(t)
	a, err := newAdmin(&settings.Settings{Admin: s}, nil, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	a.inForce = func() []settings.Value { return []settings.Value{{Key: "admin.token", From: "default"}} }
	server := httptest.NewServer(a.server.Handler)
	defer server.Close()
	ask := func(path, token, site string) (int, []byte) {
		t.Helper()
		r, err := http.NewRequest(http.MethodGet, server.URL+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth("", token)
		if site != "" {
			for name, value := range map[string]string{"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"} {
				r.Header.Set(name, value)
			}
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, text
	}
	for _, c := range []struct {
		path, token, site string
		status            int
		words             string
	}{
		{"/api/v1/settings", readerToken, "", 200, `"admin.token"`},
		{"/api/v1/settings", "", "", 401, ""},
		{"/debug/pprof/", operatorToken, "", 200, "goroutine\t"},
		{"/debug/pprof/goroutine?debug=1", operatorToken, "", 200, "goroutine profile: total"},
		{"/debug/pprof/goroutine?debug=1", operatorToken, "same-origin", 200, "goroutine profile: total"},
		{"/debug/pprof/nothing", operatorToken, "", 404, ""},
		{"/debug/pprof/profile?seconds=0", operatorToken, "", 400, "from 1 to 60"},
		{"/debug/pprof/profile?seconds=1e9", operatorToken, "", 400, "from 1 to 60"},
		{"/debug/pprof/", readerToken, "", 403, "operators"},
		{"/debug/pprof/heap", readerToken, "", 403, "operators"},
		{"/debug/pprof/profile?seconds=1", readerToken, "", 403, "operators"},
		{"/debug/pprof/trace", readerToken, "", 403, "operators"},
		{"/debug/pprof/heap", operatorToken, "cross-site", 403, ""},
		{"/debug/pprof/heap", "", "", 401, ""},
	} {
		status, text := ask(c.path, c.token, c.site)
		if status != c.status || !strings.Contains(string(text), c.words) || bytes.Contains(text, []byte(operatorToken)) {
			t.Errorf("%s with %q from %q: %d %.200s", c.path, c.token, c.site, status, text)
		}
	}
	var all []settings.Value
	if _, text := ask("/api/v1/settings", readerToken, ""); json.Unmarshal(text, &all) != nil || len(all) != 1 {
		t.Errorf("%s", text)
	}
	// Profiles are what go tool pprof reads: compressed protocol buffers.
	for _, path := range []string{"/debug/pprof/heap", "/debug/pprof/profile?seconds=1"} {
		_, text := ask(path, operatorToken, "")
		unpacked, err := gzip.NewReader(bytes.NewReader(text))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if content, err := io.ReadAll(unpacked); err != nil || len(content) < 100 {
			t.Errorf("%s: %d bytes, %v", path, len(content), err)
		}
	}
	a.inForce = nil
	if status, _ := ask("/api/v1/settings", readerToken, ""); status != 404 {
		t.Errorf("no settings: %d", status)
	}
}
