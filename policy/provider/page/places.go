package page

import (
	"strings"

	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// signaturePlace writes where the signature stands as a header would show it.
func signaturePlace(h policyv1.Signed) string {
	s := h.GetSignature()
	mac := "<" + encodingWords[h.GetEncoding()] + ">"
	switch {
	case s.GetJson() != "":
		return s.GetJson() + " of the JSON body: " + mac
	case s.GetField() != "":
		return s.GetField() + " of the form: " + mac
	case s.GetQuery() != "":
		return "the query's parameter " + s.GetQuery() + ": " + mac
	}
	separator := s.GetSeparator()
	if separator == "" {
		separator = ","
	}
	switch s.GetGrammar() {
	case policyv1.Signature_PREFIX:
		mac = s.GetPrefix() + mac
		if s.GetPrefixOptional() {
			mac += ", or without " + s.GetPrefix()
		}
	case policyv1.Signature_PREFIX_LIST:
		mac = s.GetPrefix() + mac + "[,…]"
	case policyv1.Signature_LIST:
		mac += "[" + separator + "…]"
	case policyv1.Signature_SPACE_LIST:
		mac = s.GetPrefix() + "," + mac + "[ …]"
	case policyv1.Signature_CREDENTIAL:
		mac = s.GetPrefix() + " <id>:" + mac
	case policyv1.Signature_KEY_HASH_LIST:
		mac = "<id>/" + s.GetPrefix() + "/" + mac + "[,…]"
	case policyv1.Signature_BASE64_JSON:
		mac = "base64 of {\"" + s.GetKey() + "\": \"" + mac + "\", …}"
	case policyv1.Signature_POSITIONAL:
		mac = "<time>" + separator + mac + "[" + separator + "…]"
	case policyv1.Signature_KEY_VALUE:
		mac = s.GetKey() + "=" + mac
		if key := h.GetTimestamp().GetKey(); key != "" {
			mac = key + "=<time>" + separator + mac
		}
		if s.GetSets() {
			mac += "[ …]"
		}
	default: // BARE: the signature alone
	}
	var headers []string
	for _, name := range s.GetHeaders() {
		if s.GetNumbered() {
			name += "-1, -2, …"
		}
		headers = append(headers, name)
	}
	return strings.Join(headers, " or ") + ": " + mac
}

var encodingWords = map[policyv1.Hmac_Encoding]string{
	policyv1.Hmac_HEX: "hex", policyv1.Hmac_BASE64: "base64", policyv1.Hmac_BASE64URL: "base64url",
}

func tokenPlace(t *policyv1.SharedToken) string {
	switch p := t.GetPlace().(type) {
	case *policyv1.SharedToken_Basic:
		return "as user:password in Authorization: Basic"
	case *policyv1.SharedToken_Query:
		return "in the query's parameter " + p.Query
	case *policyv1.SharedToken_Json:
		return "in " + p.Json + " of the JSON body"
	default:
		return "in the header " + headerWithScheme(t.GetHeader(), t.GetScheme())
	}
}

func headerWithScheme(header, scheme string) string {
	if scheme == "" {
		return header
	}
	return header + ", behind " + scheme
}
