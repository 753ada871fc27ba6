package policy

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/authz/signature"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// relativeTo resolves a path that stands in a policy file.
func relativeTo(policyFile, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(policyFile), path)
}

// hmacConfig turns the message into the plan's description and looks for
// schemes that could not work.
func (c *compiler) hmacConfig(h *policyv1.Hmac, w *policyv1.Webhook, publicURL string, at place) signature.Config {
	here := at.at("scheme", "hmac")
	config := signature.Config{
		Hash:          hashes[h.GetHash()],
		Encoding:      encodings[h.GetEncoding()],
		Headers:       lower(h.GetSignature().GetHeaders()),
		Numbered:      h.GetSignature().GetNumbered(),
		Repeated:      h.GetSignature().GetRepeated(),
		Grammar:       grammars[h.GetSignature().GetGrammar()],
		Prefix:        h.GetSignature().GetPrefix(),
		Key:           h.GetSignature().GetKey(),
		Separator:     ',',
		Content:       parts(h.GetContent()),
		PublicURL:     publicURL,
		MaxSignatures: DefaultMaxSignatures,
	}
	if s := h.GetSignature().GetSeparator(); s != "" {
		config.Separator = s[0]
	}
	if n := w.GetLimits().GetMaxSignatures(); n != 0 {
		config.MaxSignatures = int(n)
	}
	if t := h.GetTimestamp(); t != nil {
		config.Time = signature.Time{
			Header: strings.ToLower(t.GetHeader()), Key: t.GetKey(),
			First: t.GetFirst() != nil, JSON: t.GetJson(), Unit: units[t.GetUnit()],
		}
	}
	for _, constant := range h.GetConstantHeaders() {
		config.Constants = append(config.Constants, signature.Constant{
			Name: strings.ToLower(constant.GetName()), Value: constant.GetValue(),
		})
	}
	c.checkScheme(&config, h, here)
	return config
}

func (c *compiler) checkScheme(config *signature.Config, h *policyv1.Hmac, at place) {
	sig := at.at("signature")
	needs := func(ok bool, p place, message string) {
		if !ok {
			c.fail(p, message)
		}
	}
	switch config.Grammar {
	case signature.Bare, signature.Positional:
	case signature.Prefix, signature.PrefixList:
		needs(config.Prefix != "", sig, "grammar "+h.GetSignature().GetGrammar().String()+" needs prefix")
	case signature.SpaceList:
		needs(config.Prefix != "", sig, "grammar SPACE_LIST needs prefix, the version, such as v1")
	case signature.KeyValue:
		needs(config.Key != "", sig, "grammar KEY_VALUE needs key, the name of the signature's item")
	}
	needs(config.Prefix == "" || slices.Contains([]signature.Grammar{signature.Prefix, signature.PrefixList, signature.SpaceList}, config.Grammar),
		sig.at("prefix"), "has no use in this grammar")
	needs(config.Key == "" || config.Grammar == signature.KeyValue, sig.at("key"), "has no use in this grammar")
	separator := h.GetSignature().GetSeparator()
	needs(separator == "" || slices.Contains([]signature.Grammar{signature.KeyValue, signature.Positional}, config.Grammar),
		sig.at("separator"), "has no use in this grammar")
	needs(separator == "" || !strings.Contains(alphabet(config), separator), sig.at("separator"), "must not be a character of the items")
	stops := map[signature.Grammar]string{
		signature.PrefixList: ",", signature.SpaceList: ", ", signature.KeyValue: "= " + string(config.Separator),
	}[config.Grammar]
	needs(plainText(config.Prefix, stops), sig.at("prefix"), "has a character that cannot stand there")
	needs(plainText(config.Key, stops), sig.at("key"), "has a character that cannot stand there")
	needs(plainText(config.Time.Key, stops), at.at("timestamp", "key"), "has a character that cannot stand there")
	c.headersOnce(h, at)
	needs(config.Time.Key == "" || config.Grammar == signature.KeyValue, at.at("timestamp", "key"), "needs grammar KEY_VALUE")
	needs(config.Time.Key == "" || config.Time.Key != config.Key, at.at("timestamp", "key"), "is the key of the signature")
	needs(config.Time.First == (config.Grammar == signature.Positional), at.at("timestamp"), "first and grammar POSITIONAL belong together")
	needs(!h.GetSignature().GetRepeated() || config.Time.Key == "" && !config.Time.First, sig.at("repeated"), "cannot be where the header holds the time")
	needs(!h.GetSignature().GetNumbered() || config.Time.Key == "" && !config.Time.First, sig.at("numbered"), "cannot be where the header holds the time")
	signsTime := config.SignsTime()
	needs(!signsTime || h.GetTimestamp() != nil, at.at("content"), "signs a time; say in timestamp where it stands")
	for i, part := range config.Content {
		needs(config.Time.JSON == "" || part.Kind != signature.Timestamp, at.at("content", i), "is in the body already, where timestamp.json finds it")
	}
	needs(signsTime || h.GetTimestamp() == nil, at.at("timestamp"), "is not part of content; a time that is not signed is no defence")
	if !config.SignsBody() {
		c.fail(at.at("content"), "does not sign the body")
	}
	for i, part := range h.GetContent() {
		if _, ok := part.GetPart().(*policyv1.Part_Literal); ok && part.GetLiteral() == "" {
			c.fail(at.at("content", i), "literal must not be empty")
		}
	}
}

