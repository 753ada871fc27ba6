package policy

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// ExtensionOnly returns the names of the webhooks that a context extension of
// Envoy alone selects.
func (s *Set) ExtensionOnly() ([]string, error) {
	var names []string
	err := s.Each(func(w *policyv1.Webhook, _ strictyaml.Place) {
		if w.GetMatch().GetExtensionOnly() {
			names = append(names, w.GetName())
		}
	})
	return names, err
}

func (c *compiler) match(m *policyv1.Match, at strictyaml.Place) authz.Match {
	match := authz.Match{Path: m.GetPath(), Methods: m.GetMethods(), ExtensionOnly: m.GetExtensionOnly()}
	if match.ExtensionOnly && len(m.GetHosts()) > 0 {
		c.faults.Fail(at.At("hosts"), "contradicts extension_only, which takes any host")
	}
	for i, host := range m.GetHosts() {
		name := matched(host)
		if problem := HostProblem(host); problem != "" {
			c.faults.Fail(at.At("hosts", i), problem)
		} else if slices.Contains(match.Hosts, name) {
			c.faults.Fail(at.At("hosts", i), "is listed twice")
		}
		match.Hosts = append(match.Hosts, name)
	}
	if problem := PathProblem(m.GetPath()); problem != "" {
		c.faults.Fail(at.At("path"), problem)
	}
	for i, method := range match.Methods {
		if slices.Index(match.Methods, method) < i {
			c.faults.Fail(at.At("methods", i), "is listed twice")
		}
	}
	if len(match.Methods) == 0 {
		match.Methods = defaultMethods
	}
	return match
}

// matched is a host as it is compared.
func matched(host string) string { return strings.ToLower(strings.TrimSuffix(host, ".")) }

// HostProblem says why a host of match is none, or would never match; empty if it is good.
func HostProblem(host string) string {
	name, wildcard := strings.CutPrefix(matched(host), "*.")
	if addr, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil && addr.Is6() && !wildcard {
		if want := "[" + addr.String() + "]"; addr.Zone() != "" || name != want {
			return "must be an address in brackets in its short form, such as [2001:db8::1]"
		}
		return ""
	}
	if strings.Contains(name, ":") {
		return "must have no port and no scheme; requests match on any port"
	}
	if len(name) == 0 || len(name) > 253 {
		return "must be a host name such as hooks.example.com or *.example.com"
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return "must be a host name such as hooks.example.com or *.example.com"
		}
	}
	return ""
}

// PathProblem says why a path of match would never match, or not as it reads; empty if it
// is good.
func PathProblem(path string) string {
	if strings.ContainsAny(path, "?#") {
		return "must have no query and no fragment; only the path is matched"
	}
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	names := map[string]bool{}
	for i, segment := range segments {
		switch {
		case segment == "**" && i < len(segments)-1:
			return "may have ** as the last segment only"
		case segment == "**":
		case strings.ContainsAny(segment, "{}"):
			name := strings.TrimSuffix(strings.TrimPrefix(segment, "{"), "}")
			if len(name) != len(segment)-2 || name == "" || strings.ContainsAny(name, "{}") {
				return "may have {name} as a whole segment only"
			}
			if names[name] {
				return "has {" + name + "} twice"
			}
			names[name] = true
		case strings.Contains(segment, "*"):
			return "may have * only as a final /**"
		}
		for _, c := range []byte(segment) {
			if c <= ' ' || c >= 0x7f {
				return "must have printable ASCII only; write other characters percent-encoded, as the provider sends them"
			}
		}
	}
	return ""
}

// defaultMethods is what webhooks without methods share. It is never changed.
var defaultMethods = []string{"POST"}

// DefaultMethods are those of a webhook that names none.
func DefaultMethods() []string { return slices.Clone(defaultMethods) }
