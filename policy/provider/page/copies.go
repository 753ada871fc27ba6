package page

import (
	"fmt"
	"strings"

	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	"github.com/hookbastion/hookbastion/policy/verification"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// copyWords says what a copy gets, for a page.
func copyWords(p *policyv1.Provider) string {
	scheme := provider.First(p)
	if scheme.GetSharedToken() != nil {
		return "A copy passes like any other delivery, since a token covers nothing of it."
	}
	words := "A copy gets 409."
	if provider.OnCopy(p.GetRetry()) == policyv1.Replay_ACKNOWLEDGE {
		words = "A copy gets 200 and is not forwarded, if the first delivery is known to have been taken and all of both is the same, and else 409."
	}
	if provider.Untimed(scheme) {
		passes := "passes once more after that"
		if scheme.GetJws().GetExpires() {
			passes = passes + " if its token is still good" //nolint:gosec // a sentence
		}
		words += fmt.Sprintf(" There is no signed time, so that a delivery is known for %s and %s, and at once where the webhook is renamed without `formerly`. A longer `replay.window`, of up to 31 days, has its price in memory (docs/replay.md).", strictyaml.FormatDuration(verification.DefaultWindow), passes)
	}
	return words
}

// refusalWords says what a provider does after a denial, for a page.
func refusalWords(to *writer, p *policyv1.Provider) string {
	r := p.GetRefusal()
	if r == nil {
		return "What the sender does after a refusal is not documented, as far as was found."
	}
	sources := strings.Split(r.GetSource(), " and ")
	for i, source := range sources {
		if strings.HasPrefix(source, "https://") {
			sources[i] = to.link(source)
		}
	}
	return r.GetText() + " (" + strings.Join(sources, " and ") + ")"
}

var effectWords = map[policyv1.Refusal_Effect]string{
	policyv1.Refusal_ENDS: "gives up", policyv1.Refusal_REPEATS: "repeats", policyv1.Refusal_DISABLES: "may switch the endpoint off",
}

// Retries is the table of who repeats how, and what a copy and a denial get, in
// Markdown.
func Retries() (string, error) {
	names, err := provider.Names()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Who repeats how\n\nFor each of the %d entries: how the provider repeats a delivery, what a copy and a denial get\n"+
		"where the policy does not say it, and what the provider does after a denial, where it documents\nthat. The page of each has the rest. "+
		"What 200 and 409 depend on stands in\n[replay protection](../replay.md#what-a-copy-meets). A delivery is known for *its time*\nas long as its signed time is accepted; where none is signed, for the time that stands there, and a copy passes\nafterwards; for nothing where a token is all there is.\n\n", len(names))
	b.WriteString("| name in policies | a repeat | a copy gets | known for | a denial gets | after a denial it | asked again on purpose |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, name := range names {
		p, err := provider.Get(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "| [`%s`](%[1]s.md) | %s |\n", name, strings.Join(retriesRow(p), " | "))
	}
	return b.String(), nil
}

func retriesRow(p *policyv1.Provider) []string {
	copied, known := "409", "its time"
	switch scheme := provider.First(p); {
	case scheme.GetSharedToken() != nil:
		copied, known = "forwarded", "nothing"
	case provider.OnCopy(p.GetRetry()) == policyv1.Replay_ACKNOWLEDGE:
		copied = "200, else 409"
		fallthrough
	default:
		if provider.Untimed(scheme) {
			known = strictyaml.FormatDuration(verification.DefaultWindow)
		}
	}
	after, again := "not documented", "no"
	if r := p.GetRefusal(); r != nil {
		after = effectWords[r.GetEffect()]
	}
	if p.GetAsksAgain() != "" {
		again = "yes: `on_replay: MARK`"
	}
	repeat := map[policyv1.Provider_Retry]string{
		policyv1.Provider_RESIGNED: "signed anew", policyv1.Provider_IDENTICAL: "the same bytes",
		policyv1.Provider_NONE: "none by itself", policyv1.Provider_UNKNOWN: "not known",
	}[p.GetRetry()]
	return []string{repeat, copied, known, fmt.Sprintf("%d%s", provider.DeniedStatus(p), deniedWords(p)), after, again}
}
