package lint

import (
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/authz/signature"
	"github.com/hookbastion/hookbastion/policy/finding"
	"github.com/hookbastion/hookbastion/policy/provider"
)

var noPublicURL = Rule{
	Rule: finding.Rule{
		ID: "HB080", Severity: finding.Warning, Else: "info where `match.hosts` names the hosts",
		Title: "the URL is signed, and the policy does not say the public one",
		Risk:  "The host is the one that the request names, so that a delivery which the provider signed for another of its customers' hosts holds here.",
		Fix:   "Say public_url, as the provider knows it.",
		Link:  "policy.md#url",
	},
	each: func(p *pass, w *webhook) {
		if w.GetPublicUrl() != "" || !slices.ContainsFunc(w.schemes, provider.SignsURL) {
			return
		}
		severity, message := finding.Info, "signs the URL, and there is no public_url: it is taken to be https with the host of match.hosts, as Envoy sees it"
		hosts := w.GetMatch().GetHosts()
		wildcard := func(host string) bool { return strings.Contains(host, "*") }
		if len(hosts) == 0 || slices.ContainsFunc(hosts, wildcard) {
			severity = finding.Warning
			message = "signs the URL, and there is no public_url: whoever sends chooses the host that is signed; give public_url, or at least match.hosts without a wildcard"
			if w.GetMatch().GetExtensionOnly() {
				message = "signs the URL, and there is no public_url: whoever sends chooses the host that is signed; give public_url"
			}
		}
		p.reportAs(severity, w.proof().Error(message))
	},
}

var openBorders = Rule{
	Rule: finding.Rule{
		ID: "HB081", Severity: finding.Warning, Else: "info where the policy cannot tell a provider's parts apart",
		Title: "the borders of the signed content are open, and deliveries are partial",
		Risk:  "Characters can move from one part to the next under the same signature: the end of a parameter's value becomes the beginning of the next.",
		Fix:   "Pin what the message names, such as pinned_query and a match.path with a fixed end.",
		Link:  "policy.md#slides",
	},
	each: func(p *pass, w *webhook) {
		signed, ok := checkOf[*signature.Check](w)
		if !ok {
			return
		}
		for _, scheme := range slices.Backward(signed.Schemes) {
			if h, ok := scheme.(*signature.Content); ok && len(h.Config().Open()) > 0 {
				message, mends := borders(h.Config())
				if mends {
					p.report(w.proof(), message)
				} else {
					p.reportBy(w, w.proof(), message)
				}
				return
			}
		}
	},
}

// borders says what runs together, and what would tell it apart, if the policy can.
func borders(config *signature.Config) (message string, mends bool) {
	message = "signs " + strings.Join(config.Open(), " and ") + " with nothing between, so that characters could move from one to the next: deliveries are x-hookbastion-verified: partial"
	pinned := *config
	pinned.Pin = signature.Pin{Query: true, Path: true}
	if len(pinned.Open()) > 0 {
		return message, false
	}
	var missing []string
	if !config.Pin.Query {
		missing = append(missing, `pinned_query, the query of the URL that the provider has ("" for none)`)
	}
	if !config.Pin.Path {
		missing = append(missing, "a match.path that does not end in {x} or /**")
	}
	return message + "; give " + strings.Join(missing, ", and "), true
}
