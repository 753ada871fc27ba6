package cli

import (
	"cmp"
	"log/slog"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/finding"
	"github.com/hookbastion/hookbastion/policy/keys"
	"github.com/hookbastion/hookbastion/policy/lint"
)

// Lint lists what policies leave weak under these settings. Table and keys are those of
// Keys; of policies that have errors, and no table, as much is found as can be known.
func (p *Policies) Lint(s *settings.Settings, table *authz.Table, all []keys.Key, store lint.Store, now time.Time) ([]finding.Finding, error) {
	set, _ := policy.Load(p.Paths...) // compiling has reported what is wrong
	return lint.Lint(lint.Input{
		Set: set, Table: table, Keys: all, Now: now, Proofs: s.Proofs(), OnePhase: s.Lease == 0, OnlyFailures: s.OnlyFailures, Store: store,
		Watching: lint.Watching{
			File: cmp.Or(p.Config, "the settings"), DenialsPerSecond: s.Denials, LeftOut: s.LeaveOut, OnlyErrors: s.LogLevel > slog.LevelWarn,
		},
		Secrets: secretFiles(s),
	})
}

// secretFiles are those that the settings name.
func secretFiles(s *settings.Settings) map[string]string {
	named := map[string]string{}
	add := func(name, what string) {
		if name != "" {
			named[name] = what
		}
	}
	add(s.Admin.Token, "the token of the admin listener")
	add(s.Admin.ReaderToken, "the reading token of the admin listener")
	if s.TLS != nil {
		add(s.TLS.Key, "the key of the service's certificate")
	}
	if s.Admin.TLS != nil {
		add(s.Admin.TLS.Key, "the key of the admin listener's certificate")
	}
	for _, name := range s.Assertion.Files {
		add(name, "a key of assertions")
	}
	if s.Redis != nil {
		add(s.Redis.Keys, "the key that replicas share")
	}
	return named
}
