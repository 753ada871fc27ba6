// Package token checks a shared secret that is sent with the request.
//
// A token proves less than a signature: it covers nothing of the request, and
// whoever saw one delivery can send any other. There is no replay protection
// behind it.
//
// All candidates are compared by their SHA-256, without an early exit, so that
// neither the length of a token nor its place in the list shows in the time.
package token

import (
	"bytes"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/secret"
)

// Candidate is one token that is accepted.
type Candidate struct {
	// ID names the token in records.
	ID string
	// Header carries the token, in lower case.
	Header string
	// Scheme stands before the token, as "bearer". Empty: the whole value is the token.
	Scheme string
	// Secret is the token itself where it is known, to make test deliveries.
	Secret secret.Value
	// Digest is the SHA-256 of the token.
	Digest secret.Digest
	// NotBefore and NotAfter bound the time at which the token is accepted;
	// NotAfter is exclusive. Zero: no bound.
	NotBefore, NotAfter time.Time
}

// Check asks for one of the candidates. It is safe for concurrent use.
type Check struct {
	Candidates []Candidate
}

// Stage returns StageToken.
func (c *Check) Stage() authz.Stage { return authz.StageToken }

// Run looks for a token and compares it with all candidates.
func (c *Check) Run(call *authz.Call) authz.Reason {
	present, expired := false, false
	match := -1
	for i := range c.Candidates {
		candidate := &c.Candidates[i]
		sent, ok := find(call.Request, candidate)
		if !ok {
			continue
		}
		present = true
		digest := secret.DigestOf(sent)
		if !secret.Equal(digest[:], candidate.Digest[:]) || len(sent) == 0 || match >= 0 {
			continue
		}
		if validAt(candidate, call.Now) {
			match = i
		} else {
			expired = true
		}
	}
	if call.Explanation != nil {
		call.Explain("a token in "+c.places(), foundText(present, match >= 0))
	}
	switch {
	case match >= 0:
		call.KeyID = c.Candidates[match].ID
		call.Proof = max(call.Proof, authz.ProofToken)
		return authz.OK
	case expired:
		return authz.KeyNotValidNow
	case present:
		return authz.TokenInvalid
	default:
		return authz.TokenMissing
	}
}

func validAt(c *Candidate, now time.Time) bool {
	return !now.Before(c.NotBefore) && (c.NotAfter.IsZero() || now.Before(c.NotAfter))
}

// find returns the token that the request carries where the candidate is
// expected. A header that is there twice carries no token.
func find(req *authz.Request, c *Candidate) (authz.View, bool) {
	value, count := req.Headers.Lookup(c.Header)
	if count != 1 || len(value) == 0 {
		return nil, false
	}
	if c.Scheme == "" {
		return value, true
	}
	scheme, rest, ok := bytes.Cut(value, []byte{' '})
	if !ok || len(scheme) != len(c.Scheme) || !strings.EqualFold(string(scheme), c.Scheme) {
		return nil, false
	}
	return bytes.TrimLeft(rest, " "), true
}

func (c *Check) places() string {
	var places []string
	for i := range c.Candidates {
		place := c.Candidates[i].Header
		if c.Candidates[i].Scheme != "" {
			place += " (" + c.Candidates[i].Scheme + ")"
		}
		if len(places) == 0 || places[len(places)-1] != place {
			places = append(places, place)
		}
	}
	return strings.Join(places, " or ")
}

func foundText(present, match bool) string {
	switch {
	case match:
		return "a token that matches"
	case present:
		return "a token that does not match"
	default:
		return "no token"
	}
}

// Sign returns the header that carries the token of that ID, or of the first
// one if it is empty. ok is false if there is none whose text is known.
func (c *Check) Sign(id string) (header, value string, ok bool) {
	for i := range c.Candidates {
		candidate := &c.Candidates[i]
		if (id == "" || candidate.ID == id) && candidate.Secret.Len() > 0 {
			value = string(candidate.Secret.Reveal())
			if candidate.Scheme != "" {
				value = candidate.Scheme + " " + value
			}
			return candidate.Header, value, true
		}
	}
	return "", "", false
}
