// Package keys is the subcommand keys: all secrets and tokens, and what to do
// about them.
package keys

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/keylist"
)

func New() *cobra.Command {
	var o keysOptions
	cmd := &cobra.Command{
		Use:   "keys --policy DIR",
		Short: "List the secrets and tokens of all webhooks, and what to do about them",
		Long: "List the secrets and tokens of all webhooks: where each is, when it is accepted, how\n" +
			"old its file is, how strong it is, and what to do about it. With --admin also when\n" +
			"each has matched since the service started. Nothing of a secret is printed, and of\n" +
			"public keys the thumbprint.\n" +
			"Exits 0, or 3 if the policy is invalid.",
		Example: "  hookbastion keys --policy policies\n" +
			"  hookbastion keys --policy policies --admin http://127.0.0.1:9003",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	cmd.AddCommand(newAccept())
	o.policies.AddFlags(cmd)
	cmd.Flags().StringVar(&o.now, "now", "", "the time to judge by, RFC 3339 or Unix seconds (default: now)")
	cmd.Flags().StringVar(&o.output, "output", "text", "text or json")
	o.admin.AddFlags(cmd, "", "address of the service's admin listener, such as http://127.0.0.1:9003 (default: ask nobody)")
	return cmd
}

type keysOptions struct {
	policies    cli.Policies
	now, output string
	admin       cli.Admin
}

func (o *keysOptions) run(cmd *cobra.Command) error {
	if err := cli.OneOf("--output", o.output, "text", "json"); err != nil {
		return err
	}
	now, err := cli.ParseNow(o.now)
	if err != nil {
		return err
	}
	_, keys, err := o.policies.Keys()
	if err != nil {
		return err
	}
	var live *cli.LiveKeys
	if o.admin.URL != "" {
		if live, err = o.admin.Keys(cmd.Context()); err != nil {
			return err
		}
	}
	all := []keylist.Key{}
	for i := range keys {
		all = append(all, keylist.Describe(&keys[i], now, live, true))
	}
	if o.output == "json" {
		return cli.PrintJSON(cmd.OutOrStdout(), all)
	}
	return printKeys(cmd.OutOrStdout(), all, now)
}

func printKeys(w io.Writer, all []keylist.Key, now time.Time) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "WEBHOOK\tID\tFROM\tUNTIL\tAGE\tBYTES\tSTRENGTH\tREFERENCE")
	for i := range all {
		l := &all[i]
		size := "-"
		if l.Bytes > 0 {
			size = fmt.Sprint(l.Bytes)
		}
		reference := l.Reference
		if l.Tenants != nil {
			reference += fmt.Sprintf(" (%d tenants)", l.Tenants.Files)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.Webhook, l.ID, day(l.NotBefore), day(l.NotAfter), keylist.Age(l.Modified, now), size, l.Strength, reference)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for i := range all {
		l := &all[i]
		if m := l.Matches; m != nil {
			fmt.Fprintf(w, "%s %s: %d matches, the first at %s, the last at %s\n", l.Webhook, l.ID, m.Count, m.First.Format(time.RFC3339), m.Last.Format(time.RFC3339))
		}
		for _, public := range l.Public {
			name := ""
			if public.KID != "" {
				name = fmt.Sprintf(" %q", public.KID) // a provider's word
			}
			fmt.Fprintf(w, "%s %s: public key%s, %s, thumbprint %s\n", l.Webhook, l.ID, name, public.Kind, public.Thumbprint)
		}
		for _, advice := range l.Advice {
			fmt.Fprintf(w, "%s %s: %s\n", l.Webhook, l.ID, advice)
		}
	}
	return nil
}

func day(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format(time.DateOnly)
}
