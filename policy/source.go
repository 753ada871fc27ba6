package policy

import (
	"errors"
	"net/netip"
	"strconv"

	"github.com/hookbastion/hookbastion/authz"
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
	return &source.Check{
		Allow: append(c.prefixes(p.GetAllow(), at.At("allow")), c.ranges(p.GetRanges(), at.At("ranges"))...),
		Deny:  c.prefixes(p.GetDeny(), at.At("deny")),
	}
}

// ranges returns the networks that providers publish.
func (c *compiler) ranges(names []string, at strictyaml.Place) []netip.Prefix {
	var prefixes []netip.Prefix
	for i, name := range names {
		p, err := provider.Get(name)
		switch {
		case err != nil:
			c.faults.Fail(at.At(i), "the catalogue cannot be read: "+err.Error())
		case p == nil:
			all, _ := provider.Names() // read without an error above
			c.faults.Fail(at.At(i), strconv.Quote(name)+" is not in the catalogue"+strictyaml.Suggest(name, all))
		case len(p.GetRanges().GetNetworks()) == 0:
			c.faults.Fail(at.At(i), "the catalogue has no networks of "+name+"; list them in allow"+publishedAt(p))
		default:
			prefixes = append(prefixes, c.prefixes(p.GetRanges().GetNetworks(), at.At(i))...)
		}
	}
	return prefixes
}

func publishedAt(p *policyv1.Provider) string {
	if page := p.GetRanges().GetDocumentation(); page != "" {
		return ", from " + page
	}
	return ""
}

func (c *compiler) prefixes(list []string, at strictyaml.Place) []netip.Prefix {
	var prefixes []netip.Prefix
	for i, text := range list {
		prefix, err := source.ParsePrefix(text)
		switch {
		case errors.Is(err, source.ErrZone), errors.Is(err, source.ErrMixed):
			c.faults.Fail(at.At(i), err.Error())
			continue
		case err != nil:
			c.faults.Fail(at.At(i), "is not a network such as 203.0.113.0/24 or an address")
			continue
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes
}
