// Package token checks a shared secret that is sent with the request.
//
// A token proves less than a signature: it covers nothing of the request, and
// whoever saw one delivery can send any other. There is no replay protection
// behind it.
//
// Each place of a request is read once. What stands there is compared with all
// candidates of that place by SHA-256, without an early exit, so that neither the
// length of a token nor its place in the list shows in the time.
package token

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/secret"
)

// Candidate is one token that is accepted.
type Candidate struct {
	// ID names the token in records.
	ID string
	Place
	// Cell holds the token itself, where it is known.
	Cell *secret.Cell
	// Digest, in place of Cell, is the SHA-256 of a token that is not.
	Digest secret.Digest
	// NotBefore and NotAfter bound the time at which the token is accepted;
	// NotAfter is exclusive. Zero: no bound.
	NotBefore, NotAfter time.Time
}

// Place is where a request carries a token. One of Header, Query and JSON is set.
type Place struct {
	// Header carries the token, in lower case.
	Header string
	// Scheme stands before the token in the header, as "bearer". Empty: the
	// whole value is the token.
	Scheme string
	// Basic: the token is user:password, which the header has in base64
	// (RFC 7617).
	Basic bool
	// Query is a parameter.
	Query string
	// JSON is a path in the body; every text that it finds must match.
	JSON string
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
		if c.seen(i) {
			continue
		}
		var one [1]authz.View // of most places; slices of their own would be allocations
		var sum [1]secret.Digest
		sent := c.Candidates[i].find(call.Request, one[:0])
		if len(sent) == 0 {
			continue
		}
		present = true
		digests := digestsOf(sent, sum[:0])
		for j := i; j < len(c.Candidates); j++ {
			candidate := &c.Candidates[j]
			if candidate.Place != c.Candidates[i].Place {
				continue
			}
			want, known := candidate.digest(call.Secrets)
			switch {
			case !equal(digests, want), !known:
			case !validAt(candidate, call.Now):
				expired = true
			case match < 0 || j < match:
				match = j
			}
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

// seen reports whether an earlier candidate has the place of the one at i.
func (c *Check) seen(i int) bool {
	return slices.ContainsFunc(c.Candidates[:i], func(other Candidate) bool { return other.Place == c.Candidates[i].Place })
}

func validAt(c *Candidate, now time.Time) bool {
	return !now.Before(c.NotBefore) && (c.NotAfter.IsZero() || now.Before(c.NotAfter))
}

// digest returns the digest of the token that counts now. There is none where
// the tenant has no such token.
func (c *Candidate) digest(held secret.Held) (digest secret.Digest, known bool) {
	if c.Cell == nil {
		return c.Digest, true
	}
	version := c.Cell.Load(held)
	if version == nil {
		return secret.Digest{}, false
	}
	return version.Digest, version.Len() > 0
}

// digestsOf appends the digests of what was sent. Where a text is empty there are
// none, for it fits no token.
func digestsOf(sent []authz.View, digests []secret.Digest) []secret.Digest {
	for _, text := range sent {
		if len(text) == 0 {
			return nil
		}
		digests = append(digests, secret.DigestOf(text))
	}
	return digests
}

// equal compares what was sent with a token: all of it must fit.
func equal(sent []secret.Digest, want secret.Digest) bool {
	match := len(sent) > 0
	for i := range sent {
		match = sent[i].Same(&want) && match
	}
	return match
}

// find appends the tokens that the request carries at the place. A header or
// parameter that is there twice carries none.
func (p *Place) find(req *authz.Request, found []authz.View) []authz.View {
	switch {
	case p.JSON != "":
		texts, err := req.Body.JSON(p.JSON)
		if err != nil {
			return nil
		}
		for _, text := range texts {
			found = append(found, authz.View(text))
		}
		return found
	case p.Query != "":
		return p.inQuery(req)
	}
	value, count := req.Headers.Lookup(p.Header)
	if count != 1 || len(value) == 0 {
		return nil
	}
	if p.Scheme == "" {
		return append(found, value)
	}
	scheme, rest, ok := bytes.Cut(value, []byte{' '})
	if !ok || len(scheme) != len(p.Scheme) || !strings.EqualFold(string(scheme), p.Scheme) {
		return nil
	}
	rest = bytes.TrimLeft(rest, " ")
	if p.Basic {
		decoded, err := base64.StdEncoding.Strict().DecodeString(string(rest))
		if err != nil {
			return nil
		}
		rest = decoded
	}
	return append(found, rest)
}

func (p *Place) inQuery(req *authz.Request) []authz.View {
	_, query, _ := bytes.Cut(req.Path, []byte{'?'})
	values, err := url.ParseQuery(string(query))
	if err != nil || len(values[p.Query]) != 1 || values[p.Query][0] == "" {
		return nil
	}
	return []authz.View{authz.View(values[p.Query][0])}
}

func (p *Place) String() string {
	switch {
	case p.JSON != "":
		return p.JSON + " of the JSON body"
	case p.Query != "":
		return "the parameter " + p.Query
	case p.Scheme != "":
		return p.Header + " (" + p.Scheme + ")"
	default:
		return p.Header
	}
}

func (c *Check) places() string {
	var places []string
	for i := range c.Candidates {
		if place := c.Candidates[i].Place.String(); !slices.Contains(places, place) {
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

// WantsForm reports false.
func (c *Check) WantsForm() bool { return false }

// Sign adds the token of that ID, or the first one if it is empty: of those
// whose text is known, or whose digest the given text has. A text that is given
// without an ID is that of a digest, where there is one.
func (c *Check) Sign(req *authz.Request, s authz.Signing) bool {
	for i := range c.Candidates {
		candidate := &c.Candidates[i]
		if s.KeyID != "" && candidate.ID != s.KeyID {
			continue
		}
		if candidate.Cell != nil {
			if s.KeyID == "" && s.Secret.Len() > 0 && c.hasDigest() {
				continue // what was given is of a digest
			}
			version := candidate.Cell.Load(s.Secrets)
			return version != nil && candidate.sign(req, string(version.Reveal()))
		}
		if given := s.Secret.Reveal(); equal(digestsOf([]authz.View{given}, nil), candidate.Digest) {
			return candidate.sign(req, string(given))
		}
	}
	return false
}

func (c *Check) hasDigest() bool {
	return slices.ContainsFunc(c.Candidates, func(k Candidate) bool { return k.Cell == nil })
}

func (p *Place) sign(req *authz.Request, value string) bool {
	switch {
	case p.JSON != "":
		body, err := json.Marshal(nested(strings.Split(p.JSON, "."), value))
		req.Body.Segments = [][]byte{body}
		return err == nil
	case p.Query != "":
		separator := "?"
		if bytes.IndexByte(req.Path, '?') >= 0 {
			separator = "&"
		}
		req.Path = authz.View(string(req.Path) + separator + url.QueryEscape(p.Query) + "=" + url.QueryEscape(value))
		return true
	}
	if p.Basic {
		value = base64.StdEncoding.EncodeToString([]byte(value))
	}
	if p.Scheme != "" {
		value = p.Scheme + " " + value
	}
	req.Set(p.Header, value)
	return true
}

// nested is an object with the value at the path.
func nested(path []string, value string) any {
	if len(path) == 0 {
		return value
	}
	key, list := strings.CutSuffix(path[0], "[]")
	inner := nested(path[1:], value)
	if list {
		inner = []any{inner}
	}
	return map[string]any{key: inner}
}
