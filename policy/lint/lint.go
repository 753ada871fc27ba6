// Package lint finds what policies leave weak although they can be served.
//
// Each rule is one value of [Rules]: its id and words, and a function that finds it,
// in one webhook or in the set as a whole. All webhooks are gone through once, each
// with every rule; only one is decoded at a time, so that a hundred thousand need no
// more memory than they have as a set. Rules look at what was written and at what it
// was compiled to; they open no file and ask nobody.
//
// It finds known mistakes. A policy without a finding may still be the wrong one.
package lint

import (
	"slices"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/condition"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/finding"
	"github.com/hookbastion/hookbastion/policy/keys"
	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	"github.com/hookbastion/hookbastion/policy/watermark"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// Input is what rules look at.
type Input struct {
	// Set is the policies, Table what they were compiled to; nil where they have
	// errors: rules that need it find nothing.
	Set   *policy.Set
	Table *authz.Table
	// Keys are the secrets and tokens that compiling met.
	Keys []keys.Key
	// Now is when somebody asks.
	Now time.Time
	// Proofs is what the settings let the service know of a sender's connection.
	Proofs policy.Proofs
	// OnePhase says that the setting replay.access_log is false.
	OnePhase bool
	// OnlyFailures says that it is FAILURES.
	OnlyFailures bool
	// Store is what a nonce store knows.
	Store Store
	// Watching is what people can see.
	Watching Watching
	// Secrets are files with secrets that the settings name, with what they are.
	Secrets map[string]string
	// Beside lists the files of the directories in which tenants have theirs; nil where
	// nobody has looked.
	Beside map[string][]string
}

// Store is what a nonce store knows of webhooks.
type Store struct {
	// Known are the webhooks that it has nonces of; nil if nobody was asked.
	Known map[string]watermark.Kept
	// Err is why nothing is known, although Name was asked.
	Name string
	Err  error
}

// Rule is one thing that can be found, and how.
type Rule struct {
	finding.Rule
	// each is called with each webhook, set once before them, after once when they were all
	// seen, and last when it is known what is suppressed. A rule has one of them.
	each             func(*pass, *webhook)
	set, after, last func(*pass)
	// broken: it also looks at sets that have errors.
	broken bool
}

// Rules returns what can be found, in the order of ids.
func Rules() []finding.Rule {
	all := make([]finding.Rule, len(rules))
	for i := range rules {
		all[i] = rules[i].Rule
	}
	return all
}

// Lint returns the findings in the order of files and places. Those that the policy
// suppresses are among them, marked. The error is that of reading the set or the catalogue.
func Lint(in Input) ([]finding.Finding, error) {
	p := &pass{Input: in, found: []finding.Finding{}, ids: map[string]bool{}, parsed: map[string]*condition.Parsed{}}
	for i := range rules {
		p.ids[rules[i].ID] = true
	}
	p.keys = map[string][]*keys.Key{}
	for i := range in.Keys {
		k := &in.Keys[i]
		p.keys[k.Webhook] = append(p.keys[k.Webhook], k)
	}
	p.run(func(r *Rule) {
		if r.set != nil {
			r.set(p)
		}
	})
	err := in.Set.Each(func(w *policyv1.Webhook, at strictyaml.Place) {
		hook := p.webhook(w, at)
		p.noteSuppressions(hook)
		p.noteRoute(hook)
		p.run(func(r *Rule) {
			if r.each != nil {
				r.each(p, hook)
			}
		})
	})
	if err == nil {
		err = p.err
	}
	p.run(func(r *Rule) {
		if r.after != nil {
			r.after(p)
		}
	})
	p.suppress()
	p.run(func(r *Rule) {
		if r.last != nil {
			r.last(p)
		}
	})
	slices.SortStableFunc(p.found, func(a, b finding.Finding) int { return a.Compare(b.Place) })
	return p.found, err
}

// pass is one run of all rules.
type pass struct {
	Input
	keys         map[string][]*keys.Key
	rule         *Rule // that runs now
	found        []finding.Finding
	err          error
	ids          map[string]bool              // of all rules
	parsed       map[string]*condition.Parsed // by their texts
	suppressions []*suppression
	routes       []routed
	detoursFound []*detour
	detoursKnown bool
	// kept is what the table remembers, gone what it no longer does; see lost.
	kept map[string]watermark.Kept
	gone []string
}

// run calls f with the rules that can look at the set.
func (p *pass) run(f func(*Rule)) {
	for i := range rules {
		if p.rule = &rules[i]; p.Table != nil || p.rule.broken {
			f(p.rule)
		}
	}
}

// report adds a finding of the rule that runs now.
func (p *pass) report(at strictyaml.Place, message string) {
	p.reportAs(p.rule.Severity, at.Error(message))
}

// reportAs reports one that does not have the rule's own severity.
func (p *pass) reportAs(severity finding.Severity, e strictyaml.Error) {
	f := p.rule.At(finding.Place{File: e.File, Line: e.Line, Column: e.Column, Path: e.Path}, e.Message)
	f.Severity = severity
	p.found = append(p.found, f)
}

// removable says that without a value each verdict is the same, and what was reported last
// is gone.
func (p *pass) removable(path string) { p.found[len(p.found)-1].Removable = path }

// reportBy reports what is the rule's severity where the policy chose it, and INFO where
// the provider has no other way.
func (p *pass) reportBy(w *webhook, at strictyaml.Place, message string) {
	severity := p.rule.Severity
	if !w.own() {
		severity = finding.Info
	}
	p.reportAs(severity, at.Error(message))
}

// webhook is one as it was written, and what became of it.
type webhook struct {
	*policyv1.Webhook
	at strictyaml.Place
	// compiled is nil where the set has errors.
	compiled *authz.Webhook
	// provider is its entry in the catalogue; nil: it has a scheme of its own, or
	// none. step is the key that names either.
	provider *policyv1.Provider
	step     string
	// schemes are all whose signatures it accepts.
	schemes []*policyv1.Scheme
	keys    []*keys.Key
}

func (p *pass) webhook(w *policyv1.Webhook, at strictyaml.Place) *webhook {
	hook := &webhook{Webhook: w, at: at, step: "scheme", keys: p.keys[w.GetName()]}
	if p.Table != nil {
		hook.compiled = p.Table.Webhook(w.GetName())
	}
	if w.GetScheme() != nil {
		hook.schemes = []*policyv1.Scheme{w.GetScheme()}
	}
	if w.GetProvider() != "" {
		entry, err := provider.Get(w.GetProvider())
		if err != nil {
			p.err = err
		}
		hook.provider, hook.step, hook.schemes = entry, "provider", provider.Accepted(entry, w.GetProviderScheme())
	}
	return hook
}

// proof is where the webhook says how deliveries are signed.
func (w *webhook) proof() strictyaml.Place { return w.at.At(w.step) }

// checkOf returns the webhook's check of a kind, if its chain has one.
func checkOf[C authz.Check](w *webhook) (found C, ok bool) {
	if w.compiled == nil {
		return found, false
	}
	for _, check := range w.compiled.Chain {
		if c, ok := check.(C); ok {
			return c, true
		}
	}
	return found, false
}
