package lint

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/condition"
	"github.com/hookbastion/hookbastion/policy/finding"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// fixed is what names of conditions are in all requests of the webhook.
func (w *webhook) fixed(now time.Time) map[string][]any {
	known := map[string][]any{"webhook": {w.GetName()}, "now": {now}}
	for _, method := range methodsOf(w.GetMatch()) {
		known["method"] = append(known["method"], method)
	}
	if path := w.GetMatch().GetPath(); path != "" && !strings.ContainsAny(path, "{*") {
		known["path"] = []any{path}
	}
	if authz.TenantSegment(w.GetMatch().GetPath()) < 0 {
		known["tenant"] = []any{""}
	}
	return known
}

// maxParsed bounds how many conditions are kept: most webhooks of a large set have the same.
const maxParsed = 1000

// conditions calls f with what can be said of each condition.
func (p *pass) conditions(w *webhook, f func(i int, facts condition.Facts)) {
	for i, text := range w.GetConditions() {
		parsed, known := p.parsed[text]
		if !known {
			parsed, _ = condition.Parse(text) // what is wrong is an error of compiling
			if len(p.parsed) >= maxParsed {
				clear(p.parsed)
			}
			p.parsed[text] = parsed
		}
		if parsed != nil {
			f(i, parsed.Facts(w.fixed(p.Now)))
		}
	}
}

// mayBeAbsent reports whether a name cannot be evaluated in some requests, which denies.
func mayBeAbsent(read condition.Read) bool {
	return slices.Contains([]string{"body", "headers", "query", "signed_time"}, read.Name)
}

var alwaysTrue = Rule{
	Rule: finding.Rule{
		ID: "HB110", Severity: finding.Warning,
		Title: "a condition is true whatever is sent",
		Risk:  "It looks like a fence, and keeps nobody out: what it was meant to refuse passes.",
		Fix:   "Write what was meant. `x != 'a' || x != 'b'` is always true; `x != 'a' && x != 'b'` is not.",
		Link:  "concepts.md#conditions",
	},
	each: func(p *pass, w *webhook) {
		p.conditions(w, func(i int, facts condition.Facts) {
			if facts.Always {
				p.report(w.at.At("conditions", i), "is true whatever is sent, unless it cannot be evaluated")
				if !slices.ContainsFunc(facts.Reads, mayBeAbsent) {
					p.removable(w.at.At("conditions", i).Path().String())
				}
			}
		})
	},
}

var neverTrue = Rule{
	Rule: finding.Rule{
		ID: "HB111", Severity: finding.Error,
		Title: "a condition is false whatever is sent",
		Risk:  "Every delivery is refused, and the provider switches the endpoint off.",
		Fix:   "Write what was meant, or remove the condition.",
		Link:  "concepts.md#conditions",
	},
	each: func(p *pass, w *webhook) {
		p.conditions(w, func(i int, facts condition.Facts) {
			if facts.Never {
				p.report(w.at.At("conditions", i), "is false whatever is sent: every delivery is refused")
			}
		})
	},
}

var readsUnsigned = Rule{
	Rule: finding.Rule{
		ID: "HB112", Severity: finding.Info,
		Title: "a condition reads what nothing signs",
		Risk:  "Who sends a captured delivery, or holds it up on its way, writes that part as he likes, and the condition is met.",
		Fix:   "Ask about the body, or a header that is signed. As a filter of events, not as a proof, it is right.",
		Link:  "concepts.md#conditions",
	},
	each: func(p *pass, w *webhook) {
		covered := w.covered()
		p.conditions(w, func(i int, facts condition.Facts) {
			var loose []string
			for _, read := range facts.Reads {
				if text := read.String(); !covered.reads(read, w) && !slices.Contains(loose, text) {
					loose = append(loose, text)
				}
			}
			if len(loose) > 0 {
				p.report(w.at.At("conditions", i), "reads "+strings.Join(loose, ", ")+", which nothing signs: whoever sends chooses it")
			}
		})
	},
}

// reads reports whether what a condition looks at is signed, or known in another way.
func (c *coverage) reads(read condition.Read, w *webhook) bool {
	switch read.Name {
	case "body":
		return c.body
	case "headers":
		return read.Key != "" && (c.headers[strings.ToLower(read.Key)] || sentAsToken(w, read.Key))
	case "query":
		return c.query
	case "method":
		return c.method || len(w.GetMatch().GetMethods()) == 1
	case "path":
		return c.path
	case "host":
		return c.host
	default: // what the service itself knows
		return true
	}
}

// sentAsToken reports whether a header is a token that is asked for.
func sentAsToken(w *webhook, header string) bool {
	same := func(name string) bool { return strings.EqualFold(name, header) }
	for _, s := range w.schemes {
		if same(s.GetSharedToken().GetHeader()) {
			return true
		}
	}
	return slices.ContainsFunc(w.GetToken().GetAnyOf(), func(rule *policyv1.TokenRule) bool {
		return same(rule.GetHeader().GetName()) || same("authorization") && (rule.GetBearer() != nil || rule.GetBasic() != nil)
	})
}

// secretName is how headers and parameters are called that carry what nobody else may know.
var secretName = regexp.MustCompile(`(?i)(?:token|secret|passw|api-?_?key|auth|credential|signature|hmac)`)

var tokenInCondition = Rule{
	Rule: finding.Rule{
		ID: "HB113", Severity: finding.Warning,
		Title: "a condition compares a token that stands in the policy",
		Risk:  "Everybody who can read the policy has the token. It is compared byte by byte, not in constant time, it cannot be rotated, and it stands in what explain prints.",
		Fix:   "Ask for it in token, with its file or digest.",
		Link:  "policy.md#token",
	},
	each: func(p *pass, w *webhook) {
		p.conditions(w, func(i int, facts condition.Facts) {
			for _, read := range facts.Compares {
				if secretName.MatchString(read.Key) || secretName.MatchString(read.Name) {
					p.report(w.at.At("conditions", i), "compares "+read.String()+" with a text that stands here for everybody to read")
					return
				}
			}
		})
	},
}
