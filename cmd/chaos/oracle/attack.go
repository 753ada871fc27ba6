package oracle

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Case is a request and what must become of it if nothing is broken.
type Case struct {
	Name     string
	Endpoint *Endpoint
	Request  *Request
	Key      Key
	Now      time.Time // when it was made
	Rand     *rand.Rand
	Reasons  []string // one of these
	Statuses []int    // of Envoy's own, where it refuses before it asks
	Answer   string   // the body of a handshake's answer
	Refused  int      // the status of a handshake that is refused, where the provider has one
	Honest   bool
	Retry    bool     // the sender was refused before
	Copy     *Content // of what was sent before
}

type change func(c *Case)

// Attack is one way to change a delivery, and what follows.
type Attack struct {
	Name  string
	Fits  func(e *Endpoint) bool
	Do    change
	Wants []string
	Envoy []int // statuses with which Envoy itself may refuse it
}

// What follows where a proof is gone, in pieces, or of another.
var (
	missing = []string{"signature_missing", "signature_malformed", "token_missing"}
	broken  = []string{"signature_malformed", "signature_invalid", "signature_missing", "timestamp_missing", "timestamp_malformed", "token_missing", "token_invalid"}
	invalid = []string{"signature_invalid", "token_invalid"}
	untimed = []string{"timestamp_missing", "signature_missing", "signature_malformed"}
	clock   = []string{"timestamp_malformed", "signature_malformed", "signature_invalid"}
	ended   = []string{"key_not_valid_now"}
	nowhere = []string{"no_webhook"}
)

func every(*Endpoint) bool         { return true }
func proves(e *Endpoint) bool      { return len(e.Proven) > 0 }
func single(e *Endpoint) bool      { return proves(e) && e.Proven[0] != "Signature" }
func timed(e *Endpoint) bool       { return e.Timed }
func keyed(e *Endpoint) bool       { return proves(e) && e.Ring != nil }
func rotates(e *Endpoint) bool     { return keyed(e) && e.Rotates() }
func inHeader(e *Endpoint) bool    { return e.Time != "" }
func shared(e *Endpoint) bool      { return keyed(e) && e.Ring.kind <= whsec && e.Proof == "signature" }
func coversBody(e *Endpoint) bool  { return e.Signs&Body != 0 }
func coversQuery(e *Endpoint) bool { return e.Signs&Query != 0 }
func inClear(e *Endpoint) bool     { return !e.Via.TLS }

// proof changes the header that holds the proof.
func proof(to func(v string) string) change {
	return func(c *Case) {
		name := c.Endpoint.Proven[0]
		c.Request.Set(name, to(c.Request.Get(name)))
	}
}

// signedBy signs with another key.
func signedBy(key func(r *Ring) Key) change {
	return func(c *Case) { c.Endpoint.Sign(c.Request, key(c.Endpoint.Ring), c.Now) }
}

// signedAt signs at another time.
func signedAt(after func(e *Endpoint) time.Duration) change {
	return func(c *Case) { c.Endpoint.Sign(c.Request, c.Key, c.Now.Add(after(c.Endpoint))) }
}

// target sends it elsewhere.
func target(to func(path string) string) change {
	return func(c *Case) {
		_, query, has := strings.Cut(c.Request.Target, "?")
		if c.Request.Target = to(c.Request.Path()); has {
			c.Request.Target += "?" + query
		}
	}
}

func header(name, value string) change {
	return func(c *Case) { c.Request.Set(name, value) }
}

func body(to func(body string) string) change {
	return func(c *Case) { c.Request.Body = to(c.Request.Body) }
}

func method(name string) change {
	return func(c *Case) { c.Request.Method = name }
}

// middle changes one letter in the middle.
func middle(s string) string {
	b := []byte(s)
	for i := len(b) / 2; i < len(b); i++ {
		switch {
		case b[i] >= 'a' && b[i] < 'f':
			b[i]++
			return string(b)
		case b[i] >= '0' && b[i] < '9':
			b[i]++
			return string(b)
		}
	}
	return s + "1"
}

const beyond = 20 * time.Second // the edges of a time that are not looked at: clocks of the test are not exact

