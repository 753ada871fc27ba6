// Package source checks that the request came from an expected network.
//
// The address is that of Envoy's peer, which headers cannot forge, or comes
// from X-Forwarded-For counted from the right, if the operator says how many
// proxies stand in front. Addresses are an extra fence and never enough alone:
// many senders share a provider's addresses.
package source

import (
	"bytes"
	"net/netip"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/ranges"
)

// Resolver finds the sender's address. The zero value takes Envoy's peer.
type Resolver struct {
	// TrustedHops is the number of proxies in front of Envoy: the address is
	// then the (N+1)-th from the right of X-Forwarded-For, to which Envoy has
	// appended its peer.
	TrustedHops int
	// TrustedCIDRs are the proxies in front of Envoy: the address is then the
	// first from the right that is in none of them.
	TrustedCIDRs []netip.Prefix
}

// Resolve returns the sender's address, unmapped and without a zone, or the
// zero Addr if there is none. peer is the address of Envoy's peer; a list that
// is too short means the peer.
func (r *Resolver) Resolve(peer netip.Addr, headers authz.Headers) netip.Addr {
	peer = plain(peer)
	switch {
	case r.TrustedHops > 0:
		hops := r.TrustedHops
		for entries := (fromRight{headers: headers, line: len(headers)}); ; hops-- {
			entry, ok := entries.next()
			if !ok {
				return peer
			}
			if hops == 0 {
				return parse(entry)
			}
		}
	case len(r.TrustedCIDRs) > 0:
		addr := peer
		for entries := (fromRight{headers: headers, line: len(headers)}); addr.IsValid() && contains(r.TrustedCIDRs, addr); {
			entry, ok := entries.next()
			if !ok {
				return addr
			}
			addr = parse(entry)
		}
		return addr
	default:
		return peer
	}
}

// Behind reports whether the peer is a trusted proxy, so that what is known of
// its connection says nothing of the sender's.
func (r *Resolver) Behind(peer netip.Addr) bool {
	return r.TrustedHops > 0 || contains(r.TrustedCIDRs, plain(peer))
}

// fromRight walks over the entries of all X-Forwarded-For lines as if they
// were joined, from the right.
type fromRight struct {
	headers authz.Headers
	line    int // index of the line that rest belongs to
	rest    []byte
	more    bool // rest still has an entry, which may be empty
}

func (f *fromRight) next() ([]byte, bool) {
	for !f.more {
		f.line--
		if f.line < 0 {
			return nil, false
		}
		if string(f.headers[f.line].Name) == "x-forwarded-for" {
			f.rest, f.more = f.headers[f.line].Value, true
		}
	}
	entry := f.rest
	if comma := bytes.LastIndexByte(f.rest, ','); comma >= 0 {
		entry, f.rest = f.rest[comma+1:], f.rest[:comma]
	} else {
		f.more = false
	}
	return bytes.TrimSpace(entry), true
}

// parse reads an address, or an address with a port as some proxies write it.
func parse(entry []byte) netip.Addr {
	if len(entry) > 64 {
		return netip.Addr{}
	}
	if addr := ParseAddr(entry); addr.IsValid() {
		return plain(addr)
	}
	if port, err := netip.ParseAddrPort(string(entry)); err == nil {
		return plain(port.Addr())
	}
	return netip.Addr{}
}

// ParseAddr is netip.ParseAddr without an allocation for IPv4. It returns the
// zero Addr for anything that is no address.
func ParseAddr(text []byte) netip.Addr {
	if addr, ok := parseIPv4(text); ok {
		return addr
	}
	addr, err := netip.ParseAddr(string(text))
	if err != nil {
		return netip.Addr{}
	}
	return addr
}

// parseIPv4 reads four numbers without leading zeros.
func parseIPv4(text []byte) (netip.Addr, bool) {
	var addr [4]byte
	for i := range addr {
		n, digits := 0, 0
		for digits < len(text) && '0' <= text[digits] && text[digits] <= '9' {
			n = n*10 + int(text[digits]-'0')
			if digits++; digits > 3 {
				return netip.Addr{}, false
			}
		}
		if digits == 0 || n > 255 || digits > 1 && text[0] == '0' {
			return netip.Addr{}, false
		}
		text = text[digits:]
		addr[i] = byte(n)
		if i == len(addr)-1 {
			break
		}
		if len(text) == 0 || text[0] != '.' {
			return netip.Addr{}, false
		}
		text = text[1:]
	}
	return netip.AddrFrom4(addr), len(text) == 0
}

// plain makes ::ffff:192.0.2.7 and 192.0.2.7 the same address.
func plain(addr netip.Addr) netip.Addr {
	if !addr.IsValid() {
		return addr
	}
	return addr.Unmap().WithZone("")
}

func contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// Check asks for an address in Allow or Ranges, and not in Deny. Deny comes first; with
// neither Allow nor Ranges every known address is allowed. It is safe for concurrent use.
type Check struct {
	Allow, Deny *ranges.Set // nil: none
	Ranges      []*ranges.List
}

// Stage returns StageSource.
func (c *Check) Stage() authz.Stage { return authz.StageSource }

// Run compares the address with the lists. A request without an address, such
// as one over a Unix socket, matches no list and is refused. Where a list that could
// allow it was not fetched yet, the sender is to come again.
func (c *Check) Run(call *authz.Call) authz.Reason {
	addr := call.Request.Source
	if call.Explanation != nil {
		found := "no address"
		if addr.IsValid() {
			found = addr.String()
		}
		call.Explain(c.expected(call.Now), found)
	}
	if !addr.IsValid() || c.Deny != nil && c.Deny.Contains(addr) {
		return authz.SourceDenied
	}
	if c.Allow == nil && len(c.Ranges) == 0 || c.Allow != nil && c.Allow.Contains(addr) {
		return authz.OK
	}
	reason := authz.SourceDenied
	for _, list := range c.Ranges {
		switch in, known := list.Contains(addr, call.Now); {
		case in:
			return authz.OK
		case !known:
			reason = authz.NotReady
		}
	}
	return reason
}

// shown is how many networks of a list an explanation has.
const shown = 32

func (c *Check) expected(now time.Time) string {
	text := "an address"
	add := func(before string, all []string) {
		if len(all) > 0 {
			text += before + strings.Join(all, ", ")
		}
	}
	allowed := texts(c.Allow)
	for _, list := range c.Ranges {
		allowed = append(allowed, list.Describe(now))
	}
	add(" in ", allowed)
	add(" not in ", texts(c.Deny))
	return text
}

func texts(set *ranges.Set) (all []string) {
	if set == nil {
		return nil
	}
	for i, p := range set.Networks() {
		if i == shown {
			return append(all, "…")
		}
		all = append(all, p.String())
	}
	return all
}
