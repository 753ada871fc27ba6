// Package console is the pages of the admin listener: what was decided, for which
// reasons, how fast, with which keys and by which policy.
//
// Pages are written by html/template on the server, and charts as SVG. A script of our
// own asks for the page again every few seconds and puts in what has changed; without it
// everything works, and nothing moves. Nothing comes from elsewhere: the
// Content-Security-Policy allows our own style sheet and script, and nothing inline.
//
// Everything that a stranger chose is text: the path, the method, the tenant, ids and
// names of keys. The templates escape it by its place, and no page has any of it in a
// script or a style.
//
// Numbers over time are counted from the last decisions of this replica, once a second,
// in slots of a minute and of a quarter of an hour, for 500 webhooks by themselves and the
// others together: 9 MiB, and 6 more where each slot has ten reasons. A restart begins anew. What must be complete is in
// the metrics and the records.
//
// It does not say who may see it, which is the listener's business, and changes nothing
// but one thing: a refused copy may pass once, if the token is given again.
package console

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"strconv"
	"time"
	"unicode"

	"github.com/hookbastion/hookbastion/authz/monitor"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/docs/runbooks"
	"github.com/hookbastion/hookbastion/envoy/telemetry/recent"
	"github.com/hookbastion/hookbastion/envoy/telemetry/record"
)

// Config is what the console shows and asks. Functions are called once for each page
// that needs them, and are safe for concurrent use.
type Config struct {
	// Decisions are the last ones.
	Decisions *recent.Ring
	// Policy says by what is decided.
	Policy func() Policy
	// Keys lists the keys of a webhook; of all, if it is empty.
	Keys func(webhook string) Keys
	// Ranges says what is known of the lists of addresses that policies name. nil: none.
	Ranges func() []cli.Range
	// Anomalies are what is unusual now, and the last that were, the newest last. nil:
	// nobody watches.
	Anomalies func() (current, past []monitor.Alarm)
	// Condition is one line for each thing that is not as it should be, or one that
	// begins with ok.
	Condition func() []string
	// Redeliver lets the next copy of what a decision refused through, once, if the
	// request and the token that was typed into the form allow it.
	Redeliver func(r *http.Request, token string, decision *record.Record) Redelivery
	// MayRedeliver reports whether there is a token to ask for, and nothing but the
	// token is missing.
	MayRedeliver func(*http.Request) bool
	// Version and Replica name this process.
	Version, Replica string
	// Now is the clock; time.Now if nil.
	Now func() time.Time
	Log *slog.Logger
}

// Redelivery is what came of asking.
type Redelivery struct {
	// Webhook is empty if no copy may pass, and Problem says why.
	Webhook, Problem string
	// Status is that of the answer.
	Status int
	// For is how long the copy may take.
	For time.Duration
}

// Console serves the pages. It is safe for concurrent use.
type Console struct {
	config  Config
	history *history
	process string // tells places in the list from those of an earlier process
	mux     *http.ServeMux
	// busy bounds how many pages are made at once: one may look through all decisions
	// that are kept, and the processors belong to those that come.
	busy chan struct{}
}

// maxBusy is how many pages are made at once.
const maxBusy = 2

//go:embed assets
var assets embed.FS

// asset is a file that browsers may keep for ever: its name has its hash.
type asset struct {
	path, media string
	content     []byte
}

func newAsset(name, kind, media string) asset {
	content, err := assets.ReadFile("assets/" + name + "." + kind)
	if err != nil {
		panic(err) // it is embedded
	}
	sum := sha256.Sum256(content)
	return asset{"/assets/" + name + "." + hex.EncodeToString(sum[:8]) + "." + kind, media, content}
}

var (
	style  = newAsset("console", "css", "text/css; charset=utf-8")
	script = newAsset("console", "js", "text/javascript; charset=utf-8")
	icon   = newAsset("icon", "svg", "image/svg+xml")
)

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"number": number, "count": func(n int64) string { return number(int(n)) }, "percent": percent, "micros": micros, "age": age, "size": size, "check": checkWord, "amount": amount, "aboutReason": runbooks.Reason, "aboutAnomaly": runbooks.Anomaly,
	"style": func() string { return style.path }, "script": func() string { return script.path }, "icon": func() string { return icon.path },
}).ParseFS(assets, "assets/*.html"))

// New makes the console.
func New(config Config) *Console {
	if config.Now == nil {
		config.Now = time.Now
	}
	c := &Console{config: config, history: newHistory(config.Decisions, config.Now), process: strconv.FormatInt(config.Now().UnixNano(), 36), mux: http.NewServeMux(), busy: make(chan struct{}, maxBusy)}
	for _, a := range []asset{style, script, icon} {
		c.mux.HandleFunc("GET "+a.path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", a.media)
			w.Header().Set("Cache-Control", "private, max-age=31536000, immutable")
			_, _ = w.Write(a.content) // the client is gone
		})
	}
	for pattern, page := range map[string]func(*http.Request, *view) error{
		"GET /{$}":                       c.overview,
		"GET /decisions":                 c.decisions,
		"GET /decisions/{id}":            c.decision,
		"GET /decisions/{id}/redeliver":  c.askRedelivery,
		"POST /decisions/{id}/redeliver": c.redeliver,
		"GET /webhook":                   c.webhook,
		"GET /keys":                      c.keys,
		"GET /policy":                    c.policy,
		"GET /ranges":                    c.ranges,
		"GET /anomalies":                 c.anomalies,
		"GET /":                          c.nothing,
	} {
		c.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { c.serve(w, r, page) })
	}
	return c
}

// Run counts decisions for the charts until the context ends.
func (c *Console) Run(ctx context.Context) { c.history.run(ctx) }

// ServeHTTP answers with a page.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "+
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types console")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin") // without any, forms would come without an origin
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	h.Set("Cache-Control", "no-store")
	c.mux.ServeHTTP(w, r)
}

// serve answers with a page. Whoever reads it slowly keeps nobody from theirs.
func (c *Console) serve(w http.ResponseWriter, r *http.Request, page func(*http.Request, *view) error) {
	status, text, err := c.render(r, page)
	switch {
	case r.Context().Err() != nil:
	case err != nil:
		c.config.Log.Error("a page of the console failed", "error", err.Error())
		http.Error(w, "internal error, see the log", http.StatusInternalServerError)
	default:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(status)
		_, _ = w.Write(text) //nolint:gosec // html/template has escaped it; after an error the client is gone
	}
}

// render makes a page, as soon as it is its turn.
func (c *Console) render(r *http.Request, page func(*http.Request, *view) error) (status int, text []byte, err error) {
	select {
	case c.busy <- struct{}{}:
		defer func() { <-c.busy }()
	case <-r.Context().Done():
		return 0, nil, r.Context().Err()
	}
	v := c.newView(r)
	var out bytes.Buffer
	if err := page(r, v); err != nil {
		return 0, nil, err
	}
	if err := pages.ExecuteTemplate(&out, v.Page, v); err != nil {
		return 0, nil, err
	}
	return v.Status, visible(out.Bytes()), nil
}

// visible writes out characters of a page that nobody sees: controls, and those that turn
// the direction of a text. A stranger could make a path look like another one with them.
// None is in our own templates but line breaks and tabs.
func visible(page []byte) []byte {
	if bytes.IndexFunc(page, hidden) < 0 {
		return page
	}
	var out bytes.Buffer
	for _, r := range string(page) {
		if hidden(r) {
			fmt.Fprintf(&out, "⟨U+%04X⟩", r)
		} else {
			out.WriteRune(r)
		}
	}
	return out.Bytes()
}

func hidden(r rune) bool {
	return r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029')
}
