package cause

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/hookbastion/hookbastion/authz"
)

// maxInflated bounds a body that is decompressed, in bytes.
const maxInflated = 64 << 20

const (
	asSent    = "hand on the bytes of the body as they came: nothing before Hookbastion may parse and write it again"
	asSigned  = "let the sender sign the very bytes that it sends"
	endOfBody = asSigned + "; a tool that reads the body from a file may have added or taken off its end"
)

// edits are what becomes of a body on its way.
var edits = []struct {
	id, says, mend string
	change         func([]byte) ([]byte, bool)
}{
	{"body_line_feed", "the body without the line feed at its end was signed", endOfBody, func(b []byte) ([]byte, bool) { return bytes.CutSuffix(b, []byte("\n")) }},
	{"body_line_feed", "the body without the line break at its end was signed", endOfBody, func(b []byte) ([]byte, bool) { return bytes.CutSuffix(b, []byte("\r\n")) }},
	{"body_line_feed", "the body with a line feed at its end was signed", endOfBody, func(b []byte) ([]byte, bool) { return append(b, '\n'), true }},
	{"body_line_feed", "the body with CR LF at its end was signed", endOfBody, func(b []byte) ([]byte, bool) { return append(b, "\r\n"...), true }},
	{"body_line_endings", "the body was signed with LF at the ends of its lines, and came with CR LF", asSent, func(b []byte) ([]byte, bool) {
		return bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")), true
	}},
	{"body_line_endings", "the body was signed with CR LF at the ends of its lines, and came with LF", asSent, func(b []byte) ([]byte, bool) {
		return bytes.ReplaceAll(bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n")), true
	}},
	{"body_white_space", "the body without white space around it was signed", asSigned, func(b []byte) ([]byte, bool) { return bytes.TrimSpace(b), true }},
	{"body_byte_order_mark", "the body without the byte order mark was signed", asSigned, func(b []byte) ([]byte, bool) { return bytes.CutPrefix(b, []byte("\xef\xbb\xbf")) }},
	{"body_byte_order_mark", "the body with a byte order mark was signed", asSent, func(b []byte) ([]byte, bool) { return append([]byte("\xef\xbb\xbf"), b...), true }},
	{"body_compressed", "the body was signed before it was compressed with gzip", "put a decompressor before the filter and set envoy.decompressed: true; see docs/envoy.md", inflated(func(r io.Reader) (io.ReadCloser, error) { return gzip.NewReader(r) })},
	{"body_compressed", "the body was signed before it was compressed with deflate", "let the sender send it as it is, or with gzip; see docs/envoy.md", inflated(zlib.NewReader)},
	{"body_base64", "what stands in the body in base64 was signed", "let the gateway hand on bytes, not base64: API gateways do that for types that they take for binary", func(b []byte) ([]byte, bool) {
		body := decodeBase64(bytes.TrimSpace(b))
		return body, len(body) > 0
	}},
	{"body_base64", "the body in base64 was signed", asSigned, func(b []byte) ([]byte, bool) { return []byte(base64.StdEncoding.EncodeToString(b)), len(b) > 0 }},
	{"body_quoted", "the body was signed, and came as a JSON string", "serialise the body once: a text was given to what expects a value", func(b []byte) ([]byte, bool) {
		var text string
		err := json.Unmarshal(b, &text)
		return []byte(text), err == nil
	}},
	{"body_quoted", "the body was signed as a JSON string", "serialise the body once at the sender", func(b []byte) ([]byte, bool) {
		text, err := json.Marshal(string(b))
		return text, err == nil
	}},
	{"body_empty", "an empty body was signed", asSigned, func([]byte) ([]byte, bool) { return nil, true }},
	{"body_empty", "the body {} was signed", asSigned, func([]byte) ([]byte, bool) { return []byte("{}"), true }},
	{"body_form", "the form was signed decoded", asSigned, func(b []byte) ([]byte, bool) {
		text, err := url.QueryUnescape(string(b))
		return []byte(text), err == nil && isForm(b)
	}},
	{"body_form", "the form was signed with %20 for spaces, and came with +", asSent, func(b []byte) ([]byte, bool) { return bytes.ReplaceAll(b, []byte("+"), []byte("%20")), isForm(b) }},
	{"body_form", "the form was signed with + for spaces, and came with %20", asSent, func(b []byte) ([]byte, bool) { return bytes.ReplaceAll(b, []byte("%20"), []byte("+")), isForm(b) }},
	{"body_form", "the form was signed with its fields in order of their names", asSent, func(b []byte) ([]byte, bool) {
		values, err := url.ParseQuery(string(b))
		return []byte(values.Encode()), err == nil && isForm(b)
	}},
	{"body_charset", "the body was signed in UTF-8, and came in Latin-1", asSent, func(b []byte) ([]byte, bool) { return fromLatin1(b), true }},
	{"body_charset", "the body was signed in Latin-1, and came in UTF-8", asSent, toLatin1},
}

// maxKept bounds the bodies that are made for a search, in bytes.
const maxKept = 64 << 20

// bodies are trials of the body: edits, and JSON that was written anew. Each body is made
// once, and tried once, whichever mistakes lead to it.
func bodies(req *authz.Request) []trial {
	var all []trial
	body, kept := req.Body.Joined(), 0
	made := map[[sha256.Size]byte]bool{sha256.Sum256(body): true}
	add := func(c Cause, rare bool, change func([]byte) ([]byte, bool)) {
		if kept+len(body) > maxKept {
			return
		}
		other, ok := change(bytes.Clone(body))
		sum := sha256.Sum256(other)
		if !ok || made[sum] {
			return
		}
		made[sum] = true
		kept += len(other)
		all = append(all, trial{Cause: c, kind: ofBody, rare: rare, request: withBody(other)})
	}
	for _, e := range edits {
		// With another content, an empty body is one that is left out.
		add(Cause{e.id, e.says, e.mend}, e.id == "body_empty", e.change)
	}
	if len(body) > maxJSON || !json.Valid(body) {
		return all
	}
	for i, w := range writings() {
		c := Cause{"body_json", "the body was signed as JSON that is written " + w.String() + ", and came written otherwise", asSent + "; or " + asSigned}
		add(c, i >= 2*len(layouts), w.write)
	}
	return all
}

func inflated(reader func(io.Reader) (io.ReadCloser, error)) func([]byte) ([]byte, bool) {
	return func(b []byte) ([]byte, bool) {
		r, err := reader(bytes.NewReader(b))
		if err != nil {
			return nil, false
		}
		body, err := io.ReadAll(io.LimitReader(r, maxInflated+1))
		return body, err == nil && len(body) <= maxInflated
	}
}

// isForm reports whether a body looks like one.
func isForm(b []byte) bool { return bytes.IndexByte(b, '=') > 0 && bytes.IndexByte(b, '{') != 0 }

func fromLatin1(b []byte) []byte {
	var text strings.Builder
	for _, c := range b {
		text.WriteRune(rune(c))
	}
	return []byte(text.String())
}

func toLatin1(b []byte) ([]byte, bool) {
	var out []byte
	for _, r := range string(b) {
		if r > 0xff {
			return nil, false
		}
		out = append(out, byte(r))
	}
	return out, true
}

// maxJSON bounds a body that is written anew in all ways, in bytes.
const maxJSON = 1 << 20

// writing is a way to write JSON.
type writing struct {
	layout              layout
	sorted, ascii       bool // keys in order, letters beyond ASCII as \u
	slashes, html, bare bool // \/ as PHP does; < > & as \u as Go does; nothing escaped that need not be
}

// layout is the white space of JSON.
type layout struct{ name, item, colon, indent string }

var layouts = []layout{
	{"without white space", ",", ":", ""},
	{"with spaces behind commas and colons, as Python does", ", ", ": ", ""},
	{"with an indent of two spaces", ",", ": ", "  "},
	{"with an indent of four spaces", ",", ": ", "    "},
	{"with tabs", ",", ": ", "\t"},
}

// writings are all ways that are tried, the plainest first.
func writings() []writing {
	var all []writing
	for _, escapes := range []writing{{}, {bare: true}, {ascii: true}, {slashes: true}, {ascii: true, slashes: true}, {html: true}} {
		for _, sorted := range []bool{false, true} {
			for _, l := range layouts {
				w := escapes
				w.layout, w.sorted = l, sorted
				all = append(all, w)
			}
		}
	}
	return all
}

// String says what the writing is.
func (w writing) String() string {
	text := w.layout.name
	if w.sorted {
		text += ", with its keys in order"
	}
	switch {
	case w.ascii && w.slashes:
		text += `, with \/ and with letters beyond ASCII as \u, as PHP does`
	case w.ascii:
		text += `, with letters beyond ASCII as \u`
	case w.slashes:
		text += `, with \/ for slashes`
	case w.html:
		text += `, with <, > and & as \u, as Go does`
	case w.bare:
		text += ", with no escape that is not needed"
	}
	return text
}

// write writes the JSON value of a body. Numbers stay as they are, and so do texts whose
// escapes it does not change.
func (w writing) write(body []byte) ([]byte, bool) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	value, err := ordered(d, maxNested)
	if err != nil {
		return nil, false
	}
	var b bytes.Buffer
	w.value(&b, value, 0)
	return b.Bytes(), true
}

