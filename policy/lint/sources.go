package lint

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/authz/ranges"
	"github.com/hookbastion/hookbastion/policy/finding"
	"github.com/hookbastion/hookbastion/policy/provider"
)

// Bits of the networks that are so wide that a list of them is hardly one.
const (
	wideBits4 = 8
	wideBits6 = 19
)

func prefixesOf(list []string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range list {
		if p, err := ranges.ParsePrefix(text); err == nil { // others are errors of compiling
			all = append(all, p.Masked())
		}
	}
	return all
}

// share is what part of all addresses of a family the prefixes have, 1 for all. None is
// counted twice.
func share(prefixes []netip.Prefix, v4 bool) float64 {
	sum := 0.0
	for i, p := range prefixes {
		inside := func(o netip.Prefix, j int) bool {
			return o.Overlaps(p) && (o.Bits() < p.Bits() || o.Bits() == p.Bits() && j < i)
		}
		counted := false
		for j, o := range prefixes {
			counted = counted || j != i && inside(o, j)
		}
		if p.Addr().Is4() == v4 && !counted {
			sum += 1 / float64(uint64(1)<<min(p.Bits(), 62))
		}
	}
	return sum
}

// wide reports whether a list of networks hardly keeps anybody out.
func wide(list []string) bool {
	all := prefixesOf(list)
	return share(all, true) >= 1.0/(1<<wideBits4) || share(all, false) >= 1.0/(1<<wideBits6)
}

var anySource = Rule{
	Rule: finding.Rule{
		ID: "HB100", Severity: finding.Warning,
		Title: "source_ip allows nearly every address",
		Risk:  "The list looks like a fence, in reviews and audits, and there is none: everybody with an address in it, which is everybody, may deliver.",
		Fix:   "List the networks that the sender names, with ranges where the catalogue has them, or leave source_ip out.",
		Link:  "policy.md#sourceip",
	},
	each: func(p *pass, w *webhook) {
		list := w.GetSourceIp().GetAllow()
		if !wide(list) {
			return
		}
		at := w.at.At("source_ip", "allow")
		for i, text := range list {
			if wide([]string{text}) {
				p.report(at.At(i), text+" is nearly everybody")
				return
			}
		}
		p.report(at, "all of these together are nearly everybody")
	},
}

var nobodysSource = Rule{
	Rule: finding.Rule{
		ID: "HB101", Severity: finding.Error,
		Title: "source_ip denies all that it allows",
		Risk:  "Every delivery is refused, and the provider switches the endpoint off.",
		Fix:   "Take out of deny what deliveries come from.",
		Link:  "policy.md#sourceip",
	},
	each: func(p *pass, w *webhook) {
		s := w.GetSourceIp()
		allow, deny := prefixesOf(s.GetAllow()), prefixesOf(s.GetDeny())
		if len(allow) == 0 || len(s.GetRanges()) > 0 {
			allow = prefixesOf([]string{"0.0.0.0/0", "::/0"})
		}
		if len(deny) > 0 && !slices.ContainsFunc(allow, func(a netip.Prefix) bool { return !within(a, deny) }) {
			p.report(w.at.At("source_ip", "deny"), "covers everything that is allowed: every delivery is refused")
		}
	},
}

// within reports whether a list of networks has all addresses of one.
func within(p netip.Prefix, list []netip.Prefix) bool {
	p = p.Masked()
	for _, o := range list {
		if o.Overlaps(p) && o.Bits() <= p.Bits() {
			return true
		}
	}
	if p.Bits() == p.Addr().BitLen() || !slices.ContainsFunc(list, p.Overlaps) {
		return false
	}
	low := netip.PrefixFrom(p.Addr(), p.Bits()+1)
	b := p.Addr().AsSlice()
	b[p.Bits()/8] |= 1 << (7 - p.Bits()%8)
	upper, _ := netip.AddrFromSlice(b) // as long as the other
	return within(low, list) && within(netip.PrefixFrom(upper, p.Bits()+1), list)
}

// exampleNetworks are those of documentation, from which nobody sends (RFC 5737, 3849, 9637).
var exampleNetworks = prefixesOf([]string{"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20"})

