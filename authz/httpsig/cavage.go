package httpsig

import (
	"encoding/base64"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hookbastion/hookbastion/authz"
)

// Cavage is a signature of draft-cavage-http-signatures. Nothing in it is believed
// yet.
type Cavage struct {
	KeyID, Algorithm string
	// Headers are the names of what it covers, in order and in lower case;
	// (request-target), (created) and (expires) are no fields.
	Headers []string
	// Created and Expires are in Unix seconds, if they are there.
	Created, Expires       int64
	HasCreated, HasExpires bool
	// Value is the signature.
	Value []byte
}

// ReadCavage returns the signature in the header, which is signature or
// authorization, where it stands behind the word Signature. defaults is what a
// signature that names no headers covers: date up to draft 10, (created) from
// draft 11. None and no problem: there is none.
func ReadCavage(headers authz.Headers, header, defaults string) (*Cavage, Problem) {
	value, count := headers.Lookup(header)
	text := string(value)
	if header == "authorization" {
		scheme, rest, _ := strings.Cut(text, " ")
		if !strings.EqualFold(scheme, "signature") {
			return nil, Problem{}
		}
		text = rest
	}
	switch {
	case count == 0:
		return nil, Problem{}
	case count > 1:
		return nil, malformed("more than one " + header + " header")
	}
	return readCavage(text, defaults)
}

// cavageParam is one parameter with what divides it from the next.
var cavageParam = regexp.MustCompile(`^\s*([A-Za-z]+)=(?:"([^"\\]*)"|([0-9]+))\s*(?:,|$)`)

func readCavage(text, defaults string) (*Cavage, Problem) {
	c := &Cavage{Headers: []string{defaults}}
	seen := map[string]bool{}
	for text != "" {
		m := cavageParam.FindStringSubmatch(text)
		if m == nil || seen[m[1]] {
			return nil, malformed("parameters that are no list of name=\"value\", or one of them twice")
		}
		text, seen[m[1]] = text[len(m[0]):], true
		if problem := c.set(m[1], m[2], m[3]); problem.Exists() {
			return nil, problem
		}
	}
	if !seen["keyId"] || !seen["signature"] {
		return nil, malformed("a signature without keyId or signature")
	}
	return c, c.consistent()
}

func (c *Cavage) set(name, text, number string) Problem {
	var err error
	switch name {
	case "keyId":
		c.KeyID = text
	case "algorithm":
		c.Algorithm = text
	case "headers":
		c.Headers = strings.Split(strings.ToLower(text), " ")
	case "signature":
		c.Value, err = base64.StdEncoding.Strict().DecodeString(text)
	case "created":
		c.Created, err = strconv.ParseInt(number, 10, 64)
		c.HasCreated = true
	case "expires":
		c.Expires, err = strconv.ParseInt(number, 10, 64)
		c.HasExpires = true
	}
	if err != nil {
		return malformed("a parameter " + name + " of another form")
	}
	return Problem{}
}

func (c *Cavage) consistent() Problem {
	named := strings.HasPrefix(c.Algorithm, "rsa") || strings.HasPrefix(c.Algorithm, "hmac") || strings.HasPrefix(c.Algorithm, "ecdsa")
	for i, name := range c.Headers {
		switch {
		case len(c.Headers) > maxComponents, slices.Contains(c.Headers[:i], name):
			return malformed("headers that are too many, or one of them twice")
		case name == "(created)" || name == "(expires)":
			if named && (c.HasCreated || c.HasExpires) {
				return malformed(name + " with an algorithm that excludes it")
			}
		case name != "(request-target)" && !isFieldName(name):
			return malformed("headers that name something else")
		}
	}
	return Problem{}
}

// Covers reports whether the signature covers what has that name.
func (c *Cavage) Covers(name string) bool { return slices.Contains(c.Headers, strings.ToLower(name)) }

// Base returns the text that the signature covers (§2.3 of the draft).
func (c *Cavage) Base(m *Message) ([]byte, Problem) {
	var lines []string
	for _, name := range c.Headers {
		value, problem := c.value(m, name)
		if problem.Exists() {
			return nil, problem
		}
		if strings.ContainsAny(value, "\r\n") {
			return nil, malformed("a signed header with a line break")
		}
		lines = append(lines, name+": "+value)
	}
	return []byte(strings.Join(lines, "\n")), Problem{}
}

func (c *Cavage) value(m *Message, name string) (string, Problem) {
	missing := Problem{authz.SignatureMissing, "no " + name + ", which is signed"}
	switch name {
	case "(request-target)":
		return strings.ToLower(m.Method) + " " + m.Path, Problem{}
	case "(created)":
		if !c.HasCreated {
			return "", missing
		}
		return strconv.FormatInt(c.Created, 10), Problem{}
	case "(expires)":
		if !c.HasExpires {
			return "", missing
		}
		return strconv.FormatInt(c.Expires, 10), Problem{}
	default:
		return m.field(component{name: name})
	}
}
