package signature

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/secret"
)

// maxToken is the size of the largest token that is read, in bytes.
const maxToken = 8 << 10

// JWSConfig describes JSON Web Tokens (RFC 7519) that are signed with a shared
// secret. Header names are in lower case.
type JWSConfig struct {
	// Header holds the token, behind the word Scheme if there is one.
	Header, Scheme string
	// Algorithms are HS256, HS384, HS512: what a token may name.
	Algorithms []string
	// Issuer must be the claim iss; any if it is empty.
	Issuer string
	// AudienceURL: aud must have the request's URL, with or without its query.
	AudienceURL bool
	// AudienceOptional: a token without aud is taken.
	AudienceOptional bool
	// Body and URL are claims with a SHA-256; none if their Claim is empty.
	Body, URL ClaimDigest
	// QueryHash: qsh must be Atlassian's hash of method, path and query.
	QueryHash bool
	// Time is iat or nbf: the claim with the signed time; none if it is empty.
	Time string
	// Expires: exp must be there.
	Expires bool
	// Leeway is how far clocks may be apart for nbf and exp.
	Leeway time.Duration
	// PublicURL is the scheme and host of the URL, and what stands before the
	// request's path in it. Empty: https and the request's host.
	PublicURL string
}

// ClaimDigest is a claim with a SHA-256.
type ClaimDigest struct {
	Claim    string
	Encoding Encoding
	// AbsentIfEmpty: the claim is there if and only if there is something to
	// hash.
	AbsentIfEmpty bool
}

// JWS is a JSON Web Token with its keys. The token itself names the algorithm,
// which counts for nothing beyond the list; crit, embedded keys and encrypted
// tokens are refused.
type JWS struct {
	*JWSPlan
	keys keys
}

// JWSPlan is what a JWS is without its keys. All webhooks of one scheme share it.
// It is immutable and safe for concurrent use.
type JWSPlan struct {
	config   JWSConfig
	parser   *jwt.Parser
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
		config: config, parser: jwt.NewParser(jwt.WithStrictDecoding(), jwt.WithJSONNumber()), public: newPublicURL(config.PublicURL),
		asksHost: config.PublicURL == "" && (config.URL.Claim != "" || config.AudienceURL),
	}
}

// With returns the scheme with keys.
func (p *JWSPlan) With(configured []Key) (*JWS, error) {
	ks, err := newKeys(configured, SHA256, false)
	if err != nil {
		return nil, err
	}
	return &JWS{p, ks}, nil
}

// Present reports whether the header is there.
func (j *JWS) Present(req *authz.Request) bool {
	_, count := req.Headers.Lookup(j.config.Header)
	return count > 0
}

// ReadsBody reports whether a claim binds the body.
func (j *JWS) ReadsBody() bool { return j.config.Body.Claim != "" }

// SignsTime reports whether a claim has the signed time.
func (j *JWS) SignsTime() bool { return j.config.Time != "" }

// WantsForm reports false.
func (j *JWS) WantsForm() bool { return false }

// Place says where the token stands.
func (j *JWS) Place() string { return "a token in " + j.config.Header }

// Verify checks the token's signature and then its claims.
func (j *JWS) Verify(call *authz.Call, f *authz.Fingerprinter) authz.Reason {
	if j.asksHost && !plainHost(call.Request.Host) {
		explainHost(call)
		return authz.SignatureMalformed
	}
	token, signature, reason := j.read(call)
	if reason != authz.OK {
		return reason
	}
	method := jwt.GetSigningMethod(token.Method.Alg())
	signed := token.Raw[:strings.LastIndexByte(token.Raw, '.')]
	match, valid := j.keys.match(call, nil, func(k *key) bool {
		return method.Verify(signed, signature, k.Secret.Reveal()) == nil // compares in constant time
	})
	if call.Explanation != nil {
		call.Explain(fmt.Sprintf("a token signed with %s and one of the keys %s", strings.Join(j.config.Algorithms, " or "), j.keys.names(call.Now)),
			foundText(match, valid, 1))
	}
	if reason := j.keys.verdict(call, match, valid); reason != authz.OK {
		return reason
	}
	claims, _ := token.Claims.(jwt.MapClaims)
	if reason, what := j.claims(call, claims); reason != authz.OK {
		call.Explain("claims that fit the request", what)
		return reason
	}
	if f != nil {
		digest := f.Begin(call.Identity, call.Tenant)
		digest.Framed([]byte(signed))
		call.Fingerprint, call.Alternate = f.End(digest)
	}
	call.Proof = authz.ProofSignature
	if !j.ReadsBody() {
		call.Proof = authz.ProofPartial
	}
	return authz.OK
}

