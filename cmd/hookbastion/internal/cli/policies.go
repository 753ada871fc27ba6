package cli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/ranges"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/keys"
)

// Policies are what a command judges by: what its flags --policy and --config
// name.
type Policies struct {
	Paths  []string
	Config string // of the service; empty: its defaults
	// AsServed: what serve would refuse with these settings is an error, also where no file
	// of settings is named.
	AsServed bool
}

// DefaultPolicies is the directory where policies are looked for.
const DefaultPolicies = "policies"

// AddFlags gives a command both flags.
func (p *Policies) AddFlags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&p.Paths, "policy", []string{DefaultPolicies}, "directory or file with policies; may be repeated")
	p.AddConfig(cmd)
}

// AddConfig gives a command the flag --config alone.
func (p *Policies) AddConfig(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.Config, "config", "", "settings file of the service (default: none)")
}

// Settings reads the settings of the service.
func (p *Policies) Settings() (*settings.Settings, error) { return settings.Load(p.Config, nil) }

// Table compiles policies for a command that decides or signs single
// requests: with an empty nonce store that has no start guard. The settings,
// from a file or none, say what Envoy forwards.
func (p *Policies) Table() (*authz.Table, error) { return p.compile(nil) }

// compile is table that tells of each secret and token.
func (p *Policies) compile(onKey func(keys.Key)) (*authz.Table, error) {
	s, err := settings.Load(p.Config, nil)
	if err != nil {
		return nil, err
	}
	var settler *replay.Settler
	store := memory.New(memory.Config{MaxEntries: 1000})
	if s.OnlyFailures {
		settler = replay.NewSettler(store, 0, replay.SealKey{}) // a policy may contradict that
		settler.ExpectFailures()
	}
	return p.compileWith(s, store, settler, onKey)
}

// Rehearse compiles policies for a command that decides several requests, one after the
// other, with a store and what settles in it, and lists the secrets and tokens.
func (p *Policies) Rehearse(s *settings.Settings, store replay.Store, settler *replay.Settler) (*authz.Table, []keys.Key, error) {
	var all []keys.Key
	table, err := p.compileWith(s, store, settler, func(k keys.Key) { all = append(all, k) })
	return table, all, err
}

func (p *Policies) compileWith(s *settings.Settings, store replay.Store, settler *replay.Settler, onKey func(keys.Key)) (*authz.Table, error) {
	set, _ := policy.Load(p.Paths...) // Compile reports what is wrong with both
	return policy.Compile(set, policy.Deps{
		Store:         store,
		Settler:       settler,
		Fingerprinter: authz.NewFingerprinter(authz.FingerprintKey{}),
		MaxBodyBytes:  s.Mapping.MaxRequestBytes,
		Assertions:    p.Config == "" && !p.AsServed || len(s.Assertion.Files) > 0, // nobody may have said what the service has
		Ranges:        ranges.NewKeeper(s.Ranges),                                  // it fetches nothing here
		Now:           time.Now(),
		Lasting:       p.Config == "" || s.File != nil || s.Redis != nil,
		Pretend:       true,
		OnKey:         onKey,
	})
}

// Keys is table that also lists the secrets and tokens.
func (p *Policies) Keys() (*authz.Table, []keys.Key, error) {
	var all []keys.Key
	table, err := p.compile(func(k keys.Key) { all = append(all, k) })
	return table, all, err
}

// WeakWarnings lists the secrets of a webhook that serve would refuse, or takes
// although they are weak.
func WeakWarnings(keys []keys.Key, webhook, tenantName string) []string {
	var warnings []string
	for i := range keys {
		k := &keys[i]
		if k.Webhook != webhook {
			continue
		}
		if k.PerTenant() && tenantName != "" {
			*k, _ = k.Of(tenantName) // what cannot be read has its reason already
		}
		if advice := k.Advice(); advice != "" {
			warnings = append(warnings, k.Kind+" "+k.ID+": "+advice)
		}
	}
	return warnings
}
