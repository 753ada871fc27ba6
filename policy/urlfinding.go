package policy

import (
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// URLFindings lists the webhooks whose scheme signs the URL and that do not say
// the public one.
func (s *Set) URLFindings() ([]Finding, error) {
	var all []Finding
	var failed error
	err := s.Each(func(w *policyv1.Webhook, at strictyaml.Place) {
		schemes, step := []*policyv1.Scheme{w.GetScheme()}, "scheme"
		if w.GetProvider() != "" {
			p, err := provider.Get(w.GetProvider())
			if err != nil {
				failed = err
			}
			schemes, step = provider.Accepted(p, w.GetProviderScheme()), "provider"
		}
		if w.GetPublicUrl() != "" || !slices.ContainsFunc(schemes, provider.SignsURL) {
			return
		}
		f := Finding{ID: "HB080", Severity: "info"}
		message := "signs the URL, and there is no public_url: it is taken to be https with the host of match.hosts, as Envoy sees it"
		if hosts := w.GetMatch().GetHosts(); len(hosts) == 0 || slices.ContainsFunc(hosts, func(host string) bool { return strings.Contains(host, "*") }) {
			f.Severity = "warning"
			message = "signs the URL, and there is no public_url: whoever sends chooses the host that is signed; give public_url, or at least match.hosts without a wildcard"
			if w.GetMatch().GetExtensionOnly() {
				message = "signs the URL, and there is no public_url: whoever sends chooses the host that is signed; give public_url"
			}
		}
		p := at.At(step)
		f.Error = p.Error(message)
		all = append(all, f)
	})
	if err == nil {
		err = failed
	}
	return all, err
}
