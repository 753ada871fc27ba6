package telemetry

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
)

var update = flag.Bool("update", false, "write the tables of docs/telemetry.md")

const page = "../../docs/telemetry.md"

// tables are the parts of the page that are made from the code.
func tables() map[string]string {
	var metrics, spans, events, logs, records, left, leftLogs, checks strings.Builder
	metrics.WriteString("| metric | at `/metrics` | kind | unit | labels | |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, i := range instruments {
		labels := ""
		if i.Labels != "" {
			labels = "`" + strings.ReplaceAll(i.Labels, ", ", "`, `") + "`"
		}
		fmt.Fprintf(&metrics, "| `%s` | `%s` | %s | `%s` | %s | %s |\n", i.Name, prometheusName(i), i.Kind, i.Unit, labels, i.About)
	}
	for place, b := range map[string]*strings.Builder{"s": &spans, "e": &events, "l": &logs, "o": &leftLogs} {
		b.WriteString("| attribute | |\n| --- | --- |\n")
		for _, a := range attributes {
			if strings.Contains(a.on, place) && (place != "l" || a.on == "l") {
				fmt.Fprintf(b, "| `%s` | %s |\n", a.key, a.about)
			}
		}
	}
	records.WriteString("| field | |\n| --- | --- |\n")
	for _, f := range recordFields {
		fmt.Fprintf(&records, "| `%s` | %s |\n", f.name, f.about)
	}
	left.WriteString("| field | |\n| --- | --- |\n")
	for _, f := range leftOutFields {
		fmt.Fprintf(&left, "| `%s` | %s |\n", f.name, f.about)
	}
	for s := authz.Stage(0); s.String() != "unknown"; s++ {
		if s != authz.StageKnown { // it has the name of the check that it is a look of
			fmt.Fprintf(&checks, "- `%s.%s`\n", SpanName, s)
		}
	}
	limits := "| limit | what happened |\n| --- | --- |\n"
	for _, l := range Limits {
		limits += fmt.Sprintf("| `%s` | %s |\n", l.Name, l.About)
	}
	return map[string]string{
		"limits":  limits,
		"metrics": metrics.String(), "span": spans.String(), "events": events.String(),
		"log records": logs.String(), "records": records.String(), "checks": checks.String(),
		"left out": left.String(), "left out log records": leftLogs.String(),
	}
}

// prometheusName is what Prometheus calls a metric.
func prometheusName(i instrument) string {
	name := strings.ReplaceAll(i.Name, ".", "_")
	switch i.Unit {
	case "s":
		name += "_seconds"
	case "By":
		name += "_bytes"
	}
	if i.Kind == "counter" {
		name += "_total"
	}
	return name
}

// To renew the tables: go test ./envoy/telemetry -run Page -update
func TestThePageDescribesTheCode(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	all := tables()
	marked := regexp.MustCompile(`(?s)<!-- made from the code: ([a-z ]+) -->\n.*?<!-- end -->`)
	want := marked.ReplaceAllStringFunc(string(text), func(part string) string {
		name := marked.FindStringSubmatch(part)[1]
		table, ok := all[name]
		if !ok {
			t.Errorf("no table %q is made", name)
		}
		delete(all, name)
		return "<!-- made from the code: " + name + " -->\n" + table + "<!-- end -->"
	})
	for name := range all {
		t.Errorf("the page has no table %q", name)
	}
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil { //nolint:gosec // a page for everyone to read
			t.Fatal(err)
		}
		return
	}
	if conventions := "semantic conventions " + SchemaURL[strings.LastIndexByte(SchemaURL, '/')+1:]; !strings.Contains(strings.Join(strings.Fields(want), " "), conventions) {
		t.Errorf("the page does not name the %s", conventions)
	}
	if want != string(text) {
		t.Error("docs/telemetry.md is not what the code says: go test ./envoy/telemetry -run Page -update")
	}
}
