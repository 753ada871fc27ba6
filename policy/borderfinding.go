package policy

import (
	"strings"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/signature"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// BorderFindings lists the webhooks whose signed content can be read in several
// ways, as the table has them that was compiled from the set.
func (s *Set) BorderFindings(table *authz.Table) ([]Finding, error) {
	open := map[string]*signature.Config{}
	for _, hook := range table.Webhooks() {
		for _, check := range hook.Chain {
			signed, ok := check.(*signature.Check)
			if !ok {
				continue
			}
			for _, scheme := range signed.Schemes {
				if h, ok := scheme.(*signature.HMAC); ok && len(h.Config().Open()) > 0 {
					open[hook.Name] = h.Config()
				}
			}
		}
	}
	var all []Finding
	err := s.Each(func(w *policyv1.Webhook, at strictyaml.Place) {
		config := open[w.GetName()]
		if config == nil {
			return
		}
		step := "scheme"
		if w.GetProvider() != "" {
			step = "provider"
		}
		p := at.At(step)
		f := Finding{Error: p.Error(borderMessage(config)), ID: "HB081", Severity: "warning"}
		all = append(all, f)
	})
	return all, err
}

func borderMessage(config *signature.Config) string {
	message := "signs " + strings.Join(config.Open(), " and ") + " with nothing between, so that characters could move from one to the next: deliveries are x-hookbastion-verified: partial"
	pinned := *config
	pinned.Pin = signature.Pin{Query: true, Path: true}
	if len(pinned.Open()) > 0 {
		return message
	}
	var missing []string
	if !config.Pin.Query {
		missing = append(missing, `pinned_query, the query of the URL that the provider has ("" for none)`)
	}
	if !config.Pin.Path {
		missing = append(missing, "a match.path that does not end in {x} or /**")
	}
	return message + "; give " + strings.Join(missing, ", and ")
}
