// Package capture is the subcommand capture: denied requests that a running service keeps,
// encrypted.
package capture

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
)

func New() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "capture --admin URL [--decision ID [--file FILE]]",
		Short: "List denied requests that a service keeps encrypted, and save one",
		Long: "List the denied requests that a running service keeps, or save the one of a decision to a\n" +
			"new file. It is encrypted with age to the recipients of the setting capture.recipients, and\n" +
			"hookbastion explain --identity reads it. docs/capture.md says what is kept. Exits 0, and 2 if\n" +
			"the service does not answer or has no such capture.",
		Example: "  hookbastion capture --admin http://127.0.0.1:9003\n" +
			"  hookbastion capture --admin http://127.0.0.1:9003 --decision 2f6c1a --file denied.age",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	o.admin.AddFlags(cmd, "http://127.0.0.1:9003", "address of the service's admin listener")
	cmd.Flags().StringVar(&o.decision, "decision", "", "id of the decision whose request is saved; its first digits do (default: list)")
	cmd.Flags().StringVar(&o.file, "file", "", "the new file (default: the decision's id and .age)")
	cmd.Flags().StringVar(&o.output, "output", "text", "text or json")
	return cmd
}

type options struct {
	admin                  cli.Admin
	decision, file, output string
}

func (o *options) run(cmd *cobra.Command) error {
	if err := cli.OneOf("--output", o.output, "text", "json"); err != nil {
		return err
	}
	if o.file != "" && o.decision == "" {
		return errors.New("--file needs --decision: which request?")
	}
	kept, err := o.admin.Captures(cmd.Context())
	if err != nil {
		return err
	}
	if o.decision != "" {
		return o.save(cmd, kept)
	}
	if o.output == "json" {
		return cli.PrintJSON(cmd.OutOrStdout(), kept)
	}
	return list(cmd.OutOrStdout(), kept)
}

// save writes one to a file that was not there.
func (o *options) save(cmd *cobra.Command, kept *cli.Captures) error {
	var found []string
	for i := range kept.Captures {
		if id := kept.Captures[i].DecisionID; len(id) >= len(o.decision) && id[:len(o.decision)] == o.decision {
			found = append(found, id)
		}
	}
	if len(found) != 1 {
		return fmt.Errorf("%d of the captures that are kept are of a decision %.64q", len(found), o.decision)
	}
	data, err := o.admin.Capture(cmd.Context(), found[0])
	if err != nil {
		return err
	}
	if o.file == "" {
		o.file = filepath.Base(found[0]) + ".age"
	}
	if err := cli.WriteNew(filepath.Dir(o.file), []cli.NewFile{{Name: filepath.Base(o.file), Data: data, Secret: true}}); err != nil {
		return err
	}
	if o.output == "json" {
		return cli.PrintJSON(cmd.OutOrStdout(), map[string]string{"decision_id": found[0], "file": o.file})
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: the request of decision %s, encrypted\n", o.file, found[0])
	return err
}

func list(w io.Writer, kept *cli.Captures) error {
	if !kept.On {
		_, err := fmt.Fprintln(w, "the service keeps none: the setting capture.recipients says for whom it should")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "TIME\tWEBHOOK\tREASON\tUNTIL\tBYTES\tDECISION")
	for i := range kept.Captures {
		c := &kept.Captures[i]
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\n", c.Time.Format(time.RFC3339), cli.Printable(c.Webhook), cli.Printable(c.Reason),
			c.Expires.Format(time.RFC3339), c.Bytes, cli.Printable(c.DecisionID))
	}
	return table.Flush()
}
