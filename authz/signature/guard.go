package signature

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hookbastion/hookbastion/authz"
)

// Signed content is one text without the borders of its parts. Where neither
// fixed text nor a length tells where a part ends, whoever has one delivery
// could move characters from one part to the next and keep the signature: the
// front of a body into the query, or a time out of the body. The guards in this
// file leave one way to read each content; borders.go says whether they do.

// Charset is the characters that a signed header's value may have.
type Charset uint8

// The character sets.
const (
	// AnyChars: any but controls.
	AnyChars Charset = iota
	// TokenChars: 1 to 128 of A-Z a-z 0-9 _ -.
	TokenChars
	// DigitChars: 1 to 128 of 0-9.
	DigitChars
	// IDChars: 1 to 128 of A-Z a-z 0-9 _ - . ~ + / =.
	IDChars
	// DateChars: 1 to 64 of A-Z a-z 0-9 , : + - . and spaces inside.
	DateChars
)

// has reports whether a value may have the character.
func (s Charset) has(c byte) bool {
	letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
	digit := '0' <= c && c <= '9'
	switch s {
	case TokenChars:
		return letter || digit || c == '_' || c == '-'
	case DigitChars:
		return digit
	case IDChars:
		return letter || digit || strings.IndexByte("_-.~+/=", c) >= 0
	case DateChars:
		return letter || digit || strings.IndexByte(",:+-. ", c) >= 0
	default:
		return c >= ' ' && c != 0x7f || c == '\t'
	}
}

// fits reports whether a header may have the value.
func (s Charset) fits(value authz.View) bool {
	most := 128
	switch s {
	case AnyChars:
		return bytes.IndexByte(value, '\n') < 0 && bytes.IndexByte(value, '\r') < 0
	case DateChars:
		if most = 64; len(value) > 0 && (value[0] == ' ' || value[len(value)-1] == ' ') {
			return false
		}
	default:
	}
	return len(value) > 0 && len(value) <= most && !slices.ContainsFunc(value, func(c byte) bool { return !s.has(c) })
}

// sample returns a value for a delivery that is made for a test.
func (s Charset) sample(with authz.Signing) string {
	switch s {
	case DigitChars:
		return strconv.FormatInt(with.Now.UnixNano(), 10)
	case DateChars:
		return with.Now.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")
	default:
		return with.NewID()
	}
}

// isURLByte reports whether a path or query has the character by RFC 3986.
func isURLByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~!$&'()*+,;=:@/?%", c) >= 0
}

// Pin is what a webhook fixes of the URL that is signed.
type Pin struct {
	// Query: the query is Value and nothing else, but for a digest of the body.
	Query bool
	Value string
	// Path: the path ends in a fixed segment.
	Path bool
	// NoBody: the webhook's methods have none.
	NoBody bool
}

// fixes reports whether nothing behind the path can become a part of the URL.
func (p Pin) fixes() bool { return p.Query && p.Path }

// guarded reports whether a request whose signature holds has what the guards
// ask for. If not, the signature was made for another request with this content.
func (h *Content) guarded(call *authz.Call) bool {
	if h.config.Pin.Query && !h.pinned(call.Request) {
		call.Explain("the query of pinned_query, "+strconv.Quote(h.config.Pin.Value), "another query")
		return false
	}
	for i := range h.config.Content {
		if expected, found := h.unguarded(call.Request, i); expected != "" {
			call.Explain(expected+", since nothing divides it from what is signed beside it", found)
			return false
		}
	}
	return true
}

// unguarded says what of a part should be and is not; nothing if all is well.
func (h *Content) unguarded(req *authz.Request, i int) (expected, found string) {
	part := &h.config.Content[i]
	switch part.Kind {
	case URL, Path:
		target := req.Path
		if part.WithoutQuery {
			target = req.PathOnly()
		}
		if at := firstOther(target); part.RFC3986 && at >= 0 {
			return "a URL of the characters of RFC 3986", fmt.Sprintf("%q in it", target[at])
		}
		if part.NoDigitLast && !h.config.Pin.Path && h.digitLast(req, target) {
			return "a path that does not end in a digit", "one that does"
		}
	case Body:
		if part.WantsJSON && req.Body.Len() > 0 && !bracketed(req.Body.Joined()) {
			return "a body that is one JSON object or list", "another"
		}
	case FormField:
		if text, ok := h.preparePart(req, nil, part, urlForm{}); part.WantsJSON && !(ok && bracketed(text)) {
			return "a text that is one JSON object or list", "another"
		}
	case Form, PlivoV3:
		form, err := formOf(req)
		if (i > 0 || part.Kind == PlivoV3 || len(part.Names) > 0) && !(err == nil && part.guards(form)) {
			return "a form of " + part.namesText(), "one with another field"
		}
		if part.Kind == PlivoV3 && !h.plivoAlone(req) {
			return "a query that can be read in one way", "one that could be another"
		}
		if part.Kind == PlivoV3 && h.open && len(form) == 0 && string(req.Method) != "GET" {
			return "a form, as no pinned_query says what the query is without it", "none"
		}
	default:
	}
	return "", ""
}

// namesText says which fields a form may have.
func (p *Part) namesText() string {
	if len(p.Names) == 0 {
		return "fields whose names begin with a letter"
	}
	return "the one field " + strings.Join(p.Names, " or ")
}

// firstOther returns the place of the first character that no URL has, or -1.
func firstOther(target authz.View) int {
	return slices.IndexFunc(target, func(c byte) bool { return !isURLByte(c) })
}

// digitLast reports whether the signed URL ends in a digit that is not the
// policy's own.
func (h *Content) digitLast(req *authz.Request, target authz.View) bool {
	if len(target) <= 1 && len(h.public.origin) == 0 {
		target = req.Host // a path that is a slash may not be signed
	}
	return len(target) > 0 && DigitChars.has(target[len(target)-1])
}

// pinned reports whether the query is the one that the policy says. A digest of
// the body may follow it.
func (h *Content) pinned(req *authz.Request) bool {
	_, query, asked := bytes.Cut(req.Path, []byte{'?'})
	want := h.config.Pin.Value
	if string(query) == want && asked == (want != "") {
		return true
	}
	digest := &h.config.BodyDigest
	if digest.Query == "" {
		return false
	}
	if want != "" {
		want += "&"
	}
	text, ok := bytes.CutPrefix(query, []byte(want+digest.Query+"="))
	var sum macBytes
	return ok && decode(&sum, text, digest.Encoding, digest.Hash.Size())
}

// guards reports whether a form's parameters are those that there may be, and
// begin so that nothing of a URL before them could be one.
func (p *Part) guards(all []parameter) bool {
	for i, field := range all {
		if field.name == "" || !isNameStart(field.name[0]) {
			return false
		}
		twice := slices.ContainsFunc(all[:i], func(other parameter) bool { return other.name == field.name })
		if len(p.Names) > 0 && (twice || !slices.Contains(p.Names, field.name)) {
			return false
		}
		if p.WantsJSON && !bracketed([]byte(field.value)) {
			return false
		}
	}
	return true
}

func isNameStart(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' }

// bracketed reports whether text begins and ends as a JSON object or list does.
// More is not needed to find its borders, and a parser's view is not asked for.
// A space is no white space here, since a header may have one.
func bracketed(text authz.View) bool {
	text = bytes.Trim(text, whitespace)
	return len(text) >= 2 && (text[0] == '{' && text[len(text)-1] == '}' || text[0] == '[' && text[len(text)-1] == ']')
}
