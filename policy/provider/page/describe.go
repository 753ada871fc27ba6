package page

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hookbastion/hookbastion/policy/strictyaml"
	"github.com/hookbastion/hookbastion/policy/verification"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// Description says in words what a scheme of the catalogue does.
type Description struct {
	// Where is where the proof stands and in which form.
	Where string
	// What is what is signed and how; empty for a token.
	What string
	// Key is how the secret becomes the key.
	Key string
	// Time is where the signed time stands and how old it may be; empty if
	// there is none.
	Time string
	// Covered and NotCovered are what of a request the proof covers.
	Covered, NotCovered []string
}

// Describe puts a scheme into words.
func Describe(s *policyv1.Scheme) Description {
	var d Description
	c := coverage{}
	switch kind := s.GetKind().(type) {
	case *policyv1.Scheme_Hmac, *policyv1.Scheme_Rsa, *policyv1.Scheme_Ecdsa, *policyv1.Scheme_Ed25519:
		c = coverageOf(s.Signed())
		d = describeSigned(s)
	case *policyv1.Scheme_Jws:
		c = coverageOfJWS(kind.Jws)
		d = describeJWS(kind.Jws)
	case *policyv1.Scheme_HttpSignature:
		c = coverageOfHTTP(kind.HttpSignature)
		d = describeHTTP(kind.HttpSignature)
	case *policyv1.Scheme_SharedToken:
		d.Where = "the secret itself " + tokenPlace(kind.SharedToken)
	case *policyv1.Scheme_Code:
		d, c = describeCode(kind.Code.GetName())
	}
	d.Covered, d.NotCovered = c.words()
	return d
}

func describeSigned(s *policyv1.Scheme) Description {
	h, how, key := s.Signed(), howWords(s), publicKeyWords(s)
	if mac := s.GetHmac(); mac != nil {
		key = keyWords(mac.GetKeyEncoding(), mac.GetKeyPrefixes())
		if suffix := mac.GetKeySuffix(); suffix != "" {
			key += ", followed by " + suffix
		}
	}
	d := Description{Where: signaturePlace(h), What: how + contentWords(h) + urlFormWords(h), Key: key}
	if digest := s.GetHmac().GetBodyDigest(); digest != nil {
		d.What += "; a body that is no form is bound by its digest in the parameter " + digest.GetQuery()
	}
	d.Where += whenWords(s)
	for _, pin := range s.GetPins() {
		d.What += "; " + pin.GetJson() + " of the body must be one of the parameter " + pin.GetParameter()
	}
	if guards := guardWords(h); len(guards) > 0 {
		d.What += ". Nothing can move from one part to the next: " + strings.Join(guards, "; ")
	}
	for _, constant := range h.GetConstantHeaders() {
		d.Where += "; " + constant.GetName() + " must be " + constant.GetValue()
	}
	d.Key += keyIDWords(s)
	if t := h.GetTimestamp(); t != nil {
		d.Time = timePlace(t) + ", in " + unitWords[t.GetUnit()] + ageWords(t.GetTolerance(), t.GetFuture())
	}
	return d
}

func describeCode(name policyv1.Code_Name) (Description, coverage) {
	if name == policyv1.Code_ADYEN {
		return Description{
			Where: "additionalData.hmacSignature of the item in the JSON body, in base64",
			What: "HMAC-SHA256 over pspReference, originalReference, merchantAccountCode, merchantReference, amount.value, " +
				"amount.currency, eventCode and success of each item, with colons between",
			Key: "hexadecimal",
		}, coverage{parts: []string{"eight fields of each item"}, bodyParts: true}
	}
	return Description{
		Where: "bt_signature of the form, as pairs of public key and signature in hex",
		What:  "HMAC-SHA1 over bt_payload",
		Key:   "the SHA-1 of the private key; the secret's id is the public key",
	}, coverage{body: true}
}

// contentWords writes signed content as {timestamp}.{body}.
func contentWords(h policyv1.Signed) string {
	var b strings.Builder
	for _, part := range h.GetContent() {
		switch p := part.GetPart().(type) {
		case *policyv1.Part_Literal:
			b.WriteString(strings.ReplaceAll(p.Literal, "\n", "⏎"))
		case *policyv1.Part_Header:
			b.WriteString("{" + p.Header.GetName() + "}")
		case *policyv1.Part_Body:
			b.WriteString(bodyWords(p.Body))
		case *policyv1.Part_Fields:
			b.WriteString(fieldsWords(p.Fields))
		case *policyv1.Part_Secret:
			b.WriteString("{secret}")
		case *policyv1.Part_Json:
			b.WriteString("{" + p.Json + " of the body}")
		case *policyv1.Part_Field:
			b.WriteString("{" + p.Field + " of the form}")
		case *policyv1.Part_Listed:
			b.WriteString("{" + p.Listed.GetKey() + " of the signature header}.{the headers that it lists}")
		case *policyv1.Part_Item:
			b.WriteString("{" + p.Item.GetKey() + " of the signature header}")
		case *policyv1.Part_Url:
			b.WriteString(withoutQuery("url", p.Url.GetWithoutQuery()))
		case *policyv1.Part_Path:
			b.WriteString(withoutQuery("path", p.Path.GetWithoutQuery()))
		case *policyv1.Part_Form:
			b.WriteString("{form parameters, sorted}")
		case *policyv1.Part_Digest:
			fmt.Fprintf(&b, "{%s of the body}", p.Digest.GetHash())
		case *policyv1.Part_Parameter:
			b.WriteString("{parameter " + p.Parameter + "}")
		case *policyv1.Part_RawForm:
			b.WriteString("{form as it is, up to the signature}")
		case *policyv1.Part_PhpForm:
			b.WriteString("{form fields but the signature, sorted, as PHP's serialize writes them}")
		case *policyv1.Part_SortedQuery:
			b.WriteString("{query, sorted}")
		case *policyv1.Part_Timestamp:
			b.WriteString("{timestamp}")
		case *policyv1.Part_Method:
			b.WriteString("{method}")
		case *policyv1.Part_Code:
			b.WriteString("{" + codeWords[p.Code] + "}")
		}
	}
	return b.String()
}

