package oracle

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// Outcome is what became of a delivery at the application.
type Outcome uint8

// The outcomes.
const (
	None      Outcome = iota // it was not there yet
	Refused                  // 5xx, whole: it did nothing
	Rejected                 // 3xx or 4xx
	Perhaps                  // it may have acted: the connection broke before an answer
	Half                     // it broke in the middle of 200
	Took                     // 2xx, whole
	Uncertain                // nobody was told
)

// Content is what is known of one signed content that was sent. Whoever sends a copy of it
// holds its lock meanwhile.
type Content struct {
	sync.Mutex
	Case    *Case
	Outcome Outcome
	Began   time.Time // when the latest one was sent that was forwarded
	Ended   time.Time // when its answer was there
	Arrived bool      // the application may have acted on one
	Doubt   bool      // nobody was told what became of one
	Marked  bool      // one was forwarded as possible, which stays for as long as they fail
}

// mayBeTaken reports whether the application may have taken it.
func (x *Content) mayBeTaken() bool {
	return x != nil && (x.Doubt || x.Outcome >= Half)
}

// Untaken reports whether it is known that the application has never taken it.
func (x *Content) Untaken() bool { return !x.mayBeTaken() && !x.Arrived }

// Copy is the same content once more. It is changed where nobody signs, which does not
// make it another one; unlike says that the application would get something else.
func (x *Content) Copy(r *rand.Rand) (c *Case, unlike bool) {
	was := x.Case
	q := *was.Request
	q.Headers = slices.Clone(q.Headers)
	e := was.Endpoint
	c = &Case{Name: "copy", Endpoint: e, Request: &q, Key: was.Key, Now: was.Now, Rand: r, Reasons: []string{"ok"}, Copy: x}
	switch r.IntN(8) {
	case 0:
		q.Set("X-Event-Id", "evt_another")
		q.Set("X-GitHub-Delivery", "another")
		q.Set("X-Request-Id", "another")
		c.Name = "copy with another id"
	case 1:
		q.Delete("X-Event-Id")
		c.Name = "copy without an id"
	case 2:
		c.Name = other(&q, e, was.Key)
	case 3:
		if e.Signs&Query == 0 && e.Proof == "signature" && !strings.Contains(q.Target, "?") {
			q.Target += "?again=1"
			return c, true
		}
	case 4:
		if e.Name != "crm" && e.Name != "adcp" && e.Name != "twilio" {
			q.Set("Content-Type", "application/x-other")
			return c, true
		}
	}
	return c, false
}

// other writes the same signature otherwise, or another signature that anybody can make.
func other(q *Request, e *Endpoint, k Key) string {
	v := q.Get(e.Proven[0])
	switch e.Name {
	case "stripe":
		q.Set(e.Proven[0], v+",v0="+strings.Repeat("ab", 32))
		return "copy with one more signature"
	case "svix":
		q.Set(e.Proven[0], "v1a,AAAA "+v)
		return "copy with one more signature"
	case "linear", "discord", "raw":
		q.Set(e.Proven[0], strings.ToUpper(v))
		return "copy in capitals"
	case "sendgrid":
		q.Set(e.Proven[0], mirrored(v, k))
		return "copy with the other signature of ECDSA"
	case "github", "meta", "marked", "shopify", "wise":
		q.Set("X-Hookbastion-Replay", "redelivered")
		return "copy that names itself redelivered"
	default:
		return "copy"
	}
}
