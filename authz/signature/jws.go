package signature

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/jose"
)

// JWSConfig describes JSON Web Tokens (RFC 7519) and other JSON Web Signatures in
// compact form (RFC 7515). Header names are in lower case.
type JWSConfig struct {
	// Place is where they stand.
	Place TokenPlace
	// Algorithms are what a token may name, as RFC 7518 calls them.
	Algorithms []jose.Algorithm
	// Issuers are what iss may be, Audiences of which aud must have one; any if
	// there are none.
	Issuers, Audiences []string
	// AudienceURL: aud must have the request's URL, with or without its query.
	AudienceURL bool
	// AudienceOptional: a token without aud is taken.
	AudienceOptional bool
	// Body and URL are claims with a SHA-256; none if their Claim is empty.
	Body, URL ClaimDigest
	// QueryHash: qsh must be Atlassian's hash of method, path and query.
	QueryHash bool
	// Claims and Members are asked for in the claims and in the token's header.
	Claims, Members []Claim
	// KeyURLs are what jku of the header may be, where it is there. It is compared,
	// and never fetched.
	KeyURLs []string
	// KeyClaim is the claim with the id of the key; empty: kid of the header names
	// it, where keys have one.
	KeyClaim string
	// Chain: the key is that of the token's certificates. The webhook's keys are the
	// roots. Nil: they are the keys themselves.
	Chain *jose.Chain
	// Detached: the payload is the request itself.
	Detached *Detached
	// Time is iat or nbf: the claim with the signed time; none if it is empty.
	Time string
	// Expires: exp must be there.
	Expires bool
	// Leeway is how far clocks may be apart for nbf and exp.
	Leeway time.Duration
	// PublicURL is the scheme and host of the URL, and what stands before the
	// request's path in it. Empty: https and the request's host.
	PublicURL string
	// MaxTokens is how many tokens a list may have.
	MaxTokens int
}

// JWS is a JSON Web Signature with its keys. The token itself names the algorithm,
// which counts for nothing beyond the list, and only with a key of its family.
type JWS struct {
	*JWSPlan
	keys keys
}

// JWSPlan is what a JWS is without its keys. All webhooks of one scheme share it.
// It is immutable and safe for concurrent use.
type JWSPlan struct {
	config   JWSConfig
	public   publicURL
	asksHost bool // the sender's host is part of the URL that a claim binds
}

// NewJWS returns the scheme with its keys.
func NewJWS(config JWSConfig, configured []Key) (*JWS, error) {
	return NewJWSPlan(config).With(configured)
}

// NewJWSPlan compiles a scheme.
func NewJWSPlan(config JWSConfig) *JWSPlan {
	return &JWSPlan{
		config: config, public: newPublicURL(config.PublicURL),
		asksHost: config.PublicURL == "" && (config.URL.Claim != "" || config.AudienceURL),
	}
}

// With returns the scheme with keys.
func (p *JWSPlan) With(configured []Key) (*JWS, error) {
	ks, err := newKeys(configured, SHA256, false)
	if err != nil {
		return nil, err
	}
	for _, s := range ks {
		s.roots = p.config.Chain != nil
	}
	return &JWS{p, ks}, nil
}

// Present reports whether a token may be there.
func (j *JWS) Present(req *authz.Request) bool { return j.config.Place.present(req) }

// ReadsBody reports whether the body must be whole: a token binds it or stands in
// it, or stands for it together with the body's digest.
func (j *JWS) ReadsBody() bool { return true }

// SignsBody reports whether a token covers the body.
func (j *JWS) SignsBody() bool {
	return j.config.Body.Claim != "" || j.config.Detached != nil || j.config.Place.coversBody()
}

// Proof is what a token proves: a signature if it covers the body, partial if it
// covers the URL.
func (j *JWS) Proof() authz.Proof {
	switch c := &j.config; {
	case j.SignsBody():
		return authz.ProofSignature
	case c.URL.Claim != "" || c.QueryHash || c.AudienceURL && !c.AudienceOptional:
		return authz.ProofPartial
	default:
		return authz.ProofToken
	}
}

// WantsForm reports false.
func (j *JWS) WantsForm() bool { return false }

// Place says where the token stands.
func (j *JWS) Place() string { return "a token in " + j.config.Place.String() }

