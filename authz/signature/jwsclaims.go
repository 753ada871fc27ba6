package signature

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/jose"
	"github.com/hookbastion/hookbastion/authz/secret"
)

// Claim is asked for in a token. One of Values, Is, Number and JSON is set.
type Claim struct {
	// Name is the claim, or a path to one: see jose.Members.At.
	Name string
	// Also are other names under which it may stand. Each that is there must hold.
	Also []string
	// Values are the texts of which it must be one. A number is compared as it is
	// written.
	Values []string
	// Is is what it must be: true or false.
	Is *bool
	// Number is what it must be.
	Number *int64
	// JSON is a path in the JSON body. Each text that it finds must be the claim's,
	// and there must be one.
	JSON string
}

// holds reports whether the claim is there and what it must be, under each of its
// names that are there.
func (c *Claim) holds(members jose.Members, req *authz.Request) bool {
	seen := false
	for _, name := range append([]string{c.Name}, c.Also...) {
		value, there := members.At(name)
		if !there {
			continue
		}
		if seen = true; !c.fits(value, req) {
			return false
		}
	}
	return seen
}

func (c *Claim) fits(value any, req *authz.Request) bool {
	switch {
	case c.Is != nil:
		is, ok := value.(bool)
		return ok && is == *c.Is
	case c.Number != nil:
		number, _ := value.(json.Number)
		n, err := number.Int64()
		return err == nil && n == *c.Number
	}
	text, ok := jose.Scalar(value)
	if c.JSON == "" {
		return ok && slices.Contains(c.Values, text)
	}
	texts, err := req.Body.JSON(c.JSON)
	return ok && err == nil && len(texts) > 0 && !slices.ContainsFunc(texts, func(t string) bool { return t != text })
}

// claims compares the claims of a token whose signature held with the policy and the
// request.
func (j *JWS) claims(call *authz.Call, token *jose.Token) (authz.Reason, string) {
	if j.config.Detached != nil {
		return j.detachedTime(call)
	}
	c := token.Claims
	if reason, what := j.validity(call, c); reason != authz.OK {
		return reason, what
	}
	if issuer, _ := c.Text("iss"); len(j.config.Issuers) > 0 && !slices.Contains(j.config.Issuers, issuer) {
		return authz.TokenInvalid, fmt.Sprintf("iss is %.100q", issuer)
	}
	audience := c.List("aud")
	if len(j.config.Audiences) > 0 && !slices.ContainsFunc(audience, func(a string) bool { return slices.Contains(j.config.Audiences, a) }) {
		return authz.TokenInvalid, fmt.Sprintf("aud is %.200q", audience)
	}
	if j.config.AudienceURL && !j.audience(call.Request, c) {
		return authz.TokenInvalid, fmt.Sprintf("aud is %.200q, and not this URL", audience)
	}
	for i := range j.config.Claims {
		if claim := &j.config.Claims[i]; !claim.holds(c, call.Request) {
			return authz.TokenInvalid, strings.Join(append([]string{claim.Name}, claim.Also...), " or ") + " is not there or not what it must be"
		}
	}
	if reason, what := j.bound(call.Request, c); reason != authz.OK {
		return reason, what
	}
	return j.time(call, c)
}

// validity looks at exp and nbf, which count wherever they are (RFC 7519 §4.1).
func (j *JWS) validity(call *authz.Call, claims jose.Members) (authz.Reason, string) {
	until, there, err := claims.Time("exp")
	switch {
	case err != nil:
		return authz.TokenInvalid, "exp is no time"
	case !there && j.config.Expires:
		return authz.TokenInvalid, "there is no exp"
	case there && !call.Now.Before(until.Add(j.config.Leeway)):
		return authz.TokenExpired, "exp is over"
	}
	from, there, err := claims.Time("nbf")
	switch {
	case err != nil:
		return authz.TokenInvalid, "nbf is no time"
	case there && call.Now.Before(from.Add(-j.config.Leeway)):
		return authz.TimestampInFuture, "nbf is in the future"
	}
	return authz.OK, ""
}

