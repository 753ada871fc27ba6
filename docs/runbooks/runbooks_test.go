package runbooks_test

import (
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/monitor"
	"github.com/hookbastion/hookbastion/docs/runbooks"
)

// Each reason and each anomaly has a page, of which everything is read.
func TestPages(t *testing.T) {
	judge := func(of string, p *runbooks.Page) {
		if p == nil {
			t.Errorf("%s has no page", of)
			return
		}
		for title, part := range map[string][]runbooks.Paragraph{"What it means": p.Means, "How to check": p.Check, "What to do": p.Do} {
			words := 0
			for _, paragraph := range part {
				for _, span := range paragraph {
					words += len(strings.Fields(span.Text))
					if !span.Code && strings.ContainsAny(span.Text, "`[]*#|") {
						t.Errorf("%s, %s: %q has markup that is not understood", of, title, span.Text)
					}
				}
			}
			if words == 0 {
				t.Errorf("%s does not say %q", of, title)
			}
		}
	}
	for r := authz.OK; int(r) < authz.ReasonCount; r++ {
		judge(r.String(), runbooks.Reason(r.String()))
	}
	for _, k := range monitor.Kinds() {
		judge(k.String(), runbooks.Anomaly(k.String()))
	}
	if runbooks.Reason("nothing") != nil || runbooks.Anomaly("ok") != nil || runbooks.Reason("../README") != nil {
		t.Error("what is none has a page")
	}
}
