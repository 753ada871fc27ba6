package lint

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/policy/finding"
	"github.com/hookbastion/hookbastion/policy/keys"
)

// byKind are the keys of a webhook of one kind, of which one must fit: secrets, or tokens.
func (w *webhook) byKind(kind string) []*keys.Key {
	var some []*keys.Key
	for _, k := range w.keys {
		if k.Kind == kind {
			some = append(some, k)
		}
	}
	return some
}

func ended(k *keys.Key, now time.Time) bool { return !k.NotAfter.IsZero() && !k.NotAfter.After(now) }

func inForce(k *keys.Key, now time.Time) bool { return !ended(k, now) && !k.NotBefore.After(now) }

// kinds are the kinds of keys that are tried one after the other.
var kinds = []string{"secret", "token"}

var keyEnded = Rule{
	Rule: finding.Rule{
		ID: "HB026", Severity: finding.Warning,
		Title: "a secret is no longer accepted, and still there",
		Risk:  "Its file lies where secrets are: whoever takes away not_after, by mistake or to mend an outage at night, makes it good again, for those as well who should no longer have it.",
		Fix:   "Remove the entry, and the file.",
		Link:  "secrets.md#rotation",
	},
	set: func(p *pass) {
		for i := range p.Keys {
			if k := &p.Keys[i]; ended(k, p.Now) {
				p.reportKey(k, "ended at "+k.NotAfter.UTC().Format(time.RFC3339))
				if slices.ContainsFunc(p.keys[k.Webhook], func(o *keys.Key) bool { return o.Kind == k.Kind && inForce(o, p.Now) }) {
					p.removable(k.Place.Path)
				}
			}
		}
	},
}

var noKeyInForce = Rule{
	Rule: finding.Rule{
		ID: "HB027", Severity: finding.Error,
		Title: "no secret of a webhook is accepted now",
		Risk:  "Every delivery is refused, and the provider switches the endpoint off.",
		Fix:   "Add the secret that the sender signs with, or correct not_before and not_after.",
		Link:  "secrets.md#rotation",
	},
	each: func(p *pass, w *webhook) {
		for _, kind := range kinds {
			all := w.byKind(kind)
			if len(all) > 0 && !slices.ContainsFunc(all, func(k *keys.Key) bool { return inForce(k, p.Now) }) {
				p.reportKey(all[0], "of "+strconv.Itoa(len(all))+" "+plural(kind, len(all))+" none is accepted now: every delivery is refused")
			}
		}
	},
}

func plural(word string, n int) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

var twoForEver = Rule{
	Rule: finding.Rule{
		ID: "HB028", Severity: finding.Warning,
		Title: "several secrets are accepted, and none of them ends within a year",
		Risk:  "A rotation that nobody has finished: the old secret, which leaked or was known to too many, is as good as the new one for ever.",
		Fix:   "Give the old one not_after. `hookbastion keys --admin` says when it was last used.",
		Link:  "secrets.md#rotation",
	},
	each: func(p *pass, w *webhook) {
		for _, kind := range kinds {
			var endless []*keys.Key
			for _, k := range w.byKind(kind) {
				if far := k.NotAfter.Sub(p.Now) > maxAge; (k.NotAfter.IsZero() || far) && !k.IsPublic() {
					endless = append(endless, k)
				}
			}
			if len(endless) > 1 && !w.namesKeys() {
				p.reportKey(endless[1], strconv.Itoa(len(endless))+" "+kind+"s are accepted without an end, or with one in more than a year, beside "+endless[0].ID)
			}
		}
	},
}

// namesKeys reports whether deliveries say which key they are signed with: several are
// then no rotation.
func (w *webhook) namesKeys() bool {
	for _, s := range w.schemes {
		if len(s.KeyIDHeaders()) > 0 || s.Signed().GetKeyId() != nil || s.GetJws().GetKeyClaim() != "" || s.GetCode() != nil {
			return true
		}
	}
	return false
}

// maxAge is how long a secret is used at most where somebody asks for rotation.
const maxAge = 366 * 24 * time.Hour

var oldKey = Rule{
	Rule: finding.Rule{
		ID: "HB029", Severity: finding.Info,
		Title: "a secret is in use for more than a year",
		Risk:  "Who has left, what was logged, which backup was lost: each year adds to those who may have it, and nobody would notice.",
		Fix:   "Rotate it: add the new one, give the old one not_after.",
		Link:  "secrets.md#rotation",
	},
	set: func(p *pass) {
		for i := range p.Keys {
			k := &p.Keys[i]
			if !k.NotBefore.IsZero() && inForce(k, p.Now) && p.Now.Sub(k.NotBefore) > maxAge && !k.IsPublic() {
				p.reportKey(k, "is accepted since "+k.NotBefore.UTC().Format(time.DateOnly)+", which is more than a year")
			}
		}
	},
}

var longOverlap = Rule{
	Rule: finding.Rule{
		ID: "HB030", Severity: finding.Info,
		Title: "two secrets are accepted side by side for more than a quarter of a year",
		Risk:  "A secret is replaced because it may be known. Until the old one ends, it is as good to whoever has it as the new one.",
		Fix:   "Let the old one end some days after the sender signs with the new one.",
		Link:  "secrets.md#rotation",
	},
	each: func(p *pass, w *webhook) {
		const quarter = 92 * 24 * time.Hour
		for _, kind := range kinds {
			all := w.byKind(kind)
			if len(all) < 2 || w.namesKeys() {
				continue
			}
			for _, k := range all {
				if left := k.NotAfter.Sub(p.Now); !k.NotAfter.IsZero() && left > quarter && inForce(k, p.Now) {
					p.reportKey(k, "is accepted beside another one until "+k.NotAfter.UTC().Format(time.DateOnly)+", in "+strconv.Itoa(int(left/(24*time.Hour)))+" days")
					break
				}
			}
		}
	},
}

var fromEnvironment = Rule{
	Rule: finding.Rule{
		ID: "HB031", Severity: finding.Info,
		Title: "a secret stands in an environment variable",
		Risk:  "Whoever can read the process, a crash report or the deployment's description has it, and it can be rotated by a restart only.",
		Fix:   "Put it into a file and name that: it is read again when it changes.",
		Link:  "secrets.md",
	},
	set: func(p *pass) {
		for i := range p.Keys {
			if k := &p.Keys[i]; k.Env != "" && !k.IsPublic() {
				p.reportKey(k, "stands in the variable "+k.Env)
			}
		}
	},
}

var besidePolicies = Rule{
	Rule: finding.Rule{
		ID: "HB032", Severity: finding.Info,
		Title: "a secret lies among the policies",
		Risk:  "Policies are kept in a repository and shown to reviewers. One `git add` of the directory, and everybody who can read it can sign.",
		Fix:   "Keep secrets in a directory beside that of the policies, which nothing commits.",
		Link:  "secrets.md",
	},
	set: func(p *pass) {
		directories := map[string]bool{}
		for _, name := range p.Set.Files() {
			directories[filepath.Dir(name)] = true
		}
		for i := range p.Keys {
			k := &p.Keys[i]
			for dir := filepath.Dir(k.File); k.File != "" && !k.IsPublic(); dir = filepath.Dir(dir) {
				if directories[dir] {
					p.reportKey(k, "stands in "+k.File+", below a directory of policies")
					break
				}
				if dir == "." || dir == filepath.Dir(dir) || strings.HasPrefix(dir, "..") {
					break
				}
			}
		}
	},
}
