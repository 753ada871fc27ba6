package scheme

import (
	"strings"

	"github.com/hookbastion/hookbastion/authz/signature"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

func (c *Plans) parts(content []*policyv1.Part) []signature.Part {
	out := make([]signature.Part, len(content))
	for i, p := range content {
		out[i] = c.contentPart(p)
	}
	return out
}

func (c *Plans) contentPart(p *policyv1.Part) signature.Part {
	switch part := p.GetPart().(type) {
	case *policyv1.Part_Body:
		switch {
		case part.Body.GetFormField() != "":
			return signature.Part{Kind: signature.FormField, Text: part.Body.GetFormField(), WantsJSON: part.Body.GetJson()}
		case part.Body.GetJsonString():
			return signature.Part{Kind: signature.BodyString}
		}
		return signature.Part{Kind: signature.Body, WantsJSON: part.Body.GetJson()}
	case *policyv1.Part_Timestamp:
		return signature.Part{Kind: signature.Timestamp}
	case *policyv1.Part_Literal:
		return signature.Part{Kind: signature.Literal, Text: part.Literal}
	case *policyv1.Part_Header:
		return signature.Part{
			Kind: signature.HeaderValue, Text: strings.ToLower(part.Header.GetName()),
			Charset: charsets[part.Header.GetCharset()],
		}
	case *policyv1.Part_Method:
		return signature.Part{Kind: signature.Method}
	case *policyv1.Part_Url:
		return signature.Part{
			Kind: signature.URL, WithoutQuery: part.Url.GetWithoutQuery(), Decoded: part.Url.GetDecoded(),
			RFC3986: part.Url.GetRfc3986(), NoDigitLast: part.Url.GetNoDigitLast(),
		}
	case *policyv1.Part_Path:
		return signature.Part{Kind: signature.Path, WithoutQuery: part.Path.GetWithoutQuery(), RFC3986: part.Path.GetRfc3986()}
	case *policyv1.Part_Form:
		return signature.Part{Kind: signature.Form, Distinct: part.Form.GetDistinct(), Names: part.Form.GetNames(), WantsJSON: part.Form.GetJson()}
	case *policyv1.Part_Digest:
		return signature.Part{Kind: signature.BodyHash, Digest: digest(part.Digest)}
	case *policyv1.Part_Parameter:
		text := c.params.text(part.Parameter)
		if text == "" {
			text = part.Parameter // which has its own error
		}
		return signature.Part{Kind: signature.Literal, Text: text}
	case *policyv1.Part_Secret:
		return signature.Part{Kind: signature.Secret}
	case *policyv1.Part_Json:
		return signature.Part{Kind: signature.JSON, Text: part.Json}
	case *policyv1.Part_Item:
		return signature.Part{Kind: signature.Item, Text: part.Item.GetKey(), JSONString: part.Item.GetJsonString()}
	case *policyv1.Part_Field:
		return signature.Part{Kind: signature.FieldText, Text: part.Field}
	case *policyv1.Part_RawForm:
		return signature.Part{Kind: signature.RawForm}
	case *policyv1.Part_PhpForm:
		return signature.Part{Kind: signature.PHPForm}
	case *policyv1.Part_SortedQuery:
		return signature.Part{Kind: signature.SortedQuery}
	case *policyv1.Part_Fields:
		return fieldsPart(part.Fields)
	case *policyv1.Part_Listed:
		return signature.Part{Kind: signature.Listed, Text: part.Listed.GetKey(), Names: part.Listed.GetRequired()}
	case *policyv1.Part_Code:
		return signature.Part{Kind: codeParts[part.Code]}
	}
	return signature.Part{}
}

func digest(d *policyv1.Digest) signature.Digest {
	return signature.Digest{
		Hash: digestHashes[d.GetHash()], Encoding: digestEncodings[d.GetEncoding()],
		Decimal: d.GetEncoding() == policyv1.Digest_DECIMAL, EmptyAsNothing: d.GetEmptyAsNothing(),
	}
}

// urlForms returns the other forms of the URL. The content has one URL.
func urlForms(content []*policyv1.Part) []signature.URLForm {
	var forms []signature.URLForm
	for _, p := range content {
		for _, form := range p.GetUrl().GetAlso() {
			forms = append(forms, urlFormOf[form])
		}
	}
	return forms
}

func bodyDigest(d *policyv1.BodyDigest) signature.BodyDigest {
	if d == nil {
		return signature.BodyDigest{}
	}
	digest := signature.BodyDigest{Query: d.GetQuery(), Hash: signature.SHA256, Encoding: signature.Hex}
	if d.GetHash() != 0 {
		digest.Hash = hashes[d.GetHash()]
	}
	if d.GetEncoding() != 0 {
		digest.Encoding = encodings[d.GetEncoding()]
	}
	return digest
}

var (
	charsets = map[policyv1.SignedHeader_Charset]signature.Charset{
		policyv1.SignedHeader_TOKEN: signature.TokenChars, policyv1.SignedHeader_DIGITS: signature.DigitChars,
		policyv1.SignedHeader_ID: signature.IDChars, policyv1.SignedHeader_DATE: signature.DateChars,
	}
	digestEncodings = map[policyv1.Digest_Encoding]signature.Encoding{
		policyv1.Digest_HEX: signature.Hex, policyv1.Digest_BASE64: signature.Base64,
	}
	digestHashes = map[policyv1.Digest_Hash]signature.DigestHash{
		policyv1.Digest_SHA256: signature.DigestSHA256, policyv1.Digest_SHA512: signature.DigestSHA512,
		policyv1.Digest_MD5: signature.DigestMD5, policyv1.Digest_CRC32: signature.DigestCRC32,
	}
	codeParts = map[policyv1.Part_CodePart]signature.PartKind{
		policyv1.Part_PLIVO_V3: signature.PlivoV3, policyv1.Part_CONTENTFUL: signature.Contentful, policyv1.Part_MERCADO_PAGO: signature.MercadoPago,
	}
	urlFormOf = map[policyv1.Url_Form]signature.URLForm{
		policyv1.Url_DEFAULT_PORT: signature.DefaultPort, policyv1.Url_NO_PORT: signature.NoPort,
		policyv1.Url_BROWSER_QUERY: signature.BrowserQuery, policyv1.Url_NO_ROOT: signature.NoRoot,
		policyv1.Url_PLAIN_QUERY: signature.PlainQuery,
	}
)
