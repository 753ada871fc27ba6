package memory

import (
	"math"
	"slices"
)

// A part of the room is common, and taken by who comes first. The rest is
// reserved, a half for webhooks and a half for tenants: each has a least there
// that nobody else can take, however greedy the others are.
const (
	// reservedPart is which part is reserved, for webhooks and for tenants each.
	// Of the rest one alone gets four fifths: three quarters of the whole.
	reservedPart = 32
	// plenty is up to how many get a least of about the same size.
	plenty = 64
)

// least is what somebody has in any case.
type least struct{ nonces, open int64 }

// common is how much of the room is common.
func common(whole int64) int64 { return whole - 2*(whole/reservedPart) }

// leastOf is the least of the webhook or tenant of that rank, from 0. It falls
// with the rank so that the sum over all ranks, however many there are, is less
// than what is reserved: for r / 64 = x by (1 + x)^1.5, whose sum is less than
// 2 * 64 + 1. Of four million the first have 961 each, the 64th 344, the
// 1,000th 14, and the 6,000th one.
func (m *Store) leastOf(rank int) least {
	part := 1 / (float64(2*plenty+2) * math.Pow(1+float64(rank)/plenty, 1.5))
	return least{int64(float64(m.max/reservedPart) * part), int64(float64(m.maxOpen/reservedPart) * part)}
}

// ranks gives out the lowest ones that are free.
type ranks struct {
	next int
	free []int
}

func (r *ranks) take() int {
	if len(r.free) == 0 {
		r.next++
		return r.next - 1
	}
	i := slices.Index(r.free, slices.Min(r.free))
	rank := r.free[i]
	r.free = slices.Delete(r.free, i, i+1)
	return rank
}

func (r *ranks) give(rank int) { r.free = append(r.free, rank) }