// read finds the token and looks at its form. Nothing of it is believed yet.
func (j *JWS) read(call *authz.Call) (*jwt.Token, []byte, authz.Reason) {
	fail := func(reason authz.Reason, found string) (*jwt.Token, []byte, authz.Reason) {
		call.Explain("one token in "+j.config.Header+", in compact form", found)
		return nil, nil, reason
	}
	value, count := call.Request.Headers.Lookup(j.config.Header)
	text := string(value)
	if j.config.Scheme != "" {
		scheme, rest, ok := strings.Cut(text, " ")
		if !ok || !strings.EqualFold(scheme, j.config.Scheme) {
			return fail(authz.TokenMissing, "a header without "+j.config.Scheme)
		}
		text = strings.TrimLeft(rest, " ")
	}
	// The decoder would skip line breaks.
	if count != 1 || len(text) == 0 || len(text) > maxToken || strings.ContainsAny(text, "\r\n") {
		return fail(authz.SignatureMalformed, fmt.Sprintf("%d headers, %d bytes", count, len(text)))
	}
	token, parts, err := j.parser.ParseUnverified(text, jwt.MapClaims{})
	if err != nil || len(parts) != 3 {
		if errors.Is(err, jwt.ErrTokenUnverifiable) {
			return fail(authz.SignatureInvalid, "a token with an algorithm that does not exist")
		}
		return fail(authz.SignatureMalformed, "something that is no token")
	}
	if !slices.Contains(j.config.Algorithms, token.Method.Alg()) {
		return fail(authz.SignatureInvalid, fmt.Sprintf("a token signed with %.20q, which is not allowed", token.Method.Alg()))
	}
	if _, critical := token.Header["crit"]; critical {
		return fail(authz.SignatureInvalid, "a token with critical extensions")
	}
	signature, err := j.parser.DecodeSegment(parts[2])
	if err != nil {
		return fail(authz.SignatureMalformed, "a token whose signature is not base64url")
	}
	return token, signature, authz.OK
}

// claims compares the claims of a token whose signature held with the request.
func (j *JWS) claims(call *authz.Call, claims jwt.MapClaims) (authz.Reason, string) {
	options := []jwt.ParserOption{jwt.WithLeeway(j.config.Leeway), jwt.WithTimeFunc(func() time.Time { return call.Now })}
	if j.config.Issuer != "" {
		options = append(options, jwt.WithIssuer(j.config.Issuer))
	}
	if j.config.Expires {
		options = append(options, jwt.WithExpirationRequired())
	}
	if err := jwt.NewValidator(options...).Validate(claims); err != nil {
		switch {
		case errors.Is(err, jwt.ErrTokenExpired):
			return authz.TokenExpired, "exp is over"
		case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
			return authz.TimestampInFuture, "nbf is in the future"
		default:
			return authz.TokenInvalid, "another issuer, or a claim is missing or malformed"
		}
	}
	switch {
	case j.config.AudienceURL && !j.audience(call.Request, claims):
		return authz.TokenInvalid, "another audience than this URL"
	case !j.boundURL(call.Request, claims):
		return authz.SignatureInvalid, j.config.URL.Claim + " is not the hash of this URL"
	case !j.config.Body.holds(claims, call.Request.Body.Segments...):
		return authz.SignatureInvalid, j.config.Body.Claim + " is not the hash of this body"
	case j.config.QueryHash && !j.queryHashHolds(call.Request, claims):
		return authz.SignatureInvalid, "qsh is not the hash of this method, path and query"
	}
	return j.time(call, claims)
}

func (j *JWS) time(call *authz.Call, claims jwt.MapClaims) (authz.Reason, string) {
	if j.config.Time == "" {
		return authz.OK, ""
	}
	at, err := claims.GetIssuedAt()
	if j.config.Time == "nbf" {
		at, err = claims.GetNotBefore()
	}
	switch {
	case err != nil:
		return authz.TimestampMalformed, j.config.Time + " is no time"
	case at == nil:
		return authz.TimestampMissing, "there is no " + j.config.Time
	}
	call.SignedTime = at.Time
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

func (j *JWS) audience(req *authz.Request, claims jwt.MapClaims) bool {
	if _, there := claims["aud"]; !there {
		return j.config.AudienceOptional
	}
	audience, err := claims.GetAudience()
	return err == nil && slices.ContainsFunc(slices.Concat(j.urls(req, false), j.urls(req, true)), func(url string) bool {
		return slices.Contains(audience, url)
	})
}

// boundURL reports whether the claim that binds the URL is the hash of the
// request's.
func (j *JWS) boundURL(req *authz.Request, claims jwt.MapClaims) bool {
	return slices.ContainsFunc(j.urls(req, false), func(url string) bool { return j.config.URL.holds(claims, []byte(url)) })
}

// holds reports whether the claim is the hash of the content.
func (d ClaimDigest) holds(claims jwt.MapClaims, content ...[]byte) bool {
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

// Sign adds a token that is good for a minute.
func (j *JWS) Sign(req *authz.Request, s authz.Signing) bool {
	k := j.keys.named(s)
	if k == nil {
		return false
	}
	claims := jwt.MapClaims{"jti": s.NewID(), "iat": s.Now.Unix(), "nbf": s.Now.Unix(), "exp": s.Now.Add(time.Minute).Unix()}
	claims["iss"] = j.config.Issuer
	if j.config.Issuer == "" {
		claims["iss"] = k.ID // the account, where nothing else is asked for
	}
	if j.config.AudienceURL {
		claims["aud"] = j.urls(req, false)[0]
	}
	if j.config.QueryHash {
		claims["qsh"] = queryHash(req, j.public.prefix)
	}
	j.config.URL.sign(claims, []byte(j.urls(req, false)[0]))
	body, _ := io.ReadAll(req.Body.Reader()) // cannot fail
	j.config.Body.sign(claims, body)
	token, err := jwt.NewWithClaims(jwt.GetSigningMethod(j.config.Algorithms[0]), claims).SignedString(k.Secret.Reveal())
	if j.config.Scheme != "" {
		token = j.config.Scheme + " " + token
	}
	req.Set(j.config.Header, token)
	return err == nil
}

func (d ClaimDigest) sign(claims jwt.MapClaims, content []byte) {
	if d.Claim == "" || d.AbsentIfEmpty && len(content) == 0 {
		return
	}
	sum := sha256.Sum256(content)
	claims[d.Claim] = d.Encoding.encode(sum[:])
}
