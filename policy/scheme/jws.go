package scheme

import (
	"strings"

	"github.com/hookbastion/hookbastion/authz/signature"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

func (c *Plans) jwsConfig(j *policyv1.Jws, publicURL string, at strictyaml.Place) signature.JWSConfig {
	config := signature.JWSConfig{
		Header: strings.ToLower(j.GetHeader()), Scheme: j.GetScheme(), Issuer: j.GetIssuer(),
		AudienceURL: j.GetAudienceUrl(), AudienceOptional: j.GetAudienceOptional(),
		Body: claimDigest(j.GetBody()), URL: claimDigest(j.GetUrl()), QueryHash: j.GetQueryHash(),
		Time: j.GetTime(), Expires: j.GetExpires(), Leeway: j.GetLeeway().AsDuration(), PublicURL: publicURL,
	}
	for _, algorithm := range j.GetAlgorithms() {
		config.Algorithms = append(config.Algorithms, algorithm.String())
	}
	if config.Header == "" {
		c.faults.Fail(at.At("scheme", "jws"), "needs header, where the token stands")
	}
	if config.AudienceOptional && !config.AudienceURL {
		c.faults.Fail(at.At("scheme", "jws", "audience_optional"), "has no use without audience_url")
	}
	return config
}

func claimDigest(d *policyv1.ClaimDigest) signature.ClaimDigest {
	return signature.ClaimDigest{
		Claim: d.GetClaim(), AbsentIfEmpty: d.GetAbsentIfEmpty(),
		Encoding: map[policyv1.ClaimDigest_Encoding]signature.Encoding{
			policyv1.ClaimDigest_HEX: signature.Hex, policyv1.ClaimDigest_BASE64: signature.Base64, policyv1.ClaimDigest_BASE64URL: signature.Base64URL,
		}[d.GetEncoding()],
	}
}
