package authz

import "slices"

// Asking says whether a request may be a handshake: one by which a provider asks whether
// the endpoint is wanted.
type Asking uint8

// What a request may ask. The zero value is a delivery.
const (
	AsksNothing Asking = iota
	// AsksUnproven: a handshake that is answered before anything is proven. It needs no
	// body and no content type, and can be nothing else.
	AsksUnproven
	// AsksProven: one that must prove what a delivery must, by a method that no delivery
	// of the webhook has. It can be nothing else.
	AsksProven
)

// Handshaker knows the handshakes of a webhook. It is immutable and safe for concurrent
// use.
type Handshaker interface {
	// Methods are those of its handshakes.
	Methods() []string
	// Asks says what the request may be; delivered, that deliveries of the webhook have
	// its method.
	Asks(req *Request, delivered bool) Asking
	// Names are those of its handshakes.
	Names() []string
	// Request makes the request the handshake of that name, for tests. proven says that it
	// must still be signed as a delivery. It fails if there is none.
	Request(name string, req *Request, with Signing) (proven, ok bool)
}

// Answer is what the sender of a handshake gets.
type Answer struct {
	// Status is 200 or 204, which has no body.
	Status int
	// ContentType is that of the body; empty if there is none.
	ContentType string
	// Headers are those beside the ones that every answer has.
	Headers []Header
	Body    string
	// Told is what the operator is told of, an https URL; empty if nothing.
	Told string
	// Learnt says that a secret was taken that nobody had brought before.
	Learnt bool
}

// silent reports whether a check that finds nothing is left out of records.
func (s Stage) silent() bool { return s == StageKnown || s.answers() }

// answers reports whether a check of the stage may answer a handshake.
func (s Stage) answers() bool { return s == StageHandshake || s == StageAnswer }

// otherMethods returns the methods of handshakes that no delivery has.
func otherMethods(h Handshaker, delivered []string) []string {
	if h == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(h.Methods()), func(m string) bool { return slices.Contains(delivered, m) })
}

// asks reports whether the request is a handshake by a method that no delivery has.
func (r *route) asks(req *Request) bool {
	for _, m := range r.asked {
		if string(req.Method) == m {
			return r.webhook.Handshakes.Asks(req, false) != AsksNothing
		}
	}
	return false
}
