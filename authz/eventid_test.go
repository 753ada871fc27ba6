package authz_test

import (
	"context"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
)

type signature authz.Reason

func (signature) Stage() authz.Stage             { return authz.StageSignature }
func (s signature) Run(*authz.Call) authz.Reason { return authz.Reason(s) }

func TestEventID(t *testing.T) {
	never, alone, always := authz.CoveredNever, authz.CoveredAlone, authz.CoveredAlways
	for name, c := range map[string]struct {
		ids     []authz.EventID
		headers [][2]string
		reason  authz.Reason
		want    string
		signed  bool
	}{
		"none is known":              {nil, [][2]string{{"a", "1"}}, authz.OK, "", false},
		"none is there":              {[]authz.EventID{{"a", always}}, nil, authz.OK, "", false},
		"covered":                    {[]authz.EventID{{"a", always}}, [][2]string{{"a", "1"}}, authz.OK, "1", true},
		"not covered":                {[]authz.EventID{{"a", never}}, [][2]string{{"a", "1"}}, authz.OK, "1", false},
		"no signature held":          {[]authz.EventID{{"a", always}}, [][2]string{{"a", "1"}}, authz.SignatureInvalid, "1", false},
		"twice":                      {[]authz.EventID{{"a", always}}, [][2]string{{"a", "1"}, {"a", "2"}}, authz.OK, "", false},
		"the first of two":           {[]authz.EventID{{"a", always}, {"b", always}}, [][2]string{{"b", "2"}, {"a", "1"}}, authz.OK, "1", true},
		"the second of two":          {[]authz.EventID{{"a", alone}, {"b", alone}}, [][2]string{{"b", "2"}}, authz.OK, "2", true},
		"either, and both are there": {[]authz.EventID{{"a", alone}, {"b", alone}}, [][2]string{{"b", "2"}, {"a", "1"}}, authz.OK, "1", false},
	} {
		table := authz.NewTable()
		table.Add(&authz.Webhook{Name: "hook", EventIDs: c.ids, Chain: authz.NewChain(signature(c.reason))}, authz.Match{Path: "/", Methods: []string{"POST"}})
		req := &authz.Request{Method: authz.View("POST"), Host: authz.View("h"), Path: authz.View("/")}
		for _, h := range c.headers {
			req.Headers = append(req.Headers, authz.Header{Name: authz.View(h[0]), Value: authz.View(h[1])})
		}
		d := &authz.Decision{}
		table.Decide(context.Background(), req, time.Now(), d)
		if id, signed := d.EventID(req); string(id) != c.want || signed != c.signed {
			t.Errorf("%s: %q, signed: %t", name, id, signed)
		}
	}
	if id, signed := (&authz.Decision{}).EventID(&authz.Request{}); len(id) > 0 || signed {
		t.Error("a request of no webhook has an id")
	}
}
