package transport

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// ErrName says that a client's certificate has none of the allowed names.
var ErrName = errors.New("the client's certificate has none of the allowed names")

// Names are what a certificate must have one of. The zero value takes any.
type Names struct{ uris, dns []string }

// ParseNames reads URIs, such as SPIFFE ids, and DNS names.
func ParseNames(list []string) (Names, error) {
	var n Names
	for _, text := range list {
		switch u, err := url.Parse(text); {
		case text == "" || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
			return n, fmt.Errorf("%q is no name", text)
		case strings.Contains(text, "://"):
			if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
				return n, fmt.Errorf("%q is no URI such as spiffe://example.org/gateway", text)
			}
			n.uris = append(n.uris, text)
		case strings.ContainsAny(text, "*/:@"):
			return n, fmt.Errorf("%q is no DNS name; names are compared exactly", text)
		default:
			n.dns = append(n.dns, strings.ToLower(text))
		}
	}
	return n, nil
}

// Any reports whether no name is asked for.
func (n *Names) Any() bool { return len(n.uris)+len(n.dns) == 0 }

// Check looks for an allowed name, exactly; in DNS names letter case does not
// matter. A certificate with two URIs of which one is a SPIFFE id is no SPIFFE
// id at all (X509-SVID, section 2).
func (n *Names) Check(leaf *x509.Certificate) error {
	if n.Any() {
		return nil
	}
	var uris []string
	for _, u := range leaf.URIs {
		uris = append(uris, u.String())
	}
	if n.listed(uris, leaf.DNSNames) {
		return nil
	}
	return fmt.Errorf("%w: it has %s", ErrName, shown(leaf))
}

// listed looks for an allowed name among those of a certificate, each among those
// of its own kind.
func (n *Names) listed(uris, dns []string) bool {
	spiffe := slices.ContainsFunc(uris, func(u string) bool { return strings.HasPrefix(strings.ToLower(u), "spiffe:") })
	if (!spiffe || len(uris) == 1) && slices.ContainsFunc(uris, func(u string) bool { return slices.Contains(n.uris, u) }) {
		return true
	}
	return slices.ContainsFunc(dns, func(name string) bool { return slices.Contains(n.dns, strings.ToLower(name)) })
}

// text reports whether a name that somebody else took from a certificate is
// allowed, where only one is known, and its kind by its form alone. A URI without
// // would be taken for a DNS name: authorities sign none.
func (n *Names) text(name string) bool {
	if strings.Contains(name, "://") {
		return n.listed([]string{name}, nil)
	}
	return n.listed(nil, []string{name})
}

// shown lists a few names for the operator. They were chosen by whoever has a
// certificate of the authority.
func shown(leaf *x509.Certificate) string {
	const most, longest = 4, 128
	var list []string
	for _, u := range leaf.URIs {
		list = append(list, u.String())
	}
	list = append(list, leaf.DNSNames...)
	if len(list) == 0 {
		return "no name"
	}
	for i := range list {
		list[i] = fmt.Sprintf("%q", list[i][:min(len(list[i]), longest)])
	}
	return strings.Join(list[:min(len(list), most)], ", ")
}
