package wire

import (
	"bytes"
	"slices"
	"unicode/utf8"

	"github.com/hookbastion/hookbastion/authz"
)

// Wire types of the encoding.
const (
	wireVarint = iota
	wireFixed64
	wireBytes
	wireGroup
	wireEndGroup
	wireFixed32
)

const (
	// maxNumber is the largest number of a field; within a group that is
	// skipped, the generated decoder looks less closely.
	maxNumber      = 1<<29 - 1
	maxGroupNumber = 1<<31 - 1
	// maxDepth is the generated decoder's limit of messages within messages,
	// and of groups within groups.
	maxDepth = 10000
)

// reader walks a message. Positions are counted from the end: a message that
// ends where n bytes are left has the end n.
type reader struct {
	cur   []byte   // what is left of a chunk
	next  [][]byte // the chunks after it
	left  int      // bytes in cur and next
	check *Check

	pair pair // the entry that is being read
	raw  authz.View
}

// message reads the fields of a message up to its end. depth is how many
// messages may still be within one another, this one included.
func (r *reader) message(s shape, end, depth int) bool {
	if depth--; depth < 0 {
		return false
	}
	fields := &shapes[s]
	for r.left > end {
		if s == httpRequest && len(r.cur) > 0 && r.cur[0] == mapTag && depth > 0 {
			r.check.mapped = r.plainHeaders(r.check.mapped, mapTag, r.left-end)
			if r.left == end {
				break
			}
		}
		tag, ok := r.varint(end)
		number, wire := tag>>3, tag&7
		if !ok || number < 1 || number > maxNumber {
			return false
		}
		var f field
		if number < maxFields {
			f = fields[number]
		}
		switch {
		case f.kind == entry && depth == 0:
			return false // even if its wire type is wrong
		case f.kind >= octets && wire == wireBytes:
			ok = r.delimited(f, end, depth)
		case f.kind == varint && wire == wireVarint:
			var v uint64
			v, ok = r.varint(end)
			r.number(f.to, v)
		default:
			ok = r.skipValue(number, wire, end, maxDepth)
		}
		if !ok {
			return false
		}
	}
	return true
}

// number keeps a number, of whose bits a type takes as many as it has.
func (r *reader) number(to target, v uint64) {
	switch to {
	case toSize:
		r.check.Size = int64(v)
	case toPort:
		r.check.SourcePort = uint32(v)
	case toSeconds:
		r.check.Seconds = int64(v)
	case toNanos:
		r.check.Nanos = int32(v)
	default: // of no use
	}
}

// delimited reads a field that has its length before it.
func (r *reader) delimited(f field, end, depth int) bool {
	length, ok := r.varint(end)
	if !ok || length > uint64(r.left-end) {
		return false
	}
	n := int(length)
	switch {
	case f.kind >= message:
		return r.nested(f, r.left-n, depth)
	case f.to == toBody:
		r.check.Body = r.chunks(r.check.Body[:0], n)
		return true
	case f.to == toText:
		r.check.Text = r.chunks(r.check.Text[:0], n)
		return validUTF8(r.check.Text)
	case f.to == toNamedPort:
		r.check.SourcePort = 0
		return r.skipText(n)
	case f.to != nowhere:
		view := r.take(n)
		*r.place(f.to) = view
		return f.kind != text || utf8.Valid(view)
	case f.kind == text:
		return r.skipText(n)
	default:
		r.skip(n)
		return true
	}
}

// nested reads a message or an entry of a map.
func (r *reader) nested(f field, end, depth int) bool {
	c := r.check
	switch f.to {
	case toHTTP:
		c.HTTP = true
	case toTime:
		c.HasTime = true
	case toSocket, toPipe, toInternal:
		if c.source != f.to { // one of a kind is merged, another one replaced
			c.source, c.Source, c.SourcePort = f.to, nil, 0
		}
	case toHeader, toMapped, toExtension:
		r.pair, r.raw = pair{}, nil
	default: // nothing to prepare
	}
	switch {
	case f.of == headerMap:
		c.Headers = r.plainHeaders(c.Headers, listTag, r.left-end)
	case f.of == headerEntry && r.left-end <= len(r.cur):
		if h, ok := plainHeader(r.cur[:r.left-end], false); ok {
			r.pair = pair{h.Name, h.Value}
			r.cut(r.left - end)
		}
	}
	if !r.message(f.of, end, depth) {
		return false
	}
	switch f.to {
	case toHeader:
		header := authz.Header{Name: r.pair.key, Value: r.pair.value}
		if len(r.raw) > 0 {
			header.Value = r.raw
		}
		c.Headers = append(c.Headers, header)
	case toMapped:
		c.mapped = append(c.mapped, authz.Header{Name: r.pair.key, Value: r.pair.value})
	case toExtension:
		c.extensions = append(c.extensions, r.pair)
	default: // nothing to keep
	}
	return true
}

// Tags before a header in header_map, and before an entry of the map.
const (
	listTag = 1<<3 | wireBytes
	mapTag  = 3<<3 | wireBytes
)

