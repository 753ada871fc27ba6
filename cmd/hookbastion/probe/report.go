package probe

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/policy/probe"
)

// list prints what is sent.
func list(w io.Writer, output string) error {
	all := probe.Catalogue()
	if output == "json" {
		return cli.PrintJSON(w, all)
	}
	for _, a := range all {
		fmt.Fprintf(w, "%-20s %s\n", a.ID, a.Sent)
	}
	return nil
}

// report is what became of everything.
type report struct {
	Target string `json:"target"`
	// Passed, Unclear and Refused count results; Refused of valid deliveries.
	Passed   int            `json:"passed"`
	Unclear  int            `json:"unclear"`
	Refused  int            `json:"refused"`
	Held     int            `json:"held"`
	Unseen   int            `json:"unseen"`
	Results  []probe.Result `json:"results"`
	Unsigned []unsigned     `json:"not_probed"`
	missed   bool           // one of Unsigned asks for a proof, or was asked for by its name
}

func (r *report) add(result probe.Result) {
	r.Results = append(r.Results, result)
	switch result.Verdict {
	case probe.Passed:
		r.Passed++
	case probe.Unclear:
		r.Unclear++
	case probe.Refused:
		r.Refused++
	case probe.Held:
		r.Held++
	case probe.Unseen:
		r.Unseen++
	default:
	}
}

// exit is the code: what passed is worse than what nobody knows.
func (r *report) exit() error {
	switch {
	case r.Passed > 0:
		return cli.AttackPassed
	case r.Refused > 0 || r.Unclear > 0 || r.missed || len(r.Results) == 0:
		return cli.CaseFailed
	default:
		return nil
	}
}

func (r *report) print(w io.Writer, output string) error {
	switch output {
	case "json":
		r.Results, r.Unsigned = slices.Concat([]probe.Result{}, r.Results), slices.Concat([]unsigned{}, r.Unsigned)
		return cli.PrintJSON(w, r)
	case "junit":
		return r.junit(w)
	default:
		r.text(w)
		return nil
	}
}

// worst is the order in which verdicts are told.
var worst = []probe.Verdict{probe.Passed, probe.Refused, probe.Unclear, probe.Unseen, probe.Held, probe.Delivered, probe.Allowed, probe.Skipped}

var signs = map[probe.Verdict]string{
	probe.Passed: "✗", probe.Refused: "✗", probe.Unclear: "?", probe.Held: "✓", probe.Delivered: "✓", probe.Unseen: "-", probe.Allowed: "-", probe.Skipped: "-",
}

// group is the results of one attack.
type group struct {
	verdict probe.Verdict // the worst
	results []probe.Result
}

func (r *report) groups() []group {
	var all []group
	for _, result := range r.Results {
		if n := len(all); n > 0 && all[n-1].results[0].Webhook == result.Webhook && all[n-1].results[0].Attack == result.Attack {
			all[n-1].results = append(all[n-1].results, result)
		} else {
			all = append(all, group{results: []probe.Result{result}})
		}
	}
	for i := range all {
		all[i].verdict = slices.MinFunc(all[i].results, func(a, b probe.Result) int {
			return cmp.Compare(slices.Index(worst, a.Verdict), slices.Index(worst, b.Verdict))
		}).Verdict
	}
	return all
}

func (r *report) text(w io.Writer) {
	webhook := ""
	for _, g := range r.groups() {
		first := g.results[0]
		if first.Webhook != webhook {
			webhook = first.Webhook
			fmt.Fprintf(w, "%s\n", webhook)
		}
		fmt.Fprintf(w, "%s %-9s %-20s %s%s\n", signs[g.verdict], g.verdict, first.Attack, first.Sent, g.count())
		for i, result := range g.results {
			if result.Verdict == g.verdict && result.Why != "" || result.Verdict == probe.Passed || result.Verdict == probe.Unclear {
				printResult(w, result, i == 0 || g.results[i-1].Why != result.Why || result.Verdict != g.results[i-1].Verdict)
			}
		}
		if g.verdict == probe.Passed {
			fmt.Fprintf(w, "    %s\n", cmp.Or(g.harm(), first.Harm))
		}
	}
	for _, u := range r.Unsigned {
		fmt.Fprintf(w, "%s\n- not probed: %s\n", u.Webhook, u.Why)
	}
	fmt.Fprintf(w, "\n%d passed, %d unclear, %d unseen, %d held", r.Passed, r.Unclear, r.Unseen, r.Held)
	if r.Refused > 0 {
		fmt.Fprintf(w, "; %d valid deliveries refused, so that the rest proves little", r.Refused)
	}
	fmt.Fprintln(w)
}

