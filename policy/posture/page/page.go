// Package page writes a posture report as one page of HTML, to be read in a browser or
// printed.
//
// All that it needs is in it: it has no script and asks for nothing elsewhere, which its own
// policy for contents forbids. Texts that others chose, as names and reasons, are escaped
// by html/template. It shows the webhooks with the worst grades first, at most
// [MaxWebhooks]; the JSON has all.
package page

import (
	_ "embed"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/policy/posture"
)

// MaxWebhooks is how many webhooks a page shows.
const MaxWebhooks = 500

//go:embed page.html
var text string

//go:embed page.css
var style string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"style": func() template.CSS { return template.CSS(style) }, //nolint:gosec // it is ours
	"day":   func(t time.Time) string { return t.UTC().Format(time.DateOnly) },
	"exact": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") },
	"lower": func(g posture.Grade) string { return strings.ToLower(string(g)) },
}).Parse(text))

// view is what the page shows.
type view struct {
	*posture.Report
	Worst   []posture.Webhook
	LeftOut int
	Rules   []posture.Rule
	Grades  []count
	Covered int
}

type count struct {
	Grade posture.Grade
	Count int
}

// Write writes the page. The error is that of the writer.
func Write(w io.Writer, r *posture.Report) error {
	v := &view{Report: r, Worst: slices.Clone(r.Webhooks), Rules: posture.Rules()}
	slices.SortStableFunc(v.Worst, func(a, b posture.Webhook) int { return strings.Compare(string(b.Grade), string(a.Grade)) })
	if len(v.Worst) > MaxWebhooks {
		v.Worst, v.LeftOut = v.Worst[:MaxWebhooks], len(v.Worst)-MaxWebhooks
	}
	for _, g := range []posture.Grade{posture.GradeA, posture.GradeB, posture.GradeC, posture.GradeD, posture.GradeF} {
		n := 0
		for i := range r.Webhooks {
			if r.Webhooks[i].Grade == g {
				n++
			}
		}
		v.Grades = append(v.Grades, count{g, n})
	}
	for i := range r.Controls {
		if r.Controls[i].Evidence {
			v.Covered++
		}
	}
	return page.Execute(w, v)
}