// guardWords says which texts parts may be, where that shows their borders.
func guardWords(h policyv1.Signed) []string {
	var words []string
	for _, part := range h.GetContent() {
		switch p := part.GetPart().(type) {
		case *policyv1.Part_Url:
			if p.Url.GetRfc3986() {
				words = append(words, "the URL has the characters of RFC 3986 only, no brace or bracket")
			}
			if p.Url.GetNoDigitLast() {
				words = append(words, "the path does not end in a digit, unless the policy's does")
			}
		case *policyv1.Part_Path:
			if p.Path.GetRfc3986() {
				words = append(words, "the path has the characters of RFC 3986 only, no brace or bracket")
			}
		case *policyv1.Part_Body:
			if p.Body.GetJson() {
				words = append(words, "the body is a JSON object or list, or there is none")
			}
		case *policyv1.Part_Header:
			if set := charsetWords[p.Header.GetCharset()]; set != "" {
				words = append(words, p.Header.GetName()+" has "+set+" only")
			}
		case *policyv1.Part_Form:
			if names := p.Form.GetNames(); len(names) > 0 {
				words = append(words, "the form has the field "+strings.Join(names, ", ")+" and no other")
			}
		}
	}
	return words
}

var charsetWords = map[policyv1.SignedHeader_Charset]string{
	policyv1.SignedHeader_TOKEN: "letters, digits, _ and -", policyv1.SignedHeader_DIGITS: "digits",
	policyv1.SignedHeader_ID: "letters, digits and _ - . ~ + / =", policyv1.SignedHeader_DATE: "letters, digits, spaces and , : + - .",
}

var codeWords = map[policyv1.Part_CodePart]string{
	policyv1.Part_PLIVO_V3:     "url, query and form parameters in Plivo's order",
	policyv1.Part_CONTENTFUL:   "method, path and listed headers, a line each",
	policyv1.Part_MERCADO_PAGO: "id:…;request-id:…;ts:…;",
}

func bodyWords(b *policyv1.Body) string {
	switch {
	case b.GetFormField() != "":
		return "{body, or the form's " + b.GetFormField() + "}"
	case b.GetJsonString():
		return "{body as a JSON string}"
	default:
		return "{body}"
	}
}

// urlFormWords says in which other ways the URL may be signed.
func urlFormWords(h policyv1.Signed) string {
	words := ""
	for _, part := range h.GetContent() {
		if c := part.GetUrl().GetDecoded(); c != "" {
			words += "; escapes in the URL that stand for one of " + c + " are signed decoded"
		}
		var also []string
		for _, form := range part.GetUrl().GetAlso() {
			also = append(also, formWords[form])
		}
		if len(also) > 0 {
			words += "; the URL as it is, or " + strings.Join(also, ", or ")
		}
	}
	return words
}

var formWords = map[policyv1.Url_Form]string{
	policyv1.Url_DEFAULT_PORT: "with its default port", policyv1.Url_NO_PORT: "without its port",
	policyv1.Url_BROWSER_QUERY: "with ' in the query as %27", policyv1.Url_NO_ROOT: "without a path that is a single slash",
	policyv1.Url_PLAIN_QUERY: "with escapes in the query that stand for one of !'()* decoded",
}

func withoutQuery(name string, without bool) string {
	if without {
		return "{" + name + " without its query}"
	}
	return "{" + name + "}"
}

var unitWords = map[policyv1.Timestamp_Unit]string{
	policyv1.Timestamp_SECONDS: "Unix seconds", policyv1.Timestamp_MILLISECONDS: "Unix milliseconds", policyv1.Timestamp_RFC3339: "RFC 3339",
	policyv1.Timestamp_HTTP_DATE: "the date of HTTP",
}

func timePlace(t *policyv1.Timestamp) string {
	switch {
	case t.GetHeader() != "":
		return "the header " + t.GetHeader()
	case t.GetKey() != "":
		return t.GetKey() + " of the signature header"
	case t.GetJson() != "":
		return t.GetJson() + " of the JSON body"
	case t.GetField() != "":
		return t.GetField() + " of the form"
	default:
		return "the first item of the signature header"
	}
}

func ageWords(tolerance, future *durationpb.Duration) string {
	past, ahead := verification.DefaultTolerance, verification.DefaultFuture
	if tolerance != nil {
		past = tolerance.AsDuration()
	}
	if future != nil {
		ahead = future.AsDuration()
	}
	return fmt.Sprintf("; at most %s old and %s ahead", strictyaml.FormatDuration(past), strictyaml.FormatDuration(ahead))
}

func keyWords(encoding policyv1.Key_Encoding, prefixes []string) string {
	words := map[policyv1.Key_Encoding]string{policyv1.Key_BASE64: "base64", policyv1.Key_HEX: "hexadecimal"}[encoding]
	if words == "" {
		words = "the text as it is shown"
	}
	if len(prefixes) > 0 {
		words += ", without " + strings.Join(prefixes, " and ")
	}
	return words
}
