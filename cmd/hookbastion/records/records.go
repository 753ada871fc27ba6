// Package records is the subcommand records: decision records as a table, from files
// or from a running service.
package records

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os/signal"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/envoy/telemetry/record"
)

func New() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "records {FILE… | --admin URL}",
		Short: "Show decision records as a table",
		Long: "Show decision records as a table: of files as the service writes them (- is standard\n" +
			"input; of several, the earliest record first), or the last decisions of a running\n" +
			"service. With --follow it goes on with what is decided from then on, also where the\n" +
			"file is replaced or cut, and waits for the rest of a line that is not whole yet.\n\n" +
			"Exits 0, 2 if a file cannot be read or the service does not answer, 3 if a line is no\n" +
			"record.",
		Example: "  hookbastion records records.json\n" +
			"  hookbastion records --verdict deny --last 20 --admin http://127.0.0.1:9003",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, files []string) error {
			if err := o.check(files, time.Now()); err != nil {
				return err
			}
			return o.run(cmd, files)
		},
	}
	o.admin.AddFlags(cmd, "", "address of the service's admin listener, such as http://127.0.0.1:9003, in place of files (default: none)")
	cmd.Flags().StringVar(&o.webhook, "webhook", "", "only decisions of this webhook (default: any)")
	cmd.Flags().StringVar(&o.reason, "reason", "", "only decisions for this reason (default: any)")
	cmd.Flags().StringVar(&o.verdict, "verdict", "", "only these: allow or deny (default: any)")
	cmd.Flags().StringVar(&o.sinceText, "since", "", "only decisions from then on: a time in RFC 3339, or how long ago, such as 15m (default: all)")
	cmd.Flags().IntVar(&o.last, "last", 0, "only the newest of them, so many (default: all of files, 1000 of a service)")
	cmd.Flags().BoolVarP(&o.follow, "follow", "f", false, "go on with what is decided from then on")
	cmd.Flags().StringVar(&o.output, "output", "text", "text, or json: one object a line")
	return cmd
}

type options struct {
	admin                    cli.Admin
	webhook, reason, verdict string
	sinceText, output        string
	since                    time.Time
	last                     int
	follow                   bool
}

// lastOfService is how many decisions of a service are shown unless --last says so.
const lastOfService = 1000

func (o *options) run(cmd *cobra.Command, files []string) error {
	out := &printer{w: cmd.OutOrStdout(), json: o.output == "json"}
	if o.admin.URL == "" && (!o.follow || files[0] == "-") { // which ends by itself
		return o.ofFiles(cmd.InOrStdin(), cmd.ErrOrStderr(), out, files)
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if o.admin.URL != "" {
		return o.ofService(ctx, cmd.ErrOrStderr(), out)
	}
	return o.followFile(ctx, cmd.ErrOrStderr(), out, files[0])
}

// check looks for what cannot be meant.
func (o *options) check(files []string, now time.Time) error {
	var reason authz.Reason
	var err error
	switch {
	case len(files) == 0 && o.admin.URL == "":
		return errors.New("hookbastion records needs files with decision records, - for standard input, or --admin")
	case len(files) > 0 && o.admin.URL != "":
		return errors.New("records come from files or from --admin, not from both")
	case o.follow && len(files) > 1:
		return errors.New("--follow takes one file")
	case o.last < 0:
		return errors.New("--last must not be below 0")
	case o.reason != "" && reason.UnmarshalText([]byte(o.reason)) != nil:
		return fmt.Errorf("--reason: %q is no reason; docs/reasons.md lists them", o.reason)
	case o.sinceText != "":
		if o.since, err = cli.ParseSince(o.sinceText, now); err != nil {
			return fmt.Errorf("--%w", err)
		}
	}
	if o.verdict != "" {
		err = cli.OneOf("--verdict", o.verdict, "allow", "deny")
	}
	if err == nil {
		err = cli.OneOf("--output", o.output, "text", "json")
	}
	return err
}

// wants reports whether a record is to be shown. A line that tells of several webhooks
// or reasons may tell of those that are.
func (o *options) wants(r *record.Record) bool {
	if r.Time.Before(o.since) {
		return false
	}
	if r.LeftOut > 0 && r.Reason == "" {
		return true
	}
	return (o.webhook == "" || r.Webhook == o.webhook) && (o.reason == "" || r.Reason == o.reason) && (o.verdict == "" || r.Verdict == o.verdict)
}

func (o *options) ofFiles(stdin io.Reader, w io.Writer, out *printer, files []string) error {
	show := out.print
	kept := &newest{most: o.last}
	if o.last > 0 {
		show = kept.add
	}
	err := cli.ReadRecordLines(stdin, w, files, func(r *record.Record, line []byte) error {
		if !o.wants(r) {
			return nil
		}
		return show(r, line)
	})
	if failed := kept.print(out); failed != nil {
		return failed
	}
	return err
}

// newest keeps the last records.
type newest struct {
	most int
	kept []entry
}

type entry struct {
	record *record.Record
	line   []byte
}

func (n *newest) add(r *record.Record, line []byte) error {
	if len(n.kept) == 2*n.most {
		n.kept = slices.Delete(n.kept, 0, n.most)
	}
	n.kept = append(n.kept, entry{r.Clone(), slices.Clone(line)})
	return nil
}

func (n *newest) print(out *printer) error {
	for _, e := range n.kept[max(len(n.kept)-n.most, 0):] {
		if err := out.print(e.record, e.line); err != nil {
			return err
		}
	}
	return nil
}

// ofService shows the last decisions of a service, and goes on with --follow.
func (o *options) ofService(ctx context.Context, w io.Writer, out *printer) error {
	last := o.last
	if last == 0 {
		last = lastOfService
	}
	query := url.Values{}
	for name, value := range map[string]string{"webhook": o.webhook, "reason": o.reason, "verdict": o.verdict} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if !o.since.IsZero() {
		query.Set("since", o.since.UTC().Format(time.RFC3339Nano))
	}
	newest, err := o.pages(ctx, out, query, last)
	if err != nil || !o.follow {
		return err
	}
	return o.followService(ctx, w, out, query, newest)
}

// maxPage is how many decisions are asked for at once: with every text as long as it can
// be they stay far below what one answer may have.
const maxPage = 500

// pages prints the newest decisions of a query, at most so many, the oldest first. It
// returns what after must be for those that come later.
func (o *options) pages(ctx context.Context, out *printer, query url.Values, most int) (newest string, err error) {
	query.Del("before")
	var all []record.Record
	for {
		query.Set("limit", strconv.Itoa(min(most-len(all), maxPage)))
		page, err := o.admin.Decisions(ctx, query)
		if err != nil {
			return "", err
		}
		if newest == "" {
			newest = page.Last
		}
		all = append(all, page.Decisions...)
		if page.Next == "" || len(all) >= most {
			break
		}
		query.Set("before", page.Next)
	}
	for i := range all {
		if err := out.print(&all[len(all)-1-i], nil); err != nil {
			return "", err
		}
	}
	return newest, nil
}
