package monitor

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
	"net/netip"
	"sync/atomic"
)

// ways is how many networks share a row of the table.
const ways = 8

// networks remembers which networks have delivered to which webhook: a table of rows
// of eight cells. A cell is 32 bits of a keyed hash, 16 bits of the hour in which the
// network came first and 16 bits of the day on which it was seen last, so that one of a
// network that never came is taken for a known one once in half a thousand million. In
// a full row the one that was seen longest ago goes.
type networks struct {
	seed  [2]uint64
	cells []atomic.Uint64
	mask  uint64
}

func newNetworks(most int) *networks {
	rows := uint64(1)
	for rows*ways < uint64(most)+uint64(most)/8 { // rows are not filled evenly
		rows *= 2
	}
	n := &networks{cells: make([]atomic.Uint64, rows*ways), mask: rows - 1}
	var seed [16]byte
	_, _ = rand.Read(seed[:]) // never fails
	n.seed = [2]uint64{binary.LittleEndian.Uint64(seed[:8]), binary.LittleEndian.Uint64(seed[8:])}
	return n
}

// mix is a keyed hash of 64 bits, the multiplication of wyhash.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0x9e3779b97f4a7c15, b^0xd6e8feb86659fd93)
	return hi ^ lo
}

func hashText[T ~string | ~[]byte](seed [2]uint64, text T) uint64 {
	h := seed[0] ^ uint64(len(text))
	for len(text) >= 8 {
		h = mix(h^eight(text), seed[1])
		text = text[8:]
	}
	var last uint64
	for i := range len(text) {
		last |= uint64(text[i]) << (8 * i)
	}
	return mix(h^last, seed[1]^0xa0761d6478bd642f)
}

func eight[T ~string | ~[]byte](t T) uint64 {
	return uint64(t[0]) | uint64(t[1])<<8 | uint64(t[2])<<16 | uint64(t[3])<<24 | uint64(t[4])<<32 | uint64(t[5])<<40 | uint64(t[6])<<48 | uint64(t[7])<<56
}

// near is the hash of a source's network. Addresses of one network have one hash.
func (n *networks) near(webhook uint64, a netip.Addr) uint64 {
	b := a.As16()
	id := binary.BigEndian.Uint64(b[:8]) >> 16
	if a.Is4() || a.Is4In6() {
		id = binary.BigEndian.Uint64(b[8:])>>8 | 1<<63
	}
	return mix(webhook^id, n.seed[1])
}

// wide is that of the wider network around it: a /16, or a /32 of IPv6.
func (n *networks) wide(webhook uint64, a netip.Addr) uint64 {
	b := a.As16()
	id := binary.BigEndian.Uint64(b[:8])>>32 | 3<<62
	if a.Is4() || a.Is4In6() {
		id = binary.BigEndian.Uint64(b[8:])>>16 | 1<<62
	}
	return mix(webhook^id, n.seed[1])
}

// touch brings a network's row near.
func (n *networks) touch(hash uint64) { n.row(hash)[0].Load() }

// find returns the cell of a network.
func (n *networks) find(hash uint64) *atomic.Uint64 {
	row := n.row(hash)
	for i := range row {
		if row[i].Load()>>32 == hash>>32 {
			return &row[i]
		}
	}
	return nil
}

func (n *networks) row(hash uint64) []atomic.Uint64 {
	at := (hash & n.mask) * ways
	return n.cells[at : at+ways]
}

// age returns for how many hours a network has been known; ok is false if it is not.
func (n *networks) age(hash uint64, hour int64) (hours int, ok bool) {
	c := n.find(hash)
	if c == nil {
		return 0, false
	}
	return int(uint16(hour) - uint16(c.Load()>>16)), true
}

// seen notes that a network has delivered, and returns for how many hours it was
// known before. A concurrent change of the row may lose the note: then the network
// comes again.
func (n *networks) seen(hash uint64, hour int64) (hours int, known bool) {
	day := uint64(uint16(hour / 24))
	if c := n.find(hash); c != nil {
		old := c.Load()
		if uint64(uint16(old)) != day {
			c.CompareAndSwap(old, old&^0xffff|day)
		}
		return int(uint16(hour) - uint16(old>>16)), true
	}
	row, at, most := n.row(hash), 0, -1
	for i := range row {
		cell := row[i].Load()
		if cell == 0 {
			at = i
			break
		}
		if unseen := int(uint16(day) - uint16(cell)); unseen > most {
			at, most = i, unseen
		}
	}
	row[at].Store(hash&^0xffffffff | uint64(uint16(hour))<<16 | day)
	return 0, false
}
