package test

import (
	"encoding/xml"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/policytest"
)

// report is what became of all cases.
type report struct {
	results []policytest.Result
	covered []policytest.Covered
	// coverage: what no case has met is listed. partial: not all cases ran.
	coverage, partial bool
}

// print writes the report in the form that was asked for, and returns the exit.
func (r *report) print(w io.Writer, output string) (err error) {
	switch output {
	case "json":
		err = cli.PrintJSON(w, map[string]any{"cases": r.results, "passed": len(r.results) - r.failed(), "failed": r.failed(), "coverage": r.covered})
	case "junit":
		err = r.junit(w)
	case "github":
		r.github(w)
	default:
		r.text(w)
	}
	if err == nil && r.failed() > 0 {
		return cli.CaseFailed
	}
	return err
}

func (r *report) failed() (n int) {
	for i := range r.results {
		if !r.results[i].Passed {
			n++
		}
	}
	return n
}

// failure says in lines what went otherwise in a case, with its place.
func failure(c *policytest.Result) (line, column int, text string) {
	step := &c.Steps[len(c.Steps)-1]
	line, column = step.Line, step.Column
	var lines []string
	if step.Problem != "" {
		lines = append(lines, step.Problem)
	}
	for i, d := range step.Wrong {
		if i == 0 {
			line, column = d.Line, d.Column
		}
		lines = append(lines, d.String())
	}
	if step.Why != "" && len(step.Wrong) > 0 {
		lines = append(lines, step.Why)
	}
	if len(c.Steps) > 1 {
		lines[0] = fmt.Sprintf("step %d: %s", len(c.Steps), lines[0])
	}
	return line, column, strings.Join(lines, "\n")
}

func (r *report) text(w io.Writer) {
	for i := range r.results {
		c := &r.results[i]
		if c.Passed {
			continue
		}
		line, column, text := failure(c)
		fmt.Fprintf(w, "%s:%d:%d: %s\n", c.File, line, column, cli.Printable(c.Name))
		for said := range strings.SplitSeq(text, "\n") {
			fmt.Fprintf(w, "    %s\n", cli.Printable(said))
		}
	}
	if n := r.failed(); n > 0 {
		fmt.Fprintf(w, "%d of %d cases failed\n", n, len(r.results))
	} else {
		fmt.Fprintf(w, "%d cases passed\n", len(r.results))
	}
	if r.partial && !r.coverage {
		return
	}
	met, all := 0, 0
	for _, c := range r.covered {
		met += len(c.Met)
		all += len(c.Met) + len(c.Missing)
		if r.coverage && len(c.Missing) > 0 {
			fmt.Fprintf(w, "%s: no case of %s\n", c.Webhook, strings.Join(c.Missing, ", "))
		}
	}
	fmt.Fprintf(w, "%d of %d webhooks and %d of %d of their reasons have a case\n", r.reached(), len(r.covered), met, all)
}

// reached counts the webhooks that any case has met.
func (r *report) reached() (n int) {
	for _, c := range r.covered {
		if len(c.Met) > 0 {
			n++
		}
	}
	return n
}

// The form that CI servers read, as Ant's junitreport wrote it first.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Time     string      `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		File    string        `xml:"file,attr"`
		Line    int           `xml:"line,attr"`
		Time    string        `xml:"time,attr"`
		Failure *junitFailure `xml:"failure"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

// junit writes one suite for each test file.
func (r *report) junit(w io.Writer) error {
	all := junitSuites{Tests: len(r.results), Failures: r.failed()}
	var took time.Duration
	for i := range r.results {
		c := &r.results[i]
		file := filepath.ToSlash(c.File)
		if n := len(all.Suites); n == 0 || all.Suites[n-1].Name != file {
			all.Suites, took = append(all.Suites, junitSuite{Name: file}), 0
		}
		suite := &all.Suites[len(all.Suites)-1]
		out := junitCase{Name: c.Name, Class: strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)), File: file, Line: c.Line, Time: seconds(c.Took)}
		if !c.Passed {
			_, _, text := failure(c)
			message, _, _ := strings.Cut(text, "\n")
			out.Failure = &junitFailure{Message: message, Type: "expectation", Text: text}
			suite.Failures++
		}
		suite.Tests++
		took += c.Took
		suite.Time = seconds(took)
		suite.Cases = append(suite.Cases, out)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.6f", d.Seconds()) }

// github writes an annotation for each case that failed: a workflow command, which GitHub
// shows at the line of a pull request.
func (r *report) github(w io.Writer) {
	for i := range r.results {
		c := &r.results[i]
		if c.Passed {
			continue
		}
		line, column, text := failure(c)
		fmt.Fprintf(w, "::error file=%s,line=%d,col=%d,title=%s::%s\n",
			property.Replace(filepath.ToSlash(c.File)), line, column, property.Replace(c.Name), message.Replace(text))
	}
	fmt.Fprintf(w, "%d of %d cases passed\n", len(r.results)-r.failed(), len(r.results))
}

// What a workflow command escapes, in its message and in its properties.
var (
	message  = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)