// bound looks at the claims that bind parts of the request.
func (j *JWS) bound(req *authz.Request, claims jose.Members) (authz.Reason, string) {
	for _, digest := range []*ClaimDigest{&j.config.URL, &j.config.Body} {
		if _, there := claims[digest.Claim]; digest.Claim != "" && !there && !digest.AbsentIfEmpty {
			return authz.TokenInvalid, "there is no " + digest.Claim
		}
	}
	switch {
	case !j.boundURL(req, claims):
		return authz.SignatureInvalid, j.config.URL.Claim + " is not the hash of this URL"
	case !j.config.Body.holds(claims, req.Body.Segments...):
		return authz.SignatureInvalid, j.config.Body.Claim + " is not the hash of this body"
	case j.config.QueryHash && !j.queryHashHolds(req, claims):
		return authz.SignatureInvalid, "qsh is not the hash of this method, path and query"
	}
	return authz.OK, ""
}

func (j *JWS) time(call *authz.Call, claims jose.Members) (authz.Reason, string) {
	if j.config.Time == "" {
		return authz.OK, ""
	}
	at, there, err := claims.Time(j.config.Time)
	switch {
	case err != nil:
		return authz.TimestampMalformed, j.config.Time + " is no time"
	case !there:
		return authz.TimestampMissing, "there is no " + j.config.Time
	}
	call.SignedTime = earliest(call.SignedTime, at)
	return authz.OK, ""
}

// urls returns the forms in which the provider may know the request's URL: as it
// is, and without a path that is a single slash.
func (j *JWS) urls(req *authz.Request, withoutQuery bool) []string {
	var urls []string
	for _, form := range []urlForm{{}, {noRoot: true}} {
		if !form.same(req) {
			urls = append(urls, string(appendURL(nil, &j.public, req, &Part{WithoutQuery: withoutQuery}, form)))
		}
	}
	return urls
}

func (j *JWS) audience(req *authz.Request, claims jose.Members) bool {
	if _, there := claims["aud"]; !there {
		return j.config.AudienceOptional
	}
	audience := claims.List("aud")
	return slices.ContainsFunc(slices.Concat(j.urls(req, false), j.urls(req, true)), func(url string) bool {
		return slices.Contains(audience, url)
	})
}

// boundURL reports whether the claim that binds the URL is the hash of the
// request's.
func (j *JWS) boundURL(req *authz.Request, claims jose.Members) bool {
	return j.config.URL.Claim == "" ||
		slices.ContainsFunc(j.urls(req, false), func(url string) bool { return j.config.URL.holds(claims, []byte(url)) })
}

// ClaimDigest is a claim with a SHA-256.
type ClaimDigest struct {
	Claim    string
	Encoding Encoding
	// AbsentIfEmpty: the claim is there if and only if there is something to
	// hash.
	AbsentIfEmpty bool
}

// holds reports whether the claim is the hash of the content.
func (d ClaimDigest) holds(claims jose.Members, content ...[]byte) bool {
	if d.Claim == "" {
		return true
	}
	value, there := claims[d.Claim]
	text, _ := value.(string)
	hash, n := sha256.New(), 0
	for _, c := range content {
		_, _ = hash.Write(c) // hashes never fail
		n += len(c)
	}
	if d.AbsentIfEmpty && !there {
		return n == 0
	}
	if d.AbsentIfEmpty && n == 0 {
		return false // what was hashed has been taken away
	}
	var claimed macBytes
	return decode(&claimed, []byte(text), d.Encoding, sha256.Size) && secret.Equal(claimed[:sha256.Size], hash.Sum(nil))
}

func (d ClaimDigest) sign(claims map[string]any, content []byte) {
	if d.Claim == "" || d.AbsentIfEmpty && len(content) == 0 {
		return
	}
	sum := sha256.Sum256(content)
	claims[d.Claim] = d.Encoding.encode(sum[:])
}

// earliest keeps the earlier of two signed times, of which one may be zero.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
