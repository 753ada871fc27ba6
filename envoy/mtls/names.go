package mtls

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

// names are what a certificate must have one of.
type names struct{ uris, dns []string }

// ParseNames reports whether the list is one that Config.ClientSANs may hold.
func ParseNames(list []string) error {
	_, err := parseNames(list)
	return err
}

func parseNames(list []string) (names, error) {
	var n names
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

// check looks for an allowed name. A certificate with two URIs of which one is
// a SPIFFE id is no SPIFFE id at all (X509-SVID, section 2).
func (n *names) check(chain []*x509.Certificate) error {
	if len(n.uris)+len(n.dns) == 0 {
		return nil
	}
	if len(chain) == 0 {
		return ErrName
	}
	leaf := chain[0]
	spiffe := slices.ContainsFunc(leaf.URIs, func(u *url.URL) bool { return u.Scheme == "spiffe" })
	if !spiffe || len(leaf.URIs) == 1 {
		for _, u := range leaf.URIs {
			if slices.Contains(n.uris, u.String()) {
				return nil
			}
		}
	}
	for _, name := range leaf.DNSNames {
		if slices.Contains(n.dns, strings.ToLower(name)) {
			return nil
		}
	}
	return fmt.Errorf("%w: it has %s", ErrName, shown(leaf))
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