// Verify checks the signatures of all tokens and then their claims.
func (j *JWS) Verify(call *authz.Call, f *authz.Fingerprinter) authz.Reason {
	if j.asksHost && !plainHost(call.Request.Host) {
		explainHost(call)
		return authz.SignatureMalformed
	}
	texts, reason := j.config.Place.find(call, j.config.MaxTokens)
	if reason != authz.OK {
		return reason
	}
	var signed [][]byte
	for _, text := range texts {
		content, reason := j.verify(call, text)
		if reason != authz.OK {
			call.SignedTime = time.Time{}
			return reason
		}
		signed = append(signed, content)
	}
	if f != nil {
		call.Fingerprint, call.Alternate = j.fingerprint(call, f, signed)
	}
	call.Proof = max(call.Proof, j.Proof())
	return authz.OK
}

// fingerprint covers what the tokens sign, and not their signatures, of which there
// may be several over one content. A body that they do not cover is covered beside
// them: one token may then serve many deliveries, and the same one with the same
// body is a copy.
func (j *JWS) fingerprint(call *authz.Call, f *authz.Fingerprinter, signed [][]byte) (current, alternate authz.Fingerprint) {
	digest := f.Begin(call.Identity, call.Tenant)
	for _, content := range signed {
		digest.Framed(content)
	}
	if j.config.Detached != nil || !j.SignsBody() {
		digest.Framed(call.Request.Body.Joined())
	}
	return f.End(digest)
}

// verify reads one token, and believes its claims once its signature has held. It
// returns what is signed, but for a body that is a detached payload.
func (j *JWS) verify(call *authz.Call, text string) ([]byte, authz.Reason) {
	token, reason := j.parse(call, text)
	if reason != authz.OK {
		return nil, reason
	}
	if j.config.KeyClaim != "" && token.ReadClaims() != nil {
		call.Explain(claimsForm, "something that is none")
		return nil, authz.SignatureMalformed
	}
	preamble, reason := j.preamble(call, token)
	if reason != authz.OK {
		return nil, reason
	}
	content := j.content(call.Request, token, preamble)
	match, valid, reason := j.match(call, token, content)
	if reason != authz.OK {
		return nil, reason
	}
	if call.Explanation != nil {
		call.Explain(fmt.Sprintf("a token signed with %s and one of the keys %s", j.algorithms(), j.keys.names(call.Now)), foundText(match, valid, 1))
	}
	if reason := j.keys.verdict(call, match, valid); reason != authz.OK {
		return nil, reason
	}
	if j.config.Detached == nil && token.ReadClaims() != nil {
		call.Explain(claimsForm, "something that is none, or that two parsers could read in two ways")
		return nil, authz.SignatureMalformed
	}
	if reason, what := j.claims(call, token); reason != authz.OK {
		call.Explain("claims that fit the request and the policy", what)
		return nil, reason
	}
	return append([]byte(token.Signed), preamble...), authz.OK
}

const claimsForm = "claims that are one JSON object in which no key stands twice"

// parse looks at the token's form. Nothing of it is believed yet.
func (j *JWS) parse(call *authz.Call, text string) (*jose.Token, authz.Reason) {
	fail := func(reason authz.Reason, found string) (*jose.Token, authz.Reason) {
		call.Explain("one token in "+j.config.Place.String()+", in compact form", found)
		return nil, reason
	}
	read, form := jose.Parse, "a token in compact form"
	if j.config.Detached != nil {
		read, form = jose.ParseDetached, "a token in compact form without its payload"
	}
	token, err := read(text)
	switch {
	case errors.Is(err, jose.ErrAlgorithm), errors.Is(err, jose.ErrCritical):
		return fail(authz.SignatureInvalid, "a token with "+err.Error())
	case err != nil:
		call.Explain(form, "something that is none")
		return nil, authz.SignatureMalformed
	case !slices.Contains(j.config.Algorithms, token.Algorithm):
		return fail(authz.SignatureInvalid, fmt.Sprintf("a token signed with %.20q, which is not allowed", token.Algorithm))
	}
	for i := range j.config.Members {
		if !j.config.Members[i].holds(token.Header, call.Request) {
			return fail(authz.SignatureInvalid, "a token whose header has another "+j.config.Members[i].Name)
		}
	}
	if url, there := token.Header["jku"]; there && len(j.config.KeyURLs) > 0 {
		if text, _ := url.(string); !slices.Contains(j.config.KeyURLs, text) {
			return fail(authz.SignatureInvalid, "a token whose jku is none of the policy")
		}
	}
	return token, authz.OK
}

func (j *JWS) algorithms() string {
	var names []string
	for _, a := range j.config.Algorithms {
		names = append(names, string(a))
	}
	return strings.Join(names, " or ")
}