// printResult is a line about one result; the reason is said once.
func printResult(w io.Writer, r probe.Result, why bool) {
	line := "    "
	if r.Verdict == probe.Passed || r.Verdict == probe.Unclear {
		line += string(r.Verdict) + " "
	}
	if r.Detail != "" {
		line += cli.Printable(r.Detail) + " "
	}
	if r.Status > 0 {
		line += fmt.Sprintf("%d ", r.Status)
	}
	if why && r.Why != "" {
		line += "(" + r.Why + ")"
	}
	fmt.Fprintln(w, strings.TrimRight(line, " "))
}

// count says how many requests there were, where it was more than one.
func (g *group) count() string {
	if len(g.results) == 1 {
		return ""
	}
	n := 0
	for _, r := range g.results {
		if r.Verdict == g.verdict {
			n++
		}
	}
	return fmt.Sprintf(" (%d of %d)", n, len(g.results))
}

func (g *group) harm() string {
	for _, r := range g.results {
		if r.Harm != "" {
			return r.Harm
		}
	}
	return ""
}

type suites struct {
	XMLName xml.Name `xml:"testsuites"`
	Suites  []suite  `xml:"testsuite"`
}

type suite struct {
	Name     string     `xml:"name,attr"`
	Tests    int        `xml:"tests,attr"`
	Failures int        `xml:"failures,attr"`
	Skipped  int        `xml:"skipped,attr"`
	Cases    []testcase `xml:"testcase"`
}

type testcase struct {
	Class   string   `xml:"classname,attr"`
	Name    string   `xml:"name,attr"`
	Failure *message `xml:"failure,omitempty"`
	Skipped *message `xml:"skipped,omitempty"`
}

type message struct {
	Message string `xml:"message,attr"`
}

// junit writes the form that build servers read. What is unclear is a failure, since
// somebody must look.
func (r *report) junit(w io.Writer) error {
	var all suites
	at := map[string]int{}
	of := func(webhook string) *suite {
		if _, there := at[webhook]; !there {
			at[webhook] = len(all.Suites)
			all.Suites = append(all.Suites, suite{Name: webhook})
		}
		return &all.Suites[at[webhook]]
	}
	for _, result := range r.Results {
		s, c := of(result.Webhook), testcase{Class: result.Webhook, Name: result.Attack}
		if result.Detail != "" {
			c.Name += ": " + cli.Printable(result.Detail)
		}
		text := strings.TrimSpace(fmt.Sprintf("%s, status %d. %s %s", result.Verdict, result.Status, result.Why, result.Harm))
		switch result.Verdict {
		case probe.Passed, probe.Unclear, probe.Refused:
			c.Failure = &message{text}
			s.Failures++
		case probe.Allowed, probe.Skipped, probe.Unseen:
			c.Skipped = &message{cmp.Or(result.Why, "the policies let it in")}
			s.Skipped++
		default:
		}
		s.Tests++
		s.Cases = append(s.Cases, c)
	}
	for _, u := range r.Unsigned {
		s := of(u.Webhook)
		s.Tests, s.Skipped = s.Tests+1, s.Skipped+1
		s.Cases = append(s.Cases, testcase{Class: u.Webhook, Name: "not probed", Skipped: &message{u.Why}})
	}
	text, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, text)
	return err
}
