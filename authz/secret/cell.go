package secret

import "sync/atomic"

// Version is one value that a secret has or had. It is immutable, so that who
// has it can use it to the end, whatever the secret becomes meanwhile.
type Version struct {
	Value
	// Digest is the SHA-256 of the value.
	Digest Digest
	kept   atomic.Pointer[any]
}

// NewVersion returns a value as the version of a secret.
func NewVersion(v Value) *Version { return &Version{Value: v, Digest: DigestOf(v.Reveal())} }

// Kept returns what Keep was given first, or nil.
func (v *Version) Kept() any {
	if kept := v.kept.Load(); kept != nil {
		return *kept
	}
	return nil
}

// Keep keeps what was made of the value for as long as the version is in use,
// and returns what is kept: that which came first.
func (v *Version) Keep(made any) any {
	v.kept.CompareAndSwap(nil, &made)
	return v.Kept()
}

// Held are the secrets of one tenant, by the number of their cells. A secret
// that the tenant does not have is nil.
type Held []*Version

// Cell is a place for a secret that may be replaced. It is safe for concurrent
// use.
type Cell struct {
	current atomic.Pointer[Version]
	tenants int // 1 + the number in Held; 0: the secret is the same for all
}

// NewCell returns a cell with a value.
func NewCell(v Value) *Cell {
	c := &Cell{}
	c.current.Store(NewVersion(v))
	return c
}

// TenantCell returns the cell of a secret of which each tenant has its own, at
// number n of what it holds.
func TenantCell(n int) *Cell { return &Cell{tenants: n + 1} }

// Load returns the version that counts now, for a tenant that holds these
// secrets. It is nil if the tenant has none.
func (c *Cell) Load(held Held) *Version {
	switch {
	case c.tenants == 0:
		return c.current.Load()
	case c.tenants <= len(held):
		return held[c.tenants-1]
	default:
		return nil
	}
}

// PerTenant reports whether each tenant has a secret of its own.
func (c *Cell) PerTenant() bool { return c.tenants > 0 }

// replace puts a value in the place of the old one, unless it is the same.
func (c *Cell) replace(v Value) (changed bool) {
	next := NewVersion(v)
	if now := c.current.Load(); now != nil && now.Digest.Same(&next.Digest) {
		return false
	}
	c.current.Store(next)
	return true
}
