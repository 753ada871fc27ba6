// Package config is the subcommand config: the settings that are in force.
package config

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
)

// New returns config with its subcommands.
func New() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Look at the settings of the service"}
	cmd.AddCommand(newPrint())
	return cmd
}

func newPrint() *cobra.Command {
	var output string
	var flags *settings.Flags
	cmd := &cobra.Command{
		Use:   "print [--config FILE]",
		Short: "Print the settings that are in force, and where each comes from",
		Long: "Print the settings that serve would have with the same file, variables and flags, and\n" +
			"where each comes from: a place in the file, $ and a variable, a flag, or the default.\n" +
			"It prints names of files with secrets, never what is in them. What serve would refuse\n" +
			"is printed all the same, with the errors after it.",
		Example: "  hookbastion config print --config hookbastion.yaml\n" +
			"  hookbastion config print --output json",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cli.OneOf("--output", output, "text", "json"); err != nil {
				return err
			}
			values, err := flags.Values()
			if err != nil {
				return err
			}
			if output == "json" {
				err = cli.PrintJSON(cmd.OutOrStdout(), values.InForce())
			} else {
				err = printText(cmd.OutOrStdout(), values.InForce())
			}
			if err != nil {
				return err
			}
			for _, name := range values.Strange {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s is no setting\n", name)
			}
			_, err = values.Settings()
			return err
		},
	}
	cmd.Flags().StringVar(&output, "output", "text", "text or json")
	flags = settings.AddFlags(cmd.Flags())
	cmd.SetUsageFunc(settings.Usage)
	return cmd
}

func printText(w io.Writer, all []settings.Value) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KEY\tVALUE\tFROM")
	for _, v := range all {
		from := v.From
		if v.Note != "" {
			from += ": " + v.Note
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", v.Key, v.Text(), from)
	}
	return table.Flush()
}
