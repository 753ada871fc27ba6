// Package validate is the subcommand validate: what is wrong with policies, and
// what they leave weak.
package validate

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay/file"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/finding"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/keys"
	"github.com/hookbastion/hookbastion/policy/lint"
)

func New() *cobra.Command {
	v := &validation{admin: &cli.Admin{}}
	cmd := &cobra.Command{
		Use:   "validate [DIR|FILE...]",
		Short: "Check policies and print every error with its place",
		Long: "Check policies and print every error with its place, and what they leave weak as\n" +
			"findings. Without an argument it takes the directory policies. With --config it also\n" +
			"checks what the settings and the files that they name add: what serve refuses is an\n" +
			"error here.\n" +
			"Exits 0 if the policies are good, 3 if they have errors or a finding at or above\n" +
			"--fail-on, and 2 if they cannot be read.",
		Example: "  hookbastion validate policies\n" +
			"  hookbastion validate --config hookbastion.yaml --fail-on warning --output sarif policies",
		Args: cobra.ArbitraryArgs,
		RunE: v.run,
	}
	v.p.AddConfig(cmd)
	cmd.Flags().StringArrayVar(&v.p.Paths, "policy", nil, "directory or file with policies, as an argument is; may be repeated (default: policies)")
	v.admin.AddFlags(cmd, "", "address of the service's admin listener, to look for webhooks that were renamed (default: look into the directory of replay.file)")
	v.failOn.AddFlag(cmd)
	cmd.Flags().StringVar(&v.output, "output", "text", "text, json or sarif")
	return cmd
}

type validation struct {
	output string
	p      cli.Policies
	admin  *cli.Admin
	failOn cli.FailOn
}

func (v *validation) run(cmd *cobra.Command, args []string) error {
	if err := cli.OneOf("--output", v.output, "text", "json", "sarif"); err != nil {
		return err
	}
	if err := v.failOn.Check(); err != nil {
		return err
	}
	if v.p.Paths = append(v.p.Paths, args...); len(v.p.Paths) == 0 {
		if _, err := os.Stat(cli.DefaultPolicies); err != nil {
			return fmt.Errorf("%s needs a directory or file with policies, and there is no %s here: %s", cmd.CommandPath(), cli.DefaultPolicies, cmd.UseLine())
		}
		v.p.Paths = []string{cli.DefaultPolicies}
	}
	s, err := v.p.Settings()
	if err != nil {
		return err
	}
	table, all, problem := v.p.Keys()
	found, err := v.findings(cmd.Context(), s, table, all)
	if err != nil {
		return err
	}
	switch v.output {
	case "json":
		err = printJSON(cmd.OutOrStdout(), problem, found)
	case "sarif":
		err = printSARIF(cmd.OutOrStdout(), cli.AsErrors(problem), found)
	default:
		cli.PrintErrors(cmd.ErrOrStderr(), problem)
		printText(cmd.OutOrStdout(), table, found)
	}
	switch {
	case err != nil:
		return err
	case problem != nil:
		return cli.CodeOf(problem)
	default:
		return v.failOn.Exit(found)
	}
}

// findings lists what policies leave weak under these settings; of those that have
// errors, as much as can be known.
func (v *validation) findings(ctx context.Context, s *settings.Settings, table *authz.Table, all []keys.Key) ([]finding.Finding, error) {
	set, _ := policy.Load(v.p.Paths...) // compiling has reported what is wrong
	in := lint.Input{Set: set, Table: table, Keys: all, Proofs: s.Proofs(), OnePhase: s.Lease == 0}
	if table != nil {
		store, err := known(ctx, s, v.admin)
		if err != nil {
			return nil, err
		}
		in.Store = store
	}
	return lint.Lint(in)
}

// known asks which webhooks the store has nonces of: that of the service, if it is to
// be asked, or else the one in the settings' directory.
func known(ctx context.Context, s *settings.Settings, admin *cli.Admin) (store lint.Store, err error) {
	if admin.URL != "" {
		store.Known, err = admin.Webhooks(ctx)
		return store, err
	}
	if s.File == nil {
		return store, nil
	}
	store.Name = s.File.Path
	data, err := file.ReadKept(s.File.Path)
	if err == nil && data != nil {
		err = json.Unmarshal(data, &store.Known)
	}
	store.Err = err // it is a finding: the directory may belong to another user
	return store, nil
}

func printText(w io.Writer, table *authz.Table, found []finding.Finding) {
	cli.PrintFindings(w, found, func(f finding.Finding) string {
		text := f.Place.String() + ": "
		if f.Path != "" {
			text += f.Path + ": "
		}
		return fmt.Sprintf("%s%s (%s %s)", text, f.Message, f.Severity, f.ID)
	})
	if table == nil {
		return
	}
	errors := "no errors"
	if n := finding.Count(found, finding.Error); n > 0 {
		errors = fmt.Sprintf("errors: %d", n)
	}
	fmt.Fprintf(w, "%d webhooks, %s\n", len(table.Webhooks()), errors)
}

func printJSON(w io.Writer, err error, found []finding.Finding) error {
	report := struct {
		Errors   policy.Errors     `json:"errors"`
		Findings []finding.Finding `json:"findings"`
	}{policy.Errors{}, found}
	if errs := cli.AsErrors(err); errs != nil {
		report.Errors = errs
	}
	return cli.PrintJSON(w, report)
}
