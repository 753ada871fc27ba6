package lint

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/authz/handshake"
	"github.com/hookbastion/hookbastion/authz/tenant"
	"github.com/hookbastion/hookbastion/policy/finding"
	"github.com/hookbastion/hookbastion/policy/keys"
	"github.com/hookbastion/hookbastion/policy/provider"
)

// Who has a secret can sign for everything that it is the secret of. These rules look at
// the whole set: equal texts are known by their keyed hashes, files by their names.

// maxAlike bounds how many keys with one text are compared with each other.
const maxAlike = 16

// alike calls f with each key whose text an earlier one has that is of the pair, and with
// that one.
func (p *pass) alike(pair func(first, again *keys.Key) bool, f func(first, again *keys.Key)) {
	earlier := map[string][]*keys.Key{}
	for i := range p.Keys {
		k := &p.Keys[i]
		id := k.Alike
		if k.PerTenant() {
			id = "file " + k.File
		}
		if id == "" || k.IsPublic() {
			continue
		}
		if j := slices.IndexFunc(earlier[id], func(first *keys.Key) bool { return pair(first, k) }); j >= 0 {
			f(earlier[id][j], k)
		}
		if len(earlier[id]) < maxAlike {
			earlier[id] = append(earlier[id], k)
		}
	}
}

// describe says whose key it is.
func (p *pass) describe(k *keys.Key) string { return k.Kind + " " + k.ID + " of " + k.Webhook }

// sender is what delivers to a webhook: its provider, or itself where it has a scheme of its
// own.
func (p *pass) sender(webhook string) string {
	if w := p.Table.Webhook(webhook); w != nil && w.Provider != "" {
		return w.Provider
	}
	return ""
}

var oneForTwoSenders = Rule{
	Rule: finding.Rule{
		ID: "HB020", Severity: finding.Warning,
		Title: "two senders have one secret",
		Risk:  "Each of them can sign for the other: whoever gets the secret from the one, or works there, sends what passes as the other's delivery.",
		Fix:   "Have each sender issue a secret of its own.",
		Link:  "secrets.md#rotation",
	},
	set: func(p *pass) {
		p.alike(func(first, again *keys.Key) bool {
			return first.Webhook != again.Webhook && p.sender(first.Webhook) != p.sender(again.Webhook)
		}, func(first, again *keys.Key) {
			p.reportKey(again, "the "+again.Kind+" is also "+p.describe(first)+", which another sender has")
		})
	},
}

var signsForStrangers = Rule{
	Rule: finding.Rule{
		ID: "HB033", Severity: finding.Error,
		Title: "a handshake signs what strangers choose, with the secret of another webhook as well",
		Risk:  "Whoever asks gets the signature of a short text of his own under that secret. The handshake's own webhook refuses such a text as a delivery; the other one takes it, if its scheme signs nothing that the text cannot be.",
		Fix:   "Have each sender issue a secret of its own, or take mode: ON out of the handshake.",
		Link:  "handshakes.md#no-signing-for-strangers",
	},
	set: func(p *pass) {
		p.alike(func(first, again *keys.Key) bool {
			return p.sender(first.Webhook) != p.sender(again.Webhook) && (p.signsUnasked(first) || p.signsUnasked(again))
		}, func(first, again *keys.Key) {
			asked := first
			if !p.signsUnasked(first) {
				asked = again
			}
			p.reportKey(again, "the "+again.Kind+" is also "+p.describe(first)+", and whoever asks "+asked.Webhook+" for a handshake gets what he likes signed with it")
		})
	},
}

// signsUnasked reports whether a handshake of the key's webhook, which proves nothing,
// is answered with a MAC under it.
func (p *pass) signsUnasked(k *keys.Key) bool {
	w := p.Table.Webhook(k.Webhook)
	if w == nil || k.Kind != "secret" {
		return false
	}
	set, _ := w.Handshakes.(*handshake.Set)
	return set != nil && slices.ContainsFunc(set.Handshakes, func(h *handshake.Handshake) bool {
		return h.Signs() && h.Verify != handshake.Delivery
	})
}

var oneForTwoWebhooks = Rule{
	Rule: finding.Rule{
		ID: "HB021", Severity: finding.Warning,
		Title: "two webhooks have one secret",
		Risk:  "A delivery to the one, captured, passes at the other as new: the signature holds there as well, and copies are known within a webhook only.",
		Fix:   "Give each webhook a secret of its own; most providers have one for each endpoint.",
		Link:  "secrets.md#rotation",
	},
	set: func(p *pass) {
		p.alike(func(first, again *keys.Key) bool {
			return first.Webhook != again.Webhook && p.sender(first.Webhook) == p.sender(again.Webhook)
		}, func(first, again *keys.Key) {
			p.reportKey(again, "the "+again.Kind+" is also "+p.describe(first)+": a delivery to the one passes at the other, too")
		})
	},
}

var oneTwice = Rule{
	Rule: finding.Rule{
		ID: "HB022", Severity: finding.Warning,
		Title: "a webhook has the same secret twice",
		Risk:  "A rotation that changed nothing: whoever has the old secret has the new one, and the day on which it was to be replaced has passed.",
		Fix:   "Remove one entry, or put the new secret into it.",
		Link:  "secrets.md#rotation",
	},
	set: func(p *pass) {
		p.alike(func(first, again *keys.Key) bool {
			return first.Webhook == again.Webhook && first.Kind == again.Kind
		}, func(first, again *keys.Key) {
			p.reportKey(again, "is the same as "+first.Kind+" "+first.ID)
			if first.Kind == "secret" && first.NotAfter.IsZero() && first.NotBefore.IsZero() { // it counts whenever the other does
				p.removable(again.Place.Path)
			}
		})
	},
}

