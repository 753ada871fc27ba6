// Package handshake answers the requests by which providers ask whether an endpoint is
// wanted, before they deliver to it and again from time to time.
//
// A [Handshake] says how such a request is known, what must hold before it is answered,
// and what the answer is made of: fixed text, the request's challenge, a MAC of it. A
// challenge is one text with an alphabet and a greatest length; any other is refused.
// Bodies of more than 16 KiB are no handshakes.
//
// A [Check] runs at one of two places. Where the provider proves who it is as in a
// delivery, it runs behind signature, token and freshness, so that nothing is answered
// that was not proven. Otherwise it runs before them.
//
// An answer that holds a MAC under the key of deliveries could sign for whoever asks. So a
// [Guard] refuses each delivery whose signed content could be a challenge: what
// handshakes sign and what deliveries sign have no text in common. What is answered
// without a proof tells no more than that the endpoint is there; it does not protect
// against a stranger who subscribes it to what he sends, which is then refused as a
// delivery. A secret that the provider brings itself is believed once, in a window of
// time that the operator opens: whoever comes first in it has set the secret, so that a
// person must accept it before it counts.
package handshake

import (
	"fmt"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/secret"
)

// MaxBody is the size in bytes of the largest body in which a handshake is looked for.
const MaxBody = 16 << 10

// maxEmptyList is that of a body with an empty list.
const maxEmptyList = 512

// Verify is what must hold before a handshake is answered. The zero value is nothing
// that can hold.
type Verify uint8

// What must hold.
const (
	_ Verify = iota
	// Nothing: the provider proves nothing.
	Nothing
	// Delivery: all that a delivery must prove.
	Delivery
	// VerifyToken: a parameter of the query must have a text that only the provider was
	// told.
	VerifyToken
)

// Handshake is one kind of request with its answer. It is immutable in use and safe for
// concurrent use.
type Handshake struct {
	// Name stands in records.
	Name string
	// Method is that of the request.
	Method string
	// PathEnd is the last segment of the path, with its slash; empty: any.
	PathEnd string
	// Asked is what the request must have beside the challenge.
	Asked []Asked
	// Verify is what must hold first. VerifyQuery and Token are for VerifyToken.
	Verify      Verify
	VerifyQuery string
	// Token is the text that the provider was given; nil if there is none.
	Token *secret.Cell
	// Challenge is the text of the request that the answer is made of; nil if none.
	Challenge *Challenge
	Answer    Answer
	// Keys are those of MACs; the first that is valid counts.
	Keys []Key
	// Endpoint is scheme and host of the webhook as the provider knows it, with what
	// stands before the request's path.
	Endpoint string
	// Learner keeps the challenge as a secret; nil if it is none.
	Learner *Learner
	// Told is the key of a text in the JSON body that the operator is told of.
	Told string
}

// Key is a shared secret.
type Key struct {
	ID   string
	Cell *secret.Cell
	// NotBefore and NotAfter bound the time at which it is used; NotAfter is
	// exclusive. Zero: no bound.
	NotBefore, NotAfter time.Time
}

func (k *Key) validAt(now time.Time) bool {
	return !now.Before(k.NotBefore) && (k.NotAfter.IsZero() || now.Before(k.NotAfter))
}

// Set is what a webhook answers, and what it must not take for a delivery. It is immutable
// and safe for concurrent use. The zero value answers nothing.
type Set struct {
	Handshakes []*Handshake
	Guards     []Guard
}

// Methods returns the methods of handshakes, each once.
func (s *Set) Methods() []string {
	var methods []string
	for _, h := range s.Handshakes {
		known := false
		for _, m := range methods {
			known = known || m == h.Method
		}
		if !known {
			methods = append(methods, h.Method)
		}
	}
	return methods
}

// Asks reports whether the request is one of those that are answered before anything is
// proven; or, for a method that no delivery of the webhook has, any of the others.
func (s *Set) Asks(req *authz.Request, delivered bool) authz.Asking {
	if h := s.find(req, false); h != nil {
		return authz.AsksUnproven
	}
	if !delivered && s.find(req, true) != nil {
		return authz.AsksProven
	}
	return authz.AsksNothing
}

// find returns the handshake that the request is, among those that are proven like a
// delivery, or the others.
func (s *Set) find(req *authz.Request, proven bool) *Handshake {
	for _, h := range s.Handshakes {
		if (h.Verify == Delivery) == proven && h.is(req) {
			return h
		}
	}
	return nil
}

