package monitor_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	anomaly "github.com/hookbastion/hookbastion/authz/monitor"
	"github.com/hookbastion/hookbastion/authz/monitor/anomalies"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/monitor"
)

func execute(t *testing.T, stdin string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := monitor.New()
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SetArgs(args)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	err = cmd.Execute()
	return out.String(), errs.String(), err
}

// quiet are the webhooks of the generator with few deliveries, so that the files stay
// small.
var quiet = map[string]bool{"payroll": true, "esign": true, "forms": true, "support": true, "crm": true, "calendar": true, "": true}

// TestSameAlarms: on files of two replicas the command raises what the monitor does.
func TestSameAlarms(t *testing.T) {
	dir := t.TempDir()
	names := []string{filepath.Join(dir, "a.json"), filepath.Join(dir, "b.json")}
	var writers [2]*anomalies.Records
	for i, name := range names {
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		writers[i] = anomalies.NewRecords(f)
	}
	s := anomalies.First(31, 15)
	all, n := s.Run, 0
	s.Run = func(emit func(*anomaly.Event)) {
		all(func(e *anomaly.Event) {
			if quiet[e.Webhook] {
				emit(e)
			}
		})
	}
	want, _ := anomalies.Watch(s, func(e *anomaly.Event) {
		n++
		writers[n%2].Write(e)
	})
	for _, w := range writers {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	stdout, stderr, err := execute(t, "", append([]string{"--output", "json"}, names...)...)
	if err != nil || stderr != "" {
		t.Fatalf("%v: %s", err, stderr)
	}
	var got []anomaly.Alarm
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatal(err)
	}
	if len(want) < 3 || len(got) != len(want) {
		t.Fatalf("%d alarms in %d records, want %d", len(got), n, len(want))
	}
	for i := range got {
		g, w := got[i], want[i]
		if g.Kind != w.Kind || g.Webhook != w.Webhook || !g.Time.Equal(w.Time) || g.Message == "" || g.Since.IsZero() {
			t.Errorf("alarm %d is %v, want %v", i, g, w)
		}
	}
	stdout, _, err = execute(t, "", names...)
	if lines := strings.Count(stdout, "\n"); err != nil || lines != len(want)+1 {
		t.Errorf("%d lines as text, error %v:\n%s", lines, err, stdout)
	}
}

const line = `{"time":"2026-06-01T00:00:00.000000Z","decision_id":"a","webhook":"w","verdict":"allow","reason":"ok"}`

func TestFiles(t *testing.T) {
	for name, c := range map[string]struct {
		text           string
		exit           cli.Exit
		stdout, stderr string
	}{
		"nothing":          {"", cli.Good, "nothing unusual\n", ""},
		"one record":       {line + "\n", cli.Good, "nothing unusual\n", ""},
		"no line end":      {line, cli.Good, "nothing unusual\n", ""},
		"no record":        {"hello\n", cli.Invalid, "", "-:1:1: expected a JSON object\n"},
		"another object":   {line + "\n{}\n", cli.Invalid, "nothing unusual\n", "-:2:1: time: is missing: this is no decision record\n"},
		"half a record":    {line[:40], cli.Invalid, "", "the line has no end and may not be whole\n"},
		"all at once":      {"x\n" + line + "\ny\n", cli.Invalid, "nothing unusual\n", "-:1:1: expected a JSON object\n-:3:1: expected a JSON object\n"},
		"cut by a crash":   {line[:40] + "\n" + line + "\n", cli.Invalid, "nothing unusual\n", "the text has no end\n"},
		"many":             {strings.Repeat("x\n", 23) + line, cli.Invalid, "nothing unusual\n", "\nand 3 more lines that are no records\n"},
		"unknown reason":   {strings.Replace(line, `"ok"`, `"of_tomorrow"`, 1), cli.Good, "nothing unusual\n", ""},
		"what is left out": {`{"time":"2026-06-01T00:00:00Z","webhook":"w","verdict":"deny","reason":"signature_invalid","left_out":7}`, cli.Good, "nothing unusual\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, err := execute(t, c.text, "-")
			exit := cli.Good
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if exit != c.exit || stdout != c.stdout || !strings.HasSuffix(stderr, c.stderr) || (stderr == "") != (c.stderr == "") {
				t.Errorf("exit %d, stdout %q, stderr %q", exit, stdout, stderr)
			}
		})
	}
	if _, _, err := execute(t, "", "nowhere.json", "neither.json"); err == nil || !strings.Contains(err.Error(), "nowhere.json") || !strings.Contains(err.Error(), "neither.json") {
		t.Errorf("of files that are not there: %v", err)
	}
}