// alphabet returns the characters that the items of a signature header have.
func alphabet(config *signature.Config) string {
	text := "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz=" + config.Key + config.Time.Key
	switch config.Encoding {
	case signature.Base64:
		text += "+/"
	case signature.Base64URL:
		text += "-_"
	case signature.Hex:
	}
	if config.Time.Unit == signature.RFC3339 {
		text += "-:.+"
	}
	return text
}

// plainText reports whether text can begin a header's value or an item of a
// list that is divided at the stops.
func plainText(text, stops string) bool {
	return !strings.HasPrefix(text, " ") && !strings.ContainsAny(text, stops) &&
		!strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
}

// headersOnce looks for headers that would have to hold two things.
func (c *compiler) headersOnce(h *policyv1.Hmac, at place) {
	taken := map[string]string{}
	take := func(name, use string, p place) {
		name = strings.ToLower(name)
		if other := taken[name]; other != "" && name != "" {
			c.fail(p, "is the header of "+other+" already")
			return
		}
		taken[name] = use
	}
	for i, name := range h.GetSignature().GetHeaders() {
		take(name, "the signature", at.at("signature", "headers", i))
	}
	take(h.GetTimestamp().GetHeader(), "the time", at.at("timestamp", "header"))
	for i, constant := range h.GetConstantHeaders() {
		take(constant.GetName(), "a constant", at.at("constant_headers", i, "name"))
	}
	for i, part := range h.GetContent() {
		if name := strings.ToLower(part.GetHeader().GetName()); taken[name] == "the signature" {
			c.fail(at.at("content", i, "header", "name"), "is the header of the signature; it cannot be signed")
		}
	}
}

func parts(content []*policyv1.Part) []signature.Part {
	out := make([]signature.Part, len(content))
	for i, p := range content {
		switch part := p.GetPart().(type) {
		case *policyv1.Part_Body:
			out[i].Kind = signature.Body
		case *policyv1.Part_Timestamp:
			out[i].Kind = signature.Timestamp
		case *policyv1.Part_Literal:
			out[i] = signature.Part{Kind: signature.Literal, Text: part.Literal}
		case *policyv1.Part_Header:
			out[i] = signature.Part{
				Kind: signature.HeaderValue, Text: strings.ToLower(part.Header.GetName()),
				Token: part.Header.GetCharset() == policyv1.SignedHeader_TOKEN,
			}
		case *policyv1.Part_Method:
			out[i].Kind = signature.Method
		case *policyv1.Part_Url:
			out[i].Kind = signature.URL
		case *policyv1.Part_Path:
			out[i].Kind = signature.Path
		}
	}
	return out
}

var (
	hashes = map[policyv1.Hmac_Hash]signature.Hash{
		policyv1.Hmac_SHA256: signature.SHA256,
		policyv1.Hmac_SHA512: signature.SHA512,
		policyv1.Hmac_SHA1:   signature.SHA1,
	}
	encodings = map[policyv1.Hmac_Encoding]signature.Encoding{
		policyv1.Hmac_HEX:       signature.Hex,
		policyv1.Hmac_BASE64:    signature.Base64,
		policyv1.Hmac_BASE64URL: signature.Base64URL,
	}
	grammars = map[policyv1.Signature_Grammar]signature.Grammar{
		policyv1.Signature_GRAMMAR_UNSPECIFIED: signature.Bare,
		policyv1.Signature_BARE:                signature.Bare,
		policyv1.Signature_PREFIX:              signature.Prefix,
		policyv1.Signature_KEY_VALUE:           signature.KeyValue,
		policyv1.Signature_SPACE_LIST:          signature.SpaceList,
		policyv1.Signature_PREFIX_LIST:         signature.PrefixList,
		policyv1.Signature_POSITIONAL:          signature.Positional,
	}
	units = map[policyv1.Timestamp_Unit]signature.Unit{
		policyv1.Timestamp_SECONDS:      signature.Seconds,
		policyv1.Timestamp_MILLISECONDS: signature.Milliseconds,
		policyv1.Timestamp_RFC3339:      signature.RFC3339,
	}
)
