package policy

import (
	"strings"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/ranges"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/source"
	"github.com/hookbastion/hookbastion/authz/transport"
)

// What share uses as keys can be compared.
var (
	_ map[replay.Check]bool
	_ map[replay.Freshness]bool
	_ map[transport.Check]bool
)

// share returns an equal check of another webhook, if there is one: of a
// hundred thousand webhooks most ask for the same. Checks have no state of
// their own.
func (c *compiler) share(check authz.Check) authz.Check {
	var key any
	switch check := check.(type) {
	case *replay.Freshness:
		key = *check
	case *replay.Check:
		key = *check // the store is a pointer
	case replay.Known:
		check.Check, _ = c.share(check.Check).(*replay.Check)
		return check
	case *transport.Check:
		key = *check // what it asks of certificates is a pointer
	case *authz.Limits:
		key = limitsKey{check.MaxBodyBytes, check.MaxHeaderBytes, check.BodySigned, strings.Join(check.ContentTypes, ",")}
	case *source.Check:
		key = sourceKey{setKey(check.Allow), setKey(check.Deny), listsKey(check.Ranges)}
	default:
		return check
	}
	if other := c.shared[key]; other != nil {
		return other
	}
	c.shared[key] = check
	return check
}

// limitsKey has all of authz.Limits, sourceKey of source.Check. A content type
// has no comma.
type (
	limitsKey struct {
		maxBody    int64
		maxHeaders int
		bodySigned bool
		types      string
	}
	sourceKey struct{ allow, deny, lists string }
)

func setKey(set *ranges.Set) string {
	if set == nil {
		return ""
	}
	return set.Digest()
}

// listsKey has the names of lists, of which the table has one each. None has a comma.
func listsKey(lists []*ranges.List) string {
	names := make([]string, len(lists))
	for i, list := range lists {
		names[i] = list.Name
	}
	return strings.Join(names, ",")
}

// text returns one copy of equal texts.
func (c *compiler) text(s string) string {
	if other, ok := c.texts[s]; ok {
		return other
	}
	c.texts[s] = s
	return s
}