// general are the attacks that fit many endpoints.
var general = []Attack{
	{"the proof is gone", proves, func(c *Case) { c.Request.Delete(c.Endpoint.Proven[0]) }, missing, nil},
	{"the proof stands twice", single, func(c *Case) { c.Request.Add(c.Endpoint.Proven[0], c.Request.Get(c.Endpoint.Proven[0])) }, []string{"signature_malformed", "token_missing", "token_invalid"}, nil},
	{"the proof is empty", proves, proof(func(string) string { return "" }), append(slices.Clone(missing), "token_invalid"), nil},
	{"the end of the proof is missing", proves, proof(func(v string) string { return v[:len(v)-3] }), broken, nil},
	{"the proof is longer", proves, proof(func(v string) string { return v + "0" }), broken, nil},
	{"the proof is half", proves, proof(func(v string) string { return v[:len(v)/2] }), broken, nil},
	{"the proof has bytes beyond ASCII", proves, proof(func(v string) string { return v + "\xff" }), broken, nil},
	{"the proof is of another version", proves, proof(func(v string) string { return "v99" + v[2:] }), broken, nil},
	{"the proof is another's", proves, proof(middle), broken, nil},
	{"a stranger's key", keyed, signedBy(func(r *Ring) Key { return r.Stranger }), invalid, nil},
	{"a stranger's key under a known name", keyed, func(c *Case) {
		k := c.Endpoint.Ring.Stranger
		k.Kid = c.Key.Kid
		c.Endpoint.Sign(c.Request, k, c.Now)
	}, invalid, nil},
	{"a key that has ended", rotates, signedBy(func(r *Ring) Key { return r.Ended }), ended, nil},
	{"a key that has not begun", rotates, signedBy(func(r *Ring) Key { return r.Early }), ended, nil},
	{"the empty key", shared, signedBy(func(*Ring) Key { return Key{} }), invalid, nil},
	{"a byte of the body is another", coversBody, body(middle), broken, nil},
	{"the body is longer", coversBody, body(func(b string) string { return b + " " }), broken, nil},
	{"the body is gone", coversBody, body(func(string) string { return "" }), append(slices.Clone(broken), "body_not_forwarded"), nil},
	{"the body is a twin's", coversBody, body(func(b string) string { return strings.Replace(b, "evt_", "evt-", 1) }), broken, nil},
	{"a query is added", coversQuery, func(c *Case) {
		if c.Request.Target += "?x=1"; c.Endpoint.Target != "" {
			c.Request.Target = c.Endpoint.Target + "&x=1"
		}
	}, append(slices.Clone(broken), "malformed_request"), nil},
	{"signed too long ago", timed, signedAt(func(e *Endpoint) time.Duration { return -e.Old - beyond }), []string{"timestamp_too_old", "token_expired"}, nil},
	{"signed a year ago", timed, signedAt(func(*Endpoint) time.Duration { return -365 * 24 * time.Hour }), []string{"timestamp_too_old", "token_expired"}, nil},
	{"signed ahead", timed, signedAt(func(*Endpoint) time.Duration { return Future + beyond }), []string{"timestamp_in_future"}, nil},
	{"signed far ahead", timed, signedAt(func(*Endpoint) time.Duration { return 24 * time.Hour }), []string{"timestamp_in_future"}, nil},
	{"the time is another", inHeader, func(c *Case) { c.Request.Set(c.Endpoint.Time, seconds(c.Now.Add(-time.Minute))) }, append(slices.Clone(invalid), "timestamp_malformed", "signature_malformed"), nil},
	{"the time is gone", inHeader, func(c *Case) { c.Request.Delete(c.Endpoint.Time) }, untimed, nil},
	{"the time has a sign", inHeader, func(c *Case) { c.Request.Set(c.Endpoint.Time, "+"+c.Request.Get(c.Endpoint.Time)) }, clock, nil},
	{"the time has zeros", inHeader, func(c *Case) { c.Request.Set(c.Endpoint.Time, "00"+c.Request.Get(c.Endpoint.Time)) }, clock, nil},
	{"the time is no number", inHeader, func(c *Case) { c.Request.Set(c.Endpoint.Time, "NaN") }, clock, nil},
	{"the time stands twice", inHeader, func(c *Case) { c.Request.Add(c.Endpoint.Time, seconds(c.Now)) }, []string{"timestamp_malformed", "signature_malformed"}, nil},
	{"another method", every, method("PUT"), []string{"method_not_allowed"}, nil},
	{"an escape in the path", every, target(func(p string) string { return "/%" + hex2(p[1]) + p[2:] }), nowhere, []int{400}},
	{"capitals in the path", every, target(func(p string) string { return p[:1] + strings.ToUpper(p[1:2]) + p[2:] }), nowhere, nil},
	{"a slash at the end", every, target(func(p string) string { return p + "/" }), nowhere, nil},
	{"two slashes", every, target(func(p string) string { return "/" + p }), nowhere, []int{400}},
	{"dots in the path", every, target(func(p string) string { return "/x/.." + p }), nowhere, []int{400}},
	{"escaped dots in the path", every, target(func(p string) string { return "/x/%2e%2e" + p }), nowhere, []int{400}},
	{"a parameter of the path", every, target(func(p string) string { return p + ";x=1" }), nowhere, nil},
	{"an escaped slash", every, target(func(p string) string { return p + "%2f" }), nowhere, []int{400}},
	{"a longer path", every, target(func(p string) string { return p + "x" }), nowhere, nil},
	{"our own header on a forgery", proves, func(c *Case) {
		c.Request.Delete(c.Endpoint.Proven[0])
		c.Request.Set("X-Hookbastion-Verified", "signature")
		c.Request.Set("x-hookbastion-webhook", c.Endpoint.Name)
	}, missing, nil},
	{"a method that overrides", proves, func(c *Case) {
		c.Request.Delete(c.Endpoint.Proven[0])
		c.Request.Set("X-HTTP-Method-Override", "OPTIONS")
	}, missing, nil},
	{"more than Envoy takes", inClear, body(func(b string) string { return b + strings.Repeat(" ", 1<<20) }), []string{"body_too_large"}, []int{413}},
}

