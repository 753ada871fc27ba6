package signature

import (
	"bytes"
	"slices"
	"strings"
	"unicode"

	"github.com/hookbastion/hookbastion/authz"
)

// This file has the parts of signed content that no description fits.

// plivoV3 is the URL, a question mark if there is a query or a form, the query
// as sorted name=value pairs, a dot between query and form, and the form's
// parameters sorted, with nothing between.
// https://www.plivo.com/docs/messaging/concepts/signature-validation
func (h *Content) plivoV3(req *authz.Request, part *Part, written urlForm) ([]byte, bool) {
	query, err := queryOf(req)
	form, formErr := formOf(req)
	if err != nil || formErr != nil {
		return nil, false
	}
	b := appendURL(nil, &h.public, req, &Part{WithoutQuery: true, Decoded: part.Decoded}, written)
	if len(query)+len(form) > 0 {
		b = append(b, '?')
	}
	sortForm(query)
	for i, p := range query {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(append(append(b, p.name...), '='), p.value...)
	}
	if len(query) > 0 && len(form) > 0 {
		b = append(b, '.')
	}
	sortForm(form)
	return appendForm(b, form, false), true
}

// plivoAlone reports whether the signed content could not come of another query:
// no name has & or =, and no value what would be the next parameter.
func (h *Content) plivoAlone(req *authz.Request) bool {
	query, err := queryOf(req)
	if err != nil || h.config.Pin.Query {
		return err == nil
	}
	for _, p := range query {
		if strings.ContainsAny(p.name, "&=") {
			return false
		}
		items := strings.Split(p.value, "&")
		for _, item := range items[1:] {
			if name, _, pair := strings.Cut(item, "="); pair && name >= p.name {
				return false
			}
		}
	}
	return true
}

// contentfulHeaders lists the headers that Contentful has signed.
const contentfulHeaders = "x-contentful-signed-headers"

const maxContentfulHeaders = 64

// contentful is the method, the path as Contentful knows it, and the headers that the request itself
// lists, sorted, as name:value with semicolons between; a line break after
// each. The list must have itself and the time: what it leaves out is not
// signed, and a sender could leave out everything. A listed header must be there,
// once; Contentful's own code passes over one that is not. Its list is its own and
// short: 64 are enough.
// https://www.contentful.com/developers/docs/extensibility/app-framework/request-verification/
func contentful(req *authz.Request, target []byte, timeHeader string) ([]byte, bool) {
	list, count := req.Headers.Lookup(contentfulHeaders)
	if count != 1 || len(list) > 4096 || bytes.IndexByte(list, ';') >= 0 {
		return nil, false
	}
	var names []string
	for name := range strings.SplitSeq(strings.ToLower(string(list)), ",") {
		if len(names) == maxContentfulHeaders {
			return nil, false
		}
		names = append(names, strings.TrimSpace(name))
	}
	slices.Sort(names)
	if !slices.Contains(names, contentfulHeaders) || !slices.Contains(names, timeHeader) || len(slices.Compact(slices.Clone(names))) != len(names) {
		return nil, false
	}
	var lines []string
	for i, name := range names {
		value, count := req.Headers.Lookup(name)
		if count != 1 || i+1 < len(names) && bytes.Contains(value, []byte(";"+names[i+1]+":")) {
			return nil, false // or the value ends as if the next header began
		}
		lines = append(lines, name+":"+strings.TrimSpace(string(value)))
	}
	path, ok := contentfulPath(string(target))
	if !ok {
		return nil, false
	}
	return []byte(string(req.Method) + "\n" + path + "\n" + strings.Join(lines, ";") + "\n"), true
}

// contentfulPath writes the path as JavaScript's encodeURI does, which escapes
// percent signs too, and the query as querystring.escape and then encodeURI do.
// Contentful's own code ignores what follows a second question mark; nothing
// would sign it.
func contentfulPath(target string) (string, bool) {
	const reserved = ";/?:@&=+$,#"
	path, query, _ := strings.Cut(target, "?")
	if strings.Contains(query, "?") || strings.ContainsFunc(target, func(r rune) bool { return r > unicode.MaxASCII }) {
		return "", false
	}
	encoded := escape(path, componentMarks+reserved)
	if query != "" {
		encoded += "?" + escape(escape(query, componentMarks), componentMarks+reserved)
	}
	return encoded, true
}

// componentMarks are the marks that JavaScript's encodeURIComponent leaves as they
// are.
const componentMarks = "-_.!~*'()"

// escape percent-encodes everything but letters, digits and the characters in
// keep.
func escape(text, keep string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(keep, c) >= 0 {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}

// mercadoPagoID is the parameter of the query that Mercado Pago signs.
const mercadoPagoID = "data.id"

// mercadoPago is id:…;request-id:…;ts:…; where the id is the query's data.id,
// which was signed in lower case until 2026 and since then as it is. What is not
// there is left out with its name. A value with a semicolon could pass for two
// and is refused, as is one in the query outside of an escape: some readers take
// it for an ampersand.
// https://www.mercadopago.com/developers/en/docs/your-integrations/notifications/webhooks
func mercadoPago(req *authz.Request, stamp authz.View, lowerID bool) ([]byte, bool) {
	_, query, _ := bytes.Cut(req.Path, []byte{'?'})
	all, err := queryOf(req)
	id, once := only(all, mercadoPagoID)
	there := slices.ContainsFunc(all, func(p parameter) bool { return p.name == mercadoPagoID })
	requestID, count := req.Headers.Lookup("x-request-id")
	if err != nil || there != once || count > 1 || bytes.IndexByte(query, ';') >= 0 ||
		strings.Contains(id, ";") || bytes.IndexByte(requestID, ';') >= 0 {
		return nil, false
	}
	var b []byte
	if id != "" {
		if lowerID {
			id = strings.ToLower(id)
		}
		b = append(append(append(b, "id:"...), id...), ';')
	}
	if len(requestID) > 0 {
		b = append(append(append(b, "request-id:"...), requestID...), ';')
	}
	return append(append(append(b, "ts:"...), stamp...), ';'), true
}
