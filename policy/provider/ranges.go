package provider

import (
	"cmp"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hookbastion/hookbastion/authz/ranges"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// RangeDocument is a document of published addresses, or the networks of an entry that
// were read on a page.
type RangeDocument struct {
	*ranges.Document
	// Page is where the provider tells of it, Source where its networks were read; empty if
	// there are none.
	Page, Source string
	// Entries are those of the catalogue that send from there.
	Entries []string
	Notes   []string
}

// rangeDocuments are read once, as the catalogue is, in the order of their names.
var rangeDocuments = sync.OnceValues(func() ([]*RangeDocument, error) {
	files, err := files.ReadDir("ranges")
	if err != nil {
		return nil, err
	}
	var all []*RangeDocument
	for _, file := range files {
		d, err := readRanges(path.Join("ranges", file.Name()))
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	entries, err := catalogue()
	if err != nil {
		return nil, err
	}
	for name, entry := range entries {
		if r := entry.GetRanges(); len(r.GetNetworks()) > 0 {
			d := &RangeDocument{Page: r.GetDocumentation(), Source: r.GetDocumentation(), Entries: []string{name}}
			d.Document = &ranges.Document{Name: name, Provider: entry.GetTitle(), Read: date(r.GetRead()), Services: make([]ranges.Service, 1)}
			if d.Services[0].Snapshot, err = snapshot(r.GetNetworks()); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			all = append(all, d)
		}
	}
	slices.SortFunc(all, func(a, b *RangeDocument) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
})

// RangeDocuments returns all, in the order of their names.
func RangeDocuments() ([]*RangeDocument, error) { return rangeDocuments() }

// Ranges returns the document of that name, or nil.
func Ranges(name string) (*RangeDocument, error) {
	all, err := rangeDocuments()
	if err != nil {
		return nil, err
	}
	at, found := slices.BinarySearchFunc(all, name, func(d *RangeDocument, name string) int { return cmp.Compare(d.Name, name) })
	if !found {
		return nil, nil //nolint:nilnil // there is none
	}
	return all[at], nil
}

// RangesOf returns the documents of an entry's addresses.
func RangesOf(entry string) ([]*RangeDocument, error) {
	all, err := rangeDocuments()
	var own []*RangeDocument
	for _, d := range all {
		if slices.Contains(d.Entries, entry) {
			own = append(own, d)
		}
	}
	return own, err
}

// Lists are the names by which policies call the lists of a document, the one that needs
// no service first, by itself.
func (d *RangeDocument) Lists() []string {
	var names []string
	for i := range d.Services {
		switch name := d.Services[i].Name; name {
		case "", d.Default:
			names = slices.Insert(names, 0, d.Name)
		default:
			names = append(names, d.Name+":"+name)
		}
	}
	return names
}

func readRanges(name string) (*RangeDocument, error) {
	data, err := files.ReadFile(name)
	if err != nil {
		return nil, err
	}
	p := &policyv1.RangeDocument{}
	if _, err := (strictyaml.Options{}).Decode(name, data, p); err != nil {
		return nil, err
	}
	if p.GetName() != strings.TrimSuffix(path.Base(name), ".yaml") {
		return nil, fmt.Errorf("%s: name: %s is not the file's name", name, p.GetName())
	}
	d := &RangeDocument{Page: p.GetDocumentation(), Source: p.GetSource(), Entries: p.GetEntries(), Notes: p.GetNotes()}
	d.Document = &ranges.Document{
		Name: p.GetName(), Provider: p.GetProvider(), URL: p.GetUrl(), Kind: rangeKinds[p.GetFormat()],
		Default: p.GetDefault(), Read: date(p.GetRead()), Ends: date(p.GetEnds()),
	}
	frozen := false
	for _, s := range p.GetServices() {
		service := ranges.Service{Name: s.GetName(), Takes: takes(s.GetTake())}
		if (len(service.Takes) == 0) != (d.Kind == ranges.Lines) {
			return nil, fmt.Errorf("%s: %s: take is for JSON, and JSON needs it", name, s.GetName())
		}
		if len(s.GetNetworks()) > 0 {
			frozen = true
			if service.Snapshot, err = snapshot(s.GetNetworks()); err != nil {
				return nil, fmt.Errorf("%s: %s: %w", name, s.GetName(), err)
			}
		}
		d.Services = append(d.Services, service)
	}
	switch optional := p.GetRefresh() == policyv1.RangeDocument_OPTIONAL; {
	case frozen != optional, frozen == d.Read.IsZero(), frozen == (d.Source == ""):
		return nil, fmt.Errorf("%s: networks need read and source and refresh: OPTIONAL, and no networks none of them", name)
	case d.Find("") == nil && (d.Default != "" || len(d.Services) == 1):
		return nil, fmt.Errorf("%s: default: there is no such service", name)
	}
	return d, nil
}

var rangeKinds = map[policyv1.RangeDocument_Format]ranges.Kind{policyv1.RangeDocument_JSON: ranges.JSON, policyv1.RangeDocument_LINES: ranges.Lines}

func takes(list []*policyv1.RangeTake) []ranges.Take {
	var all []ranges.Take
	for _, t := range list {
		take := ranges.Take{List: t.GetList(), Field: t.GetField()}
		for _, w := range t.GetWhere() {
			take.Where = append(take.Where, ranges.Where{Field: w.GetField(), Any: w.GetAny()})
		}
		all = append(all, take)
	}
	return all
}

func snapshot(texts []string) (*ranges.Set, error) {
	networks := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		var err error
		if networks[i], err = ranges.ParsePrefix(text); err != nil {
			return nil, fmt.Errorf("%s: %w", text, err)
		}
	}
	return ranges.NewSet(networks), ranges.Bounded(networks)
}

// date is a day of the catalogue, whose form the message holds; zero if it is empty.
func date(text string) time.Time {
	day, _ := time.Parse(time.DateOnly, text)
	return day
}
