package envoyconfig

import (
	"slices"

	"github.com/hookbastion/hookbastion/envoy/config"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// needs are what policies ask of Envoy.
type needs struct {
	set       *policy.Set
	webhooks  []config.Webhook
	transport policy.TransportNeeds
	named     []string
}

func read(paths []string) (*needs, error) {
	set, err := policy.Load(paths...)
	if err != nil {
		return nil, err
	}
	n := &needs{set: set}
	if n.transport, err = set.TransportNeeds(); err != nil {
		return nil, err
	}
	if n.named, err = set.ExtensionOnly(); err != nil {
		return nil, err
	}
	var failed error
	err = set.Each(func(w *policyv1.Webhook, _ strictyaml.Place) {
		one, err := webhook(w)
		if err != nil {
			failed = err
		}
		n.webhooks = append(n.webhooks, one)
	})
	if err == nil {
		err = failed
	}
	n.webhooks = sorted(n.webhooks)
	return n, err
}

// webhook is what Envoy must know of one.
func webhook(w *policyv1.Webhook) (config.Webhook, error) {
	m := w.GetMatch()
	out := config.Webhook{
		Name: w.GetName(), Provider: w.GetProvider(), Hosts: m.GetHosts(), Path: m.GetPath(),
		Methods: slices.Clone(m.GetMethods()), MaxBytes: w.GetLimits().GetMaxBodyBytes(),
	}
	if len(out.Methods) == 0 {
		out.Methods = policy.DefaultMethods()
	}
	if w.GetProvider() == "" {
		return out, nil
	}
	p, err := provider.Get(w.GetProvider())
	if err != nil {
		return out, err
	}
	// The service answers handshakes, but Envoy must have a route on which to ask it.
	if w.GetHandshake().GetMode() != policyv1.WebhookHandshake_OFF {
		for _, h := range p.GetHandshakes() {
			if method := h.GetMethod(); method != 0 {
				out.Methods = append(out.Methods, method.String())
			}
		}
	}
	slices.Sort(out.Methods)
	out.Methods = slices.Compact(out.Methods)
	largest, err := provider.Largest(p.GetName())
	out.Largest, out.Said, out.Source = largest.Bytes, largest.Text, largest.Source
	return out, err
}
