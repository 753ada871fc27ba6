package authz

import "encoding/binary"

// Likeness stands for what an upstream gets of a request, signed or not: 64 bits
// of a keyed hash over method, host, path with query, the type and encoding of
// the content, and the body. A copy with another likeness is not what was
// delivered, whatever its signature says. Other headers are not in it: they
// differ between an honest delivery and its retry. The zero value is like nothing,
// not even itself.
type Likeness uint64

// Like reports whether both stand for the same request.
func (l Likeness) Like(other Likeness) bool { return l != 0 && l == other }

// likenessLabel stands where a fingerprint has the name of a webhook, and is none.
var likenessLabel = []byte(" likeness ")

// likenessHeaders say how the body is to be read.
var likenessHeaders = [...]string{"content-type", "content-encoding"}

// Likeness returns the likeness of a request and the one with the other key, zero
// if there is none. Both are zero where the body is not known to be whole.
func (f *Fingerprinter) Likeness(req *Request) (current, alternate Likeness) {
	if f == nil || req == nil || req.Body.State != BodyWhole {
		return 0, 0
	}
	p := f.begin()
	p.Framed(likenessLabel)
	p.Framed(req.Method)
	p.Framed(req.Host)
	p.Framed(req.Path)
	for _, name := range likenessHeaders {
		_, count := req.Headers.Lookup(name)
		p.length(count)
		for i := range req.Headers {
			if string(req.Headers[i].Name) == name {
				p.Framed(req.Headers[i].Value)
			}
		}
	}
	p.length(req.Body.Len())
	for _, s := range req.Body.Segments {
		_, _ = p.Write(s) // it never fails
	}
	one, other := f.End(p)
	return likeness(one), likeness(other)
}

func likeness(f Fingerprint) Likeness {
	if f.IsZero() {
		return 0
	}
	return max(1, Likeness(binary.LittleEndian.Uint64(f[:8])))
}