// member is a key with its value; an object is a list of them, in order.
type member struct {
	key   string
	value any
}

// maxNested bounds how deep a value is nested: an indent grows with the square of it.
const maxNested = 64

var errNested = errors.New("nested too deeply")

// ordered reads one value: []member, []any or what json.Token has.
func ordered(d *json.Decoder, levels int) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	if _, nested := token.(json.Delim); nested && levels == 0 {
		return nil, errNested
	}
	switch token {
	case json.Delim('{'):
		all := []member{}
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return nil, err
			}
			value, err := ordered(d, levels-1)
			if err != nil {
				return nil, err
			}
			name, _ := key.(string)
			all = append(all, member{name, value})
		}
		_, err = d.Token()
		return all, err
	case json.Delim('['):
		all := []any{}
		for d.More() {
			value, err := ordered(d, levels-1)
			if err != nil {
				return nil, err
			}
			all = append(all, value)
		}
		_, err = d.Token()
		return all, err
	default:
		return token, nil
	}
}

func (w writing) value(b *bytes.Buffer, v any, depth int) {
	switch v := v.(type) {
	case []member:
		if w.sorted {
			v = sortedMembers(v)
		}
		w.list(b, '{', '}', len(v), depth, func(i int) {
			w.text(b, v[i].key)
			b.WriteString(w.layout.colon)
			w.value(b, v[i].value, depth+1)
		})
	case []any:
		w.list(b, '[', ']', len(v), depth, func(i int) { w.value(b, v[i], depth+1) })
	case string:
		w.text(b, v)
	case json.Number:
		b.WriteString(v.String())
	case bool:
		b.WriteString(strconv.FormatBool(v))
	default:
		b.WriteString("null")
	}
}

func (w writing) list(b *bytes.Buffer, begin, end byte, n, depth int, item func(int)) {
	b.WriteByte(begin)
	for i := range n {
		if i > 0 {
			b.WriteString(w.layout.item)
		}
		w.line(b, depth+1)
		item(i)
	}
	if n > 0 {
		w.line(b, depth)
	}
	b.WriteByte(end)
}

func (w writing) line(b *bytes.Buffer, depth int) {
	if w.layout.indent != "" {
		b.WriteString("\n" + strings.Repeat(w.layout.indent, depth))
	}
}
