package ranges_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz/ranges"
)

// Whatever is wrong with a document, nothing of it counts.
func TestParse(t *testing.T) {
	list := ranges.Service{Takes: []ranges.Take{{List: "hooks"}}}
	all := ranges.Service{Takes: []ranges.Take{{}}}
	cells := ranges.Service{Takes: []ranges.Take{{List: "*.ip_ranges"}}}
	where := ranges.Service{Takes: []ranges.Take{
		{List: "items", Where: []ranges.Where{{Field: "direction", Any: []string{"egress"}}, {Field: "of.product", Any: []string{"a", "b"}}}, Field: "net.cidr"},
		{List: "more"},
	}}
	lines := ranges.Service{}
	wide := strings.Repeat("x", 64)
	for name, c := range map[string]struct {
		service ranges.Service
		kind    ranges.Kind
		body    string
		want    string // networks, or
		err     error
	}{
		"a list":                   {list, ranges.JSON, `{"hooks":["34.0.0.1","34.1.0.0/16"],"web":7}`, "34.0.0.1/32 34.1.0.0/16", nil},
		"host bits":                {list, ranges.JSON, `{"hooks":["34.1.2.3/16"]}`, "34.1.0.0/16", nil},
		"mapped":                   {list, ranges.JSON, `{"hooks":["::ffff:34.0.0.1"]}`, "34.0.0.1/32", nil},
		"the document":             {all, ranges.JSON, ` ["34.0.0.1"] `, "34.0.0.1/32", nil},
		"cells":                    {cells, ranges.JSON, `{"a":{"ip_ranges":["34.0.0.1"]},"b":{"ip_ranges":[]}}`, "34.0.0.1/32", nil},
		"lines":                    {lines, ranges.Lines, "# ours\r\n34.0.0.1 # one\r\n\r\n 34.1.0.0/16", "34.0.0.1/32 34.1.0.0/16", nil},
		"some items":               {where, ranges.JSON, `{"more":[],"items":[{"direction":["ingress","egress"],"of":{"product":"b"},"net":{"cidr":"34.0.0.1"}},{"direction":"ingress","of":{"product":"a"},"net":{"cidr":"34.0.0.2"}},{"direction":"egress","of":{"product":"c"},"net":{"cidr":"34.0.0.3"}},{"direction":"egress","of":{"product":"a"}}]}`, "34.0.0.1/32", nil},
		"nothing":                  {list, ranges.JSON, ``, "", ranges.ErrJSON},
		"half":                     {list, ranges.JSON, `{"hooks":["34.0.0.1"`, "", ranges.ErrJSON},
		"two":                      {list, ranges.JSON, `{"hooks":["34.0.0.1"]}{}`, "", ranges.ErrJSON},
		"HTML":                     {list, ranges.JSON, `<html>`, "", ranges.ErrJSON},
		"deep":                     {list, ranges.JSON, strings.Repeat("[", 100_000), "", ranges.ErrJSON},
		"another key":              {list, ranges.JSON, `{"hook":["34.0.0.1"]}`, "", ranges.ErrPath},
		"a text":                   {list, ranges.JSON, `{"hooks":"34.0.0.1"}`, "", ranges.ErrPath},
		"null":                     {list, ranges.JSON, `null`, "", ranges.ErrPath},
		"no cell":                  {cells, ranges.JSON, `{}`, "", ranges.ErrPath},
		"a cell without":           {cells, ranges.JSON, `{"a":{"ip_ranges":["34.0.0.1"]},"b":{}}`, "", ranges.ErrPath},
		"a cell that is none":      {cells, ranges.JSON, `{"a":{"ip_ranges":["34.0.0.1"]},"b":7}`, "", ranges.ErrPath},
		"a list that is gone":      {where, ranges.JSON, `{"items":[{"direction":"egress","of":{"product":"a"},"net":{"cidr":"34.0.0.1"}}]}`, "", ranges.ErrPath},
		"a number":                 {list, ranges.JSON, `{"hooks":[7]}`, "", ranges.ErrItem},
		"an object":                {list, ranges.JSON, `{"hooks":[{"cidr":"34.0.0.1"}]}`, "", ranges.ErrItem},
		"an item that is a text":   {where, ranges.JSON, `{"more":[],"items":["34.0.0.1"]}`, "", ranges.ErrItem},
		"an empty list":            {list, ranges.JSON, `{"hooks":[]}`, "", ranges.ErrNothing},
		"no item that counts":      {where, ranges.JSON, `{"more":[],"items":[]}`, "", ranges.ErrNothing},
		"no line":                  {lines, ranges.Lines, "# nothing\n", "", ranges.ErrNothing},
		"HTML for lines":           {lines, ranges.Lines, "<!DOCTYPE html>\n34.0.0.1\n", "", ranges.ErrText},
		"JSON for lines":           {lines, ranges.Lines, `{"message":"gone"}`, "", ranges.ErrText},
		"a name":                   {list, ranges.JSON, `{"hooks":["34.0.0.1","hooks.example.com"]}`, "", ranges.ErrAddress},
		"an empty text":            {list, ranges.JSON, `{"hooks":["34.0.0.1",""]}`, "", ranges.ErrAddress},
		"octal":                    {list, ranges.JSON, `{"hooks":["034.0.0.1"]}`, "", ranges.ErrAddress},
		"a zone":                   {list, ranges.JSON, `{"hooks":["2600:1f18::%eth0/32"]}`, "", ranges.ErrAddress},
		"all of IPv4 in IPv6":      {list, ranges.JSON, `{"hooks":["::ffff:0:0/96"]}`, "", ranges.ErrWide},
		"the world":                {list, ranges.JSON, `{"hooks":["34.0.0.1","0.0.0.0/0"]}`, "", ranges.ErrWide},
		"the world of IPv6":        {list, ranges.JSON, `{"hooks":["::/0"]}`, "", ranges.ErrWide},
		"a /7":                     {list, ranges.JSON, `{"hooks":["34.0.0.0/7"]}`, "", ranges.ErrWide},
		"a /8":                     {list, ranges.JSON, `{"hooks":["34.0.0.0/8"]}`, "34.0.0.0/8", nil},
		"a /18":                    {list, ranges.JSON, `{"hooks":["2600::/18"]}`, "", ranges.ErrWide},
		"a /19":                    {list, ranges.JSON, `{"hooks":["2600::/19"]}`, "2600::/19", nil},
		"private":                  {list, ranges.JSON, `{"hooks":["34.0.0.1","10.1.0.0/16"]}`, "", ranges.ErrPrivate},
		"loopback":                 {list, ranges.JSON, `{"hooks":["127.0.0.1"]}`, "", ranges.ErrPrivate},
		"link local":               {list, ranges.JSON, `{"hooks":["fe80::/64"]}`, "", ranges.ErrPrivate},
		"what clouds use within":   {list, ranges.JSON, `{"hooks":["169.254.169.254"]}`, "", ranges.ErrPrivate},
		"private, in the middle":   {list, ranges.JSON, `{"hooks":["172.0.0.0/8"]}`, "", ranges.ErrPrivate},
		"private within a /11":     {list, ranges.JSON, `{"hooks":["192.160.0.0/11"]}`, "", ranges.ErrPrivate},
		"beside private":           {list, ranges.JSON, `{"hooks":["172.32.0.0/11","168.63.129.0/24"]}`, "168.63.129.0/24 172.32.0.0/11", nil},
		"of providers, within":     {list, ranges.JSON, `{"hooks":["100.0.0.0/8"]}`, "", ranges.ErrPrivate},
		"documentation of IPv6":    {list, ranges.JSON, `{"hooks":["2001:c00::/22"]}`, "", ranges.ErrPrivate},
		"IPv4 behind a gateway":    {list, ranges.JSON, `{"hooks":["64:ff9b::a00:0/104"]}`, "", ranges.ErrPrivate},
		"half of the world, by /8": {list, ranges.JSON, `{"hooks":["` + strings.Join(eights(30), `","`) + `"]}`, "", ranges.ErrWorld},
		"as much, twice":           {list, ranges.JSON, `{"hooks":["` + strings.Join(append(eights(15), eights(15)...), `","`) + `"]}`, strings.Join(eights(15), " "), nil},
		"too many":                 {lines, ranges.Lines, strings.Repeat("34.0.0.1\n", ranges.MaxNetworks+1), "", ranges.ErrMany},
		"a text of a stranger":     {list, ranges.JSON, `{"hooks":["` + wide + `"]}`, "", ranges.ErrAddress},
	} {
		set, err := c.service.Parse(c.kind, []byte(c.body))
		got := ""
		if set != nil {
			got = strings.Trim(fmt.Sprint(set.Networks()), "[]")
		}
		if got != c.want || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %s, %v", name, got, err)
		}
		if err != nil && (set != nil || strings.Contains(err.Error(), wide)) {
			t.Errorf("%s: %v, %v", name, set, err)
		}
	}
}

