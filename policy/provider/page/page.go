// Package page says in words what an entry of the catalogue does: as a page of
// docs/providers, for a terminal, and in the tables over all entries. Nothing that
// serves imports it.
package page

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/hookbastion/hookbastion/policy/provider"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// Markdown is the entry as a page, for docs/providers.
func Markdown(p *policyv1.Provider) string { return write(p, &writer{}) }

// Text is the same for a terminal of 80 columns.
func Text(p *policyv1.Provider) string { return write(p, &writer{plain: true}) }

func write(p *policyv1.Provider, to *writer) string {
	to.heading("# ", p.GetTitle())
	to.paragraph(fmt.Sprintf("`provider: %s`. %s", p.GetName(), confidenceWords[p.GetConfidence()]))
	to.paragraph("Documentation: " + to.link(p.GetDocumentation()))
	to.code(Snippet(p))
	if p.GetSecret() != "" {
		to.paragraph("Secret: " + p.GetSecret())
	}
	to.list("Parameters", parameterWords(p))
	for _, s := range p.GetSchemes() {
		to.scheme(p, s)
	}
	for _, h := range p.GetHandshakes() {
		to.handshake(h)
	}
	if ids := p.GetEventId(); len(ids) > 0 {
		to.heading("## ", "In records")
		to.paragraph(eventIDWords(ids))
	}
	to.heading("## ", "Refusals and retries")
	to.paragraph(fmt.Sprintf("A refused delivery gets %d%s. %s", provider.DeniedStatus(p), deniedWords(p), refusalWords(to, p)))
	to.paragraph(retryWords[p.GetRetry()] + " " + copyWords(p))
	if again := p.GetAsksAgain(); again != "" {
		to.paragraph(again + " Such a webhook needs `replay: {on_replay: MARK}`, which forwards copies with a mark.")
	}
	to.addresses(p)
	to.list("Notes", p.GetNotes())
	to.list("Also read", p.GetSources())
	return strings.TrimRight(to.String(), "\n") + "\n"
}

func (to *writer) scheme(p *policyv1.Provider, s *policyv1.NamedScheme) {
	switch {
	case s.GetOptional():
		to.heading("## ", fmt.Sprintf("Scheme `%s`, only with `provider_scheme: %s`", s.GetName(), s.GetName()))
	case len(p.GetSchemes()) > 1:
		to.heading("## ", fmt.Sprintf("Scheme `%s`", s.GetName()))
	default:
		to.heading("## ", "What it sends")
	}
	d := Describe(s.GetScheme())
	if d.Time == "" {
		d.Time = "none"
	}
	covered := strings.Join(d.Covered, ", ")
	if covered == "" {
		covered = "nothing of the request"
	}
	to.table([][2]string{
		{"where", d.Where}, {"signed", d.What}, {"key", d.Key}, {"time", d.Time},
		{"covered", covered}, {"not covered", strings.Join(d.NotCovered, ", ")},
		{"judged by", judgedWords(p.GetName(), s.GetName())},
	})
}

// Snippet is a policy for the entry.
func Snippet(p *policyv1.Provider) string {
	return "webhooks:\n" + Webhook(p, Endpoint{Name: p.GetName(), Path: "/webhooks/" + p.GetName(), PublicURL: "https://hooks.example.com"})
}

// Endpoint is where deliveries of a provider come in.
type Endpoint struct {
	// Name is the webhook's, and of the files of its secrets. Host is empty for any.
	Name, Path, Host string
	// PublicURL is scheme and host of the URL that the provider has. It is named where the
	// provider signs it.
	PublicURL string
	// Parameters are those of the provider; nil: the examples of those that must be given.
	Parameters map[string][]string
}

// Webhook is the webhook of a provider in YAML, an item of webhooks.
func Webhook(p *policyv1.Provider, at Endpoint) string {
	var b strings.Builder
	match := "path: " + flowText(at.Path)
	if at.Host != "" {
		match = "hosts: [" + flowText(at.Host) + "], " + match
	}
	fmt.Fprintf(&b, "  - name: %s\n    match: {%s}\n", at.Name, match)
	first := provider.First(p)
	if provider.SignsURL(first) {
		scheme, host, _ := strings.Cut(at.PublicURL, "://")
		if strings.Trim(host, plain) != "" {
			fmt.Fprintf(&b, "    public_url: %q\n", at.PublicURL)
		} else {
			fmt.Fprintf(&b, "    public_url: %s://%s\n", scheme, host)
		}
	}
	if provider.NeedsPin(first.Signed()) {
		b.WriteString("    pinned_query: \"\" # of the URL that the provider has\n")
	}
	id := ""
	if key, value := KeyID(p); key != "" {
		id = key + ": " + value + ", "
	}
	keys := fmt.Sprintf("    secrets: [{%sfile: ../secrets/%s}]\n", id, at.Name)
	if first.GetPublished() != nil {
		keys = credentialSnippet(first.GetPublished(), at.Name)
	}
	fmt.Fprintf(&b, "    provider: %s\n%s%s", p.GetName(), parameterSnippet(p, at.Parameters), keys)
	return b.String()
}

