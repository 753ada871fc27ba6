package serve

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/authztest"
	"github.com/hookbastion/hookbastion/authz/fetch"
	"github.com/hookbastion/hookbastion/authz/ranges"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
)

// Readers see lists of addresses, and may not accept a change; nor may a form of a page.
func TestRangesOfTheAdminListener(t *testing.T) {
	dir := t.TempDir()
	operator, reader := filepath.Join(dir, "operator"), filepath.Join(dir, "reader")
	authztest.WriteFile(t, operator, "the token of those who operate")
	authztest.WriteFile(t, reader, "the token of those who may read")
	d := &ranges.Document{Name: "frozen", Provider: "Frozen", Services: []ranges.Service{{Snapshot: ranges.NewSet([]netip.Prefix{netip.MustParsePrefix("140.82.112.0/20")})}}}
	list, err := (*ranges.Keeper)(nil).List(nil, "frozen", d, "")
	if err != nil {
		t.Fatal(err)
	}
	a, err := newAdmin(&settings.Settings{Admin: settings.Admin{Listen: "127.0.0.1:0", Token: operator, ReaderToken: reader}}, nil,
		&known{ranges: []*ranges.List{list}}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(a.server.Handler)
	t.Cleanup(server.Close)
	const good = `{"name": "frozen", "digest": "0123"}`
	for name, c := range map[string]struct {
		token, method, path, media, body string
		status                           int
		text                             string
	}{
		"nobody":            {"", "GET", "/ranges", "", "", 401, ""},
		"a reader":          {"the token of those who may read", "GET", "/ranges", "", "", 200, `"name":"frozen"`},
		"its networks":      {"the token of those who may read", "GET", "/ranges/frozen", "", "", 200, `"in_force":["140.82.112.0/20"]`},
		"another":           {"the token of those who may read", "GET", "/ranges/other", "", "", 404, noSuchRange},
		"a reader accepts":  {"the token of those who may read", "POST", "/ranges/accept", "application/json", good, 403, "may read, and no more"},
		"a form accepts":    {"the token of those who operate", "POST", "/ranges/accept", "text/plain", good, 415, ""},
		"not JSON":          {"the token of those who operate", "POST", "/ranges/accept", "application/json", "frozen", 400, ""},
		"no digest":         {"the token of those who operate", "POST", "/ranges/accept", "application/json", `{"name": "frozen"}`, 400, ""},
		"no such list":      {"the token of those who operate", "POST", "/ranges/accept", "application/json", `{"name": "other", "digest": "0"}`, 404, noSuchRange},
		"nothing is held":   {"the token of those who operate", "POST", "/ranges/accept", "application/json", good, 409, "no such change is held"},
		"accept is no list": {"the token of those who operate", "GET", "/ranges/accept", "", "", 404, noSuchRange},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, server.URL+"/api/v1"+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", c.media)
		if c.token != "" {
			req.Header.Set("Authorization", "Bearer "+c.token)
		}
		response, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if response.StatusCode != c.status || !strings.Contains(string(text), c.text) {
			t.Errorf("%s: %d %s", name, response.StatusCode, text)
		}
	}
}

// What is in the program alone is no fault of the service, and told by validate; what cannot
// be fetched is.
func TestOldRanges(t *testing.T) {
	now := time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)
	set := ranges.NewSet([]netip.Prefix{netip.MustParsePrefix("140.82.112.0/20")})
	d := &ranges.Document{Name: "frozen", URL: "https://hooks.example.com/", Kind: ranges.Lines, Read: now.AddDate(-1, 0, 0), Services: []ranges.Service{{Snapshot: set}}}
	table := &authz.Table{}
	for _, keeper := range []*ranges.Keeper{nil, ranges.NewKeeper(ranges.Config{Every: time.Hour})} {
		list, err := keeper.List(fetch.New(fetch.Config{}).NewUse(), "frozen", d, "")
		if err != nil {
			t.Fatal(err)
		}
		table.Ranges = append(table.Ranges, list)
	}
	if s := rangesOf(table, now); len(s) != 2 || s[0].State != ranges.Stale || s[1].State != ranges.Snapshot {
		t.Errorf("%+v", s)
	}
	if old := oldRanges(table, now); len(old) != 0 {
		t.Errorf("%v", old)
	}
	if old := oldRanges(nil, now); old != nil {
		t.Errorf("%v", old)
	}
}