var exampleSource = Rule{
	Rule: finding.Rule{
		ID: "HB102", Severity: finding.Info,
		Title: "source_ip has a network of examples",
		Risk:  "Nobody sends from there: a list that was copied from a page refuses every delivery.",
		Fix:   "List the sender's networks.",
		Link:  "policy.md#sourceip",
	},
	each: func(p *pass, w *webhook) {
		for i, text := range w.GetSourceIp().GetAllow() {
			if all := prefixesOf([]string{text}); len(all) == 1 && within(all[0], exampleNetworks) {
				p.report(w.at.At("source_ip", "allow", i), text+" is kept for examples, and nobody sends from there")
			}
		}
	},
}

// localNetworks are those that no sender on the Internet has.
var localNetworks = prefixesOf([]string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16", "100.64.0.0/10", "::1", "fc00::/7", "fe80::/10"})

var localSource = Rule{
	Rule: finding.Rule{
		ID: "HB103", Severity: finding.Info,
		Title: "source_ip allows a private network",
		Risk:  "If a load balancer stands before Envoy and the settings do not name it, each request seems to come from there: the list lets everybody in.",
		Fix:   "Name the proxies in the setting source, and list the sender's own networks. If the sender is within, nothing.",
		Link:  "settings.md#source",
	},
	each: func(p *pass, w *webhook) {
		for i, text := range w.GetSourceIp().GetAllow() {
			if all := prefixesOf([]string{text}); len(all) == 1 && within(all[0], localNetworks) {
				p.report(w.at.At("source_ip", "allow", i), text+" is private: deliveries seem to come from there as well where a proxy stands before Envoy and the setting source does not name it")
			}
		}
	},
}

var onlyDenied = Rule{
	Rule: finding.Rule{
		ID: "HB104", Severity: finding.Info,
		Title: "source_ip denies some and allows all others",
		Risk:  "Whoever is refused sends from another address: there are always more.",
		Fix:   "List in allow, or in ranges, where deliveries come from.",
		Link:  "policy.md#sourceip",
	},
	each: func(p *pass, w *webhook) {
		s := w.GetSourceIp()
		if len(s.GetDeny()) > 0 && len(s.GetAllow()) == 0 && len(s.GetRanges()) == 0 {
			p.report(w.at.At("source_ip", "deny"), "keeps out "+strings.Join(s.GetDeny()[:min(len(s.GetDeny()), maxGone)], ", ")+", and nobody else")
		}
	},
}

var rangesUnused = Rule{
	Rule: finding.Rule{
		ID: "HB105", Severity: finding.Info,
		Title: "the provider says where it sends from, and the policy lets everybody deliver",
		Risk:  "The provider proves little by itself. A token or a delivery that somebody has seen can be used from any address, where one of the provider's would be needed.",
		Fix:   "Say source_ip: {ranges: [the provider's name]}.",
		Link:  "policy.md#sourceip",
	},
	each: func(p *pass, w *webhook) {
		if w.own() || w.strength() >= signed || w.sourced() {
			return
		}
		published, err := provider.RangesOf(w.GetProvider())
		if err != nil {
			p.err = err
		}
		for _, d := range published {
			if lists := d.Lists(); !d.Read.IsZero() && len(lists) > 0 { // no fetch is needed
				p.report(w.proof(), "proves "+w.strength().String()+", and "+w.provider.GetTitle()+" publishes its networks: say source_ip: {ranges: ["+lists[0]+"]}")
				return
			}
		}
	},
}

// rented are lists with addresses that everybody can have for a few cents.
var rented = []string{"aws", "aws:AMAZON", "aws:EC2", "aws:API_GATEWAY", "aws:CLOUDFRONT", "azure", "azure:AzureCloud", "google", "google-cloud", "github:actions"}

var rentedSource = Rule{
	Rule: finding.Rule{
		ID: "HB106", Severity: finding.Warning,
		Title: "source_ip allows the addresses of a whole cloud",
		Risk:  "An attacker rents a machine there, or runs a job, for some minutes, and is on the list.",
		Fix:   "Name the list of the service that delivers, if there is one. If not, do not count on addresses.",
		Link:  "policy.md#sourceip",
	},
	each: func(p *pass, w *webhook) {
		for i, name := range w.GetSourceIp().GetRanges() {
			if slices.Contains(rented, name) {
				p.report(w.at.At("source_ip", "ranges", i), name+" has addresses that everybody can rent")
			}
		}
	},
}
