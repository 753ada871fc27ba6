package signature

import (
	"bytes"
	"crypto/md5" //nolint:gosec // a body digest inside a MAC, for providers that offer nothing else
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"hash/crc32"
	"io"
	"math/big"
	"slices"
	"unicode/utf8"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/secret"
)

// chunk is how much of a body is hashed at once, so that the second hash finds
// it in the processor's cache.
const chunk = 16 << 10

// prepare makes the parts that must be parsed. It returns OK, or what is wrong
// with the request, and then the name of the part.
func (h *Content) prepare(req *authz.Request, s *scratch) (authz.Reason, string) {
	for i := range h.config.Content {
		part := &h.config.Content[i]
		if !part.prepared() {
			continue
		}
		text, ok := h.preparePart(req, s, part, urlForm{})
		if !ok {
			return authz.SignatureMalformed, part.describe()
		}
		s.parts[i] = text
	}
	return authz.OK, ""
}

func (h *Content) preparePart(req *authz.Request, s *scratch, part *Part, form urlForm) ([]byte, bool) {
	if part.readsForm() && req.Body.Len() > 0 && twoTypes(req) {
		return nil, false
	}
	switch part.Kind {
	case Form:
		all, err := formOf(req)
		sortForm(all)
		return appendForm(nil, all, part.Distinct), err == nil
	case FormField:
		return bodyOrField(req, part.Text)
	case BodyString:
		body := req.Body.Joined()
		return appendJSONString(nil, body), utf8.Valid(body)
	case BodyHash:
		return part.Digest.of(&req.Body), true
	case JSON:
		return jsonText(req, part.Text)
	case Item:
		return h.item(req, part)
	case SortedQuery:
		return sortedQuery(req)
	case FieldText:
		return fieldText(req, part.Text)
	case RawForm:
		return h.rawForm(req)
	case PHPForm:
		return h.phpForm(req)
	case PlivoV3:
		return h.plivoV3(req, part, form)
	case Contentful:
		return contentful(req, appendPath(nil, &h.public, req, &Part{}, form), h.config.Time.Header)
	case MercadoPago:
		return mercadoPago(req, s.time, form.lowerID)
	case JSONFields:
		return part.jsonFields(req)
	case Listed:
		return h.listed(req, part)
	default:
		return nil, false
	}
}

func jsonText(req *authz.Request, path string) ([]byte, bool) {
	texts, err := req.Body.JSON(path)
	if err != nil || len(texts) != 1 {
		return nil, false
	}
	return []byte(texts[0]), true
}

func (d Digest) of(body *authz.Body) []byte {
	if d.EmptyAsNothing && body.Len() == 0 {
		return nil
	}
	sum := d.begin()
	_, _ = io.Copy(sum, body.Reader()) // neither fails
	return d.end(sum)
}

func (d Digest) begin() hash.Hash {
	switch d.Hash {
	case DigestSHA512:
		return sha512.New()
	case DigestMD5:
		return md5.New() //nolint:gosec // see the import
	case DigestCRC32:
		return crc32.NewIEEE()
	default:
		return sha256.New()
	}
}

// end writes the digest as it is signed.
func (d Digest) end(sum hash.Hash) []byte {
	digest := sum.Sum(nil)
	switch {
	case d.Decimal:
		return new(big.Int).SetBytes(digest).Append(nil, 10)
	case d.Encoding == Hex:
		return hex.AppendEncode(nil, digest)
	case d.Encoding == Base64:
		return base64.StdEncoding.AppendEncode(nil, digest)
	default:
		return digest
	}
}

// item returns the text of another item of the signature header, which must be
// there once.
func (h *Content) item(req *authz.Request, part *Part) ([]byte, bool) {
	value, count := req.Headers.Lookup(h.config.Headers[0])
	if count != 1 {
		return nil, false
	}
	var found []byte
	seen := 0
	h.items(value, func(name, text []byte) bool {
		if string(name) == part.Text {
			found, seen = text, seen+1
		}
		return true
	})
	if seen != 1 || !utf8.Valid(found) {
		return nil, false
	}
	if part.JSONString {
		found = appendJSONString(nil, found)
	}
	return found, true
}

