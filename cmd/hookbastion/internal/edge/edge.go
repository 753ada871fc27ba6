// Package edge is what policies and settings ask of the Envoy before the service: what
// envoy config and init write a configuration for.
package edge

import (
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/envoy/config"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// Where an Envoy on the same machine listens, and what it reaches, where nobody says otherwise.
const (
	Listen      = "127.0.0.1:10000"
	Application = "127.0.0.1:8080"
	Service     = "127.0.0.1:9001"
)

// Needs are what policies ask of Envoy.
type Needs struct {
	// Webhooks are all, by their names.
	Webhooks []config.Webhook
	// Transport is what some ask of senders' connections.
	Transport policy.TransportNeeds
	// Named are those that a route must name, since they match nothing.
	Named []string
}

// Read reads policies, and not whether serve would take them.
func Read(paths []string) (*Needs, error) {
	set, err := policy.Load(paths...)
	if err != nil {
		return nil, err
	}
	n := &Needs{}
	if n.Transport, err = set.TransportNeeds(); err != nil {
		return nil, err
	}
	if n.Named, err = set.ExtensionOnly(); err != nil {
		return nil, err
	}
	var failed error
	err = set.Each(func(w *policyv1.Webhook, _ strictyaml.Place) {
		one, err := webhook(w)
		if err != nil {
			failed = err
		}
		n.Webhooks = append(n.Webhooks, one)
	})
	if err == nil {
		err = failed
	}
	slices.SortFunc(n.Webhooks, func(a, b config.Webhook) int { return strings.Compare(a.Name, b.Name) })
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

// Options are what the settings say of the configuration, for all that Envoy is told.
func Options(s *settings.Settings) config.Options {
	return config.Options{
		BytesInFlight: uint64(s.Limits.BytesInFlight), //nolint:gosec // the settings bound it
		TrustedHops:   s.Mapping.Source.TrustedHops,
		OnePhase:      s.Lease == 0,
		Failures:      s.OnlyFailures,
		Edge:          s.Mapping.Edge.First,
	}
}
