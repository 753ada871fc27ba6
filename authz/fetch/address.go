package fetch

import (
	"net/netip"
	"syscall"
)

// special are networks that no public server has, beyond those that netip knows:
// the registries of special-purpose addresses (RFC 6890), and addresses at which
// clouds answer their own machines.
var special = parseAll(
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24",
	"203.0.113.0/24", "240.0.0.0/4",
	"168.63.129.16/32", // Azure's own
	"::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10",
)

// translated is where IPv6 machines reach IPv4 (RFC 6052): the last 32 bits are
// the address.
var translated = netip.MustParsePrefix("64:ff9b::/96")

func parseAll(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// Public reports whether an address may belong to a server of the public
// internet.
func Public(a netip.Addr) bool {
	a = a.Unmap()
	if a.Zone() != "" || !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	if translated.Contains(a) {
		b := a.As16()
		return Public(netip.AddrFrom4([4]byte(b[12:])))
	}
	return !contains(special, a)
}

// local are the networks that netip knows by itself, of machines among themselves.
var local = parseAll(
	"10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/4",
	"::1/128", "fc00::/7", "fe80::/10", "ff00::/8",
)

// PublicNetwork reports whether a network, masked and unmapped, holds no network that is
// not of the public internet, and is in none. A single address that is special, as a cloud's
// own, may be in it: clouds publish networks around theirs.
func PublicNetwork(p netip.Prefix) bool {
	if !Public(p.Addr()) || translated.Overlaps(p) && p.Bits() < translated.Bits()+32 {
		return false
	}
	for _, all := range [][]netip.Prefix{special, local} {
		for _, q := range all {
			if !q.IsSingleIP() && q.Overlaps(p) {
				return false
			}
		}
	}
	return true
}

func contains(prefixes []netip.Prefix, a netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// control refuses a connection by the address that is about to be dialled, which
// is the one that the name has at this moment.
func (c *Client) control(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fail(Address, "%.60q is no address", address)
	}
	if a := to.Addr().Unmap(); !Public(a) && !contains(c.config.AllowPrivate, a) {
		return fail(Address, "%s is no public address; the setting fetch.allow_private would allow it", a)
	}
	return nil
}
