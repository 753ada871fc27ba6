package ranges

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/gaissmai/bart"
)

// Errors of ParsePrefix.
var (
	// ErrZone refuses a zone: netip takes all behind the % for it, a mask too.
	ErrZone = errors.New("has a zone; write the address or network without it")
	// ErrMixed refuses a network that has all of IPv4, as ::ffff:0:0/96 has it,
	// and more: addresses are compared unmapped, and none of IPv4 would be in it.
	ErrMixed = errors.New("has IPv4 addresses in IPv6 form and others; write two networks")
)

// ParsePrefix reads a network or a single address, unmapped and masked.
func ParsePrefix(s string) (netip.Prefix, error) {
	if strings.Contains(s, "%") {
		return netip.Prefix{}, ErrZone
	}
	if addr, err := netip.ParseAddr(s); err == nil {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	if addr := prefix.Addr(); addr.Is4In6() {
		if prefix.Bits() < 96 {
			return netip.Prefix{}, ErrMixed
		}
		prefix = netip.PrefixFrom(addr.Unmap(), prefix.Bits()-96)
	}
	return prefix.Masked(), nil
}

// few is how many networks are compared one by one, which is quicker for so many.
const few = 4

// Set is a set of networks. The zero value has none. It does not change, and is safe for
// concurrent use.
type Set struct {
	// networks are in order, IPv4 first, and none is within another.
	networks []netip.Prefix
	trie     *bart.Lite // nil where there are few
	digest   string
}

// NewSet returns the set of those networks, which are masked and unmapped as
// ParsePrefix returns them.
func NewSet(networks []netip.Prefix) *Set {
	s := &Set{networks: disjoint(networks)}
	if len(s.networks) > few {
		s.trie = &bart.Lite{}
		for _, p := range s.networks {
			s.trie.Insert(p)
		}
	}
	h := sha256.New()
	for _, p := range s.networks {
		_, _ = h.Write(append(p.AppendTo(nil), '\n')) // a hash takes all
	}
	s.digest = hex.EncodeToString(h.Sum(nil)[:16])
	return s
}

// Digest names what is in it: sets of the same networks, in whatever order they were
// given, have the same.
func (s *Set) Digest() string { return s.digest }

// Contains reports whether an address, unmapped and without a zone, is in one of them.
func (s *Set) Contains(a netip.Addr) bool {
	if s.trie != nil {
		return s.trie.Contains(a)
	}
	for _, p := range s.networks {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Networks are those of the set, in order, without those that are within another. The
// caller must not change them.
func (s *Set) Networks() []netip.Prefix { return s.networks }

// Len is their number.
func (s *Set) Len() int { return len(s.networks) }

// Less returns the networks of the set that are not wholly in another.
func (s *Set) Less(other *Set) []netip.Prefix {
	var out []netip.Prefix
	joined := join(other.networks)
	for _, p := range s.networks {
		if !covered(p, joined) {
			out = append(out, p)
		}
	}
	return out
}

// disjoint sorts networks and drops those within another.
func disjoint(networks []netip.Prefix) []netip.Prefix {
	sorted := slices.Clone(networks)
	slices.SortFunc(sorted, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	out := sorted[:0]
	for _, p := range sorted {
		if len(out) == 0 || !out[len(out)-1].Contains(p.Addr()) {
			out = append(out, p)
		}
	}
	return slices.Clip(out)
}

// join makes one of two networks that are the halves of one, disjoint and in order as they
// are and stay. What is covered by several is then covered by one.
func join(networks []netip.Prefix) []netip.Prefix {
	out := make([]netip.Prefix, 0, len(networks))
	for _, p := range networks {
		for len(out) > 0 && p.Bits() > 0 && out[len(out)-1].Bits() == p.Bits() {
			whole := netip.PrefixFrom(p.Addr(), p.Bits()-1).Masked()
			if !whole.Contains(out[len(out)-1].Addr()) {
				break
			}
			out, p = out[:len(out)-1], whole
		}
		out = append(out, p)
	}
	return out
}

// covered reports whether one of them, disjoint and in order, holds all of p.
func covered(p netip.Prefix, networks []netip.Prefix) bool {
	after, _ := slices.BinarySearchFunc(networks, p.Addr(), func(q netip.Prefix, a netip.Addr) int {
		if q.Addr().Compare(a) <= 0 {
			return -1
		}
		return 1
	})
	return after > 0 && networks[after-1].Bits() <= p.Bits() && networks[after-1].Contains(p.Addr())
}

// within are those, disjoint and in order, that p holds.
func within(p netip.Prefix, networks []netip.Prefix) []netip.Prefix {
	first, _ := slices.BinarySearchFunc(networks, p.Addr(), func(q netip.Prefix, a netip.Addr) int { return q.Addr().Compare(a) })
	last := first
	for last < len(networks) && p.Contains(networks[last].Addr()) {
		last++
	}
	return networks[first:last]
}

// amount is how many addresses there are. A float64 has the exact sum of networks of a
// document: they are powers of two, and near to one another.
type amount struct{ v4, v6 float64 }

func (a *amount) add(p netip.Prefix) {
	n := float64(1)
	for range p.Addr().BitLen() - p.Bits() {
		n *= 2
	}
	if p.Addr().Is4() {
		a.v4 += n
	} else {
		a.v6 += n
	}
}

func amountOf(networks []netip.Prefix) (a amount) {
	for _, p := range networks {
		a.add(p)
	}
	return a
}

// shared is how many addresses two sets have in common.
func shared(s, other *Set) (a amount) {
	joined := join(other.networks)
	for _, p := range join(s.networks) {
		if covered(p, joined) {
			a.add(p)
			continue
		}
		for _, q := range within(p, joined) {
			a.add(q)
		}
	}
	return a
}
