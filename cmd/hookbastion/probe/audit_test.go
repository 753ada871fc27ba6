package probe

import (
	"encoding/json"
	"testing"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/envoy/audit"
	"github.com/hookbastion/hookbastion/policy/provider"
)

// TestRowsHaveTheirFinding: what a row switches off is what envoy audit names so.
func TestRowsHaveTheirFinding(t *testing.T) {
	b := newBench(t)
	b.prepare()
	headers, err := provider.SignatureHeaders()
	if err != nil {
		t.Fatal(err)
	}
	for i := range ofEnvoy {
		w := &ofEnvoy[i]
		b.listeners, b.clusters = nil, nil
		b.add("good", application(t, true), w.tls, true, w.good)
		b.add("weak", application(t, true), w.tls, true, func(g *gateway) {
			if w.of == "HE017" {
				g.another = application(t, true)
			}
			w.edit(g)
		})
		if w.of == "HE001" {
			b.listeners = b.listeners[1:]
		}
		s, err := settings.Load(b.write("audit.yaml", settingsWith(t, w.more+"\n"+w.weak)), nil)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(map[string]any{"static_resources": map[string]any{"listeners": b.listeners, "clusters": b.clusters}})
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]bool{}
		options := audit.Options{
			MaxRequestBytes: uint64(s.Mapping.MaxRequestBytes), TrustedHops: uint64(s.Mapping.Source.TrustedHops), TrustedCIDRs: len(s.Mapping.Source.TrustedCIDRs) > 0,
			Edge: s.Mapping.Edge.First, TLSVersionHeader: s.Mapping.Edge.TLSVersionHeader, ExtensionOnly: []string{"hook"}, SignatureHeaders: headers,
		}
		for _, f := range audit.Audit([]audit.File{{Name: "envoy.json", Data: text}}, options) {
			found[f.ID] = true
		}
		if !found[w.of] {
			t.Errorf("%s: found %v", w.of, found)
		}
	}
}
