package lint

import (
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/policy/finding"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	"github.com/hookbastion/hookbastion/policy/watermark"
)

// maxGone bounds the names in a finding.
const maxGone = 4

var renamed = Rule{
	Rule: finding.Rule{
		ID: "HB090", Severity: finding.Warning,
		Title: "the store has no nonces of a webhook, and those of one that is gone: was it renamed?",
		Risk:  "What was delivered under the old name is not known under the new one: each captured delivery passes once more.",
		Fix:   "Let formerly begin with the old name.",
		Link:  "replay.md#renames",
	},
	each: func(p *pass, w *webhook) {
		gone := p.lost()
		if len(gone) == 0 || w.compiled == nil {
			return
		}
		name := w.compiled.Identity()
		_, signed := p.kept[name]
		if _, known := p.Store.Known[name]; known || !signed {
			return
		}
		p.report(w.at.At("name"), "the store has no nonces of "+name+", and those of "+strings.Join(gone, ", ")+
			" would be used no more: if the webhook had one of these names, let formerly begin with it, or copies of what was delivered then can pass")
	},
}

// lost returns the names that the store knows and no webhook has, at most maxGone.
func (p *pass) lost() []string {
	if p.kept != nil || len(p.Store.Known) == 0 {
		return p.gone
	}
	p.kept = watermark.KeptBy(p.Table)
	for name := range p.Store.Known {
		if _, ok := p.kept[name]; !ok {
			p.gone = append(p.gone, name)
		}
	}
	slices.Sort(p.gone)
	if len(p.gone) > maxGone {
		p.gone = append(p.gone[:maxGone], "others")
	}
	return p.gone
}

var storeUnread = Rule{
	Rule: finding.Rule{
		ID: "HB091", Severity: finding.Info,
		Title: "what the store knows could not be read, so HB090 was not looked for",
		Risk:  "A webhook that was renamed forgets its nonces unnoticed.",
		Fix:   "Stop the service, or ask it with --admin.",
		Link:  "replay.md#renames",
	},
	set: func(p *pass) {
		if p.Store.Err != nil {
			p.reportAs(p.rule.Severity, strictyaml.Error{File: p.Store.Name, Message: "what the nonce store knows cannot be read, so that renamed webhooks go unnoticed: " + p.Store.Err.Error()})
		}
	},
}