// plainHeaders appends to dst those headers with that tag at the beginning of
// the next n bytes that are as plain as Envoy's, which are most of a message: in
// one chunk, nothing unknown, no length above 127, all of it ASCII where it must
// be UTF-8. What follows them is read as any message.
func (r *reader) plainHeaders(dst authz.Headers, tag byte, n int) authz.Headers {
	b := r.cur[:min(n, len(r.cur))]
	read := 0
	for read+2 <= len(b) && b[read] == tag {
		end := read + 2 + int(b[read+1])
		if b[read+1] >= 0x80 || end > len(b) {
			break
		}
		h, ok := plainHeader(b[read+2:end], tag == listTag)
		if !ok {
			break
		}
		dst = append(dst, h)
		read = end
	}
	r.cut(read)
	return dst
}

// plainHeader reads a header or an entry of a map. Only a header has raw bytes.
func plainHeader(b []byte, hasRaw bool) (h authz.Header, ok bool) {
	var raw authz.View
	for len(b) > 0 {
		if len(b) < 2 || b[1] >= 0x80 || int(b[1]) > len(b)-2 {
			return h, false
		}
		end := 2 + int(b[1])
		view := b[2:end:end]
		switch b[0] {
		case 3<<3 | wireBytes:
			if !hasRaw {
				return h, false
			}
			raw = view
		case 1<<3 | wireBytes:
			if !isASCII(view) {
				return h, false
			}
			h.Name = view
		case 2<<3 | wireBytes:
			if !isASCII(view) {
				return h, false
			}
			h.Value = view
		default:
			return h, false
		}
		b = b[end:]
	}
	if len(raw) > 0 {
		h.Value = raw
	}
	return h, true
}

// place is where a short field is kept.
func (r *reader) place(to target) *authz.View {
	switch to {
	case toID:
		return &r.check.ID
	case toMethod:
		return &r.check.Method
	case toPath:
		return &r.check.Path
	case toHost:
		return &r.check.Host
	case toScheme:
		return &r.check.Scheme
	case toSource:
		return &r.check.Source
	case toPrincipal:
		return &r.check.Principal
	case toCertificate:
		return &r.check.Certificate
	case toServerName:
		return &r.check.ServerName
	case toKey:
		return &r.pair.key
	case toValue:
		return &r.pair.value
	default:
		return &r.raw
	}
}

// skipValue passes over a field that is not known. groups is how many groups
// may still be within one another.
func (r *reader) skipValue(number, wire uint64, end, groups int) bool {
	switch wire {
	case wireVarint:
		_, ok := r.varint(end)
		return ok
	case wireFixed32, wireFixed64:
		n := 4
		if wire == wireFixed64 {
			n = 8
		}
		if n > r.left-end {
			return false
		}
		r.skip(n)
		return true
	case wireBytes:
		n, ok := r.varint(end)
		if !ok || n > uint64(r.left-end) {
			return false
		}
		r.skip(int(n))
		return true
	case wireGroup:
		return r.skipGroup(number, end, groups)
	default:
		return false // the end of a group that did not begin, or no wire type
	}
}

func (r *reader) skipGroup(number uint64, end, groups int) bool {
	if groups < 0 {
		return false
	}
	for {
		tag, ok := r.varint(end)
		inner, wire := tag>>3, tag&7
		if !ok || inner < 1 || inner > maxGroupNumber {
			return false
		}
		if wire == wireEndGroup {
			return inner == number
		}
		if !r.skipValue(inner, wire, end, groups-1) {
			return false
		}
	}
}

// fewHeaders are compared with one another; more are sorted.
const fewHeaders = 64

// lastOfEach keeps the last header of each name, as a map does.
func lastOfEach(headers authz.Headers) authz.Headers {
	if len(headers) > fewHeaders {
		slices.SortStableFunc(headers, func(a, b authz.Header) int { return bytes.Compare(a.Name, b.Name) })
	}
	kept := headers[:0]
	var seen names
	for _, h := range headers {
		i := 0
		switch {
		case len(headers) > fewHeaders:
			i = max(len(kept)-1, 0)
		case !seen.add(h.Name):
			i = len(kept) // there is none of that name
		}
		for i < len(kept) && !bytes.Equal(kept[i].Name, h.Name) {
			i++
		}
		if i < len(kept) {
			kept[i] = h
		} else {
			kept = append(kept, h)
		}
	}
	clear(headers[len(kept):])
	return kept
}

// names tells names that are surely new from others, by their length and two of
// their bytes.
type names [8]uint64

// add reports whether the name may have been added before.
func (s *names) add(name []byte) bool {
	sum := uint(len(name)) * 37
	if n := len(name); n > 0 {
		sum += uint(name[n-1])*11 + uint(name[n/2])
	}
	word, bit := &s[sum/64%8], uint64(1)<<(sum%64)
	before := *word&bit != 0
	*word |= bit
	return before
}
