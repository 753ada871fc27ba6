package policy

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/ranges"
	"github.com/hookbastion/hookbastion/authz/source"
	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

func (c *compiler) source(p *policyv1.SourceIP, at strictyaml.Place) authz.Check {
	if p == nil {
		return nil
	}
	if len(p.GetAllow()) == 0 && len(p.GetDeny()) == 0 && len(p.GetRanges()) == 0 {
		c.faults.Fail(at, "needs allow, ranges or deny")
	}
	check := &source.Check{Allow: c.networks(p.GetAllow(), at.At("allow")), Deny: c.networks(p.GetDeny(), at.At("deny"))}
	for i, name := range p.GetRanges() {
		if list := c.list(name, at.At("ranges", i)); list != nil {
			check.Ranges = append(check.Ranges, list)
		}
	}
	return check
}

// list returns what a provider publishes: one for each name, whatever the webhooks.
func (c *compiler) list(name string, at strictyaml.Place) *ranges.List {
	if list := c.lists[name]; list != nil {
		return list
	}
	document, service, named := strings.Cut(name, ":")
	d, err := provider.Ranges(document)
	switch {
	case err != nil:
		c.faults.Fail(at, "the catalogue cannot be read: "+err.Error())
		return nil
	case d == nil:
		c.faults.Fail(at, noRanges(document))
		return nil
	}
	list, err := c.deps.Ranges.List(c.table.Fetched, name, d.Document, service)
	if named && service == "" { // which is not the way to name the default
		err = ranges.ErrService
	}
	switch {
	case errors.Is(err, ranges.ErrService):
		c.faults.Fail(at, strconv.Quote(name)+" is none of "+strings.Join(d.Lists(), ", "))
		return nil
	case errors.Is(err, ranges.ErrURL):
		c.faults.Fail(at, "is at another place for each customer: say where in the setting ranges.urls, as in "+d.Name+"=https://…")
		return nil
	case errors.Is(err, ranges.ErrRefresh) && d.URL == "":
		c.faults.Fail(at, "needs a refresh, since its networks are not in the program: set ranges.refresh, and in ranges.urls where it is")
		return nil
	case err != nil:
		c.faults.Fail(at, "needs a refresh, since its networks are not in the program: set ranges.refresh, or list the networks in allow, from "+d.Page)
		return nil
	}
	c.lists[name] = list
	c.table.Ranges = append(c.table.Ranges, list)
	return list
}

// noRanges says what is wrong with a name, and what could be meant.
func noRanges(name string) string {
	own, _ := provider.RangesOf(name) // read without an error before
	if len(own) > 0 {
		var names []string
		for _, d := range own {
			names = append(names, d.Lists()...)
		}
		return "the addresses of " + name + " are called " + strings.Join(names, ", ")
	}
	if p, _ := provider.Get(name); p != nil {
		return "the catalogue has no networks of " + name + "; list them in allow" + publishedAt(p)
	}
	all, _ := provider.RangeDocuments()
	var names []string
	for _, d := range all {
		names = append(names, d.Name)
	}
	return strconv.Quote(name) + " is not in the catalogue" + strictyaml.Suggest(name, names)
}

func publishedAt(p *policyv1.Provider) string {
	if page := p.GetRanges().GetDocumentation(); page != "" {
		return ", from " + page
	}
	return ""
}

// networks returns the set of a list; nil if it is empty.
func (c *compiler) networks(list []string, at strictyaml.Place) *ranges.Set {
	if len(list) == 0 {
		return nil
	}
	var prefixes []netip.Prefix
	for i, text := range list {
		prefix, err := ranges.ParsePrefix(text)
		switch {
		case errors.Is(err, ranges.ErrZone), errors.Is(err, ranges.ErrMixed):
			c.faults.Fail(at.At(i), err.Error())
			continue
		case err != nil:
			c.faults.Fail(at.At(i), "is not a network such as 203.0.113.0/24 or an address")
			continue
		}
		prefixes = append(prefixes, prefix)
	}
	return ranges.NewSet(prefixes)
}