func hex2(b byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[b>>4], digits[b&15]})
}

// Attack makes one of the attacks that fit an endpoint.
func (e *Endpoint) Attack(r *rand.Rand, now time.Time) *Case {
	list := e.all()
	if len(e.attacks) > 0 && r.IntN(2) == 0 {
		list = e.attacks // those that no other has
	}
	a := list[r.IntN(len(list))]
	if a.Name == "more than Envoy takes" && r.IntN(20) > 0 {
		a = list[r.IntN(len(list))] // a megabyte each time is nothing but slow
	}
	return e.attack(a, r, now)
}

func (e *Endpoint) attack(a Attack, r *rand.Rand, now time.Time) *Case {
	c := e.honest(r, now)
	c.Name, c.Honest = a.Name, false
	a.Do(c)
	c.Reasons, c.Statuses = a.Wants, a.Envoy
	return c
}

// all are the attacks that fit.
func (e *Endpoint) all() []Attack {
	var fit []Attack
	for _, a := range general {
		if a.Fits(e) {
			fit = append(fit, a)
		}
	}
	return append(fit, e.attacks...)
}

// Retired is signed with a key that was taken away; nil where there is none.
func (e *Endpoint) Retired(r *rand.Rand, now time.Time) *Case {
	if !keyed(e) || !e.Rotates() {
		return nil
	}
	k, ok := e.Ring.Retired(now)
	if !ok {
		return nil
	}
	c := e.honest(r, now)
	c.Name, c.Honest = "a key that was taken away", false
	e.Sign(c.Request, k, now)
	c.Reasons = invalid
	return c
}

func (e *Endpoint) honest(r *rand.Rand, now time.Time) *Case {
	var k Key
	if e.Ring != nil {
		k = e.Ring.Key(now)
	}
	q := e.Fresh(r, k, now)
	c := &Case{Name: "honest", Endpoint: e, Request: &q, Key: k, Now: now, Rand: r, Honest: true, Reasons: []string{"ok"}}
	if e.Open {
		c.Reasons = []string{"unverified"}
	}
	return c
}

// Honest is a delivery that was never sent, with what a sender may add.
func (e *Endpoint) Honest(r *rand.Rand, now time.Time) *Case {
	c := e.honest(r, now)
	if r.IntN(3) == 0 { // none of these reaches the application as it is
		c.Request.Set("X-Hookbastion-Verified", "none of yours")
		c.Request.Set("x-hookbastion-replay", "redelivered")
		c.Request.Set("x_hookbastion_verified", "signature")
		c.Request.Set("X-Hookbastion-Tenant", "another")
		c.Request.Set("X-Hookbastion-Decision-Id", "forged")
	}
	return c
}