// flowText is a text in a flow mapping of YAML, in quotes unless it is plain everywhere.
func flowText(text string) string {
	if strings.Trim(text, plain) != "" {
		return strconv.Quote(text)
	}
	return text
}

const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-"

// KeyID is what a secret of the provider must say of its name, and an example; nothing if it
// needs none.
func KeyID(p *policyv1.Provider) (key, example string) {
	first := provider.First(p)
	switch {
	case first.GetPublished() != nil:
		return "", ""
	case first.Public() && keyIDWords(first) != "":
		return "kid", "the-key"
	case len(first.KeyIDHeaders()) > 0:
		return "id", "the-key"
	case first.GetCode().GetName() == policyv1.Code_BRAINTREE:
		return "id", "the-public-key"
	default:
		return "", ""
	}
}

// Parameters are those that a policy must give for the first scheme.
func Parameters(p *policyv1.Provider) (needed []*policyv1.Parameter) {
	for _, parameter := range p.GetParameters() {
		if !parameter.GetOptional() && provider.UsesParameter(provider.First(p), parameter.GetName()) {
			needed = append(needed, parameter)
		}
	}
	return needed
}

// parameterSnippet gives the parameters that are given, or those that must be, as they look.
func parameterSnippet(p *policyv1.Provider, values map[string][]string) string {
	if values == nil {
		values = map[string][]string{}
		for _, parameter := range Parameters(p) {
			values[parameter.GetName()] = []string{parameter.GetExample()}
		}
	}
	var given []string
	for _, parameter := range p.GetParameters() {
		texts := make([]string, len(values[parameter.GetName()]))
		for i, text := range values[parameter.GetName()] {
			texts[i] = strconv.Quote(text)
		}
		switch {
		case len(texts) == 0:
		case parameter.GetSeveral():
			given = append(given, parameter.GetName()+": ["+strings.Join(texts, ", ")+"]")
		default:
			given = append(given, parameter.GetName()+": "+texts[0])
		}
	}
	if len(given) == 0 {
		return ""
	}
	if line := "    parameters: {" + strings.Join(given, ", ") + "}\n"; len(line) < 76 {
		return line
	}
	return "    parameters:\n      " + strings.Join(given, "\n      ") + "\n"
}

// eventIDWords says where records have the sender's own id from.
func eventIDWords(headers []string) string {
	if len(headers) == 1 {
		return "`event_id` of a record is the header " + headers[0] + ": the provider's own id of the event or delivery."
	}
	return "`event_id` of a record is the first of these headers that is there: " + strings.Join(headers, ", ") + ". It is the provider's own id of the event or delivery."
}

func deniedWords(p *policyv1.Provider) string {
	words := ""
	if provider.First(p).GetSharedToken().GetBasic() != nil && provider.DeniedStatus(p) == 401 {
		words = ", with `WWW-Authenticate: Basic`"
	}
	for _, h := range p.GetDeniedHeaders() {
		words += fmt.Sprintf(", with `%s: %s`", h.GetName(), h.GetValue())
	}
	if p.GetDeniedEmpty() {
		words += ", without a body"
	}
	return words
}

var confidenceWords = map[policyv1.Provider_Confidence]string{
	policyv1.Provider_VERIFIED:  "Read in the provider's own documentation or code.",
	policyv1.Provider_COMMUNITY: "Known from others' code: try it with a real delivery before you rely on it.",
}

var retryWords = map[policyv1.Provider_Retry]string{
	policyv1.Provider_RESIGNED:  "A retry is signed anew, so that it is no copy.",
	policyv1.Provider_IDENTICAL: "A retry has the same bytes, so that it cannot be told from a copy.",
	policyv1.Provider_NONE:      "There are no retries.",
	policyv1.Provider_UNKNOWN:   "Whether a retry is signed anew is not known.",
}

// Index is the table of all entries in Markdown.
func Index() (string, error) {
	names, err := provider.Names()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# The catalogue\n\n%d providers, each a file of data that tests judge with vectors. `hookbastion providers list`\nnames them, and [adding one](adding.md) takes no code. [Who repeats how](retries.md) says what copies and\ndenials get, and [published addresses](ranges.md) where deliveries come from. A proof that is partial leaves out\nthe body; a token covers nothing of the request. A retry has the same bytes (identical) or is signed\nanew (resigned), there is none, or nobody knows.\n\n", len(names))
	b.WriteString("| provider | name in policies | proof | signed time | retries |\n| --- | --- | --- | --- | --- |\n")
	for _, name := range names {
		p, err := provider.Get(name)
		if err != nil {
			return "", err
		}
		d := Describe(p.GetSchemes()[0].GetScheme())
		timed := "no"
		if d.Time != "" {
			timed = "yes"
		}
		fmt.Fprintf(&b, "| [%s](%s.md) | `%s` | %s | %s | %s |\n", p.GetTitle(), name, name, provider.Proof(p.GetSchemes()[0].GetScheme()), timed, strings.ToLower(p.GetRetry().String()))
	}
	return b.String(), nil
}
