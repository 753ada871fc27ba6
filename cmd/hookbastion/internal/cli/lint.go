package cli

import (
	"cmp"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/tenant"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/finding"
	"github.com/hookbastion/hookbastion/policy/keys"
	"github.com/hookbastion/hookbastion/policy/lint"
)

// Wrong is what validate would call errors: that of policies and their secrets, or else of
// what they leave weak.
func (p *Policies) Wrong() (wrong policy.Errors, err error) {
	s, err := p.Settings()
	if err != nil {
		return nil, err
	}
	table, all, err := p.Keys()
	switch {
	case errors.As(err, &wrong):
		return wrong, nil
	case err != nil:
		return nil, err
	}
	found, err := p.Lint(s, table, all, lint.Store{}, time.Now())
	for _, f := range found {
		if f.Severity == finding.Error {
			wrong = append(wrong, policy.Error{File: f.File, Line: f.Line, Column: f.Column, Path: f.Path, Message: f.Message})
		}
	}
	return wrong, err
}

// Lint lists what policies leave weak under these settings. Table and keys are those of
// Keys; of policies that have errors, and no table, as much is found as can be known.
func (p *Policies) Lint(s *settings.Settings, table *authz.Table, all []keys.Key, store lint.Store, now time.Time) ([]finding.Finding, error) {
	set, _ := policy.Load(p.Paths...) // compiling has reported what is wrong
	return lint.Lint(lint.Input{
		Set: set, Table: table, Keys: all, Now: now, Proofs: s.Proofs(), OnePhase: s.Lease == 0, OnlyFailures: s.OnlyFailures, Store: store,
		Watching: lint.Watching{
			File: cmp.Or(p.Config, "the settings"), DenialsPerSecond: s.Denials, LeftOut: s.LeaveOut, OnlyErrors: s.LogLevel > slog.LevelWarn,
		},
		Secrets: secretFiles(s), Beside: beside(all),
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

// maxBeside bounds how many files of a directory are looked at.
const maxBeside = 10_000

// beside lists the directories in which tenants have their secrets.
func beside(all []keys.Key) map[string][]string {
	listed := map[string][]string{}
	for i := range all {
		before, _, perTenant := strings.Cut(all[i].File, tenant.Placeholder)
		dir := filepath.Dir(before + "x")
		if _, known := listed[dir]; !perTenant || known {
			continue
		}
		listed[dir] = nil
		open, err := os.Open(dir)
		if err != nil {
			continue // it has its own error
		}
		listed[dir], _ = open.Readdirnames(maxBeside) // as many as can be read
		_ = open.Close()
		slices.Sort(listed[dir])
	}
	return listed
}
