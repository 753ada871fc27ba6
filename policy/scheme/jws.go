package scheme

import (
	"encoding/asn1"
	"slices"
	"strconv"
	"strings"

	"github.com/hookbastion/hookbastion/authz/jose"
	"github.com/hookbastion/hookbastion/authz/signature"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// JWSOf is token.jwt of a policy as the scheme that does the same.
func JWSOf(t *policyv1.TokenJwt) *policyv1.Jws {
	j := &policyv1.Jws{
		Header: t.GetFrom().GetHeader(), Scheme: t.GetFrom().GetScheme(), Query: t.GetFrom().GetQuery(),
		Json: t.GetFrom().GetJson(), WholeBody: t.GetFrom().GetWholeBody(),
		Algorithms: t.GetAlgorithms(), Issuers: t.GetIssuers(), Audiences: t.GetAudiences(), Claims: t.GetClaims(),
		Body: t.GetBodyHash(), Leeway: t.GetLeeway(), Expires: true,
	}
	if t.GetFrom() == nil {
		j.Header, j.Scheme = "Authorization", "Bearer"
	}
	return j
}

func (c *Plans) jwsConfig(j *policyv1.Jws, maxTokens int, publicURL string, at strictyaml.Place) signature.JWSConfig {
	config := signature.JWSConfig{
		Place: signature.TokenPlace{
			Header: strings.ToLower(j.GetHeader()), Scheme: j.GetScheme(), Query: j.GetQuery(),
			JSON: j.GetJson(), Alone: j.GetAlone(), Whole: j.GetWholeBody(),
		},
		Issuers: c.params.fill(j.GetIssuers()), Audiences: c.params.fill(j.GetAudiences()),
		AudienceURL: j.GetAudienceUrl(), AudienceOptional: j.GetAudienceOptional(),
		Body: claimDigest(j.GetBody()), URL: claimDigest(j.GetUrl()), QueryHash: j.GetQueryHash(),
		Claims: c.params.claims(j.GetClaims()), Members: c.params.claims(j.GetHeaderClaims()),
		KeyURLs: j.GetJku(), KeyClaim: j.GetKeyClaim(), Chain: chain(j.GetX5C()), Detached: detached(j.GetDetached()),
		Time: j.GetTime(), Expires: j.GetExpires(), Leeway: j.GetLeeway().AsDuration(), PublicURL: publicURL, MaxTokens: maxTokens,
	}
	if j.GetIssuer() != "" {
		config.Issuers = []string{j.GetIssuer()}
	}
	for _, algorithm := range j.GetAlgorithms() {
		config.Algorithms = append(config.Algorithms, jose.Algorithm(algorithm.String()))
	}
	c.checkTokenPlace(j, at)
	c.checkToken(j, &config, at)
	if j.GetDetached() != nil {
		c.checkDetached(j, at)
	}
	return config
}

func (c *Plans) checkTokenPlace(j *policyv1.Jws, at strictyaml.Place) {
	places := 0
	for _, there := range []bool{j.GetHeader() != "", j.GetQuery() != "", j.GetJson() != "", j.GetWholeBody()} {
		if there {
			places++
		}
	}
	if places != 1 {
		c.faults.Fail(at, "needs one of header, query, json and whole_body, where the token stands")
	}
	if j.GetScheme() != "" && j.GetHeader() == "" {
		c.faults.Fail(at.At("scheme"), "has no use without header")
	}
	if j.GetAlone() && (j.GetJson() == "" || strings.ContainsAny(j.GetJson(), ".[")) {
		c.faults.Fail(at.At("alone"), "needs json with one key, for the one token of the body")
	}
}

// checkToken looks for what contradicts or has no effect.
func (c *Plans) checkToken(j *policyv1.Jws, config *signature.JWSConfig, at strictyaml.Place) {
	if config.AudienceOptional && !config.AudienceURL {
		c.faults.Fail(at.At("audience_optional"), "has no use without audience_url")
	}
	if config.AudienceURL && len(config.Audiences) > 0 {
		c.faults.Fail(at.At("audiences"), "contradicts audience_url; give one of them")
	}
	if j.GetIssuer() != "" && len(j.GetIssuers()) > 0 {
		c.faults.Fail(at.At("issuer"), "contradicts issuers; give one of them")
	}
	if j.GetBody() != nil && (j.GetWholeBody() || j.GetAlone()) {
		c.faults.Fail(at.At("body"), "has no use: the body is the token")
	}
	shared := slices.ContainsFunc(config.Algorithms, jose.Algorithm.Shared)
	if j.GetX5C() != nil && shared {
		c.faults.Fail(at.At("x5c"), "contradicts algorithms, of which one is an HMAC: a certificate has a public key")
	}
	if j.GetX5C() != nil && j.GetKeyClaim() != "" {
		c.faults.Fail(at.At("key_claim"), "contradicts x5c, which has the key")
	}
	if j.GetKeyEncoding() != 0 && !shared {
		c.faults.Fail(at.At("key_encoding"), "is that of a shared secret, and no algorithm has one")
	}
}

// checkDetached looks for what a token without claims cannot have.
func (c *Plans) checkDetached(j *policyv1.Jws, at strictyaml.Place) {
	if j.GetHeader() == "" && j.GetQuery() == "" {
		c.faults.Fail(at.At("detached"), "needs header or query: the body is the payload")
	}
	for _, claim := range []struct {
		name  string
		there bool
	}{
		{"issuer", j.GetIssuer() != ""}, {"issuers", len(j.GetIssuers()) > 0}, {"audiences", len(j.GetAudiences()) > 0},
		{"audience_url", j.GetAudienceUrl()}, {"claims", len(j.GetClaims()) > 0}, {"body", j.GetBody() != nil}, {"url", j.GetUrl() != nil},
		{"query_hash", j.GetQueryHash()}, {"time", j.GetTime() != ""}, {"expires", j.GetExpires()}, {"leeway", j.GetLeeway() != nil}, {"key_claim", j.GetKeyClaim() != ""},
	} {
		if claim.there {
			c.faults.Fail(at.At(claim.name), "has no use: a token with detached has no claims")
		}
	}
	d, here := j.GetDetached(), at.At("detached")
	if d.GetListed() == "" && len(d.GetRequired()) > 0 {
		c.faults.Fail(here.At("required"), "needs listed, the member that lists them")
	}
	t := d.GetTimestamp()
	if t != nil && (t.GetHeader() == "" || !slices.ContainsFunc(d.GetRequired(), func(name string) bool { return strings.EqualFold(name, t.GetHeader()) })) {
		c.faults.Fail(here.At("timestamp"), "needs a header that is required; a time that is not signed is no defence")
	}
}

func claimDigest(d *policyv1.ClaimDigest) signature.ClaimDigest {
	return signature.ClaimDigest{
		Claim: d.GetClaim(), AbsentIfEmpty: d.GetAbsentIfEmpty(),
		Encoding: map[policyv1.ClaimDigest_Encoding]signature.Encoding{
			policyv1.ClaimDigest_HEX: signature.Hex, policyv1.ClaimDigest_BASE64: signature.Base64, policyv1.ClaimDigest_BASE64URL: signature.Base64URL,
		}[d.GetEncoding()],
	}
}

func chain(x *policyv1.X5C) *jose.Chain {
	if x == nil {
		return nil
	}
	return &jose.Chain{Length: int(x.GetCertificates()), OIDs: []asn1.ObjectIdentifier{oid(x.GetLeafOid()), oid(x.GetIntermediateOid())}}
}

// oid reads numbers with dots between; its form was checked.
func oid(text string) (id asn1.ObjectIdentifier) {
	if text == "" {
		return nil
	}
	for part := range strings.SplitSeq(text, ".") {
		n, _ := strconv.Atoi(part)
		id = append(id, n)
	}
	return id
}

func detached(d *policyv1.Detached) *signature.Detached {
	if d == nil {
		return nil
	}
	return &signature.Detached{
		RequestLine: d.GetRequestLine(), Listed: d.GetListed(), Required: lower(d.GetRequired()),
		Time: signature.Time{Header: strings.ToLower(d.GetTimestamp().GetHeader()), Unit: units[d.GetTimestamp().GetUnit()]},
	}
}

// fill replaces {name} by the values of a parameter. A text with one that is not
// given is left out.
func (p Parameters) fill(texts []string) []string {
	var filled []string
	for _, text := range texts {
		before, name, after, ok := placeholder(text)
		if !ok {
			filled = append(filled, text)
			continue
		}
		for _, value := range p[name] {
			filled = append(filled, before+value+after)
		}
	}
	return filled
}

// placeholder finds the {name} of a parameter.
func placeholder(text string) (before, name, after string, ok bool) {
	before, rest, begins := strings.Cut(text, "{")
	name, after, ends := strings.Cut(rest, "}")
	return before, name, after, begins && ends
}

// claims leaves out those whose parameter is not given.
func (p Parameters) claims(asked []*policyv1.Claim) []signature.Claim {
	var claims []signature.Claim
	for _, a := range asked {
		claim := signature.Claim{Name: a.GetClaim(), Also: a.GetAlso(), JSON: a.GetJson()}
		switch is := a.GetIsWhat().(type) {
		case *policyv1.Claim_Equals:
			claim.Values = []string{is.Equals}
		case *policyv1.Claim_Is:
			claim.Is = &is.Is
		case *policyv1.Claim_Number:
			n := int64(min(is.Number, 1<<62)) //nolint:gosec // it fits
			claim.Number = &n
		case *policyv1.Claim_Parameter:
			if claim.Values = p[is.Parameter]; len(claim.Values) == 0 {
				continue
			}
		}
		claims = append(claims, claim)
	}
	return claims
}
