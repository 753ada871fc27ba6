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

var oddSecret = Rule{
	Rule: finding.Rule{
		ID: "HB052", Severity: finding.Warning,
		Title: "a secret is hardly what its owner meant, and allow_weak lets it pass",
		Risk:  "The placeholder, the quotes or the second line feed are the key now: whoever knows the template signs with it, and what the provider signs is refused.",
		Fix:   "Put the secret into the file as the provider shows it, with one line feed at most.",
		Link:  "secrets.md#strength",
	},
	broken: true,
	set: func(p *pass) {
		for i := range p.Keys {
			if k := &p.Keys[i]; k.Odd != nil {
				p.reportKey(k, "the "+k.Kind+" "+k.Odd.Error()+"; allowed: "+k.AllowWeak)
			}
		}
	},
}

var partPlaceholder = Rule{
	Rule: finding.Rule{
		ID: "HB053", Severity: finding.Warning,
		Title: "a secret has a placeholder in it",
		Risk:  "A template was filled in by half, or not at all. What everybody can read in the repository is part of the key, or all of it.",
		Fix:   "Put the secret into the file as the provider shows it.",
		Link:  "secrets.md#strength",
	},
	broken: true,
	set: func(p *pass) {
		for i := range p.Keys {
			if k := &p.Keys[i]; k.Placeholder {
				p.reportKey(k, "a part of the "+k.Kind+" is a placeholder that nothing has filled in")
			}
		}
	},
}

var guessedDigest = Rule{
	Rule: finding.Rule{
		ID: "HB054", Severity: finding.Error,
		Title: "a token can be found from its digest",
		Risk:  "Whoever reads the policy tries the words that people use, finds the token within a second, and sends what he likes.",
		Fix:   "Make the token at random, at least 16 bytes, and put its digest here.",
		Link:  "secrets.md#strength",
	},
	broken: true,
	set: func(p *pass) {
		for i := range p.Keys {
			if k := &p.Keys[i]; k.Guessed {
				p.reportKey(k, "the digest is that of a word which everybody tries first")
			}
		}
	},
}
