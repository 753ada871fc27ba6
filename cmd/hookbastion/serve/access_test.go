package serve

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz/transport"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/envoy/mtls"
)

const (
	operatorToken = "an operator's token, long enough"
	readerToken   = "a reader's token, also long enough"
)

// tokens writes both tokens.
func tokens(t *testing.T) settings.Admin {
	t.Helper()
	dir := t.TempDir()
	s := settings.Admin{Listen: "127.0.0.1:9003", Token: filepath.Join(dir, "operators"), ReaderToken: filepath.Join(dir, "readers")}
	put(t, s.Token, operatorToken+"\n")
	put(t, s.ReaderToken, readerToken+"\n")
	return s
}

func names(t *testing.T, list ...string) transport.Names {
	t.Helper()
	n, err := transport.ParseNames(list)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func newTestAccess(t *testing.T, s *settings.Admin) *access {
	t.Helper()
	a, err := newAccess(s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// shows is a request of a client with a certificate of this name.
func shows(r *http.Request, name string) *http.Request {
	r.TLS = &tls.ConnectionState{}
	if name != "" {
		r.TLS.PeerCertificates = []*x509.Certificate{{URIs: []*url.URL{{Scheme: "spiffe", Host: "example.org", Path: "/" + name}}}}
	}
	return r
}

// The right of a request is the less of what its token and its certificate allow.
func TestRights(t *testing.T) {
	both := tokens(t)
	mutual := &mtls.Config{ClientCA: "ca"}
	ops, readers := names(t, "spiffe://example.org/op"), names(t, "spiffe://example.org/reader")
	certs := settings.Admin{TLS: mutual, Operators: ops, Readers: readers}
	all := both
	all.TLS, all.Operators, all.Readers = mutual, ops, readers
	for _, c := range []struct {
		name     string
		settings settings.Admin
		token    string
		client   string
		want     right
	}{
		{"nothing is asked for", settings.Admin{}, "", "", toOperate},
		{"no token", both, "", "", 0},
		{"wrong token", both, operatorToken + "x", "", 0},
		{"operator's token", both, operatorToken, "", toOperate},
		{"reader's token", both, readerToken, "", toRead},
		{"any certificate", settings.Admin{TLS: mutual}, "", "anybody", toOperate},
		{"certificate that was not asked for", settings.Admin{TLS: mutual}, "", "", 0},
		{"operator's certificate", certs, "", "op", toOperate},
		{"reader's certificate", certs, "", "reader", toRead},
		{"another certificate", certs, "", "other", 0},
		{"operators named, another certificate", settings.Admin{TLS: mutual, Operators: ops}, "", "other", toRead},
		{"readers named, another certificate", settings.Admin{TLS: mutual, Readers: readers}, "", "other", toOperate},
		{"readers named, a reader", settings.Admin{TLS: mutual, Readers: readers}, "", "reader", toRead},
		{"in both lists", settings.Admin{TLS: mutual, Readers: ops, Operators: ops}, "", "op", toOperate},
		{"both of operators", all, operatorToken, "op", toOperate},
		{"a reader with the operator's token", all, operatorToken, "reader", toRead},
		{"an operator with the reader's token", all, readerToken, "op", toRead},
		{"an operator without a token", all, "", "op", 0},
		{"another with the operator's token", all, operatorToken, "other", 0},
	} {
		a := newTestAccess(t, &c.settings)
		bearer := shows(httptest.NewRequest(http.MethodGet, "/", http.NoBody), c.client)
		password := shows(httptest.NewRequest(http.MethodGet, "/", http.NoBody), c.client)
		if c.token != "" {
			bearer.Header.Set("Authorization", "bearer "+c.token)
			password.SetBasicAuth("anybody", c.token)
		}
		if got := a.of(bearer); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
		if got := a.of(password); got != c.want {
			t.Errorf("%s, as a password: %d, want %d", c.name, got, c.want)
		}
	}
}

// Pages of others may link here, and no more; names that strangers control are refused
// where a token does not keep them out, and on loopback in any case.
func TestForeignPages(t *testing.T) {
	both := tokens(t)
	beyond := both
	beyond.Listen = "0.0.0.0:9003"
	named := both
	named.Hosts = []string{"console.example.com"}
	navigate := "cross-site navigate document"
	for _, c := range []struct {
		name                      string
		settings                  settings.Admin
		method, host, origin, how string
		foreign                   bool
	}{
		{"a program", settings.Admin{}, "GET", "127.0.0.1:9003", "", "", false},
		{"localhost", settings.Admin{}, "GET", "LocalHost:9003", "", "", false},
		{"IPv6", settings.Admin{}, "GET", "[::1]:9003", "", "", false},
		{"a name that points here", settings.Admin{}, "GET", "evil.example:9003", "", "", true},
		{"a name like localhost", settings.Admin{}, "GET", "localhost.evil.example", "", "", true},
		{"no name", settings.Admin{}, "GET", "", "", "", true},
		{"a name that points here, with a token", both, "GET", "evil.example:9003", "", "", true},
		{"beyond loopback, with a token", beyond, "GET", "hookbastion.edge.svc:9003", "", "", false},
		{"with TLS", settings.Admin{TLS: &mtls.Config{}}, "GET", "hookbastion.edge.svc:9003", "", "", false},
		{"a name of the settings", named, "GET", "Console.Example.com:443", "", "", false},
		{"a name below one of the settings", named, "GET", "x.console.example.com", "", "", true},
		{"our own page", both, "POST", "127.0.0.1:9003", "http://127.0.0.1:9003", "same-origin navigate document", false},
		{"our own page, over TLS elsewhere", named, "POST", "console.example.com", "https://console.example.com", "", false},
		{"another page", both, "POST", "127.0.0.1:9003", "https://evil.example", "cross-site navigate document", true},
		{"another port", both, "POST", "127.0.0.1:9003", "http://127.0.0.1:8080", "", true},
		{"a page that hides", both, "POST", "127.0.0.1:9003", "null", "", true},
		{"another page, without an origin", both, "POST", "127.0.0.1:9003", "", "cross-site navigate document", true},
		{"another service of the site", both, "POST", "127.0.0.1:9003", "", "same-site navigate document", true},
		{"a link", both, "GET", "127.0.0.1:9003", "", navigate, false},
		{"an image", both, "GET", "127.0.0.1:9003", "", "cross-site no-cors image", true},
		{"a frame", both, "GET", "127.0.0.1:9003", "", "cross-site navigate iframe", true},
		{"a typed address", both, "GET", "127.0.0.1:9003", "", "none navigate document", false},
	} {
		r := httptest.NewRequest(c.method, "/", http.NoBody)
		r.Host = c.host
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		for i, word := range strings.Fields(c.how) {
			r.Header.Set([]string{"Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest"}[i], word)
		}
		if got := newTestAccess(t, &c.settings).foreign(r); got != c.foreign {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}

// A reader's token lets nobody through, and the answer says so.
func TestReadersDoNotRedeliver(t *testing.T) {
	s := tokens(t)
	server, deliver := adminServerOf(t, &s)
	before := deliver()
	if _, err := runRedeliver(t, "--admin", server.URL, "--decision", refusedID, "--token-file", s.ReaderToken); err == nil || !strings.Contains(err.Error(), "403") || !strings.Contains(err.Error(), "may read") {
		t.Errorf("a reader: %v", err)
	}
	if reason := deliver(); reason != before {
		t.Errorf("after a reader asked: %s", reason)
	}
	if _, err := runRedeliver(t, "--admin", server.URL, "--decision", refusedID, "--token-file", s.Token); err != nil {
		t.Error(err)
	}
}

// One token cannot be that of both: it is refused at the start, and later the last good
// one stays.
func TestSameTokenForBoth(t *testing.T) {
	s := tokens(t)
	a := newTestAccess(t, &s)
	put(t, s.ReaderToken, operatorToken)
	if _, err := a.readers.load(&a.operators); !errors.Is(err, errSameToken) {
		t.Error(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.SetBasicAuth("", readerToken)
	if got := a.of(r); got != toRead {
		t.Errorf("the last good token: %d", got)
	}
	if _, err := newAccess(&s, slog.New(slog.DiscardHandler)); !errors.Is(err, errSameToken) {
		t.Errorf("at the start: %v", err)
	}
}

// Wrong tokens are logged, a number of them, and never what was shown.
func TestWrongTokensAreLogged(t *testing.T) {
	s, out := tokens(t), bytes.Buffer{}
	a, err := newAccess(&s, slog.New(slog.NewTextHandler(&out, nil)))
	if err != nil {
		t.Fatal(err)
	}
	handler := a.guard(http.NotFoundHandler())
	ask := func(path, token string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, path, http.NoBody)
		r.Host = "localhost"
		if token != "" {
			r.SetBasicAuth("", token)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	for path, scheme := range map[string]string{"/": "Basic ", "/decisions": "Basic ", "/api/v1/keys": "Bearer"} {
		if w := ask(path, ""); w.Code != http.StatusUnauthorized || !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), scheme) {
			t.Errorf("%s: %d, %s", path, w.Code, w.Header().Get("WWW-Authenticate"))
		}
	}
	script := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	script.Host = "localhost"
	script.Header.Set("Sec-Fetch-Mode", "cors")
	w := httptest.NewRecorder()
	if handler.ServeHTTP(w, script); w.Code != http.StatusUnauthorized || w.Header().Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("a script: %d, %s", w.Code, w.Header().Get("WWW-Authenticate"))
	}
	if out.Len() > 0 {
		t.Errorf("a browser that has yet to ask: %s", &out)
	}
	for range 10 * refusedLines {
		ask("/", "a guess of somebody")
	}
	if n := strings.Count(out.String(), "wrong token"); n != refusedLines || strings.Contains(out.String(), "guess") {
		t.Errorf("%d lines: %s", n, &out)
	}
}
