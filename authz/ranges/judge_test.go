package ranges_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz/ranges"
)

func TestCompare(t *testing.T) {
	thirty := ""
	for i := range 30 {
		thirty += fmt.Sprintf(" 52.0.%d.1", i)
	}
	for name, c := range map[string]struct{ old, next, want string }{
		"nothing":                                {"34.0.0.0/24 34.0.2.1", "34.0.2.1 34.0.0.0/24", ""},
		"written in another way":                 {"34.0.0.0/24 34.0.1.0/24", "34.0.0.0/23", ""},
		"and back":                               {"34.0.0.0/23", "34.0.0.0/24 34.0.1.0/24", ""},
		"one of two is gone":                     {"34.0.0.1 34.0.0.3", "34.0.0.1", ""},
		"two of three are gone":                  {"34.0.0.1 34.0.0.3 34.0.0.5", "34.0.0.1", "loses more than half: 2 of 3 networks"},
		"one is another":                         {"34.0.0.1", "34.0.0.2", "loses more than half: 1 of 1 networks"},
		"as many again":                          {"34.0.0.1 34.0.0.3", "34.0.0.1 34.0.0.3 34.0.0.5 34.0.0.7", ""},
		"more than as many":                      {"34.0.0.1 34.0.0.3", "34.0.0.1 34.0.0.3 34.0.0.5 34.0.0.7 34.0.0.9", "grows beyond double: 3 networks are new, beside 2"},
		"a wide one beside":                      {"34.0.0.1 34.0.0.3 34.0.0.5", "34.0.0.1 34.0.0.3 34.0.0.5 52.0.0.0/24", "grows beyond double: 1 networks are new, beside 3"},
		"one grows wide":                         {"34.0.0.1 34.0.0.3 34.0.0.5", "34.0.0.0/16", "grows beyond double"},
		"a wide one is gone":                     {"34.0.0.0/16 52.0.0.1 52.0.0.3", "52.0.0.1 52.0.0.3", "loses more than half: 1 of 3 networks"},
		"all the small ones are gone":            {"34.0.0.0/16" + thirty, "34.0.0.0/16", "loses more than half: 30 of 31 networks"},
		"IPv6 is new":                            {"34.0.0.1 34.0.0.3", "34.0.0.1 34.0.0.3 2600:1f18::/56", "grows beyond double"},
		"IPv6 is gone":                           {"34.0.0.1 34.0.0.3 34.0.0.5 2600:1f18::/56", "34.0.0.1 34.0.0.3 34.0.0.5", "loses more than half: 1 of 4 networks"},
		"a quarter of IPv6 is gone":              {"34.0.0.1 2600:1f18::/56", "34.0.0.1 2600:1f18::/57 2600:1f18:0:80::/58", ""},
		"most of IPv6 is gone":                   {"34.0.0.1 2600:1f18::/56", "34.0.0.1 2600:1f18::/58", "loses more than half: 1 of 2 networks"},
		"gone and grown":                         {"34.0.0.1", "52.0.0.1 52.0.0.3", "loses more than half: 1 of 1 networks, and grows beyond double: 2 networks are new, beside 1"},
		"a /29 takes the place of what is in it": {"34.0.0.1 34.0.0.2 34.0.0.3 34.0.0.4", "34.0.0.0/29", ""},
	} {
		got := ranges.Compare(setOf(t, c.old), setOf(t, c.next))
		if c.want == "" && got.Why != "" || !strings.HasPrefix(got.Why, c.want) {
			t.Errorf("%s: %+v, want %q", name, got, c.want)
		}
	}
}

// Long lists in other words are no change: each network as its halves, or some of them.
func TestCompareInOtherWords(t *testing.T) {
	all := many(5000)
	var halves []netip.Prefix
	for i, p := range all {
		if i%3 == 0 || p.IsSingleIP() {
			halves = append(halves, p)
			continue
		}
		first := netip.PrefixFrom(p.Addr(), p.Bits()+1)
		bytes := p.Addr().AsSlice()
		bytes[p.Bits()/8] |= 0x80 >> (p.Bits() % 8)
		a, _ := netip.AddrFromSlice(bytes)
		halves = append(halves, netip.PrefixFrom(a, p.Bits()+1), first)
	}
	a, b := ranges.NewSet(all), ranges.NewSet(halves)
	for _, c := range []ranges.Change{ranges.Compare(a, a), ranges.Compare(a, b), ranges.Compare(b, a)} {
		if c.Lost != 0 || c.Added != 0 || c.Why != "" {
			t.Errorf("%+v", c)
		}
	}
	if c := ranges.Compare(a, ranges.NewSet(all[:1000])); c.Lost < 3000 || c.Added != 0 || c.Why == "" {
		t.Errorf("four fifths are gone: %+v", c)
	}
}
