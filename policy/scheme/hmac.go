package scheme

import (
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/authz/signature"
	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// contentConfig turns a scheme that signs content into the plan's description and looks
// for what could not work.
func (c *Plans) contentConfig(s *policyv1.Scheme, maxSignatures int, publicURL string, pin signature.Pin, at strictyaml.Place) signature.Config {
	here := at.At("scheme", provider.Kind(s))
	d := s.Signed()
	sig := d.GetSignature()
	config := signature.Config{
		Hash:           hashes[s.GetHmac().GetHash()],
		Algorithm:      Algorithm(s),
		DigestFirst:    digestFirst(s),
		Encoding:       encodings[d.GetEncoding()],
		Headers:        lower(sig.GetHeaders()),
		Numbered:       sig.GetNumbered(),
		Repeated:       sig.GetRepeated(),
		Grammar:        grammars[sig.GetGrammar()],
		Prefix:         sig.GetPrefix(),
		PrefixOptional: sig.GetPrefixOptional(),
		Key:            sig.GetKey(),
		Separator:      ',',
		Content:        c.parts(d.GetContent()),
		PublicURL:      publicURL,
		MaxSignatures:  maxSignatures,
		Spaced:         sig.GetSpaced(),
		SecretFirst:    s.GetHmac().GetConstruction() == policyv1.Hmac_SECRET_THEN_CONTENT,
		PlainHash:      s.GetHmac().GetConstruction() == policyv1.Hmac_HASH_OF_CONTENT,
		KeySuffix:      s.GetHmac().GetKeySuffix(),
		Query:          sig.GetQuery(),
		Sets:           sig.GetSets(),
		JSON:           sig.GetJson(),
		Field:          sig.GetField(),
		KeyID:          keyID(s),
		URLForms:       urlForms(d.GetContent()),
		BodyDigest:     bodyDigest(s.GetHmac().GetBodyDigest()),
		Pin:            pin,
	}
	if text := sig.GetSeparator(); text != "" {
		config.Separator = text[0]
	}
	if t := d.GetTimestamp(); t != nil {
		config.Time = signature.Time{
			Header: strings.ToLower(t.GetHeader()), Key: t.GetKey(),
			First: t.GetFirst() != nil, JSON: t.GetJson(), Field: t.GetField(), Unit: units[t.GetUnit()],
		}
	}
	for _, constant := range d.GetConstantHeaders() {
		config.Constants = append(config.Constants, signature.Constant{
			Name: strings.ToLower(constant.GetName()), Value: constant.GetValue(),
		})
	}
	c.checkScheme(&config, s, here)
	return config
}

func (c *Plans) checkScheme(config *signature.Config, s *policyv1.Scheme, at strictyaml.Place) {
	h := s.Signed()
	before := c.faults.Len()
	sig := at.At("signature")
	needs := func(ok bool, p strictyaml.Place, message string) {
		if !ok {
			c.faults.Fail(p, message)
		}
	}
	switch config.Grammar {
	case signature.Bare, signature.Positional, signature.List:
	case signature.Credential:
		needs(config.Prefix != "", sig, "grammar CREDENTIAL needs prefix, the word before the id, such as application")
	case signature.Prefix, signature.PrefixList:
		needs(config.Prefix != "", sig, "grammar "+h.GetSignature().GetGrammar().String()+" needs prefix")
	case signature.KeyHashList:
		needs(config.Prefix != "", sig, "grammar KEY_HASH_LIST needs prefix, the name of the hash, such as SHA256")
	case signature.SpaceList:
		needs(config.Prefix != "", sig, "grammar SPACE_LIST needs prefix, the version, such as v1")
	case signature.KeyValue, signature.Base64JSON:
		needs(config.Key != "", sig, "grammar "+h.GetSignature().GetGrammar().String()+" needs key, the name of the signature's item")
	}
	needs(config.Prefix == "" || slices.Contains([]signature.Grammar{signature.Prefix, signature.PrefixList, signature.SpaceList, signature.Credential, signature.KeyHashList}, config.Grammar),
		sig.At("prefix"), "has no use in this grammar")
	needs(!config.PrefixOptional || config.Grammar == signature.Prefix, sig.At("prefix_optional"), "has no use in this grammar")
	needs(config.Key == "" || config.Grammar == signature.KeyValue || config.Grammar == signature.Base64JSON, sig.At("key"), "has no use in this grammar")
	separator := h.GetSignature().GetSeparator()
	needs(separator == "" || slices.Contains([]signature.Grammar{signature.KeyValue, signature.Positional, signature.List}, config.Grammar),
		sig.At("separator"), "has no use in this grammar")
	needs(separator == "" || !strings.Contains(alphabet(config), separator), sig.At("separator"), "must not be a character of the items")
	stops := map[signature.Grammar]string{
		signature.PrefixList: ",", signature.SpaceList: ", ", signature.Credential: " :", signature.KeyHashList: ",/", signature.KeyValue: "= " + string(config.Separator),
	}[config.Grammar]
	needs(plainText(config.Prefix, stops), sig.At("prefix"), "has a character that cannot stand there")
	needs(plainText(config.Key, stops), sig.At("key"), "has a character that cannot stand there")
	needs(plainText(config.Time.Key, stops), at.At("timestamp", "key"), "has a character that cannot stand there")
	c.headersOnce(h, at)
	needs(config.Time.Key == "" || config.Grammar == signature.KeyValue, at.At("timestamp", "key"), "needs grammar KEY_VALUE")
	needs(config.Time.Key == "" || config.Time.Key != config.Key, at.At("timestamp", "key"), "is the key of the signature")
	needs(config.Time.First == (config.Grammar == signature.Positional), at.At("timestamp"), "first and grammar POSITIONAL belong together")
	needs(!config.Sets || config.Grammar == signature.KeyValue && !config.Spaced && len(config.Headers) > 0, sig.At("sets"), "needs grammar KEY_VALUE in a header, without spaced")
	needs(!config.Sets || !config.Repeated && !config.Numbered, sig.At("sets"), "cannot be where the header may stand there more than once")
	needs(!h.GetSignature().GetRepeated() || config.Time.Key == "" && !config.Time.First, sig.At("repeated"), "cannot be where the header holds the time")
	needs(!h.GetSignature().GetNumbered() || config.Time.Key == "" && !config.Time.First, sig.At("numbered"), "cannot be where the header holds the time")
	for _, several := range []struct {
		name string
		set  bool
	}{{"numbered", config.Numbered}, {"repeated", config.Repeated}} {
		needs(!several.set || config.JSON+config.Field+config.Query == "", sig.At(several.name), "has no use with json, field or query: there is no header")
		needs(!several.set || !signsItem(config), sig.At(several.name), "cannot be where content signs an item of the one header")
	}
	c.checkTime(config, h, at)
	c.checkContent(config, s, at)
	c.checkKeyID(config, s, at)
	c.checkDigestFirst(s, at)
	if c.faults.Len() == before {
		c.checkBorders(config, h, at)
	}
}

func signsItem(config *signature.Config) bool {
	return slices.ContainsFunc(config.Content, func(p signature.Part) bool { return p.Kind == signature.Item || p.Kind == signature.Listed })
}

// checkTime looks for times that are no defence, and for content without one.
func (c *Plans) checkTime(config *signature.Config, h policyv1.Signed, at strictyaml.Place) {
	signsTime := config.SignsTime()
	if signsTime && h.GetTimestamp() == nil {
		c.faults.Fail(at.At("content"), "signs a time; say in timestamp where it stands")
	}
	if !signsTime && h.GetTimestamp() != nil {
		c.faults.Fail(at.At("timestamp"), "is not part of content; a time that is not signed is no defence")
	}
	for i, part := range config.Content {
		if config.Time.JSON != "" && part.Kind == signature.Timestamp && config.SignsBody() {
			c.faults.Fail(at.At("content", i), "is in the body already, where timestamp.json finds it")
		}
		if part.Kind == signature.Contentful && config.Time.Header == "" {
			c.faults.Fail(at.At("content", i), "CONTENTFUL needs timestamp.header")
		}
	}
}

// checkContent looks for content that does not fit the rest of the scheme.
func (c *Plans) checkContent(config *signature.Config, s *policyv1.Scheme, at strictyaml.Place) {
	h, inURL := s.Signed(), s.GetHmac().GetBodyDigest()
	if covered := config.SignsBody(); !covered && !h.GetBodyUnsigned() {
		c.faults.Fail(at.At("content"), "does not sign the body; say body_unsigned: true if the provider does not")
	} else if covered && h.GetBodyUnsigned() {
		c.faults.Fail(at.At("body_unsigned"), "contradicts content, which signs the body")
	}
	if places := signaturePlaces(h.GetSignature()); places != 1 {
		c.faults.Fail(at.At("signature"), "needs one of headers, json, field and query")
	}
	c.checkPlainHash(config, at)
	if config.Query != "" && SignsQuery(s) {
		c.faults.Fail(at.At("signature", "query"), "stands in the URL, of which content signs the query")
	}
	if inURL != nil && !config.SignsURL() {
		c.faults.Fail(at.At("body_digest"), "stands in the URL, which content does not sign")
	}
	urls := 0
	for i, part := range h.GetContent() {
		here := at.At("content", i)
		switch part := part.GetPart().(type) {
		case *policyv1.Part_Literal:
			if part.Literal == "" {
				c.faults.Fail(here, "literal must not be empty")
			}
		case *policyv1.Part_Url:
			urls++
			if part.Url.GetWithoutQuery() && inURL != nil {
				c.faults.Fail(here, "leaves out the query, in which body_digest stands")
			}
			if urls > 1 && len(config.URLForms) > 0 {
				c.faults.Fail(here, "is a second url, which cannot be where one has other forms")
			}
		case *policyv1.Part_Body:
			if part.Body.GetFormField() != "" && part.Body.GetJsonString() {
				c.faults.Fail(here, "form_field contradicts json_string")
			}
		case *policyv1.Part_Fields:
			c.checkFields(config, part.Fields, here.At("fields"))
		case *policyv1.Part_Digest:
			c.checkDigest(part.Digest, here.At("digest"))
		case *policyv1.Part_Listed:
			if config.Grammar != signature.KeyValue || len(config.Headers) != 1 {
				c.faults.Fail(here, "listed needs one signature header with grammar KEY_VALUE")
			}
		case *policyv1.Part_Item:
			if config.Grammar != signature.KeyValue || len(config.Headers) != 1 {
				c.faults.Fail(here, "item needs one signature header with grammar KEY_VALUE")
			}
		case *policyv1.Part_Code:
			if codeParts[part.Code] == 0 {
				c.faults.Fail(here, "needs the name of a piece of code")
			}
		}
	}
}

// checkPlainHash looks whether the secret is where the construction wants it.
func (c *Plans) checkPlainHash(config *signature.Config, at strictyaml.Place) {
	secrets := 0
	for i, part := range config.Content {
		if part.Kind != signature.Secret {
			continue
		}
		if secrets++; !config.PlainHash {
			c.faults.Fail(at.At("content", i), "secret needs construction: HASH_OF_CONTENT")
		}
	}
	if config.PlainHash && secrets != 1 {
		c.faults.Fail(at.At("construction"), "HASH_OF_CONTENT needs one secret: {} in content")
	}
}

// signaturePlaces counts the places where a signature is said to stand.
func signaturePlaces(s *policyv1.Signature) int {
	n := 0
	for _, there := range []bool{len(s.GetHeaders()) > 0, s.GetJson() != "", s.GetField() != "", s.GetQuery() != ""} {
		if there {
			n++
		}
	}
	return n
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
	switch config.Time.Unit {
	case signature.RFC3339:
		text += "-:.+"
	case signature.HTTPDate:
		text += ", :"
	default:
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
func (c *Plans) headersOnce(h policyv1.Signed, at strictyaml.Place) {
	taken := map[string]string{}
	take := func(name, use string, p strictyaml.Place) {
		name = strings.ToLower(name)
		if other := taken[name]; other != "" && name != "" {
			c.faults.Fail(p, "is the header of "+other+" already")
			return
		}
		taken[name] = use
	}
	for i, name := range h.GetSignature().GetHeaders() {
		take(name, "the signature", at.At("signature", "headers", i))
	}
	take(h.GetTimestamp().GetHeader(), "the time", at.At("timestamp", "header"))
	for i, constant := range h.GetConstantHeaders() {
		take(constant.GetName(), "a constant", at.At("constant_headers", i, "name"))
	}
	for i, part := range h.GetContent() {
		if name := strings.ToLower(part.GetHeader().GetName()); taken[name] == "the signature" {
			c.faults.Fail(at.At("content", i, "header", "name"), "is the header of the signature; it cannot be signed")
		}
	}
}

var (
	hashes = map[policyv1.Hmac_Hash]signature.Hash{
		policyv1.Hmac_SHA256: signature.SHA256,
		policyv1.Hmac_SHA512: signature.SHA512,
		policyv1.Hmac_SHA1:   signature.SHA1,
		policyv1.Hmac_MD5:    signature.MD5,
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
		policyv1.Signature_LIST:                signature.List,
		policyv1.Signature_CREDENTIAL:          signature.Credential,
		policyv1.Signature_BASE64_JSON:         signature.Base64JSON,
		policyv1.Signature_KEY_HASH_LIST:       signature.KeyHashList,
	}
	units = map[policyv1.Timestamp_Unit]signature.Unit{
		policyv1.Timestamp_SECONDS:      signature.Seconds,
		policyv1.Timestamp_MILLISECONDS: signature.Milliseconds,
		policyv1.Timestamp_RFC3339:      signature.RFC3339,
		policyv1.Timestamp_HTTP_DATE:    signature.HTTPDate,
	}
)

func lower(names []string) []string {
	out := slices.Clone(names)
	for i := range out {
		out[i] = strings.ToLower(out[i])
	}
	return out
}
