// Package cause looks for the reason why a signature does not hold: it tries what commonly
// goes wrong between a sender and a receiver, and says what fits.
//
// A trial changes the request, the key or the scheme as one known mistake does, and verifies
// again. A trial that holds is proof, as a signature is: nobody without the key could have
// made one that fits a mistake and nothing else. So nothing is named where nothing fits. First each mistake is
// tried alone, then mistakes of two kinds together.
//
// Work is bounded: by the number of trials, and by the bytes that are hashed in all of them.
//
// It is for tools that have the keys at hand anyway, and asks many questions of a key that a
// sender must not be able to ask. Nothing that serves may import it; a test and the linter
// hold that.
package cause

import (
	"context"
	"slices"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/signature"
)

// Text is a secret as its file has it.
type Text struct {
	Webhook, ID string
	Text        secret.Value
	// Decode makes the key of a text as the policy says.
	Decode secret.Accept
}

// Named is a scheme that the sender may have used in place of the webhook's.
type Named struct {
	Name   string // for people, as "github"
	Mend   string // what to do if it was used
	Config *signature.Config
	// Decode makes the key of a text as that scheme does.
	Decode secret.Accept
}

// Subject is a request whose signature does not hold, and what may have been meant.
type Subject struct {
	// Request is as it came. It is not changed.
	Request *authz.Request
	// Call has what else verification needs: time, webhook, tenant and its secrets.
	Call authz.Call
	// Scheme is the one that should hold.
	Scheme signature.Scheme
	// Own are the texts of the webhook's secrets, Others those of other webhooks.
	Own, Others []Text
	// Schemes are those that other providers use.
	Schemes []Named
}

// Cause is a mistake that fits.
type Cause struct {
	// ID is a word for programs, such as body_line_feed; two words with a plus between where
	// two mistakes came together.
	ID string `json:"cause"`
	// Says is what was signed, or with what.
	Says string `json:"says"`
	// Mend is what to do about it.
	Mend string `json:"mend"`
}

// Limits of the search.
const (
	maxTrials = 100_000
	// maxHashed is in bytes: a second or two.
	maxHashed = 1 << 30
)

// trial is one mistake: what it changes.
type trial struct {
	Cause
	kind kind
	// request changes a copy of the request; it reports whether it has changed anything.
	request func(*authz.Request) bool
	// config changes a copy of the scheme's description.
	config func(*signature.Config) bool
	// keys are tried in place of the webhook's.
	keys []signature.Key
	// rare: it is tried after the others, and with none of them.
	rare bool
}

// kind tells what a trial changes, so that two of a kind are not tried together.
type kind int

const (
	ofKey kind = iota
	ofBody
	ofURL
	ofScheme
)

// search is one search.
type search struct {
	*Subject
	content        *signature.Content // nil: the scheme is of another kind
	trials, hashed int
	found          []Cause
}

// Find returns what fits, the likeliest first: nothing if nothing does.
func Find(s *Subject) []Cause {
	x := &search{Subject: s}
	x.content, _ = s.Scheme.(*signature.Content)
	var all []trial
	all = append(all, bodies(s.Request)...)
	if x.content != nil {
		all = append(all, x.keyTrials()...)
		all = append(all, x.urls()...)
		all = append(all, x.schemes()...)
	} else {
		all = append(all, paths(s.Request)...)
	}
	slices.SortStableFunc(all, func(a, b trial) int { return rank(a) - rank(b) })
	var named [ofScheme + 1]bool
	for i := range all {
		// Others of a kind would say the same in other words.
		t := &all[i]
		again := t.kind == ofScheme && t.keys != nil && len(x.found) > 0
		if !named[t.kind] && !again && x.holds(t) {
			named[t.kind] = true
			x.found = append(x.found, t.Cause)
		}
	}
	if len(x.found) > 0 {
		return x.found
	}
	common := slices.IndexFunc(all, func(t trial) bool { return t.rare })
	if common >= 0 {
		all = all[:common]
	}
	for i := range all {
		for j := range all[i+1:] {
			if second := &all[i+1+j]; all[i].kind != second.kind && x.holds(&all[i], second) {
				return []Cause{{all[i].ID + "+" + second.ID, all[i].Says + "; and " + second.Says, all[i].Mend + "; and " + second.Mend}}
			}
			if x.spent() {
				return nil
			}
		}
	}
	return nil
}

func rank(t trial) int {
	if t.rare {
		return 1
	}
	return 0
}

func (x *search) spent() bool {
	return x.trials >= maxTrials || x.hashed >= maxHashed
}

