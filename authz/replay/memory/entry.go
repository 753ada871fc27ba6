package memory

import (
	"encoding/binary"
	"errors"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
)

// Entry is all that a [Store] knows of one content, or the time up to which it
// may have forgotten some. A log of them, read in their order, makes the same
// store again: the last one of a content counts. Entries of one content are
// handed out in their order, under its lock.
type Entry struct {
	// Partition is what it belongs to: Webhook, or a tenant of it.
	Partition uint64
	Webhook   string
	Tenant    bool

	fingerprint authz.Fingerprint
	flags       uint8
	class       uint8
	state       state
	// expires is the epoch in which the nonce expires, or that of the watermark.
	expires int64
	// like is the nonce's likeness; 0 if there is none.
	like authz.Likeness
	// permit is until when a copy may pass, in nanoseconds since 1970; 0: none may.
	permit int64
	// depth is that of the watermark's segment.
	depth  uint8
	open   open
	owners owners // of it
}

const (
	entryNonce     = 1 << iota // it is there: class, state and expires
	entrySigned                // with a signed time
	entryOpen                  // its outcome is open
	entryPart                  // whether its outcome is open stands in another entry
	entryWatermark             // it is no content but a watermark
	entryUnsure                // an open one's fate at the end of the lease is Unsure
	entryFinal                 // see open.final
	entryAbsent                // see open.absent
)

const (
	classMask  = 0x1f
	entryMore  = 0x20 // beside the class: a byte follows that says what else does
	stateShift = 6
)

const (
	moreOwners   = 1 << iota // a number of owners, and they, beside the first
	moreMany                 // see owners.many
	moreLikeness             // of the nonce
	morePermit               // until when a copy may pass
	moreKnown    = 1<<iota - 1
)

const (
	entryHead     = 1 + 1 + 8 + 15
	entryOpenSize = 8 + 8 + 4 + 8 + 8 + 8 + 1
)

// Delivered reports whether it is of a nonce whose delivery is known to have been
// taken: an access log came.
func (e *Entry) Delivered() bool { return e.flags&entryNonce != 0 && e.state == stateDone }

// AppendTo appends the entry without its webhook: at most 100 bytes, and 8 for
// each attempt of a check after the first.
func (e *Entry) AppendTo(b []byte) []byte {
	more := e.more()
	class := e.class | uint8(e.state>>8)<<stateShift
	if more != 0 {
		class |= entryMore
	}
	b = append(b, e.flags, class)
	b = binary.LittleEndian.AppendUint64(b, e.Partition)
	b = append(b, e.fingerprint[:15]...)
	if more != 0 {
		b = append(b, more)
	}
	switch {
	case e.flags&entryWatermark != 0:
		b = append(b, e.depth)
		fallthrough
	case e.flags&entryNonce != 0:
		b = binary.LittleEndian.AppendUint64(b, uint64(e.expires))
	}
	if more&moreLikeness != 0 {
		b = binary.LittleEndian.AppendUint64(b, uint64(e.like))
	}
	if more&morePermit != 0 {
		b = binary.LittleEndian.AppendUint64(b, uint64(e.permit))
	}
	if e.flags&entryOpen != 0 {
		o := &e.open
		b = binary.LittleEndian.AppendUint64(b, o.check.Stream)
		b = binary.LittleEndian.AppendUint64(b, uint64(o.check.Time))
		b = binary.LittleEndian.AppendUint32(b, o.check.Port)
		b = binary.LittleEndian.AppendUint64(b, o.id)
		b = binary.LittleEndian.AppendUint64(b, e.owners.first)
		b = binary.LittleEndian.AppendUint64(b, uint64(o.ends))
		b = append(b, uint8(o.mark)|uint8(o.before>>8)<<4)
	}
	if more&moreOwners != 0 {
		b = append(b, uint8(len(e.owners.more)))
		for _, owner := range e.owners.more {
			b = binary.LittleEndian.AppendUint64(b, owner)
		}
	}
	return b
}

