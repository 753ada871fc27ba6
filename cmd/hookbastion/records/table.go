package records

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/envoy/telemetry/record"
)

// printer writes records as rows of a table, or as lines of JSON.
type printer struct {
	w    io.Writer
	json bool
	head bool // is written
}

// row has fixed widths, so that the first row need not wait for the last.
const row = "%-24s %-7s %-20s %-20s %-6s %-15s %-32s %s\n"

// print writes a record. line is as it was read; nil if it was not.
func (p *printer) print(r *record.Record, line []byte) error {
	if p.json {
		return p.printJSON(r, line)
	}
	if !p.head {
		p.head = true
		if _, err := fmt.Fprintf(p.w, row, "TIME", "VERDICT", "REASON", "WEBHOOK", "STATUS", "SOURCE", "DECISION", "REQUEST"); err != nil {
			return err
		}
	}
	if r.LeftOut > 0 {
		return p.printLeftOut(r)
	}
	status := "-"
	if r.Status != 0 {
		status = strconv.Itoa(r.Status)
	}
	_, err := fmt.Fprintf(p.w, row, at(r.Time), cli.Printable(r.Verdict), cli.Printable(r.Reason), orDash(r.Webhook), status, orDash(r.Source), cli.Printable(r.DecisionID), request(r))
	return err
}

func (p *printer) printJSON(r *record.Record, line []byte) error {
	if line == nil {
		var err error
		if line, err = json.Marshal(r); err != nil {
			return err
		}
	}
	_, err := p.w.Write(append(line[:len(line):len(line)], '\n'))
	return err
}

// printLeftOut says of how many decisions there is no record.
func (p *printer) printLeftOut(r *record.Record) error {
	since := ""
	if r.From != nil {
		since = ", the first at " + at(*r.From)
	}
	because := map[string]string{
		"limit": "records.denials_per_second", "filter": "records.leave_out", "slow": "the disk was full or too slow", "": "more than can be told apart",
	}[r.Because]
	_, err := fmt.Fprintf(p.w, row, at(r.Time), cli.Printable(r.Verdict), cli.Printable(r.Reason), orDash(r.Webhook), "", "",
		fmt.Sprintf("%d more without a record", r.LeftOut), because+since)
	return err
}

// at is in UTC, with milliseconds.
func at(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return cli.Printable(text)
}

// request is method, path and whatever else is known.
func request(r *record.Record) string {
	parts := []string{word(r.Method), word(r.Path), fmt.Sprintf("%dB", r.BodyBytes)}
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+"="+word(value))
		}
	}
	add("tenant", r.Tenant)
	add("key", r.KeyID)
	if r.EventIDUnsigned {
		add("event?", r.EventID)
	} else {
		add("event", r.EventID)
	}
	if r.SkewMS != nil {
		add("skew", (time.Duration(*r.SkewMS) * time.Millisecond).String())
	}
	add("replay", r.Replay)
	if r.Mode == "SHADOW" {
		add("mode", r.Mode)
	}
	return strings.Join(parts, " ")
}

// word is a stranger's text that cannot look like two.
func word(text string) string {
	if strings.ContainsAny(text, " \"") {
		return strconv.Quote(text)
	}
	return cli.Printable(text)
}
