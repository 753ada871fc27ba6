package page

import (
	"fmt"
	"strings"

	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

func coverageOfJWS(j *policyv1.Jws) coverage {
	c := coverage{body: j.CoversBody(), time: j.GetTime() != "" || j.GetDetached().GetTimestamp() != nil}
	if j.GetUrl() != nil || j.GetAudienceUrl() {
		c.url(j.GetUrl() != nil) // aud may leave out the query
	}
	if j.GetQueryHash() || j.GetDetached().GetRequestLine() {
		c.method, c.path, c.query = true, true, true
	}
	for _, name := range j.GetDetached().GetRequired() {
		c.parts = append(c.parts, "the header "+name)
	}
	for _, claim := range j.GetClaims() {
		if claim.GetJson() != "" {
			c.parts, c.bodyParts = append(c.parts, claim.GetJson()+" of the body"), true
		}
	}
	return c
}

func describeJWS(j *policyv1.Jws) Description {
	var algorithms, words []string
	public, shared := false, false
	for _, a := range j.GetAlgorithms() {
		algorithms = append(algorithms, a.String())
		hmac := strings.HasPrefix(a.String(), "HS")
		shared, public = shared || hmac, public || !hmac
	}
	d := Description{
		Where: "a JSON Web Token " + jwsPlace(j),
		What:  strings.Join(algorithms, ", ") + " over the token's claims",
		Key:   keyWords(j.GetKeyEncoding(), nil),
	}
	switch {
	case j.GetX5C() != nil:
		d.Key = fmt.Sprintf("that of the first of %d certificates in x5c of the token's header, which must lead to a root in secrets%s", j.GetX5C().GetCertificates(), oidWords(j.GetX5C()))
	case public && !shared:
		d.Key = "public keys" + kidWords(j)
	case public:
		d.Key += ", or public keys" + kidWords(j)
	case j.GetKeyClaim() != "":
		d.Key += "; " + j.GetKeyClaim() + " of the token is the secret's id"
	}
	if j.GetDetached() != nil {
		d.Where = "a JSON Web Signature without its payload " + jwsPlace(j)
		d.What = strings.Join(algorithms, ", ") + " over " + detachedWords(j.GetDetached())
	} else {
		words = append(words, claimWords(j)...)
	}
	for _, claim := range j.GetHeaderClaims() {
		words = append(words, claimWord(claim)+" in the token's header")
	}
	if urls := j.GetJku(); len(urls) > 0 {
		words = append(words, "jku, where it is there, is "+strings.Join(urls, " or "))
	}
	d.What = strings.Join(append([]string{d.What}, words...), "; ")
	if j.GetTime() != "" {
		d.Time = "the claim " + j.GetTime() + ageWords(j.GetTolerance(), j.GetFuture())
	}
	if t := j.GetDetached().GetTimestamp(); t != nil {
		d.Time = timePlace(t) + ", in " + unitWords[t.GetUnit()] + ageWords(t.GetTolerance(), t.GetFuture())
	}
	return d
}

func jwsPlace(j *policyv1.Jws) string {
	switch {
	case j.GetWholeBody():
		return "that is the body"
	case j.GetAlone():
		return "in " + j.GetJson() + " of the JSON body, which has nothing else"
	case strings.Contains(j.GetJson(), "[]"):
		return "in each of " + j.GetJson() + " of the JSON body, of which all must be good"
	case j.GetJson() != "":
		return "in " + j.GetJson() + " of the JSON body"
	case j.GetQuery() != "":
		return "in the query's parameter " + j.GetQuery()
	default:
		return "in the header " + headerWithScheme(j.GetHeader(), j.GetScheme())
	}
}

func kidWords(j *policyv1.Jws) string {
	if j.GetKeyClaim() != "" {
		return "; " + j.GetKeyClaim() + " of the token is the id in secrets"
	}
	return "; kid of the token's header chooses among those that have one"
}

func oidWords(x *policyv1.X5C) string {
	words := ""
	if x.GetLeafOid() != "" {
		words += "; the first has the extension " + x.GetLeafOid()
	}
	if x.GetIntermediateOid() != "" {
		words += ", the second " + x.GetIntermediateOid()
	}
	return words
}

func detachedWords(d *policyv1.Detached) string {
	words := ""
	if d.GetRequestLine() {
		words = "{method} {path}⏎"
	}
	if d.GetListed() != "" {
		words += "{a line for each header that " + d.GetListed() + " of the token's header lists}"
	}
	words += "{body}"
	if names := d.GetRequired(); len(names) > 0 {
		words += "; " + strings.Join(names, " and ") + " must be listed"
	}
	return words
}

func claimWords(j *policyv1.Jws) []string {
	var words []string
	if issuers := append(j.GetIssuers()[:len(j.GetIssuers()):len(j.GetIssuers())], j.GetIssuer()); j.GetIssuer() != "" || len(issuers) > 1 {
		words = append(words, "iss is "+strings.TrimSuffix(strings.Join(issuers, " or "), " or "))
	}
	if len(j.GetAudiences()) > 0 {
		words = append(words, "aud has "+strings.Join(j.GetAudiences(), " or "))
	}
	for _, claim := range j.GetClaims() {
		words = append(words, claimWord(claim))
	}
	if j.GetBody() != nil {
		words = append(words, j.GetBody().GetClaim()+" is the SHA-256 of the body")
	}
	if j.GetUrl() != nil {
		words = append(words, j.GetUrl().GetClaim()+" is the SHA-256 of the URL")
	}
	if j.GetAudienceUrl() {
		word := "aud is the URL, with or without its query"
		if j.GetAudienceOptional() {
			word += ", where it is there"
		}
		words = append(words, word)
	}
	if j.GetQueryHash() {
		words = append(words, "qsh is the hash of method, path and query")
	}
	if j.GetExpires() {
		return append(words, "exp must be there and not be over")
	}
	return append(words, "exp counts where it is there")
}

func claimWord(c *policyv1.Claim) string {
	name := strings.Join(append([]string{c.GetClaim()}, c.GetAlso()...), " or ")
	switch is := c.GetIsWhat().(type) {
	case *policyv1.Claim_Is:
		return fmt.Sprintf("%s is %t", name, is.Is)
	case *policyv1.Claim_Number:
		return fmt.Sprintf("%s is %d", name, is.Number)
	case *policyv1.Claim_Parameter:
		return name + " is the parameter " + is.Parameter
	case *policyv1.Claim_Json:
		return name + " is " + is.Json + " of the body"
	default:
		return name + " is " + c.GetEquals()
	}
}
