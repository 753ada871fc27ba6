package page

import (
	"strings"

	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// coverage is what of a request a proof covers.
type coverage struct {
	body, host, path, query, method, time bool

	parts     []string // what else is signed
	bodyParts bool     // some of them are of the body
}

// url marks the whole URL, or the URL without its query.
func (c *coverage) url(query bool) {
	c.host, c.path, c.query = true, true, c.query || query
}

func (c *coverage) words() (covered, not []string) {
	say := func(is bool, name string) {
		if name == "" {
			return
		}
		if is {
			covered = append(covered, name)
		} else {
			not = append(not, name)
		}
	}
	if c.bodyParts && !c.body {
		say(false, "the rest of the body")
	} else {
		say(c.body, "the body")
	}
	yes, no := c.urlWords()
	say(true, yes)
	say(false, no)
	say(c.method, "the method")
	say(c.time, "a time")
	return append(covered, c.parts...), append(not, "all other headers")
}

// urlWords says what of the URL is covered and what is not.
func (c *coverage) urlWords() (covered, not string) {
	switch {
	case c.host && c.path && c.query:
		return "the URL", ""
	case c.host && c.path:
		return "the URL without its query", "the query"
	case c.path && c.query:
		return "the path and the query", "the host"
	case c.path:
		return "the path", "the host and the query"
	case c.query:
		return "the query", "the host and the path"
	default:
		return "", "the URL"
	}
}

func coverageOf(h policyv1.Signed) coverage {
	c := coverage{body: !h.GetBodyUnsigned(), time: h.GetTimestamp() != nil}
	for _, part := range h.GetContent() {
		switch p := part.GetPart().(type) {
		case *policyv1.Part_Url:
			c.url(!p.Url.GetWithoutQuery())
		case *policyv1.Part_Path:
			c.path, c.query = true, c.query || !p.Path.GetWithoutQuery()
		case *policyv1.Part_SortedQuery:
			c.query = true
		case *policyv1.Part_Method:
			c.method = true
		case *policyv1.Part_Header:
			c.parts = append(c.parts, "the header "+p.Header.GetName())
		case *policyv1.Part_Json:
			c.parts, c.bodyParts = append(c.parts, p.Json+" of the body"), true
		case *policyv1.Part_Field:
			c.parts, c.bodyParts = append(c.parts, p.Field+" of the form"), true
		case *policyv1.Part_Listed:
			c.parts = append(c.parts, "the headers that the delivery lists, "+strings.Join(p.Listed.GetRequired(), ", ")+" among them")
		case *policyv1.Part_Item:
			c.parts = append(c.parts, p.Item.GetKey()+" of the signature header")
		case *policyv1.Part_Code:
			c.code(p.Code)
		}
	}
	return c
}

// code adds what a part that is written in Go covers.
func (c *coverage) code(part policyv1.Part_CodePart) {
	switch part {
	case policyv1.Part_PLIVO_V3:
		c.url(true)
	case policyv1.Part_CONTENTFUL:
		c.method, c.path, c.query = true, true, true
		c.parts = append(c.parts, "the headers that the delivery lists")
	case policyv1.Part_MERCADO_PAGO:
		c.parts = append(c.parts, "data.id of the query", "the header X-Request-Id")
	default: // Validation refuses a part without a name.
	}
}
