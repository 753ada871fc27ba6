package page

import (
	"fmt"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz/ranges"
	"github.com/hookbastion/hookbastion/policy/provider"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// addresses says which published addresses an entry has, if any are known.
func (to *writer) addresses(p *policyv1.Provider) {
	own, err := provider.RangesOf(p.GetName())
	if err != nil || len(own) == 0 && p.GetRanges() == nil {
		return // an error is one of the catalogue, which its tests find
	}
	to.heading("## ", "Addresses")
	if len(own) == 0 {
		to.paragraph(fmt.Sprintf("Published at %s. List them in `source_ip.allow`.", to.link(p.GetRanges().GetDocumentation())))
		return
	}
	for _, d := range own {
		to.paragraph(rangeWords(d, to.link))
	}
}

// rangeWords says how a policy names a document, and what is known of it.
func rangeWords(d *provider.RangeDocument, link func(string) string) string {
	at := "Published at " + link(d.Page)
	switch {
	case d.Kind == "":
		return fmt.Sprintf("%s, read on %s; `source_ip: {ranges: [%s]}` allows them: %s.", at, day(d.Read), d.Name, networks(d.Services[0].Snapshot))
	case d.URL == "":
		at += ", in a document of which `ranges.urls` must say where it is"
	default:
		at += ", as a document at " + link(d.URL)
	}
	text := fmt.Sprintf("%s; `source_ip: {ranges: [%s]}` allows them", at, d.Lists()[0])
	if more := d.Lists()[1:]; len(more) > 0 {
		text += ", and there are `" + strings.Join(more, "`, `") + "`"
	}
	if d.Read.IsZero() {
		text += ". They must be fetched (`ranges.refresh`)."
	} else {
		text += ". Those of " + day(d.Read) + " are in the program, and `ranges.refresh` brings newer ones."
	}
	if !d.Ends.IsZero() {
		text += " The provider takes this document away after " + day(d.Ends) + "."
	}
	return text
}

func networks(set *ranges.Set) string {
	texts := make([]string, set.Len())
	for i, p := range set.Networks() {
		texts[i] = p.String()
		if p.IsSingleIP() {
			texts[i] = p.Addr().String()
		}
	}
	return strings.Join(texts, ", ")
}

func day(t time.Time) string { return t.Format(time.DateOnly) }

const rangesHead = `# Published addresses

Where deliveries come from, as providers publish it. A policy names a list in
[` + "`source_ip.ranges`" + `](../policy.md#sourceip), beside the signature: an address is a fence and no
proof, for many senders share those of a provider, and those of a cloud are everybody's.

<!-- policy -->
` + "```yaml" + `
webhooks:
  - name: github
    match: {path: /webhooks/github}
    provider: github
    secrets: [{file: ../secrets/github}]
    source_ip: {ranges: [github]}
` + "```" + `

`

const rangesRest = `A list in the program is that of its day. [` + "`ranges.refresh`" + `](../settings.md#ranges) has the service
fetch the documents that policies name, and no others. A policy that names a list that is not in
the program is an error where nothing is fetched, and not an empty list; until it was fetched first, its
deliveries get 503.

What comes is judged before it counts. Refused are documents that are malformed, empty, larger
than 8 MiB, that name a network which is not on the public internet or holds one that is not, one wider than /8 (IPv4) or
/19 (IPv6), or as many as a sixteenth of IPv4 or an IPv6 /12. A change that loses more than half
of a list, or adds more than it had, is held until it has stood there for 24 hours, or until
` + "`hookbastion ranges accept`" + ` lets it count. What was good last counts meanwhile, for as long as it takes:
the log, [metrics](../telemetry.md#metrics), ` + "`/readyz`" + ` and ` + "`hookbastion ranges list --admin`" + ` say so.

` + "`fetch.directory`" + ` keeps what was good last over a restart, and since when a change is held. A file
that somebody has saved is compared by ` + "`hookbastion ranges diff NAME FILE`" + `. Where the service must not
reach the internet, ` + "`ranges.urls`" + ` can name a mirror.

`

// Ranges is the page of all documents in Markdown.
func Ranges() (string, error) {
	all, err := provider.RangeDocuments()
	if err != nil {
		return "", err
	}
	var documents, pages, frozen strings.Builder
	var fetched, without, read int
	for _, d := range all {
		if d.Kind == "" {
			read++
			fmt.Fprintf(&pages, "| `%s` | %s | %d | %s | <%s> |\n", d.Name, d.Provider, d.Services[0].Snapshot.Len(), day(d.Read), d.Page)
			continue
		}
		fetched++
		known := "refresh needed"
		if d.Read.IsZero() {
			without++
		} else {
			known = day(d.Read)
			fmt.Fprintf(&frozen, "- `%s`, %s: %s.\n", d.Name, day(d.Read), d.Source)
		}
		at := "where `ranges.urls` says"
		if d.URL != "" {
			at = "<" + d.URL + ">"
		}
		if !d.Ends.IsZero() {
			at += ", until " + day(d.Ends)
		}
		fmt.Fprintf(&documents, "| `%s` | [%s](%s) | %s | %s | %s |\n", strings.Join(d.Lists(), "`, `"), d.Provider, d.Page, at, d.Kind, known)
	}
	var b strings.Builder
	b.WriteString(rangesHead)
	fmt.Fprintf(&b, "%d documents can be fetched. Of %d the networks of a day are in the program; of %d they are not, for\nwant of a copy that can be trusted. %d providers name their networks on a page alone, which somebody has read.\n\n", fetched, fetched-without, without, read)
	b.WriteString(rangesRest)
	b.WriteString("| in policies | provider | document | format | in the program |\n| --- | --- | --- | --- | --- |\n" + documents.String())
	b.WriteString("\n## Where the networks in the program were read\n\n" + frozen.String())
	b.WriteString("\n## Networks on a page\n\n| in policies | provider | networks | read on | at |\n| --- | --- | --- | --- | --- |\n" + pages.String())
	var notes strings.Builder
	for _, d := range all {
		for _, note := range d.Notes {
			fmt.Fprintf(&notes, "- `%s`: %s\n", d.Name, note)
		}
	}
	b.WriteString("\n## Notes\n\n" + notes.String())
	return b.String(), nil
}
