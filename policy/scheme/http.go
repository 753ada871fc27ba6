package scheme

import (
	"crypto"
	"time"

	"github.com/hookbastion/hookbastion/authz/httpsig"
	"github.com/hookbastion/hookbastion/authz/publickey"
	"github.com/hookbastion/hookbastion/authz/signature"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// httpAlgorithms are what each word of a scheme means, with the names that RFC 9421
// and, behind them, the draft before it give them.
var httpAlgorithms = map[policyv1.HttpSignature_Algorithm]signature.HTTPAlgorithm{
	policyv1.HttpSignature_ED25519:           {Names: []string{"ed25519"}, Public: publickey.Algorithm{Kind: publickey.Ed25519}},
	policyv1.HttpSignature_ECDSA_P256_SHA256: {Names: []string{"ecdsa-p256-sha256"}, Public: publickey.Algorithm{Kind: publickey.ECDSA, Hash: crypto.SHA256, Curve: publickey.P256, Raw: true}},
	policyv1.HttpSignature_ECDSA_P384_SHA384: {Names: []string{"ecdsa-p384-sha384"}, Public: publickey.Algorithm{Kind: publickey.ECDSA, Hash: crypto.SHA384, Curve: publickey.P384, Raw: true}},
	policyv1.HttpSignature_RSA_PSS_SHA512:    {Names: []string{"rsa-pss-sha512"}, Public: publickey.Algorithm{Kind: publickey.RSA, Hash: crypto.SHA512, PSS: true}},
	policyv1.HttpSignature_RSA_V1_5_SHA256:   {Names: []string{"rsa-v1_5-sha256"}, Public: publickey.Algorithm{Kind: publickey.RSA, Hash: crypto.SHA256}},
	policyv1.HttpSignature_RSA_V1_5_SHA512:   {Names: []string{"rsa-v1_5-sha512"}, Public: publickey.Algorithm{Kind: publickey.RSA, Hash: crypto.SHA512}},
	policyv1.HttpSignature_ECDSA_P521_SHA512: {Names: []string{"ecdsa-p521-sha512"}, Public: publickey.Algorithm{Kind: publickey.ECDSA, Hash: crypto.SHA512, Curve: publickey.P521, Raw: true}},
	policyv1.HttpSignature_HMAC_SHA256:       {Names: []string{"hmac-sha256"}},
}

// cavageNames are those of the draft. ECDSA is written in DER there.
var cavageNames = map[policyv1.HttpSignature_Algorithm]string{
	policyv1.HttpSignature_ED25519: "ed25519", policyv1.HttpSignature_ECDSA_P256_SHA256: "ecdsa-sha256", policyv1.HttpSignature_ECDSA_P384_SHA384: "ecdsa-sha384",
	policyv1.HttpSignature_RSA_PSS_SHA512: "rsa-pss-sha512", policyv1.HttpSignature_RSA_V1_5_SHA256: "rsa-sha256", policyv1.HttpSignature_RSA_V1_5_SHA512: "rsa-sha512",
	policyv1.HttpSignature_ECDSA_P521_SHA512: "ecdsa-sha512", policyv1.HttpSignature_HMAC_SHA256: "hmac-sha256",
}

// HTTPAlgorithms returns those of a scheme.
func HTTPAlgorithms(h *policyv1.HttpSignature) []signature.HTTPAlgorithm {
	var all []signature.HTTPAlgorithm
	for _, name := range h.GetAlgorithms() {
		a := httpAlgorithms[name]
		if h.GetForm() == policyv1.HttpSignature_CAVAGE {
			a.Names, a.Public.Raw = []string{cavageNames[name]}, false
		}
		a.Public.Raw = a.Public.Raw && !h.GetDer()
		all = append(all, a)
	}
	return all
}

// HTTPReader says which public keys a scheme takes; nil if it has a shared secret.
func HTTPReader(h *policyv1.HttpSignature) *publickey.Reader {
	reader := &publickey.Reader{}
	for i, a := range HTTPAlgorithms(h) {
		switch {
		case a.Public.Kind == 0:
			return nil
		case i == 0:
			reader.Kind, reader.Curve = a.Public.Kind, a.Public.Curve
		case reader.Kind != a.Public.Kind:
			reader.Kind, reader.Curve = 0, 0
		case reader.Curve != a.Public.Curve:
			reader.Curve = 0
		}
	}
	return reader
}

func (c *Plans) httpConfig(h *policyv1.HttpSignature, maxSignatures int, publicURL string, at strictyaml.Place) signature.HTTPConfig {
	at = at.At("scheme", "http_signature")
	config := signature.HTTPConfig{
		Algorithms: HTTPAlgorithms(h), BodyUnsigned: h.GetBodyUnsigned(), Digest: "content-digest", Time: signature.Created,
		Expires: h.GetExpires(), Nonce: h.GetNonce(), Lifetime: h.GetLifetime().AsDuration(), Tag: h.GetTag(), Label: h.GetLabel(),
		Dialect:   httpsig.Dialect{Base64URL: h.GetBase64Url(), Unquoted: h.GetUnquoted(), UpperEscapes: h.GetUpperEscapes()},
		PublicURL: publicURL, MaxSignatures: maxSignatures,
	}
	c.checkHTTP(h, at)
	if h.GetForm() == policyv1.HttpSignature_CAVAGE {
		config.Digest, config.Time, config.Cavage, config.CavageDefault = "digest", signature.Date, "signature", "(created)"
		if h.GetAuthorization() {
			config.Cavage = "authorization"
		}
		if h.GetCovered() != "" {
			config.CavageDefault = h.GetCovered()
		}
	}
	switch h.GetDigest() {
	case policyv1.HttpSignature_DIGEST:
		config.Digest = "digest"
	case policyv1.HttpSignature_CONTENT_DIGEST:
		config.Digest = "content-digest"
	default:
	}
	switch h.GetTime() {
	case policyv1.HttpSignature_CREATED:
		config.Time = signature.Created
	case policyv1.HttpSignature_DATE:
		config.Time = signature.Date
	case policyv1.HttpSignature_NONE:
		config.Time = signature.NoTime
	default:
	}
	config.Required = c.components(h.GetRequired(), at.At("required"))
	config.IfPresent = c.components(h.GetRequiredIfPresent(), at.At("required_if_present"))
	return config
}

func (c *Plans) components(texts []string, at strictyaml.Place) []httpsig.Component {
	var all []httpsig.Component
	for i, text := range texts {
		component, err := httpsig.ParseComponent(text)
		if err != nil {
			c.faults.Fail(at.At(i), "is "+err.Error()+`; there are @method, @target-uri, @authority, @scheme, @request-target, @path, @query, '"@query-param";name="id"' and fields in lower case`)
			continue
		}
		all = append(all, component)
	}
	return all
}

// checkHTTP reports words that have no use beside each other.
func (c *Plans) checkHTTP(h *policyv1.HttpSignature, at strictyaml.Place) {
	cavage := h.GetForm() == policyv1.HttpSignature_CAVAGE
	for name, set := range map[string]bool{
		"tag": h.GetTag() != "", "label": h.GetLabel() != "", "nonce": h.GetNonce(), "base64url": h.GetBase64Url(),
		"unquoted": h.GetUnquoted(), "upper_escapes": h.GetUpperEscapes(),
	} {
		if cavage && set {
			c.faults.Fail(at.At(name), "has no use with form: CAVAGE, whose signatures have none")
		}
	}
	if cavage && h.GetDer() {
		c.faults.Fail(at.At("der"), "has no use with form: CAVAGE, where ECDSA is in DER in any case")
	}
	for name, set := range map[string]bool{"authorization": h.GetAuthorization(), "covered": h.GetCovered() != ""} {
		if !cavage && set {
			c.faults.Fail(at.At(name), "has no use without form: CAVAGE")
		}
	}
	for _, a := range h.GetAlgorithms() {
		if a == policyv1.HttpSignature_HMAC_SHA256 && len(h.GetAlgorithms()) > 1 {
			c.faults.Fail(at.At("algorithms"), "has HMAC_SHA256 beside others: a key is either shared or public")
		}
	}
	if h.GetLifetime().AsDuration()%time.Second != 0 {
		c.faults.Fail(at.At("lifetime"), "must be whole seconds")
	}
}
