package policy

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/signature"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// scheme compiles one scheme with its keys. It returns nil after an error.
func (c *compiler) scheme(s *policyv1.Scheme, w *policyv1.Webhook, keys []loaded, publicURL string, at strictyaml.Place) signature.Scheme {
	before := c.faults.Len()
	var scheme signature.Scheme
	var err error
	switch kind := s.GetKind().(type) {
	case *policyv1.Scheme_Hmac:
		plan := planned(c, newPlanKey(s, w, publicURL), func() *signature.Plan {
			return signature.NewPlan(c.hmacConfig(kind.Hmac, maxSignatures(w, s), publicURL, pinOf(w, s), at))
		})
		scheme, err = orNil(plan.With(c.decodeAll(keys, kind.Hmac.GetKeyEncoding(), kind.Hmac.GetKeyPrefixes(), nil)))
	case *policyv1.Scheme_Jws:
		plan := planned(c, newPlanKey(s, w, publicURL), func() *signature.JWSPlan {
			return signature.NewJWSPlan(c.jwsConfig(kind.Jws, publicURL, at))
		})
		scheme, err = orNil(plan.With(c.decodeAll(keys, kind.Jws.GetKeyEncoding(), nil, nil)))
	case *policyv1.Scheme_Code:
		scheme, err = c.code(kind.Code.GetName(), w, keys)
	}
	if c.faults.Len() > before || errors.Is(err, signature.ErrNoKeys) {
		return nil // a key that is missing or cannot be decoded has its own error
	}
	if err != nil {
		c.faults.Fail(at.At("secrets"), err.Error())
		return nil
	}
	return scheme
}

// planKey is all that a plan is made of.
type planKey struct {
	// scheme is a *policyv1.Scheme of the catalogue, or the text of one that
	// stands in a policy.
	scheme        any
	publicURL     string
	maxSignatures int
	pin           signature.Pin
}

func newPlanKey(s *policyv1.Scheme, w *policyv1.Webhook, publicURL string) planKey {
	key := planKey{scheme: s, publicURL: publicURL, maxSignatures: maxSignatures(w, s), pin: pinOf(w, s)}
	if w.GetProvider() == "" {
		encoded, _ := proto.MarshalOptions{Deterministic: true}.Marshal(s) // it was read from the same form
		key.scheme = string(encoded)
	}
	return key
}

// planned returns the plan of another webhook with the same scheme, or a new one.
// One with errors is not kept, so that each webhook has its own.
func planned[P any](c *compiler, key planKey, compile func() *P) *P {
	if known, ok := c.plans[key].(*P); ok {
		return known
	}
	before := c.faults.Len()
	plan := compile()
	if c.faults.Len() == before {
		c.plans[key] = plan
	}
	return plan
}

// orNil keeps a nil pointer from becoming a scheme that is not nil.
func orNil[S signature.Scheme](scheme S, err error) (signature.Scheme, error) {
	if err != nil {
		return nil, err
	}
	return scheme, nil
}

func (c *compiler) code(name policyv1.Code_Name, w *policyv1.Webhook, keys []loaded) (signature.Scheme, error) {
	if name == policyv1.Code_ADYEN {
		return orNil(signature.NewAdyen(c.decodeAll(keys, policyv1.Key_HEX, nil, nil)))
	}
	for i := range keys {
		if w.GetSecrets()[i].GetId() == "" {
			c.faults.Fail(keys[i].at, "needs id: the public key that belongs to the private key")
		}
	}
	decoded := c.decodeAll(keys, policyv1.Key_TEXT, nil, signature.BraintreeKey)
	return orNil(signature.NewBraintree(decoded))
}

func (c *compiler) jwsConfig(j *policyv1.Jws, publicURL string, at strictyaml.Place) signature.JWSConfig {
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

// decodeAll makes keys of the secrets as the scheme or a secret's own format
// says. Those that cannot be decoded are errors and left out.
func (c *compiler) decodeAll(keys []loaded, encoding policyv1.Key_Encoding, prefixes []string, finish func(secret.Value) secret.Value) []signature.Key {
	var decoded []signature.Key
	for i := range keys {
		k := &keys[i]
		key := k.Key
		if key.Cell = c.cell(k, decoder(k.format, encoding, prefixes), finish); key.Cell != nil {
			decoded = append(decoded, key)
		}
	}
	return decoded
}

var keyEncodings = map[policyv1.Key_Encoding]secret.Encoding{policyv1.Key_BASE64: secret.Base64, policyv1.Key_HEX: secret.Hex}

// decoder returns what reads a secret in its own format, or else in that of the
// scheme.
func decoder(format policyv1.Secret_Format, encoding policyv1.Key_Encoding, prefixes []string) secret.Accept {
	read := keyEncodings[encoding]
	switch format {
	case policyv1.Secret_TEXT:
		read, prefixes = secret.Text, nil
	case policyv1.Secret_HEX:
		read, prefixes = secret.Hex, nil
	case policyv1.Secret_BASE64:
		read, prefixes = secret.Base64, nil
	default:
	}
	return func(text secret.Value) (secret.Value, error) {
		key, err := text.Decode(read, prefixes...)
		if err != nil {
			err = withDecoration(text, err)
		}
		return key, err
	}
}

// decorations stand in front of secrets, or where secrets are shown or signed
// with, and are pasted along. None of them is secret.
var decorations = []string{"v1,whsec_", "v1,", "v1=", "v0=", "whsec_", "whpk_", "sha256=", "Bearer ", "Basic ", `"`, "'"}

// withDecoration adds what stands in front of a secret that cannot be decoded, and
// may be no part of it.
func withDecoration(text secret.Value, err error) error {
	for _, decoration := range decorations {
		if bytes.HasPrefix(text.Reveal(), []byte(decoration)) {
			return fmt.Errorf("%w; it begins with %s, which is probably no part of it: remove that", err, decoration)
		}
	}
	return err
}

func (c *compiler) publicURL(w *policyv1.Webhook, at strictyaml.Place) string {
	text := w.GetPublicUrl()
	if text == "" {
		return ""
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || strings.ContainsAny(text, "?#"):
		c.faults.Fail(at.At("public_url"), "must be scheme and host, such as https://hooks.example.com, and the path before it that a gateway takes off")
	case strings.HasSuffix(text, "/"):
		c.faults.Fail(at.At("public_url"), "must not end in a slash; the request's own path begins with one")
	case strings.ContainsFunc(u.Path, func(r rune) bool { return r <= ' ' || r > '~' }):
		c.faults.Fail(at.At("public_url"), "has a character that cannot stand in a path; write it percent-encoded, as the provider knows it")
	}
	return text
}

// maxSignatures bounds the candidates of a request. A provider that numbers its
// headers has one for each of its keys.
func maxSignatures(w *policyv1.Webhook, s *policyv1.Scheme) int {
	if n := w.GetLimits().GetMaxSignatures(); n != 0 {
		return int(n)
	}
	if s.GetHmac().GetSignature().GetNumbered() {
		return MaxSignatures
	}
	return DefaultMaxSignatures
}

func lower(names []string) []string {
	out := slices.Clone(names)
	for i := range out {
		out[i] = strings.ToLower(out[i])
	}
	return out
}
