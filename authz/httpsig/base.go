package httpsig

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/dunglas/httpsfv"

	"github.com/hookbastion/hookbastion/authz"
)

// Message is a request as its sender knows it.
type Message struct {
	Method string
	// Scheme is in lower case.
	Scheme string
	// Host is as the sender wrote it, with a port if it named one.
	Host string
	// Path is from the first slash, with the query, as it came.
	Path    string
	Headers authz.Headers
}

// Base returns the bytes that the signature covers (RFC 9421 §2.5).
func (s *Signature) Base(m *Message) ([]byte, Problem) {
	var base bytes.Buffer
	for _, c := range s.components {
		value, problem := m.value(c, s.dialect)
		if problem.Exists() {
			return nil, problem
		}
		if !isText(value) {
			return nil, Problem{authz.SignatureInvalid, c.identifier + " with characters that cannot be signed as they are"}
		}
		name := c.identifier
		if s.dialect.Unquoted {
			name = c.name
		}
		base.WriteString(name + ": " + value + "\n")
	}
	list, err := httpsfv.Marshal(s.list)
	if err != nil {
		return nil, malformed("a list of components that cannot be written")
	}
	last := `"@signature-params"`
	if s.dialect.Unquoted {
		last = "@signature-params"
	}
	base.WriteString(last + ": " + list)
	return base.Bytes(), Problem{}
}

// isText reports whether a value is ASCII without line breaks (RFC 9421 §2.5).
func isText(value string) bool {
	return strings.IndexFunc(value, func(r rune) bool { return r > 0x7e || r < ' ' && r != '\t' }) < 0
}

func (m *Message) value(c component, d Dialect) (string, Problem) {
	target := m.Path
	if d.UpperEscapes {
		target = upperEscapes(target)
	}
	path, query, hasQuery := strings.Cut(target, "?")
	if path == "" {
		path = "/"
	}
	switch c.name {
	case "@method":
		return m.Method, Problem{}
	case "@scheme":
		return m.Scheme, Problem{}
	case "@authority":
		return m.authority(), Problem{}
	case "@path":
		return path, Problem{}
	case "@query":
		return "?" + query, Problem{}
	case "@request-target":
		return target, Problem{}
	case "@target-uri":
		if hasQuery {
			path += "?" + query
		}
		return m.Scheme + "://" + m.authority() + path, Problem{}
	case "@query-param":
		return queryParam(query, c.param)
	default:
		return m.field(c)
	}
}

// upperEscapes writes the hexadecimal digits of escapes in upper case.
func upperEscapes(path string) string {
	text := []byte(path)
	for i := 0; i+2 < len(text); i++ {
		if text[i] == '%' {
			copy(text[i+1:], strings.ToUpper(string(text[i+1:i+3])))
		}
	}
	return string(text)
}

// authority is the host in lower case without the port of the scheme (RFC 9421
// §2.2.3).
func (m *Message) authority() string {
	host := strings.ToLower(m.Host)
	if m.Scheme == "https" {
		return strings.TrimSuffix(host, ":443")
	}
	return strings.TrimSuffix(host, ":80")
}

// queryParam finds the one parameter of that name and encodes its value anew (RFC
// 9421 §2.2.8).
func queryParam(query, name string) (string, Problem) {
	found, value := 0, ""
	for pair := range strings.SplitSeq(query, "&") {
		k, v, _ := strings.Cut(pair, "=")
		key, err := url.QueryUnescape(k)
		if err != nil || encodeParam(key) != name || pair == "" {
			continue
		}
		text, err := url.QueryUnescape(v)
		if err != nil {
			return "", malformed("a query parameter that is not encoded rightly")
		}
		value = encodeParam(text)
		found++
	}
	switch found {
	case 0:
		return "", Problem{authz.SignatureMissing, fmt.Sprintf("no query parameter %.60q, which is signed", name)}
	case 1:
		return value, Problem{}
	default:
		return "", Problem{authz.SignatureInvalid, fmt.Sprintf("query parameter %.60q, which is signed, %d times", name, found)}
	}
}

// encodeParam encodes as forms do, but a space as %20.
func encodeParam(text string) string {
	return strings.NewReplacer("+", "%20", "%2A", "*", "~", "%7E").Replace(url.QueryEscape(text))
}

// field returns a field's value in the form that the component asks for (RFC 9421
// §2.1).
func (m *Message) field(c component) (string, Problem) {
	if c.trailer {
		return "", Problem{authz.SignatureInvalid, "a signed trailer, which Envoy does not forward"}
	}
	values := lines(m.Headers, c.name)
	if c.name == "host" {
		// Envoy has no such field beside :authority. A captured request has one, which may be
		// that of a hop, as the sender's is in the public URL.
		values = []string{m.Host}
	}
	if len(values) == 0 {
		return "", Problem{authz.SignatureMissing, "no " + c.name + ", which is signed"}
	}
	switch {
	case c.bytes:
		var list httpsfv.List
		for _, v := range values {
			list = append(list, httpsfv.NewItem([]byte(v)))
		}
		return written(list)
	case c.key != "":
		d, _, problem := dictionary(m.Headers, c.name, Dialect{})
		if problem.Exists() {
			return "", Problem{authz.SignatureInvalid, problem.Found}
		}
		member, ok := d.Get(c.key)
		if !ok {
			return "", Problem{authz.SignatureMissing, "no " + c.key + " in " + c.name + ", which is signed"}
		}
		return written(member)
	case c.strict:
		if !dictionaries[c.name] {
			return "", Problem{authz.SignatureInvalid, c.name + " as a structured field, whose type is not known"}
		}
		d, _, problem := dictionary(m.Headers, c.name, Dialect{})
		if problem.Exists() {
			return "", Problem{authz.SignatureInvalid, problem.Found}
		}
		return written(d)
	default:
		return strings.Join(values, ", "), Problem{}
	}
}

// dictionaries are the fields whose type is known for sf.
var dictionaries = map[string]bool{
	"content-digest": true, "repr-digest": true, "want-content-digest": true, "want-repr-digest": true,
	"signature": true, "signature-input": true, "priority": true,
}

func written(value httpsfv.StructuredFieldValue) (string, Problem) {
	text, err := httpsfv.Marshal(value)
	if err != nil {
		return "", Problem{authz.SignatureInvalid, "a structured field that cannot be written"}
	}
	return text, Problem{}
}

// binary is a binary value that stands for a dictionary's member.
var binary = regexp.MustCompile(`=:([A-Za-z0-9+/_-]*={0,2}):`)

// standardBase64 writes binary values of a dictionary that are base64url without
// padding anew, as what structured fields have. In such a dictionary nothing is a
// string.
func standardBase64(lines []string) ([]string, bool) {
	var all []string
	for _, line := range lines {
		if strings.Contains(line, `"`) || strings.Count(line, ":") != 2*len(binary.FindAllString(line, -1)) {
			return nil, false
		}
		ok := true
		all = append(all, binary.ReplaceAllStringFunc(line, func(text string) string {
			encoded := text[2 : len(text)-1]
			value, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
			if err != nil {
				value, err = base64.StdEncoding.Strict().DecodeString(encoded)
			}
			ok = ok && err == nil
			return "=:" + base64.StdEncoding.EncodeToString(value) + ":"
		}))
		if !ok {
			return nil, false
		}
	}
	return all, true
}

// bytesOf returns the value of a member that is a byte sequence and nothing else.
func bytesOf(member httpsfv.Member) ([]byte, bool) {
	item, ok := member.(httpsfv.Item)
	if !ok {
		return nil, false
	}
	value, ok := item.Value.([]byte)
	return value, ok
}
