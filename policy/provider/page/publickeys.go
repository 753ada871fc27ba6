package page

import (
	"strings"

	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// howWords say what is computed over the content.
func howWords(s *policyv1.Scheme) string {
	what := " over "
	if first, ok := s.Signed().(interface{ GetDigestFirst() *policyv1.Digest }); ok && first.GetDigestFirst() != nil {
		d := first.GetDigestFirst()
		what = " over the " + d.GetHash().String() + ", in " + strings.ToLower(d.GetEncoding().String()) + ", of "
	}
	switch kind := s.GetKind().(type) {
	case *policyv1.Scheme_Rsa:
		padding := "PKCS #1 v1.5"
		if kind.Rsa.GetPadding() == policyv1.Rsa_PSS {
			padding = "PSS"
		}
		return "RSA, " + padding + ", with " + kind.Rsa.GetHash().String() + what
	case *policyv1.Scheme_Ecdsa:
		form := "DER"
		if kind.Ecdsa.GetFormat() == policyv1.Ecdsa_RAW {
			form = "r and s, raw,"
		}
		return "ECDSA " + kind.Ecdsa.GetCurve().String() + " with " + kind.Ecdsa.GetHash().String() + " as " + form + what
	case *policyv1.Scheme_Ed25519:
		return "Ed25519" + what
	}
	if s.GetHmac().GetConstruction() == policyv1.Hmac_SECRET_THEN_CONTENT {
		return s.GetHmac().GetHash().String() + ", without HMAC, over the secret and then "
	}
	if s.GetHmac().GetConstruction() == policyv1.Hmac_HASH_OF_CONTENT {
		return s.GetHmac().GetHash().String() + ", without HMAC," + what
	}
	return "HMAC-" + s.GetHmac().GetHash().String() + what
}

// publicKeyWords say which key verifies.
func publicKeyWords(s *policyv1.Scheme) string {
	words := "a public Ed25519 key"
	switch kind := s.GetKind().(type) {
	case *policyv1.Scheme_Rsa:
		words = "a public RSA key or certificate"
	case *policyv1.Scheme_Ecdsa:
		words = "a public key or certificate of the curve " + kind.Ecdsa.GetCurve().String()
	}
	return words + publishedWords(s.GetPublished())
}

// keyIDWords say where a delivery names its key; nothing if it does not.
func keyIDWords(s *policyv1.Scheme) string {
	names := "names the key by the secret's kid or id"
	if s.GetHmac() != nil {
		names = "names the secret by its id"
	}
	id := s.Signed().GetKeyId()
	switch headers := s.KeyIDHeaders(); {
	case len(headers) > 0:
		return "; the header " + strings.Join(headers, " or ") + " " + names
	case id.GetJson() != "":
		return "; " + id.GetJson() + " of the body " + names
	case id.GetKey() != "":
		return "; " + id.GetKey() + " of the signature header " + names
	default:
		return ""
	}
}

// parameterWords lists what a webhook says about itself, for a page.
func parameterWords(p *policyv1.Provider) []string {
	var words []string
	for _, parameter := range p.GetParameters() {
		text := parameter.GetName()
		switch {
		case parameter.GetOptional() && parameter.GetSeveral():
			text += " (optional, one or a list)"
		case parameter.GetOptional():
			text += " (optional)"
		case parameter.GetSeveral():
			text += " (one or a list)"
		}
		words = append(words, text+": "+parameter.GetText())
	}
	return words
}
