package source_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/authztest"
	"github.com/hookbastion/hookbastion/authz/fetch"
	"github.com/hookbastion/hookbastion/authz/ranges"
	"github.com/hookbastion/hookbastion/authz/source"
)

func headers(lines ...string) authz.Headers {
	var h authz.Headers
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		h = append(h, authz.Header{Name: authz.View(name), Value: authz.View(value)})
	}
	return h
}

func prefixes(t *testing.T, list string) []netip.Prefix {
	t.Helper()
	var out []netip.Prefix
	for _, text := range strings.Fields(list) {
		p, err := ranges.ParsePrefix(text)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

// set is nil where the list is empty, as in a policy.
func set(t *testing.T, list string) *ranges.Set {
	t.Helper()
	if list == "" {
		return nil
	}
	return ranges.NewSet(prefixes(t, list))
}

func TestResolve(t *testing.T) {
	const forged = "x-forwarded-for: 192.0.2.66, 192.0.2.77"
	for _, c := range []struct {
		name, peer string
		hops       int
		cidrs      string
		headers    authz.Headers
		want       string
	}{
		{"the peer", "198.51.100.7", 0, "", headers(forged), "198.51.100.7"},
		{"a mapped peer", "::ffff:198.51.100.7", 0, "", nil, "198.51.100.7"},
		{"a zone", "fe80::1%eth0", 0, "", nil, "fe80::1"},
		{"no peer", "", 0, "", headers(forged), "invalid IP"},
		{"one hop", "10.0.0.1", 1, "", headers(forged + ", 203.0.113.9,10.0.0.1"), "203.0.113.9"},
		{"two hops", "10.0.0.1", 2, "", headers(forged + ",203.0.113.9 , 10.0.0.2, 10.0.0.1"), "203.0.113.9"},
		{"too short", "10.0.0.1", 2, "", headers("x-forwarded-for: 203.0.113.9, 10.0.0.1"), "10.0.0.1"},
		{"none", "10.0.0.1", 1, "", nil, "10.0.0.1"},
		{"several lines", "10.0.0.1", 2, "", headers(forged, "x-forwarded-for: 203.0.113.9", "other: 1", "x-forwarded-for: 10.0.0.2,10.0.0.1"), "203.0.113.9"},
		{"garbage", "10.0.0.1", 1, "", headers("x-forwarded-for: nobody, 10.0.0.1"), "invalid IP"},
		{"an empty entry", "10.0.0.1", 1, "", headers("x-forwarded-for: 203.0.113.9,,10.0.0.1"), "invalid IP"},
		{"a port", "10.0.0.1", 1, "", headers("x-forwarded-for: 203.0.113.9:443, 10.0.0.1"), "203.0.113.9"},
		{"IPv6 with a port", "10.0.0.1", 1, "", headers("x-forwarded-for: [2001:db8::1]:443, 10.0.0.1"), "2001:db8::1"},
		{"a mapped entry", "10.0.0.1", 1, "", headers("x-forwarded-for: ::ffff:203.0.113.9, 10.0.0.1"), "203.0.113.9"},
		{"a zone in an entry", "10.0.0.1", 1, "", headers("x-forwarded-for: fe80::1%eth0, 10.0.0.1"), "fe80::1"},
		{"tabs", "10.0.0.1", 1, "", headers("x-forwarded-for:\t203.0.113.9\t,\t10.0.0.1"), "10.0.0.1"},
		{"tabs around", "10.0.0.1", 1, "", headers("x-forwarded-for: \t203.0.113.9\t,\t10.0.0.1"), "203.0.113.9"},
		{"another header", "10.0.0.1", 1, "", headers("x-real-ip: 192.0.2.66, 10.0.0.1"), "10.0.0.1"},
		{"an endless entry", "10.0.0.1", 1, "", headers("x-forwarded-for: " + strings.Repeat("1", 5000) + ", 10.0.0.1"), "invalid IP"},
		{"mapped within a network", "::ffff:10.0.0.1", 0, "10.0.0.0/8", headers("x-forwarded-for: 203.0.113.9, ::ffff:10.0.0.2"), "203.0.113.9"},
		{"no peer behind proxies", "", 0, "10.0.0.0/8", headers(forged), "invalid IP"},
		{"octal", "10.0.0.1", 1, "", headers("x-forwarded-for: 010.0.0.1, 10.0.0.1"), "invalid IP"},
		{"proxies by network", "10.0.0.1", 0, "10.0.0.0/8 ::1", headers(forged + ", 203.0.113.9, 10.9.9.9, 10.0.0.1"), "203.0.113.9"},
		{"a peer that is no proxy", "198.51.100.7", 0, "10.0.0.0/8", headers(forged), "198.51.100.7"},
		{"proxies alone", "10.0.0.1", 0, "10.0.0.0/8", headers("x-forwarded-for: 10.0.0.3, 10.0.0.2"), "10.0.0.3"},
		{"garbage behind a proxy", "10.0.0.1", 0, "10.0.0.0/8", headers(forged + ", x, 10.0.0.2"), "invalid IP"},
	} {
		r := source.Resolver{TrustedHops: c.hops, TrustedCIDRs: prefixes(t, c.cidrs)}
		var peer netip.Addr
		if c.peer != "" {
			peer = netip.MustParseAddr(c.peer)
		}
		if got := r.Resolve(peer, c.headers).String(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestBehind(t *testing.T) {
	proxies := source.Resolver{TrustedCIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	for name, c := range map[string]struct {
		resolver source.Resolver
		peer     string
		want     bool
	}{
		"no proxies":     {source.Resolver{}, "10.0.0.1", false},
		"hops":           {source.Resolver{TrustedHops: 1}, "192.0.2.1", true},
		"a proxy":        {proxies, "10.0.0.1", true},
		"a mapped proxy": {proxies, "::ffff:10.0.0.1", true},
		"somebody else":  {proxies, "192.0.2.1", false},
	} {
		if got := c.resolver.Behind(netip.MustParseAddr(c.peer)); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if proxies.Behind(netip.Addr{}) {
		t.Error("a peer without an address is a proxy")
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		allow, deny, addr string
		want              authz.Reason
	}{
		{"203.0.113.0/24", "", "203.0.113.7", authz.OK},
		{"203.0.113.0/24", "", "203.0.114.7", authz.SourceDenied},
		{"203.0.113.0/24", "203.0.113.7", "203.0.113.7", authz.SourceDenied},
		{"203.0.113.7", "", "203.0.113.7", authz.OK},
		{"::ffff:203.0.113.0/120", "", "203.0.113.7", authz.OK},
		{"2001:db8::/32", "", "2001:db8:1::1", authz.OK},
		{"2001:db8::/32", "", "203.0.113.7", authz.SourceDenied},
		{"", "203.0.113.0/24", "198.51.100.1", authz.OK},
		{"", "203.0.113.0/24", "203.0.113.1", authz.SourceDenied},
		{"", "203.0.113.0/24", "", authz.SourceDenied},
		{"0.0.0.0/0 ::/0", "", "", authz.SourceDenied},
	} {
		req := &authz.Request{}
		if c.addr != "" {
			req.Source = netip.MustParseAddr(c.addr)
		}
		check := &source.Check{Allow: set(t, c.allow), Deny: set(t, c.deny)}
		if got := check.Run(&authz.Call{Context: context.Background(), Request: req}); got != c.want {
			t.Errorf("allow %q, deny %q, %q: %s", c.allow, c.deny, c.addr, got)
		}
	}
	for _, bad := range []string{"", "203.0.113", "203.0.113.0/33", "example.com", "203.0.113.0/24 ", "010.0.0.0/8"} {
		if _, err := ranges.ParsePrefix(bad); err == nil {
			t.Errorf("%q is a network", bad)
		}
	}
}

// FuzzParseAddr compares with netip.ParseAddr.
func FuzzParseAddr(f *testing.F) {
	for _, text := range []string{"192.0.2.1", "0.0.0.0", "255.255.255.255", "256.0.0.1", "01.2.3.4", "1.2.3", "1.2.3.4.", "1..2.3", "1.2.3.4.5", "0000.1.2.3", "2001:db8::1", "::ffff:192.0.2.1", "fe80::1%eth0", "", "x"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		want, err := netip.ParseAddr(string(text))
		if got := source.ParseAddr(text); got != want || got.IsValid() != (err == nil) {
			t.Errorf("%q: %s, want %s, %v", text, got, want, err)
		}
	})
}

// Lists of providers are allowed beside networks. Where one that could have the address was
// not fetched yet, the sender is to come again.
func TestRanges(t *testing.T) {
	frozen := &ranges.Document{Name: "frozen", Read: time.Unix(1_795_000_000, 0), Services: []ranges.Service{{Snapshot: ranges.NewSet(prefixes(t, "140.82.112.0/20"))}}}
	unfetched := &ranges.Document{Name: "unfetched", URL: "https://hooks.example.com/ips", Kind: ranges.Lines, Services: make([]ranges.Service, 1)}
	keeper := ranges.NewKeeper(ranges.Config{Every: time.Hour})
	list := func(d *ranges.Document) *ranges.List {
		l, err := keeper.List(fetch.New(fetch.Config{}).NewUse(), d.Name, d, "")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	for _, c := range []struct {
		allow, deny string
		lists       []*ranges.List
		addr        string
		want        authz.Reason
		explained   string
	}{
		{"", "", []*ranges.List{list(frozen)}, "140.82.115.7", authz.OK, "an address in frozen (1 networks of 2026-11-18)"},
		{"", "", []*ranges.List{list(frozen)}, "140.82.128.1", authz.SourceDenied, "an address in frozen (1 networks of 2026-11-18)"},
		{"203.0.113.0/24", "", []*ranges.List{list(frozen)}, "203.0.113.7", authz.OK, "an address in 203.0.113.0/24, frozen (1 networks of 2026-11-18)"},
		{"", "140.82.115.0/24", []*ranges.List{list(frozen)}, "140.82.115.7", authz.SourceDenied, "an address in frozen (1 networks of 2026-11-18) not in 140.82.115.0/24"},
		{"", "", []*ranges.List{list(unfetched)}, "140.82.115.7", authz.NotReady, "an address in unfetched (not fetched yet)"},
		{"", "140.82.115.7", []*ranges.List{list(unfetched)}, "140.82.115.7", authz.SourceDenied, "an address in unfetched (not fetched yet) not in 140.82.115.7/32"},
		{"", "", []*ranges.List{list(unfetched), list(frozen)}, "140.82.115.7", authz.OK, "an address in unfetched (not fetched yet), frozen (1 networks of 2026-11-18)"},
		{"140.82.115.7", "", []*ranges.List{list(unfetched)}, "140.82.115.7", authz.OK, "an address in 140.82.115.7/32, unfetched (not fetched yet)"},
		{"", "", []*ranges.List{list(unfetched)}, "", authz.SourceDenied, "an address in unfetched (not fetched yet)"},
		{strings.Join(manyAddresses(40), " "), "", nil, "10.0.0.1", authz.SourceDenied, ", 34.0.0.62/32, …"},
	} {
		req := authztest.POST("hooks.example.com", "/a", "{}")
		if c.addr != "" {
			req.Source = netip.MustParseAddr(c.addr)
		}
		var d authz.Decision
		explanation := &authz.Explanation{}
		check := &source.Check{Allow: set(t, c.allow), Deny: set(t, c.deny), Ranges: c.lists}
		authztest.Table(check, authztest.Proven()).DecideExplained(context.Background(), req, time.Unix(1_795_500_000, 0), &d, explanation)
		if d.Reason != c.want {
			t.Errorf("%+v: %s", c, d.Reason)
		}
		if len(explanation.Findings) == 0 || !strings.HasSuffix(explanation.Findings[0].Expected, c.explained) {
			t.Errorf("%+v: %+v", c, explanation.Findings)
		}
	}
}

func TestCheckAllocates(t *testing.T) {
	d := &ranges.Document{Name: "frozen", Services: []ranges.Service{{Snapshot: ranges.NewSet(prefixes(t, strings.Join(manyAddresses(40), " ")))}}}
	list, err := (*ranges.Keeper)(nil).List(nil, "frozen", d, "")
	if err != nil {
		t.Fatal(err)
	}
	check := &source.Check{Allow: set(t, strings.Join(manyAddresses(20), " ")), Ranges: []*ranges.List{list}}
	call := &authz.Call{Context: context.Background(), Now: time.Unix(1_795_500_000, 0), Request: &authz.Request{Source: netip.MustParseAddr("34.0.0.78")}}
	if n := testing.AllocsPerRun(100, func() {
		if check.Run(call) != authz.OK {
			t.Error("refused")
		}
	}); n != 0 {
		t.Errorf("%.0f allocations", n)
	}
}

// manyAddresses are n with gaps between.
func manyAddresses(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("34.0.0.%d", 2*i))
	}
	return all
}
