// Package httpsig reads the signatures of requests that are signed by HTTP
// Message Signatures (RFC 9421), with the digest of the body of RFC 9530, and by
// their predecessor, draft-cavage-http-signatures.
//
// [Read] finds the signatures of a request, [Signature.Base] makes the bytes that
// one of them covers, [ContentDigest] compares the digest fields with the body.
// The grammar of structured fields is httpsfv's; what RFC 9421 asks beyond it is
// here: labels that are there once, identifiers that are there once, parameters
// of the right types, components that a request has. Whoever verifies chooses a
// signature by its key and its tag, never by its label, which nothing signs.
//
// The base is made of what came: its last line is the received list with its own
// order of parameters, and a path is never decoded. A request whose parts could be
// read in two ways has no base.
//
// All of it is bounded by the size of the headers, by maxComponents and by the
// number of signatures that the caller allows. It holds no keys, verifies nothing
// by itself and cannot read trailers, which Envoy does not forward.
package httpsig

import (
	"slices"
	"strings"

	"github.com/dunglas/httpsfv"

	"github.com/hookbastion/hookbastion/authz"
)

// maxComponents bounds the components of one signature.
const maxComponents = 64

// Problem is why something cannot be read or made. The zero value is none.
type Problem struct {
	// Reason is what the sender's request is refused with.
	Reason authz.Reason
	// Found says it for people. It holds no part of a key or of the body.
	Found string
}

func malformed(found string) Problem { return Problem{authz.SignatureMalformed, found} }

// Exists reports whether there is one.
func (p Problem) Exists() bool { return p.Found != "" }

// Dialect is how a sender departs from RFC 9421. The zero value is the standard.
type Dialect struct {
	// Base64URL: signatures and digests may be base64url without padding as well.
	Base64URL bool
	// Unquoted: names stand in the base without their quotes.
	Unquoted bool
	// UpperEscapes: the escapes of a URL are signed in upper case.
	UpperEscapes bool
}

// Params are the parameters of a signature (RFC 9421 §2.3).
type Params struct {
	// Created and Expires are in Unix seconds, if they are there.
	Created, Expires       int64
	HasCreated, HasExpires bool
	// Nonce, Alg, KeyID and Tag are empty if they are not there.
	Nonce, Alg, KeyID, Tag string
	HasKeyID               bool
}

// Signature is one signature of a request. Nothing in it is believed yet.
type Signature struct {
	// Label joins the two fields. Nothing signs it.
	Label string
	Params
	// Value is the signature.
	Value []byte

	components []component
	list       httpsfv.InnerList
	dialect    Dialect
}

// Read returns the signatures of a request in the order of Signature-Input. None
// and no problem: it has no such field.
func Read(headers authz.Headers, limit int, d Dialect) ([]Signature, Problem) {
	inputs, labels, problem := dictionary(headers, "signature-input", Dialect{})
	if problem.Exists() || len(labels) == 0 {
		return nil, problem
	}
	values, others, problem := dictionary(headers, "signature", d)
	switch {
	case problem.Exists():
		return nil, problem
	case len(labels) > limit:
		return nil, malformed("more signatures than are looked at")
	case !same(labels, others):
		return nil, malformed("labels that are in one of Signature-Input and Signature only")
	}
	var all []Signature
	for _, label := range labels {
		s := Signature{Label: label, dialect: d}
		input, _ := inputs.Get(label)
		value, _ := values.Get(label)
		if problem := s.read(input, value); problem.Exists() {
			return nil, problem
		}
		all = append(all, s)
	}
	return all, Problem{}
}

func same(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	return !slices.ContainsFunc(a, func(label string) bool { return !slices.Contains(b, label) })
}