// Check answers handshakes. The zero value answers nothing and denies.
type Check struct {
	// Set is what is answered.
	Set *Set
	// Proven says that the request has proven all that a delivery must.
	Proven bool
}

// Stage returns StageHandshake, or StageAnswer behind the proof of a delivery.
func (c *Check) Stage() authz.Stage {
	if c.Proven {
		return authz.StageAnswer
	}
	return authz.StageHandshake
}

// Run answers the request if it is a handshake: the reason is then Handshake, or why it
// fails. Anything else goes on with OK, unless it could be the content of a handshake.
func (c *Check) Run(call *authz.Call) authz.Reason {
	if c.Set == nil {
		return authz.Internal
	}
	h := c.Set.find(call.Request, c.Proven)
	switch {
	case h == nil && call.Asking != authz.AsksNothing && c.Proven == (call.Asking == authz.AsksProven):
		return authz.HandshakeRefused // it was let through for nothing else
	case h == nil && !c.Proven:
		return c.guard(call)
	case h == nil:
		return authz.OK
	case c.Proven && call.Proof == authz.ProofNone:
		return authz.Internal
	default:
		return h.answer(call)
	}
}

func (c *Check) guard(call *authz.Call) authz.Reason {
	for i := range c.Set.Guards {
		if g := &c.Set.Guards[i]; g.could(call.Request) {
			call.Explain("content that no handshake signs", fmt.Sprintf("a text that could be a challenge: at most %d characters of %s", g.Max, g.Alphabet))
			return authz.HandshakeRefused
		}
	}
	return authz.OK
}

// answer answers the request, which is this handshake.
func (h *Handshake) answer(call *authz.Call) authz.Reason {
	call.Handshake, call.RefusedStatus = h.Name, h.Answer.RefusedStatus
	challenge, reason, found := h.accept(call)
	if reason != authz.OK {
		call.Explain(h.expected(), found)
		return reason
	}
	answer, ok := h.build(call, challenge)
	if !ok {
		call.Explain("a key that is valid now", "none")
		return authz.KeysUnavailable
	}
	if h.Told != "" {
		answer.Told = h.told(call.Request)
	}
	answer.Learnt = h.Learner != nil && found == taken
	call.Explain(h.expected(), fmt.Sprintf("%s, answered with status %d", found, answer.Status))
	call.Answer = answer
	return authz.Handshake
}

// accept returns the challenge, if it may be answered.
func (h *Handshake) accept(call *authz.Call) (challenge string, reason authz.Reason, found string) {
	if h.Verify == VerifyToken && !h.tokenMatches(call) {
		return "", authz.HandshakeRefused, h.VerifyQuery + " of the query is another"
	}
	if h.Challenge == nil {
		return "", authz.OK, "it"
	}
	challenge, ok := h.Challenge.read(call.Request)
	if !ok || !h.Challenge.fits(challenge) {
		return "", authz.HandshakeRefused, "a challenge of another form"
	}
	if h.Learner != nil {
		reason, found := h.Learner.Learn(call.Context, challenge, call.Now)
		return challenge, reason, found
	}
	return challenge, authz.OK, fmt.Sprintf("a challenge of %d characters", len(challenge))
}

func (h *Handshake) tokenMatches(call *authz.Call) bool {
	got, n := queryText(call.Request, h.VerifyQuery)
	if h.Token == nil || n != 1 {
		return false
	}
	want := h.Token.Load(call.Secrets)
	if want == nil || want.Len() == 0 {
		return false
	}
	sent, wanted := secret.DigestOf([]byte(got)), secret.DigestOf(want.Reveal())
	return sent.Same(&wanted)
}

// expected says what the handshake asks for, for people.
func (h *Handshake) expected() string {
	text := "the handshake " + h.Name
	if h.Verify == VerifyToken {
		text += " with the verify token in " + h.VerifyQuery
	}
	if h.Challenge != nil {
		text += fmt.Sprintf(" with a challenge of %d to %d characters of %s", max(h.Challenge.Min, 1), h.Challenge.Max, h.Challenge.Alphabet)
	}
	if h.Learner != nil {
		text += ", until " + h.Learner.Until.UTC().Format(time.RFC3339)
	}
	return text
}