// appendJSONString appends text as JavaScript's JSON.stringify writes it: only
// quotes, backslashes and control characters are escaped. The text is valid
// UTF-8.
func appendJSONString(dst, text []byte) []byte {
	const digits = "0123456789abcdef"
	short := map[byte]byte{'"': '"', '\\': '\\', '\b': 'b', '\f': 'f', '\n': 'n', '\r': 'r', '\t': 't'}
	dst = append(dst, '"')
	for _, c := range text {
		switch {
		case short[c] != 0:
			dst = append(dst, '\\', short[c])
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// write feeds the signed content to the MAC and, where there is one, to the
// fingerprint.
func (h *Content) write(req *authz.Request, s *scratch, form urlForm, mac io.Writer, digest *authz.Fingerprinting) {
	feed := func(b []byte) {
		_, _ = mac.Write(b) // hashes never fail
		if digest != nil {
			_, _ = digest.Write(b)
		}
	}
	for i := range h.config.Content {
		part := &h.config.Content[i]
		switch part.Kind {
		case Body:
			for _, segment := range req.Body.Segments {
				for len(segment) > chunk {
					feed(segment[:chunk])
					segment = segment[chunk:]
				}
				feed(segment)
			}
		case Timestamp:
			feed(s.time)
		case Literal:
			feed(part.bytes)
		case Secret:
			_, _ = mac.Write(s.secret) // it is the key's and no part of what is fingerprinted
		case HeaderValue:
			value, _ := req.Headers.Lookup(part.Text)
			feed(value)
		case Method:
			feed(req.Method)
		case URL:
			s.url = appendURL(s.url[:0], &h.public, req, part, form)
			feed(s.url)
		case Path:
			s.url = appendPath(s.url[:0], &h.public, req, part, form)
			feed(s.url)
		default:
			text := s.parts[i]
			if part.written() && form != h.forms[0] {
				text, _ = h.preparePart(req, s, part, form) // prepare has seen that it can be made
			}
			feed(text)
		}
	}
}

// extended reports whether the content has a NUL byte. Of a plain hash of the
// secret and the content, whoever has one can make one of longer content: the
// content, the padding of the hash, and anything. The padding ends with the
// length as 8 bytes or more, of which the first is 0 for everything that fits
// into a memory. Content without a NUL byte was not made so.
func (h *Content) extended(req *authz.Request, s *scratch) bool {
	var found nulFinder
	h.write(req, s, h.forms[0], &found, nil)
	return bool(found)
}

// nulFinder becomes true when a NUL byte is written to it.
type nulFinder bool

func (f *nulFinder) Write(b []byte) (int, error) {
	*f = *f || bytes.IndexByte(b, 0) >= 0
	return len(b), nil
}

// bound reports whether the body is covered by a signature that held. Where the
// parameters of a form are signed, another body needs the digest that the
// signed URL holds. A digest that is there counts for every body: for a form, and
// for an empty one, or else it could have been taken away.
func (h *Content) bound(req *authz.Request) bool {
	c := &h.config
	switch {
	case !c.SignsBody(), c.signsWhole():
		return true
	}
	unbound := req.Body.Len() == 0 || c.signsForm() && isForm(req) // by a digest
	if c.BodyDigest.Query == "" {
		return unbound
	}
	all, err := queryOf(req)
	if err == nil && unbound && !slices.ContainsFunc(all, func(p parameter) bool { return p.name == c.BodyDigest.Query }) {
		return true
	}
	value, ok := only(all, c.BodyDigest.Query)
	var want macBytes
	size := c.BodyDigest.Hash.Size()
	if err != nil || !ok || !decode(&want, []byte(value), c.BodyDigest.Encoding, size) {
		return false
	}
	sum := c.BodyDigest.Hash.new()()
	_, _ = io.Copy(sum, req.Body.Reader()) // neither fails
	return secret.Equal(sum.Sum(nil), want[:size])
}
