package model

import (
	"maps"
	"strings"
)

// Truth is what is known of a condition before a request comes.
type Truth int8

// The truths, in the order that Not and the functions of several conditions need.
const (
	No Truth = iota
	Maybe
	Yes
)

// Not is the opposite.
func (t Truth) Not() Truth { return Yes - t }

// Known is Yes or No.
func Known(yes bool) Truth {
	if yes {
		return Yes
	}
	return No
}

// Request is one request, as far as the choice of a route looks at it. Names of headers
// are in lower case, and each has one value.
type Request struct {
	Method, Host, Path string
	Header             map[string]string
	// Upgrade is what the request asks to upgrade to, "" for most.
	Upgrade string
}

// clone returns a copy that may be changed.
func (r *Request) clone() *Request {
	c := *r
	c.Header = maps.Clone(r.Header)
	if c.Header == nil {
		c.Header = map[string]string{}
	}
	return &c
}

// Set changes a header or, by its name with a colon, a part of the first line.
func (r *Request) Set(name, value string) {
	switch name {
	case ":method":
		r.Method = value
	case ":path":
		r.Path = value
	case ":authority", "host":
		r.Host = value
	default:
		r.Header[name] = value
	}
}

// Get returns what Set changes.
func (r *Request) Get(name string) (value string, ok bool) {
	switch name {
	case ":method":
		return r.Method, true
	case ":path":
		return r.Path, true
	case ":authority", "host":
		return r.Host, true
	case ":scheme":
		return "http", true
	default:
		value, ok = r.Header[name]
		return value, ok
	}
}

// BarePath is the path without its query.
func (r *Request) BarePath() string {
	path, _, _ := strings.Cut(r.Path, "?")
	return path
}

// String writes the request as an operator would try it: POST http://host/path, and
// headers without which it goes another way.
func (r *Request) String() string {
	var b strings.Builder
	b.WriteString(r.Method + " http://" + r.Host)
	if r.Method != "CONNECT" {
		b.WriteString(r.Path)
	}
	for _, name := range sortedKeys(r.Header) {
		b.WriteString(" " + name + ": " + r.Header[name])
	}
	if r.Upgrade != "" {
		b.WriteString(" upgrade: " + r.Upgrade)
	}
	return b.String()
}

// View is what conditions see: a request, and what filters have said of it.
type View struct {
	*Request
	// Metadata is dynamic metadata that is known, by namespace and key with a space
	// between.
	Metadata map[string]string
	// LooseMetadata and LooseState say that filters may have set any other metadata, or
	// filter state.
	LooseMetadata, LooseState bool
}
