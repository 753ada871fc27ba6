// Package monitor is the subcommand monitor: what was unusual in decision records.
package monitor

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/authz/monitor"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/envoy/telemetry/record"
)

func New() *cobra.Command {
	output := "text"
	cmd := &cobra.Command{
		Use:   "monitor [--output text|json] FILE…",
		Short: "Say what was unusual in decision records",
		Long: "Run the service's anomaly monitor over files with decision records, of any time, and\n" +
			"list the alarms that it raises. - is standard input. The records of several files, as\n" +
			"those of several replicas, are put in the order of their times. The monitor begins with\n" +
			"no past: of the first days, in which it learns, it says little.\n\n" +
			"Exits 0, 2 if a file cannot be read, 3 if a line is no record; the others are judged.",
		Example: "  hookbastion monitor records.json",
		Args:    cli.Needs(1, 0, "one file or more"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cli.OneOf("--output", output, "text", "json"); err != nil {
				return err
			}
			alarms, err := run(cmd.InOrStdin(), cmd.ErrOrStderr(), args)
			if alarms == nil {
				return err
			}
			if output == "json" {
				return errors.Join(cli.PrintJSON(cmd.OutOrStdout(), alarms), err)
			}
			return errors.Join(list(cmd.OutOrStdout(), alarms), err)
		},
	}
	cmd.Flags().StringVar(&output, "output", output, "text or json")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
	return cmd
}

// maxFaults is how many lines that are no records are listed.
const maxFaults = 20

// run returns the alarms of the files in the order in which they were raised; beside
// them [cli.Invalid], if some lines are no records, as after a crash. Where all are none
// there are no alarms.
func run(stdin io.Reader, stderr io.Writer, names []string) ([]monitor.Alarm, error) {
	alarms := []monitor.Alarm{}
	m := monitor.New(monitor.Config{
		OnAlarm: func(a monitor.Alarm) { alarms = append(alarms, a) },
		OnEnd: func(a monitor.Alarm) {
			for i := len(alarms) - 1; i >= 0; i-- {
				if alarms[i].Kind == a.Kind && alarms[i].Webhook == a.Webhook {
					alarms[i].Ended = a.Ended
					return
				}
			}
		},
	})
	files, err := open(stdin, names)
	defer func() {
		for _, f := range files {
			_ = f.in.Close() // only read
		}
	}()
	if err != nil {
		return nil, err
	}
	faults, seen := 0, false
	var next, last time.Time
	for len(files) > 0 {
		f := slices.MinFunc(files, func(a, b *file) int { return a.head.Time.Compare(b.head.Time) })
		if r := f.head; r != nil {
			if !r.Time.Before(next) {
				m.Tick(r.Time)
				next = r.Time.Truncate(monitor.Slot).Add(monitor.Slot)
			}
			if r.Time.After(last) {
				last = r.Time
			}
			observe(m, r)
		}
		n, err := f.advance(stderr, maxFaults-faults)
		if faults += n; err != nil {
			return nil, err
		}
		seen = seen || f.head != nil
		if f.head == nil {
			files = slices.DeleteFunc(files, func(o *file) bool { return o == f })
			_ = f.in.Close() // only read
		}
	}
	if faults > maxFaults {
		fmt.Fprintf(stderr, "and %d more lines that are no records\n", faults-maxFaults)
	}
	m.Tick(last)
	if left := m.Left(); left > 0 {
		fmt.Fprintf(stderr, "%d records are of webhooks beyond the %d that are watched\n", left, monitor.MaxWebhooks)
	}
	switch {
	case faults > 0 && !seen:
		return nil, cli.Invalid
	case faults > 0:
		return alarms, cli.Invalid
	}
	return alarms, nil
}

// file is one that is read, and its next record.
type file struct {
	in     io.ReadCloser
	reader *record.Reader
	head   *record.Record
}

// open opens all files; what cannot be opened is said of all at once.
func open(stdin io.Reader, names []string) (files []*file, err error) {
	for _, name := range names {
		if name == "-" {
			files = append(files, &file{in: io.NopCloser(stdin), reader: record.NewReader(stdin, "-")})
			continue
		}
		in, failed := os.Open(name)
		if failed != nil {
			err = errors.Join(err, failed)
			continue
		}
		files = append(files, &file{in: in, reader: record.NewReader(in, name)})
	}
	if err != nil {
		return files, err
	}
	for _, f := range files { // the first record comes with the first advance
		f.head = &record.Record{LeftOut: 0}
	}
	return files, nil
}

// advance reads the next record; head is nil at the end. Lines that are no records are
// listed, most at most, and counted.
func (f *file) advance(stderr io.Writer, most int) (faults int, err error) {
	f.head = nil
	for {
		r, err := f.reader.Next()
		if errors.Is(err, io.EOF) {
			r, err = f.reader.Rest()
		}
		var fault *record.Fault
		switch {
		case errors.As(err, &fault):
			if faults++; faults <= most {
				fmt.Fprintln(stderr, fault)
			}
		case errors.Is(err, io.EOF):
			return faults, nil
		case err != nil:
			return faults, err
		default:
			f.head = r
			return faults, nil
		}
	}
}

// list writes a line for each alarm.
func list(w io.Writer, alarms []monitor.Alarm) error {
	if len(alarms) == 0 {
		fmt.Fprintln(w, "nothing unusual")
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "TIME\tENDED\tKIND\tWEBHOOK\tSOURCE\tMESSAGE")
	for _, a := range alarms {
		ended := "goes on"
		if a.Ended != nil {
			ended = a.Ended.Format(time.DateTime)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", a.Time.Format(time.DateTime), ended, a.Kind, plain(a.Webhook), cmp.Or(a.Source, "-"), plain(a.Message))
	}
	return t.Flush()
}

// plain is text from a record, which a stranger may have written, for a terminal.
func plain(text string) string {
	quoted := strconv.QuoteToASCII(text)
	return cmp.Or(quoted[1:len(quoted)-1], "-")
}
