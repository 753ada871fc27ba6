// Package oracle knows what becomes of a request by the documentation alone: it signs as
// providers do, makes the attacks that the service must refuse, and judges each answer.
// It imports nothing of the service, so that no fault is on both sides.
//
// What it expects is a set of reasons (docs/reasons.md) for what the request is, and more
// of them for what was broken while it was on its way (docs/replay.md). A request that
// proves nothing has no such excuse: whatever breaks, it reaches no application.
//
// It does not know what no answer means: a request that got none is judged by whether it
// reached the application.
package oracle

import (
	"slices"
	"strings"
)

// Header is one line of a request.
type Header struct{ Name, Value string }

// Request is what a sender sends. Body and Headers may be shared with copies of it; who
// changes them makes new ones, as the methods do.
type Request struct {
	Method, Target string // the target with its query, as it is on the wire
	Host           string
	Headers        []Header
	Body           string
	Via            Via
	Signed         int64  // Unix seconds of the signed time
	Content        string // names what is signed, for those who ask whether two are copies
}

// Via is how a request reaches Envoy.
type Via struct {
	TLS, Certificate, Stranger bool   // Certificate shows one; Stranger another than the policy names
	HTTP2                      bool   // else HTTP/1.1
	Cycled                     bool   // a connection of its own
	Source                     string // the address that the load balancer names, if any
}

// Get returns the first value of a header.
func (q *Request) Get(name string) string {
	for _, h := range q.Headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

// Set gives a header one value.
func (q *Request) Set(name, value string) {
	q.Delete(name)
	q.Add(name, value)
}

// Add adds a line.
func (q *Request) Add(name, value string) {
	q.Headers = append(slices.Clip(q.Headers), Header{Name: name, Value: value})
}

// Delete removes all lines of a header.
func (q *Request) Delete(name string) {
	var left []Header
	for _, h := range q.Headers {
		if !strings.EqualFold(h.Name, name) {
			left = append(left, h)
		}
	}
	q.Headers = left
}

// Path is the target without its query.
func (q *Request) Path() string {
	path, _, _ := strings.Cut(q.Target, "?")
	return path
}