// holds reports whether the signature holds with these mistakes made.
func (x *search) holds(trials ...*trial) bool {
	if x.spent() {
		return false
	}
	x.trials++
	req := *x.Request
	req.Headers, req.Body.Segments = slices.Clone(x.Request.Headers), slices.Clone(x.Request.Body.Segments)
	for _, t := range trials {
		if t.request != nil && !t.request(&req) {
			return false
		}
	}
	scheme := x.Scheme
	if x.content != nil {
		if scheme = x.other(trials); scheme == nil {
			return false
		}
	}
	x.hashed += req.Body.Len()
	call := x.Call
	call.Context, call.Request, call.Explanation = context.Background(), &req, nil
	if !scheme.Present(&req) {
		return false
	}
	reason := scheme.Verify(&call, nil)
	return reason == authz.OK || reason == authz.KeyNotValidNow
}

// other is the webhook's scheme with what the trials change of it; nil if they change
// nothing, or nothing that can be.
func (x *search) other(trials []*trial) signature.Scheme {
	keys := x.content.KeysNow(x.Call.Secrets)
	config, changed := *x.content.Config(), false
	for _, t := range trials {
		if t.keys != nil {
			keys = t.keys
		}
		if t.config != nil {
			if !t.config(&config) {
				return nil
			}
			changed = true
		}
		if t.kind == ofURL { // what the policy fixes of the URL would refuse another one
			config.Pin, changed = signature.Pin{}, true
		}
	}
	plan := x.content.Plan
	if changed {
		plan = signature.NewPlan(config)
	}
	scheme, err := plan.With(keys)
	if err != nil {
		return nil
	}
	return scheme
}

// withBody puts a body in the place of the request's.
func withBody(body []byte) func(*authz.Request) bool {
	return func(req *authz.Request) bool {
		req.Body = authz.Body{State: authz.BodyWhole, Size: int64(len(body))}
		if len(body) > 0 {
			req.Body.Segments = [][]byte{body}
		}
		return true
	}
}

// zoneSlack is how far a clock in the wrong zone may be from the right time otherwise. A
// delivery that was merely held back is rarely so close to a zone.
const zoneSlack = time.Minute

// zone is the offset from UTC, as zones have it, by which a time is off; 0 if it is none.
// Zones are whole and half hours from -12h to +14h, and a few three quarters (IANA time zone
// database): none is a quarter off, and none half an hour.
func zone(off time.Duration) time.Duration {
	nearest := off.Round(15 * time.Minute)
	quarters := nearest / (15 * time.Minute)
	switch {
	case (off - nearest).Abs() > zoneSlack, nearest.Abs() < time.Hour, nearest < -12*time.Hour, nearest > 14*time.Hour:
		return 0
	case quarters%2 == 0 || nearest == 5*time.Hour+45*time.Minute || nearest == 8*time.Hour+45*time.Minute || nearest == 12*time.Hour+45*time.Minute || nearest == 13*time.Hour+45*time.Minute:
		return nearest
	default:
		return 0
	}
}

// Clock says in what way a signed time differs from the time of the request, beyond being
// old or early. The times must differ by more than the tolerance.
func Clock(signed, now time.Time, tolerance time.Duration) (c Cause, ok bool) {
	off := signed.Sub(now)
	near := func(t time.Time) bool { return t.Sub(now).Abs() <= tolerance }
	switch zone := zone(off); {
	case near(time.Unix(signed.Unix()/1000, 0)):
		return Cause{"clock_milliseconds", "the time is in milliseconds, and was read as seconds", "let the sender sign seconds, or say unit: MILLISECONDS in the scheme"}, true
	case near(time.UnixMilli(signed.UnixMilli() * 1000)):
		return Cause{"clock_seconds", "the time is in seconds, and was read as milliseconds", "let the sender sign milliseconds, or say unit: SECONDS in the scheme"}, true
	case zone != 0:
		return Cause{"clock_zone", "the signed time is off by " + sign(zone) + ", as a clock is that takes local time for UTC", "let the sender sign a time in UTC; if its clock is right, the delivery was held back, or is an old one"}, true
	case off > 0:
		return Cause{"clock_ahead", "the sender's clock is ahead by " + off.Round(time.Second).String() + ", or ours is behind", "set both clocks by NTP; compare hookbastion.clock.skew of other senders"}, true
	case off < 0:
		return Cause{"clock_behind", "it was signed " + (-off).Round(time.Second).String() + " before it came: a clock is off, it was held back, or it is an old one", "compare the record's time with the sender's log; a sender that repeats its deliveries must sign each anew"}, true
	default:
		return Cause{}, false
	}
}

func sign(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"0s", "0m"} {
		if len(text) > 2 && text[len(text)-2:] == zero && (text[len(text)-3] < '0' || text[len(text)-3] > '9') {
			text = text[:len(text)-2]
		}
	}
	if d > 0 {
		return "+" + text
	}
	return text
}