var secretSent = Rule{
	Rule: finding.Rule{
		ID: "HB023", Severity: finding.Warning,
		Title: "the secret that signs is sent along as a token",
		Risk:  "Each delivery carries the key of its own signature. Whoever sees one, in a log or on the way, signs whatever he likes from then on.",
		Fix:   "Make the token another text than the secret, or remove it: the signature proves more.",
		Link:  "policy.md#token",
	},
	set: func(p *pass) {
		p.alike(func(first, again *keys.Key) bool {
			return first.Kind != again.Kind && (first.Webhook == again.Webhook || p.sender(first.Webhook) == p.sender(again.Webhook))
		}, func(first, again *keys.Key) {
			p.reportKey(again, "is the same text as "+p.describe(first)+", and the token is sent with each delivery")
		})
	},
}

// secretOf is the path of a tenant's secret, divided where the name stands.
func tenantFile(k *keys.Key) (before, after string) {
	before, after, _ = strings.Cut(k.File, tenant.Placeholder)
	return before, after
}

var tenantsAmongSecrets = Rule{
	Rule: finding.Rule{
		ID: "HB024", Severity: finding.Warning, Else: "info where only the name of a file says so",
		Title: "a tenant's name can lead to a file that is another secret",
		Risk:  "The sender writes the tenant into the path. One whose own secret is among those files names it there, signs with it, and is taken for a tenant that does not exist.",
		Fix:   "Keep the secrets of tenants in a directory of their own, with nothing else in it.",
		Link:  "secrets.md#tenants",
	},
	set: func(p *pass) {
		files := map[string]string{} // with what they are
		for name, what := range p.Secrets {
			files[filepath.Clean(name)] = what
		}
		for i := range p.Keys {
			if k := &p.Keys[i]; k.File != "" && !k.PerTenant() {
				files[filepath.Clean(k.File)] = p.describe(k)
			}
		}
		names := make([]string, 0, len(files))
		for name := range files {
			names = append(names, name)
		}
		slices.Sort(names)
		for i := range p.Keys {
			k := &p.Keys[i]
			if !k.PerTenant() {
				continue
			}
			before, after := tenantFile(k)
			before = cleanPrefix(before)
			for _, name := range names {
				if called, ok := strings.CutPrefix(name, before); ok {
					if called, ok = strings.CutSuffix(called, after); ok && isTenant(called) {
						p.reportKey(k, "a tenant called "+called+" would have the file "+name+", which is "+files[name])
						before = "" // once is enough
						break
					}
				}
			}
			if name := p.alien(k); before != "" && name != "" {
				e := k.Place
				e.Message = name + " is called as a provider or a webhook is: among the secrets of tenants it is that of a tenant"
				p.reportAs(finding.Info, e)
			}
		}
	},
}

// alien is a file in the directory of tenants that is hardly one of a tenant; empty if
// there is none, or nobody has looked.
func (p *pass) alien(k *keys.Key) string {
	before, after := tenantFile(k)
	dir, base := filepath.Split(before)
	for _, name := range p.Beside[filepath.Clean(dir)] {
		called, begins := strings.CutPrefix(name, base)
		called, ends := strings.CutSuffix(called, after)
		if !begins || !ends || strings.Contains(after, string(filepath.Separator)) {
			continue // no tenant's name leads there
		}
		entry, err := provider.Get(strings.ToLower(called))
		if err != nil {
			p.err = err
		}
		if entry != nil || p.Table.Webhook(called) != nil {
			return filepath.Join(filepath.Clean(dir), name)
		}
	}
	return ""
}

// cleanPrefix is the beginning of a path as Clean writes it, with what follows the last
// slash.
func cleanPrefix(path string) string {
	dir, base := filepath.Split(path)
	if dir == "" {
		return base
	}
	return strings.TrimSuffix(filepath.Clean(dir), string(filepath.Separator)) + string(filepath.Separator) + base
}

// isTenant reports whether a segment of a path can be a tenant's name.
func isTenant(name string) bool {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
	return name != "" && len(name) <= 128 && strings.Trim(name, letters) == ""
}

var oneForAllTenants = Rule{
	Rule: finding.Rule{
		ID: "HB025", Severity: finding.Warning,
		Title: "all tenants have one secret",
		Risk:  "The path says whose delivery it is, and nothing proves it: a tenant signs with the common secret, and writes another tenant's name into the path.",
		Fix:   "Let file have {tenant}, so that each has a secret of its own; or name the segment otherwise, if it is none.",
		Link:  "secrets.md#tenants",
	},
	each: func(p *pass, w *webhook) {
		if w.compiled == nil || !slices.Contains(strings.Split(w.GetMatch().GetPath(), "/"), tenant.Placeholder) || len(w.keys) == 0 {
			return
		}
		if !slices.ContainsFunc(w.keys, (*keys.Key).PerTenant) && !w.covered().path {
			p.report(w.at.At("match", "path"), "has {tenant}, and the secrets are the same for all: whoever has them chooses the tenant")
		}
	},
}

// reportKey reports something at the place of a key.
func (p *pass) reportKey(k *keys.Key, message string) {
	e := k.Place
	e.Message = message
	p.reportAs(p.rule.Severity, e)
}
