package serve

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/transport"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
)

// right is what a request to the admin listener may do. The zero value is nothing.
type right int

// The rights, each with those before it.
const (
	toRead    right = iota + 1
	toOperate       // change something, or ask for what costs time or is close to a delivery
)

// access says who may do what. It is safe for concurrent use.
type access struct {
	operators, readers token
	certificates       bool // each client has shown one
	operatorNames      transport.Names
	readerNames        transport.Names
	hosts              []string
	anyHost            bool
	log                *slog.Logger
	wrong              *lineLimit
}

// token is a secret in a file. The file is empty where none is asked for, and the digest
// then nil.
type token struct {
	file   string
	digest atomic.Pointer[secret.Digest]
}

// same reports whether this is the token.
func (t *token) same(shown string) bool {
	want := t.digest.Load()
	if want == nil {
		return false
	}
	digest := secret.DigestOf([]byte(shown))
	return digest.Same(want)
}

var errSameToken = errors.New("is the same token for readers and for operators")

// load reads the token again and reports whether it is another one. After an error the
// last good one stays.
func (t *token) load(other *token) (changed bool, err error) {
	if t.file == "" {
		return false, nil
	}
	value, err := settings.AdminToken(t.file)
	if err != nil {
		return false, err
	}
	next := secret.DigestOf(value.Reveal())
	if theirs := other.digest.Load(); theirs != nil && theirs.Same(&next) {
		return false, fmt.Errorf("%s: %w", t.file, errSameToken)
	}
	last := t.digest.Swap(&next)
	return last == nil || !last.Same(&next), nil
}

// newAccess reads the tokens.
func newAccess(s *settings.Admin, log *slog.Logger) (*access, error) {
	a := &access{
		certificates: settings.Mutual(s.TLS), operatorNames: s.Operators, readerNames: s.Readers, hosts: s.Hosts, log: log,
		// Without a token, a name that a stranger controls could point here; and on loopback
		// nothing but a browser comes with another name.
		anyHost: len(s.Hosts) == 0 && (s.TLS != nil || s.Token != "" && !settings.Loopback(s.Listen)),
		wrong:   &lineLimit{most: refusedLines, period: refusedPeriod},
	}
	a.operators.file, a.readers.file = s.Token, s.ReaderToken
	if _, err := a.operators.load(&a.readers); err != nil {
		return nil, fmt.Errorf("admin.token: %w", err)
	}
	if _, err := a.readers.load(&a.operators); err != nil {
		return nil, fmt.Errorf("admin.readers.token: %w", err)
	}
	return a, nil
}

// watch lists the files that are read again.
func (a *access) watch() (all []fileWatch) {
	for _, t := range []struct {
		name       string
		own, other *token
	}{{"admin token", &a.operators, &a.readers}, {"admin token of readers", &a.readers, &a.operators}} {
		if t.own.file != "" {
			all = append(all, fileWatch{[]string{t.own.file}, logChanged(a.log, t.name, func() (bool, []any, error) {
				changed, err := t.own.load(t.other)
				return changed, nil, err
			})})
		}
	}
	return all
}

// guard lets only those through who may read. A page of somebody else that a browser
// shows must not work the listener either.
func (a *access) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		switch {
		case a.foreign(r):
			http.Error(w, "forbidden", http.StatusForbidden)
		case a.byToken(r) == 0:
			a.logWrong(r)
			w.Header().Set("WWW-Authenticate", "Bearer")
			if mode := r.Header.Get("Sec-Fetch-Mode"); !strings.HasPrefix(r.URL.Path, "/api/") && (mode == "" || mode == "navigate") {
				// A browser asks for the token, and keeps it for this origin: for a page that
				// somebody opens, and not for a script behind their back.
				w.Header().Set("WWW-Authenticate", `Basic realm="hookbastion: the token as password", charset="UTF-8"`)
			}
			http.Error(w, "unauthorized", http.StatusUnauthorized)
		case a.of(r) == 0:
			http.Error(w, "forbidden: the certificate has none of the names of admin.readers and admin.operators", http.StatusForbidden)
		default:
			most := int64(4 << 10)
			if r.URL.Path == deliveredPath {
				most = maxAsked
			}
			r.Body = http.MaxBytesReader(w, r.Body, most)
			next.ServeHTTP(w, r)
		}
	})
}

// of is what a request may do: the less of what its token and its certificate allow.
func (a *access) of(r *http.Request) right { return min(a.byToken(r), a.byCertificate(r)) }

// byToken is what the token allows that a request bears, or has as its password.
func (a *access) byToken(r *http.Request) right {
	if a.operators.file == "" {
		return toOperate
	}
	shown := ""
	if scheme, bearer, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "bearer") {
		shown = bearer
	} else if _, password, ok := r.BasicAuth(); ok {
		shown = password
	}
	switch {
	case a.operators.same(shown):
		return toOperate
	case a.readers.same(shown):
		return toRead
	default:
		return 0
	}
}

// byCertificate is what the certificate allows. Without TLS, or where it asks for none,
// there is nothing to look at.
func (a *access) byCertificate(r *http.Request) right {
	if !a.certificates {
		return toOperate
	}
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return 0
	}
	leaf := r.TLS.PeerCertificates[0]
	named := func(names *transport.Names) bool { return !names.Any() && names.Check(leaf) == nil }
	switch {
	case named(&a.operatorNames):
		return toOperate
	case named(&a.readerNames):
		return toRead
	case a.operatorNames.Any():
		return toOperate
	case a.readerNames.Any():
		return toRead
	default:
		return 0
	}
}

// foreign reports whether the request comes from a page of somebody else, or under a
// name that may be somebody else's. A page elsewhere may link here, and no more.
func (a *access) foreign(r *http.Request) bool {
	if !a.anyHost && !a.ownHost(r.Host) {
		return true
	}
	if origins := r.Header.Values("Origin"); len(origins) > 0 {
		u, err := url.Parse(origins[0])
		if err != nil || len(origins) > 1 || u.Host == "" || !strings.EqualFold(u.Host, r.Host) {
			return true
		}
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return false
	default:
		return r.Method != http.MethodGet || r.Header.Get("Sec-Fetch-Mode") != "navigate" || r.Header.Get("Sec-Fetch-Dest") != "document"
	}
}

// ownHost reports whether the host is one of the settings, an address, or localhost. It
// takes a browser to be misled by a name, and an address misleads nobody.
func (a *access) ownHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.ToLower(host)
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil || host == "localhost" || slices.Contains(a.hosts, host)
}

// logWrong tells of tokens that are none. Whoever shows none at all is a browser that
// has yet to ask.
func (a *access) logWrong(r *http.Request) {
	if r.Header.Get("Authorization") == "" {
		return
	}
	ok, others, _ := a.wrong.allow(time.Now())
	if others > 0 {
		a.log.Warn("clients of the admin listener had a wrong token", "others", others)
	}
	if ok {
		a.log.Warn("a client of the admin listener had a wrong token", "client", r.RemoteAddr, "certificate", clientName(r))
	}
}