// more says what an entry has that most have not.
func (e *Entry) more() (more uint8) {
	if e.flags&entryNonce != 0 && e.like != 0 {
		more |= moreLikeness
	}
	if e.permit != 0 {
		more |= morePermit
	}
	if e.flags&entryOpen == 0 {
		return more
	}
	if len(e.owners.more) > 0 {
		more |= moreOwners
	}
	if e.owners.many {
		more |= moreMany
	}
	return more
}

var errEntry = errors.New("no entry")

// ReadEntry reads what AppendTo has appended and returns the rest.
func ReadEntry(b []byte) (e Entry, rest []byte, err error) {
	if len(b) < entryHead {
		return e, nil, errEntry
	}
	e.flags, e.class, e.state = b[0], b[1]&classMask, state(b[1]>>stateShift)<<8
	e.Partition = binary.LittleEndian.Uint64(b[2:])
	copy(e.fingerprint[:15], b[10:])
	hasMore := b[1]&entryMore != 0
	b = b[entryHead:]
	more := uint8(0)
	if hasMore {
		if len(b) < 1 || b[0]&^moreKnown != 0 {
			return e, nil, errEntry
		}
		more, b = b[0], b[1:]
	}
	if e.flags&entryWatermark != 0 {
		if len(b) < 1 {
			return e, nil, errEntry
		}
		e.depth, b = b[0], b[1:]
	}
	if e.flags&(entryWatermark|entryNonce) != 0 {
		if len(b) < 8 {
			return e, nil, errEntry
		}
		e.expires, b = int64(binary.LittleEndian.Uint64(b)), b[8:]
	}
	if e.class > maxClass || e.depth > 64 {
		return e, nil, errEntry
	}
	if more&moreLikeness != 0 {
		if len(b) < 8 {
			return e, nil, errEntry
		}
		e.like, b = authz.Likeness(binary.LittleEndian.Uint64(b)), b[8:]
	}
	if more&morePermit != 0 {
		if len(b) < 8 {
			return e, nil, errEntry
		}
		e.permit, b = int64(binary.LittleEndian.Uint64(b)), b[8:]
	}
	if e.flags&entryOpen != 0 {
		if b, err = e.readOpen(b); err != nil {
			return e, nil, err
		}
	}
	e.owners.many = more&moreMany != 0
	if more&moreOwners != 0 {
		b, err = e.readOwners(b)
	}
	return e, b, err
}

// readOpen reads who holds it.
func (e *Entry) readOpen(b []byte) (rest []byte, err error) {
	if len(b) < entryOpenSize {
		return nil, errEntry
	}
	o := &e.open
	o.fingerprint = e.fingerprint
	o.check.Stream = binary.LittleEndian.Uint64(b)
	o.check.Time = int64(binary.LittleEndian.Uint64(b[8:]))
	o.check.Port = binary.LittleEndian.Uint32(b[16:])
	o.id, e.owners.first = binary.LittleEndian.Uint64(b[20:]), binary.LittleEndian.Uint64(b[28:])
	o.ends = int64(binary.LittleEndian.Uint64(b[36:]))
	o.mark, o.before = authz.Mark(b[44]&0xf), state(b[44]>>4&3)<<8
	o.unknown = replay.Taken
	if e.flags&entryUnsure != 0 {
		o.unknown = replay.Unsure
	}
	o.final, o.absent = e.flags&entryFinal != 0, e.flags&entryAbsent != 0
	return b[entryOpenSize:], nil
}

// readOwners reads the attempts that hold it beside the first.
func (e *Entry) readOwners(b []byte) (rest []byte, err error) {
	if len(b) < 1 || int(b[0]) >= maxOwners || len(b) < 1+8*int(b[0]) || e.flags&entryOpen == 0 {
		return nil, errEntry
	}
	n := int(b[0])
	for b = b[1:]; n > 0; n-- {
		e.owners.more = append(e.owners.more, binary.LittleEndian.Uint64(b))
		b = b[8:]
	}
	return b, nil
}