// dictionary reads a field of that name, over all its lines, and returns its keys
// in their order. A key that is there twice is a problem, where a parser of
// structured fields would keep the last one: two readers could take two of them.
func dictionary(headers authz.Headers, name string, dialect Dialect) (*httpsfv.Dictionary, []string, Problem) {
	lines := lines(headers, name)
	if len(lines) == 0 {
		return nil, nil, Problem{}
	}
	if dialect.Base64URL {
		var ok bool
		if lines, ok = standardBase64(lines); !ok {
			return nil, nil, malformed("a " + name + " field whose binary values are neither base64 nor base64url")
		}
	}
	d, err := httpsfv.UnmarshalDictionary(lines)
	if err != nil {
		return nil, nil, malformed("a " + name + " field that is no dictionary of structured fields")
	}
	if len(d.Names()) != members(strings.Join(lines, ",")) {
		return nil, nil, malformed("a " + name + " field with one key twice")
	}
	return d, d.Names(), Problem{}
}

// members counts the members of a dictionary that is well formed. In a string a
// backslash takes the next character along, in a display string (RFC 9651) not.
func members(text string) int {
	n := 0
	if strings.Trim(text, " \t") != "" {
		n = 1
	}
	quoted, display := false, false
	for i := 0; i < len(text); i++ {
		switch {
		case quoted && !display && text[i] == '\\':
			i++
		case text[i] == '"':
			quoted, display = !quoted, !quoted && i > 0 && text[i-1] == '%'
		case text[i] == ',' && !quoted:
			n++
		}
	}
	return n
}

// lines returns the values of a field, line by line, without the white space at
// their ends.
func lines(headers authz.Headers, name string) []string {
	var lines []string
	for _, h := range headers {
		if string(h.Name) == name {
			lines = append(lines, strings.Trim(string(h.Value), " \t"))
		}
	}
	return lines
}

func (s *Signature) read(input, value httpsfv.Member) Problem {
	list, ok := input.(httpsfv.InnerList)
	if !ok {
		return malformed("a signature input that is no list of components")
	}
	item, ok := value.(httpsfv.Item)
	if !ok {
		return malformed("a signature that is a list")
	}
	if s.Value, ok = item.Value.([]byte); !ok || len(item.Params.Names()) > 0 {
		return malformed("a signature that is no byte sequence")
	}
	if len(list.Items) > maxComponents {
		return malformed("more components than are looked at")
	}
	s.list = list
	for _, item := range list.Items {
		c, problem := readComponent(item)
		if problem.Exists() {
			return problem
		}
		if slices.ContainsFunc(s.components, c.equals) {
			return malformed("a component that is there twice")
		}
		s.components = append(s.components, c)
	}
	return s.Params.read(list.Params)
}

func (p *Params) read(params *httpsfv.Params) Problem {
	for _, name := range params.Names() {
		value, _ := params.Get(name)
		ok := true
		switch name {
		case "created":
			p.Created, ok = value.(int64)
			p.HasCreated = true
		case "expires":
			p.Expires, ok = value.(int64)
			p.HasExpires = true
		case "nonce":
			p.Nonce, ok = value.(string)
		case "alg":
			p.Alg, ok = value.(string)
			ok = ok && p.Alg != ""
		case "keyid":
			p.KeyID, ok = value.(string)
			p.HasKeyID = true
		case "tag":
			p.Tag, ok = value.(string)
		}
		if !ok {
			return malformed("a parameter " + name + " of another type")
		}
	}
	return Problem{}
}

// Covers reports whether the signature covers a component, written as RFC 9421
// writes it or, without parameters, as its bare name: @method,
// "@query-param";name="id".
func (s *Signature) Covers(c Component) bool {
	return slices.ContainsFunc(s.components, c.component.equals)
}

// CoversField reports whether it covers the field of that name as it came, in
// whatever form.
func (s *Signature) CoversField(name string) bool {
	return slices.ContainsFunc(s.components, func(c component) bool { return c.name == name && c.key == "" })
}

// CoversName reports whether it covers what has that name, all of it or, of a
// dictionary, one member.
func (s *Signature) CoversName(name string) bool {
	return slices.ContainsFunc(s.components, func(c component) bool { return c.name == name })
}
