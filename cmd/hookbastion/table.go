package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/policy"
)

// addConfigFlag lets a command know the settings that the service has.
func addConfigFlag(cmd *cobra.Command, config *string) {
	cmd.Flags().StringVar(config, "config", "", "settings file of the service")
}

// loadTable compiles policies for a command that decides or signs single
// requests: with an empty nonce store that has no start guard. The settings,
// from a file or none, say what Envoy forwards.
func loadTable(paths []string, config string) (*authz.Table, error) {
	return loadTableWith(paths, config, nil)
}

// loadTableWith is loadTable that tells of each secret and token.
func loadTableWith(paths []string, config string, onKey func(policy.Key)) (*authz.Table, error) {
	s, err := settings.Load(config, nil)
	if err != nil {
		return nil, err
	}
	set, _ := policy.Load(paths...) // Compile reports what is wrong with both
	return policy.Compile(set, policy.Deps{
		Store:         replay.NewMemory(replay.MemoryConfig{MaxEntries: 1000}),
		Fingerprinter: authz.NewFingerprinter(authz.FingerprintKey{}),
		MaxBodyBytes:  s.Mapping.MaxRequestBytes,
		Assertions:    config == "" || len(s.Assertion.Files) > 0, // nobody has said what the service has
		Now:           time.Now(),
		OnKey:         onKey,
	})
}

// loadKeys is loadTable that also lists the secrets and tokens.
func loadKeys(paths []string, config string) (*authz.Table, []policy.Key, error) {
	var keys []policy.Key
	table, err := loadTableWith(paths, config, func(k policy.Key) { keys = append(keys, k) })
	return table, keys, err
}

// weakWarnings lists the secrets of a webhook that serve would refuse, or takes
// although they are weak.
func weakWarnings(keys []policy.Key, webhook, tenantName string) []string {
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
