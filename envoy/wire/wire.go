// Package wire reads a CheckRequest and entries of the access log in place, and writes
// a CheckResponse from prepared bytes.
//
// The generated decoder copies the body and makes some 175 objects for a
// message of which the service needs a dozen fields; it costs more than the
// whole check. [Check.Read] walks the message once, in the chunks in which it
// was received, and keeps views of them. It accepts what the generated decoder
// accepts, refuses what that refuses, and finds the same values: a fuzz target
// compares the two. The parts of a message that nobody asks for are walked for
// that reason only.
//
// What is read aliases the chunks and is valid as long as they are. Short
// fields that lie across the end of a chunk are copied; a body never is.
//
// [Entry.Read] does the same for an entry of the access log, which comes in one chunk,
// but walks over what nobody asks for: it finds what the generated decoder finds, and
// takes some entries that that one refuses.
//
// [EachRecord] and [Entry.ReadLine] find the same facts in a batch of Envoy's OpenTelemetry access
// log, in a line of a form that is ours.
//
// The writers append single fields of an answer. Which fields an answer may
// have is decided in package envoy, as is what stands in them; here nothing is
// checked.
package wire

import (
	"errors"

	"github.com/hookbastion/hookbastion/authz"
)

// ErrMalformed is the error of every message that the generated decoder
// refuses.
var ErrMalformed = errors.New("not a CheckRequest")

// Check is what a CheckRequest says, as far as the service asks for it. The
// zero value is an empty message. It may be used again and again, and not by
// two calls at once.
type Check struct {
	// HTTP says that the message has an HTTP request; without one, the other
	// fields of that are empty.
	HTTP                       bool
	Method, Path, Host, Scheme authz.View
	// ID is Envoy's number of the HTTP stream.
	ID authz.View
	// Size is Envoy's own count of the body's bytes; -1 if unknown.
	Size int64
	// Headers are those of header_map, or those of the map if that has none.
	// Names are as they were sent.
	Headers authz.Headers
	// Body is raw_body and Text is body, in chunks that are not empty. Envoy
	// sends at most one of them.
	Body, Text [][]byte
	// Source is the address of the downstream socket; empty if it is none.
	Source authz.View
	// Principal and Certificate are what Envoy says of the downstream peer's
	// certificate, ServerName is the SNI.
	Principal, Certificate, ServerName authz.View
	// SourcePort is its port; 0 if there is none, or a name.
	SourcePort uint32
	// Time is when the request came, if HasTime.
	HasTime bool
	Seconds int64
	Nanos   int32

	extensions []pair
	mapped     authz.Headers // of the map
	source     target        // what kind of address the source is
	arena      []byte        // copies of fields that lay across chunks
}

// pair is an entry of a map.
type pair struct{ key, value authz.View }

// Extension returns the context extension of that name; empty if there is none.
func (c *Check) Extension(name string) authz.View {
	for i := len(c.extensions) - 1; i >= 0; i-- { // the last one of a name counts
		if string(c.extensions[i].key) == name {
			return c.extensions[i].value
		}
	}
	return nil
}

// maxKept is how many bytes of copies are kept for the next message.
const maxKept = 64 << 10

// Reset empties the check and keeps its memory.
func (c *Check) Reset() {
	clear(c.Headers)
	clear(c.mapped)
	clear(c.Body)
	clear(c.Text)
	clear(c.extensions)
	if cap(c.arena) > maxKept {
		c.arena = nil
	}
	*c = Check{
		Headers: c.Headers[:0], mapped: c.mapped[:0], Body: c.Body[:0], Text: c.Text[:0],
		extensions: c.extensions[:0], arena: c.arena[:0],
	}
}

// Read reads one message that stands in the chunks. After an error the check
// must not be used but for Reset or another Read. It keeps the chunks until
// then, and not the list of them.
func (c *Check) Read(chunks [][]byte) error {
	c.Reset()
	r := reader{next: chunks, check: c}
	for _, p := range chunks {
		r.left += len(p)
	}
	if !r.message(checkRequest, 0, maxDepth) {
		return ErrMalformed
	}
	if len(c.Headers) == 0 {
		c.Headers, c.mapped = lastOfEach(c.mapped), c.Headers
	}
	return nil
}
