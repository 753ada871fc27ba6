package settings

import (
	"net/netip"
	"net/url"
	"time"

	"github.com/hookbastion/hookbastion/authz/fetch"
	"github.com/hookbastion/hookbastion/authz/ranges"
	settingsv1 "github.com/hookbastion/hookbastion/proto/hookbastion/settings/v1"
)

// Fetch is how documents of providers are fetched.
type Fetch struct {
	Directory    string
	AllowPrivate []netip.Prefix
	CA           string   // a file; empty: the machine's authorities
	Proxy        *url.URL // nil: none
	MaxStale     time.Duration
	Timeout      time.Duration
}

func fetches(m *settingsv1.Fetch, fail failer) Fetch {
	f := Fetch{Directory: m.GetDirectory(), CA: m.GetCa(), MaxStale: fetch.DefaultMaxStale, Timeout: fetch.DefaultTimeout}
	for i, text := range m.GetAllowPrivate() {
		prefix, err := ranges.ParsePrefix(text)
		switch {
		case err != nil:
			fail("is not a network such as 10.1.2.0/24 or an address", "fetch", "allow_private", i)
		case prefix.Bits() == 0:
			fail("is every address: list the networks of the key servers", "fetch", "allow_private", i)
		}
		f.AllowPrivate = append(f.AllowPrivate, prefix)
	}
	if text := m.GetProxy(); text != "" {
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
			fail("must be http:// or https:// and a host with a port, such as http://proxy:3128", "fetch", "proxy")
		}
		f.Proxy = u
	}
	if m.GetMaxStale() != nil {
		f.MaxStale = m.GetMaxStale().AsDuration()
	}
	if m.GetTimeout() != nil {
		f.Timeout = m.GetTimeout().AsDuration()
	}
	return f
}
