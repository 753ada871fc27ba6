package lint

import (
	"errors"

	"github.com/hookbastion/hookbastion/policy/finding"
	"github.com/hookbastion/hookbastion/policy/keys"
)

var weakSecret = Rule{
	Rule: finding.Rule{
		ID: "HB050", Severity: finding.Error, Else: "info with `allow_weak`",
		Title: "a secret or token is weak: short, or easy to guess",
		Risk:  "Who captures one delivery tries words against its signature, where nobody notices, until one fits. From then on everything that he signs passes.",
		Fix:   "Have the provider issue another one; where it issues no better, say why with allow_weak.",
		Link:  "secrets.md#strength",
	},
	broken: true,
	set:    func(p *pass) { p.weak(false) },
}

var publishedSecret = Rule{
	Rule: finding.Rule{
		ID: "HB051", Severity: finding.Error, Else: "info with `allow_weak`",
		Title: "a secret or token is published as an example",
		Risk:  "It stands on a page that everybody can read: whoever signs with it passes.",
		Fix:   "Have the provider issue another one, at once.",
		Link:  "secrets.md#strength",
	},
	broken: true,
	set:    func(p *pass) { p.weak(true) },
}

// weak reports keys that serve refuses, or takes although they are weak.
func (p *pass) weak(published bool) {
	for i := range p.Keys {
		k := &p.Keys[i]
		if k.Weakness == nil || errors.Is(k.Weakness, keys.ErrPublished) != published {
			continue
		}
		severity, e := p.rule.Severity, k.Place
		if k.AllowWeak != "" {
			severity = finding.Info
		}
		e.Message = k.Advice()
		p.reportAs(severity, e)
	}
}
