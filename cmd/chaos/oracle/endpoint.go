package oracle

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// Copies is what the policy does with a copy of what was taken (docs/replay.md).
type Copies uint8

// The kinds.
const (
	Denied       Copies = iota // 409
	Acknowledged               // 200, nothing forwarded
	Marked                     // forwarded with a mark
	Unknown                    // a copy is a delivery like any other: nothing tells them apart
)

// Future is how far ahead a signed time may be, at each endpoint; it is short so that what
// a lost store makes uncertain ends within a run.
const Future = time.Second

// Signs is what of a request the proof covers, beside a time.
type Signs uint8

// The parts.
const (
	Body Signs = 1 << iota
	Query
)

// Endpoint is one webhook of the policies, as its provider's page describes it.
type Endpoint struct {
	Name     string
	Path     string
	Target   string // with a query that is pinned; else Path
	Match    string // more of match
	Provider string // an entry of the catalogue, or ""
	Policy   string // further lines of the webhook
	Keys     string // where keys stand: "secrets", or the text around them with KEYS in it
	Status   int    // of a denial that has none of its own
	Proof    string // x-hookbastion-verified
	Copies   Copies
	Release  bool // an unknown outcome lets the next one pass, marked
	Timed    bool
	Old      time.Duration // the tolerance
	Proven   []string      // headers that hold the proof
	Time     string        // the header with the time
	Via      Via
	Shadow   bool // denials are forwarded
	Open     bool // nothing is asked for
	Signs    Signs
	kind     kind
	body     func(n string) string
	content  string // its type
	sign     func(e *Endpoint, q *Request, k Key, now time.Time)
	attacks  []Attack

	Ring *Ring
}

// webhook is the policy's text for the endpoint. Secrets are in dir.
func (e *Endpoint) webhook(dir string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "- name: %s\n  match: {path: %q%s}\n", e.Name, e.Path, e.Match)
	if e.Provider != "" {
		fmt.Fprintf(&b, "  provider: %s\n", e.Provider)
	}
	if e.Timed {
		fmt.Fprintf(&b, "  freshness: {tolerance: %s, future: %s}\n", e.Old, Future)
	}
	if e.Ring != nil && e.Keys != "" {
		b.WriteString(strings.NewReplacer("KEYS", e.Ring.entries(e.Name, dir), "NAME", e.Name).Replace(e.Keys))
	}
	b.WriteString(e.Policy)
	return b.String()
}

// Fresh makes a delivery that was never sent, signed at a time with a key.
func (e *Endpoint) Fresh(r *rand.Rand, k Key, now time.Time) Request {
	n := fmt.Sprintf("evt_%016x", r.Uint64())
	q := Request{Method: "POST", Target: e.Target, Host: "hooks.example.com", Body: e.body(n), Via: e.Via, Content: e.Name + " " + n}
	if q.Target == "" {
		q.Target = e.Path
	}
	q.Set("Content-Type", e.content)
	q.Set("X-Event-Id", n) // nobody signs it
	e.Sign(&q, k, now)
	return q
}

// Sign signs anew: another content where the time is signed.
func (e *Endpoint) Sign(q *Request, k Key, now time.Time) {
	if e.Timed {
		q.Signed = now.Unix()
	}
	e.sign(e, q, k, now)
}

func plainBody(n string) string {
	return fmt.Sprintf(`{"id":"%s","livemode":true,"note":"caf\u00e9 é %s","amount":%d}`, n, n[4:], len(n)*7)
}

func formBody(n string) string {
	return "AccountSid=AC1&Body=hello+" + n + "&From=%2B15550100&CallSid=" + n
}

// Rotates reports whether its keys have an overlap, and ends.
func (e *Endpoint) Rotates() bool {
	return strings.Contains(e.Keys, "KEYS") || strings.Contains(e.Keys, "NAME")
}

// Files are the files of its keys.
func (e *Endpoint) Files() map[string]string {
	switch {
	case e.Rotates():
		files := map[string]string{}
		for id, text := range e.Ring.Files() {
			files[e.Name+"."+id] = text
		}
		return files
	case e.Ring != nil: // of tenants
		return map[string]string{"tenant-acme": e.Ring.Files()["current"], "tenant-globex": e.Ring.Stranger.File}
	default:
		return nil
	}
}

// Policies is the file of all endpoints.
func Policies(all []*Endpoint, dir string) string {
	var b strings.Builder
	for _, e := range all {
		b.WriteString(e.webhook(dir))
	}
	return b.String()
}
