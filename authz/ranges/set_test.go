package ranges_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz/ranges"
)

// A zone must not swallow a mask: fe80::%eth0/10 would be one address, and a network
// that mixes both families would have no IPv4 in it.
func TestParsePrefix(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.1": "10.0.0.1/32", "10.1.2.3/8": "10.0.0.0/8", "::ffff:10.0.0.1": "10.0.0.1/32", "::ffff:10.0.0.0/104": "10.0.0.0/8",
		"2001:db8::1/32": "2001:db8::/32", "::/0": "::/0",
		"fe80::%eth0/10": "", "fe80::1%eth0": "", "::ffff:0:0%1/96": "", "::ffff:0:0/90": "", "::ffff:10.0.0.0/95": "",
		"": "", "10/8": "", "010.0.0.0/8": "", "10.0.0.0/33": "", "10.0.0.0/08": "", " 10.0.0.1": "", "*": "",
	} {
		got, err := ranges.ParsePrefix(text)
		if want == "" && err == nil || want != "" && (err != nil || got.String() != want) {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
}

func setOf(t testing.TB, list string) *ranges.Set {
	t.Helper()
	var all []netip.Prefix
	for _, text := range strings.Fields(list) {
		p, err := ranges.ParsePrefix(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return ranges.NewSet(all)
}

func TestSet(t *testing.T) {
	if (&ranges.Set{}).Contains(netip.MustParseAddr("192.0.2.1")) || ranges.NewSet(nil).Contains(netip.MustParseAddr("::1")) {
		t.Error("a set without anything has an address")
	}
	small := "34.74.90.64/28 2001:4860::/32 34.74.226.0/24"
	for _, list := range []string{small, small + " 34.74.226.7 34.74.90.64/29 52.0.0.0/8 52.1.2.3 2001:4860:7::/48"} {
		s := setOf(t, list)
		for addr, want := range map[string]bool{
			"34.74.90.63": false, "34.74.90.64": true, "34.74.90.79": true, "34.74.90.80": false, "34.74.226.255": true, "34.74.227.0": false,
			"2001:4860::1": true, "2001:4861::1": false, "::1": false, "0.0.0.0": false,
		} {
			if got := s.Contains(netip.MustParseAddr(addr)); got != want {
				t.Errorf("%s in %s: %v", addr, list, got)
			}
		}
		if s.Contains(netip.Addr{}) {
			t.Errorf("no address is in %s", list)
		}
	}
	got := fmt.Sprint(setOf(t, "52.1.2.3 52.0.0.0/8 2001:4860:7::/48 2001:4860::/32 34.0.0.1 34.0.0.1 52.0.0.0/8").Networks())
	if want := "[34.0.0.1/32 52.0.0.0/8 2001:4860::/32]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if a, b := setOf(t, "34.0.0.1 52.0.0.0/8"), setOf(t, "52.0.0.0/8 52.7.0.0/16 34.0.0.1"); a.Digest() != b.Digest() || a.Digest() == setOf(t, "34.0.0.1").Digest() {
		t.Error("the digest is of the text")
	}
}

// many are different networks of both families, as documents have them.
func many(n int) []netip.Prefix {
	r := rand.New(rand.NewPCG(1, 2))
	all := make([]netip.Prefix, 0, n)
	for len(all) < n {
		var p netip.Prefix
		if len(all)%4 == 0 {
			a := netip.AddrFrom16([16]byte{0x26, byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())})
			p = netip.PrefixFrom(a, 32+r.IntN(25)).Masked()
		} else {
			a := netip.AddrFrom4([4]byte{byte(1 + r.IntN(223)), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())})
			p = netip.PrefixFrom(a, 16+r.IntN(17)).Masked()
		}
		all = append(all, p)
	}
	return all
}

// The trie says what a look at every network says.
func TestSetAgainstAll(t *testing.T) {
	all := many(3000)
	s := ranges.NewSet(all)
	ask := func(a netip.Addr) {
		want := slices.ContainsFunc(all, func(p netip.Prefix) bool { return p.Contains(a) })
		if got := s.Contains(a); got != want {
			t.Errorf("%s: %v", a, got)
		}
	}
	for _, p := range all {
		ask(p.Addr())
		ask(p.Addr().Prev())
		ask(p.Addr().Next())
	}
	for _, p := range many(6000)[3000:] {
		ask(p.Addr())
	}
	if n := len(s.Less(ranges.NewSet(all[:1500]))); n == 0 || n > 1500 {
		t.Errorf("%d networks are not in the half", n)
	}
	for _, p := range s.Less(ranges.NewSet(all[:1500])) {
		if slices.ContainsFunc(all[:1500], func(q netip.Prefix) bool { return q.Bits() <= p.Bits() && q.Contains(p.Addr()) }) {
			t.Errorf("%s is in the half", p)
		}
	}
}

func TestSetAllocates(t *testing.T) {
	s, a := ranges.NewSet(many(1000)), netip.MustParseAddr("34.74.226.7")
	if n := testing.AllocsPerRun(100, func() { s.Contains(a) }); n != 0 {
		t.Errorf("%.0f allocations", n)
	}
}

// BenchmarkContains: a look-up in 100,000 networks costs what one in ten does.
func BenchmarkContains(b *testing.B) {
	for _, n := range []int{10, 1000, 100_000} {
		all := many(n)
		s := ranges.NewSet(all)
		var ask []netip.Addr
		for i, p := range many(110_000)[100_000:] { // half of them are in it
			if i%2 == 0 {
				p = all[i*7919%n]
			}
			ask = append(ask, p.Addr())
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				s.Contains(ask[i])
				if i++; i == len(ask) {
					i = 0
				}
			}
		})
	}
}