// eights are /8 networks that are on the public internet.
func eights(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("%d.0.0.0/8", 34+i))
	}
	return all
}

// FuzzParse: whatever comes, no list goes beyond the bounds, and what an error says is ours.
func FuzzParse(f *testing.F) {
	for _, body := range []string{`{"hooks":["34.0.0.1","2600::/32"]}`, `{"hooks":["0.0.0.0/0"]}`, `["34.0.0.1"]`, "34.0.0.1\n2600::/19 # x", "<html>", `{"a":{"ip":["34.0.0.0/8"]}}`, "\x00", "::ffff:0:0/96"} {
		f.Add([]byte(body))
	}
	services := map[ranges.Kind][]ranges.Service{
		ranges.JSON:  {{Takes: []ranges.Take{{List: "hooks"}}}, {Takes: []ranges.Take{{}}}, {Takes: []ranges.Take{{List: "*.ip", Field: "a.b", Where: []ranges.Where{{Field: "c", Any: []string{"d"}}}}}}},
		ranges.Lines: {{}},
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for kind, list := range services {
			for _, s := range list {
				set, err := s.Parse(kind, body)
				if (set == nil) == (err == nil) {
					t.Fatalf("%v, %v", set, err)
				}
				if err != nil {
					continue
				}
				if err := ranges.Bounded(set.Networks()); err != nil || set.Len() == 0 {
					t.Errorf("%v: %v", set.Networks(), err)
				}
				for _, world := range []string{"0.0.0.0", "10.0.0.1", "127.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "::1", "fe80::1", "255.255.255.255"} {
					if set.Contains(netip.MustParseAddr(world)) {
						t.Errorf("%s is in %v", world, set.Networks())
					}
				}
			}
		}
	})
}
