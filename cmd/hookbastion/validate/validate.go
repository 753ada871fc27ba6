// Package validate is the subcommand validate: what is wrong with policies, and
// what they leave weak.
package validate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay/file"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/finding"
	"github.com/hookbastion/hookbastion/policy/keys"
	"github.com/hookbastion/hookbastion/policy/lint"
)

func New() *cobra.Command {
	v := &validation{admin: &cli.Admin{}, p: cli.Policies{AsServed: true}}
	cmd := &cobra.Command{
		Use:   "validate [DIR|FILE...]",
		Short: "Check policies and print every error with its place",
		Long: "Check policies and print every error with its place, and what they leave weak as\n" +
			"findings. Without an argument it takes what the settings name, or policies. Settings come\n" +
			"from --config and from variables, as for serve: what serve refuses with them is an error here.\n" +
			"Exits 0 if the policies are good, 3 if they have errors or a finding at or above\n" +
			"--fail-on, and 2 if they cannot be read.",
		Example: "  hookbastion validate policies\n" +
			"  hookbastion validate --config hookbastion.yaml --fail-on warning --output sarif policies\n" +
			"  hookbastion validate --fix --dry-run policies\n" +
			"  hookbastion validate --report posture.html --report posture.json policies",
		Args: cobra.ArbitraryArgs,
		RunE: v.run,
	}
	v.p.AddConfig(cmd)
	cmd.Flags().StringArrayVar(&v.p.Paths, "policy", nil, "directory or file with policies, as an argument is; may be repeated (default: policies)")
	v.admin.AddFlags(cmd, "", "address of the service's admin listener, to look for webhooks that were renamed, and for what a report says of a running service (default: look into the directory of replay.file)")
	v.failOn.AddFlag(cmd)
	v.reports.addFlags(cmd)
	cmd.Flags().BoolVar(&v.fix, "fix", false, "remove from the policies what can go without a change of any verdict, and show what was changed; comments stay (default: false)")
	cmd.Flags().BoolVar(&v.dryRun, "dry-run", false, "with --fix: show, and write nothing (default: false)")
	cmd.Flags().StringVar(&v.now, "now", "", "the time for which to judge, RFC 3339 or Unix seconds (default: now)")
	cmd.Flags().StringVar(&v.output, "output", "text", "text, json or sarif")
	return cmd
}

type validation struct {
	output      string
	now         string
	fix, dryRun bool
	p           cli.Policies
	admin       *cli.Admin
	failOn      cli.FailOn
	reports     report
}

func (v *validation) run(cmd *cobra.Command, args []string) error {
	if err := cli.OneOf("--output", v.output, "text", "json", "sarif"); err != nil {
		return err
	}
	if err := v.failOn.Check(); err != nil {
		return err
	}
	if err := v.reports.check(); err != nil {
		return err
	}
	now, err := cli.ParseNow(v.now)
	if err != nil {
		return err
	}
	if v.dryRun && !v.fix {
		return errors.New("--dry-run goes with --fix")
	}
	l, err := v.look(cmd, args, now)
	if err != nil {
		return err
	}
	if v.fix && len(l.problem) == 0 {
		shown := cmd.OutOrStdout()
		if v.output != "text" {
			shown = cmd.ErrOrStderr()
		}
		changed, err := fix(shown, l.found, v.dryRun)
		if err != nil {
			return err
		}
		if changed && !v.dryRun {
			if l, err = v.look(cmd, nil, now); err != nil {
				return err
			}
		}
	}
	if err := v.report(cmd, l, now); err != nil {
		return err
	}
	return v.print(cmd, l)
}

// looked is what there is to say of policies.
type looked struct {
	problem  policy.Errors
	found    []finding.Finding
	table    *authz.Table
	keys     []keys.Key
	settings *settings.Settings
}

// look judges settings and policies.
func (v *validation) look(cmd *cobra.Command, args []string, now time.Time) (l looked, err error) {
	l.found = []finding.Finding{}
	s, err := settings.Check(v.p.Config, now)
	if err != nil && !errors.As(err, &l.problem) {
		return l, err
	}
	if s == nil { // nobody knows by what policies are judged
		return l, nil
	}
	if err := v.paths(cmd, args, s); err != nil {
		return l, err
	}
	l.settings = s
	if l.table, l.keys, err = v.p.Keys(); err != nil {
		l.problem = append(l.problem, cli.AsErrors(err)...)
	}
	l.found, err = v.findings(cmd.Context(), s, l.table, l.keys, now)
	return l, err
}

// print writes what was found in the form that was asked for.
func (v *validation) print(cmd *cobra.Command, l looked) (err error) {
	switch v.output {
	case "json":
		err = printJSON(cmd.OutOrStdout(), l.problem, l.found)
	case "sarif":
		err = printSARIF(cmd.OutOrStdout(), l.problem, l.found)
	default:
		cli.PrintErrors(cmd.ErrOrStderr(), l.problem.Err())
		printText(cmd.OutOrStdout(), l.found)
		if len(l.problem) == 0 {
			printCounts(cmd.OutOrStdout(), len(l.table.Webhooks()), l.found)
		}
	}
	switch {
	case err != nil:
		return err
	case len(l.problem) > 0:
		return cli.CodeOf(l.problem)
	default:
		return v.failOn.Exit(l.found)
	}
}

// paths says which policies are meant: those of the command line, or else those of the
// settings.
func (v *validation) paths(cmd *cobra.Command, args []string, s *settings.Settings) error {
	if v.p.Paths = append(v.p.Paths, args...); len(v.p.Paths) > 0 {
		return nil
	}
	v.p.Paths = s.Policies
	if _, err := os.Stat(cli.DefaultPolicies); err != nil && slices.Equal(s.Policies, []string{cli.DefaultPolicies}) {
		return fmt.Errorf("%s needs a directory or file with policies, and there is no %s here: %s", cmd.CommandPath(), cli.DefaultPolicies, cmd.UseLine())
	}
	return nil
}

// findings lists what policies leave weak under these settings; of those that have
// errors, as much as can be known.
func (v *validation) findings(ctx context.Context, s *settings.Settings, table *authz.Table, all []keys.Key, now time.Time) ([]finding.Finding, error) {
	var store lint.Store
	if table != nil {
		var err error
		if store, err = known(ctx, s, v.admin); err != nil {
			return nil, err
		}
	}
	return v.p.Lint(s, table, all, store, now)
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

func printText(w io.Writer, found []finding.Finding) {
	cli.PrintFindings(w, found, func(f finding.Finding) string {
		text := f.Place.String() + ": "
		if f.Path != "" {
			text += f.Path + ": "
		}
		return fmt.Sprintf("%s%s (%s %s)", text, f.Message, f.Severity, f.ID)
	})
}

func printCounts(w io.Writer, webhooks int, found []finding.Finding) {
	errs := "no errors"
	if n := finding.Count(found, finding.Error); n > 0 {
		errs = fmt.Sprintf("errors: %d", n)
	}
	fmt.Fprintf(w, "%d webhooks, %s\n", webhooks, errs)
	if n := suppressed(found); n > 0 {
		fmt.Fprintf(w, "suppressed by the policies: %d\n", n)
	}
}

func suppressed(found []finding.Finding) (n int) {
	for i := range found {
		if found[i].Suppressed != "" {
			n++
		}
	}
	return n
}

func printJSON(w io.Writer, errs policy.Errors, found []finding.Finding) error {
	if errs == nil {
		errs = policy.Errors{} // a list in JSON
	}
	return cli.PrintJSON(w, map[string]any{"errors": errs, "findings": found})
}
