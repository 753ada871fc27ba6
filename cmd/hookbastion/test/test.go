// Package test is the subcommand test: whether policies answer requests as their tests say.
package test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/policytest"
)

func New() *cobra.Command {
	o := &options{p: cli.Policies{AsServed: true}}
	cmd := &cobra.Command{
		Use:   "test [DIR|FILE...]",
		Short: "Run the tests that stand beside policies",
		Long: "Run the tests that stand beside policies, in files *_test.yaml: requests, signed or written\n" +
			"out, alone or one after the other, and what must become of them. They are decided by the\n" +
			"chain that serve has, with a store of nonces that is new for each case. Without an argument\n" +
			"it takes what is in policies. docs/policy-tests.md tells what tests can say.\n" +
			"Exits 0 if all went as expected, 2 if something cannot be read or there is no test, 3 if\n" +
			"policies, settings or tests have errors, 4 if a case failed.",
		Example: "  hookbastion test policies\n" +
			"  hookbastion test --init policies\n" +
			"  hookbastion test --run copy --coverage policies\n" +
			"  hookbastion test --output junit policies",
		Args: cobra.ArbitraryArgs,
		RunE: o.run,
	}
	o.p.AddConfig(cmd)
	cmd.Flags().StringArrayVar(&o.p.Paths, "policy", nil, "directory or file with the policies, where it is not that of the tests; may be repeated (default: the arguments, of a test file its directory)")
	cmd.Flags().StringVar(&o.now, "now", "", "when cases take place that name no time, RFC 3339 or Unix seconds (default: now)")
	cmd.Flags().StringVar(&o.only, "run", "", "run the cases whose names match this regular expression (default: all)")
	cmd.Flags().BoolVar(&o.coverage, "coverage", false, "list which reasons of each webhook no case has met (default: false)")
	cmd.Flags().BoolVar(&o.init, "init", false, "write a first file for each webhook that no case has met, beside its policy (default: false)")
	cmd.Flags().BoolVar(&o.update, "update", false, "write into test files the reason and status of denials, webhooks and key ids as they are now; never a verdict (default: false)")
	cmd.Flags().StringVar(&o.output, "output", "text", "text, json, junit or github")
	cmd.MarkFlagsMutuallyExclusive("init", "update")
	cmd.MarkFlagsMutuallyExclusive("init", "run")
	return cmd
}

type options struct {
	p                      cli.Policies
	now, only, output      string
	coverage, init, update bool
}

func (o *options) run(cmd *cobra.Command, args []string) error {
	if err := cli.OneOf("--output", o.output, "text", "json", "junit", "github"); err != nil {
		return err
	}
	now, err := cli.ParseNow(o.now)
	if err != nil {
		return err
	}
	only, err := regexp.Compile(o.only)
	if err != nil {
		return fmt.Errorf("--run: %w", err)
	}
	names, err := o.find(args)
	if err != nil {
		return err
	}
	s, err := o.p.Settings()
	if err != nil {
		return err
	}
	// All that is wrong is said at once, whatever it is wrong with.
	files, err := policytest.Read(names...)
	problem := cli.AsErrors(err)
	runner, err := policytest.NewRunner(&o.p, s)
	problem = append(problem, cli.AsErrors(err)...)
	if err == nil {
		for _, f := range files {
			problem = append(problem, runner.Check(f)...)
		}
	}
	if len(problem) > 0 {
		return problem.Err()
	}
	for _, warning := range runner.Warnings() {
		fmt.Fprintln(cmd.ErrOrStderr(), "warning:", warning)
	}
	r := report{coverage: o.coverage, partial: o.only != ""}
	for _, f := range files {
		results := runner.Run(f, now, only.MatchString)
		if o.update {
			if results, err = o.rewrite(cmd, f, results, runner, now, only.MatchString); err != nil {
				return err
			}
		}
		r.results = append(r.results, results...)
	}
	if o.init {
		return o.writeDrafts(cmd, runner, now)
	}
	if len(r.results) == 0 {
		return fmt.Errorf("no case matches --run %q", o.only)
	}
	r.covered = runner.Coverage()
	return r.print(cmd.OutOrStdout(), o.output)
}

// find lists the test files that are meant, and says where their policies are.
func (o *options) find(args []string) ([]string, error) {
	if len(args) == 0 {
		if args = o.p.Paths; len(args) == 0 {
			args = []string{cli.DefaultPolicies}
		}
	}
	names, err := policytest.Find(args...)
	if err != nil {
		return nil, err
	}
	if len(o.p.Paths) == 0 {
		for _, path := range args {
			if policytest.IsTest(path) {
				path = filepath.Dir(path)
			}
			o.p.Paths = append(o.p.Paths, path)
		}
		slices.Sort(o.p.Paths)
		o.p.Paths = slices.Compact(o.p.Paths)
	}
	if len(names) == 0 && !o.init {
		return nil, fmt.Errorf("there is no test (*%s.yaml) in %q; hookbastion test --init writes a first one for each webhook", policytest.Suffix, args)
	}
	return names, nil
}

// rewrite writes into a test file what may be written, and runs it again.
func (o *options) rewrite(cmd *cobra.Command, f *policytest.File, results []policytest.Result, runner *policytest.Runner, now time.Time, only func(string) bool) ([]policytest.Result, error) {
	for range maxUpdates {
		text, changed, byHand := f.Update(results)
		if len(changed) == 0 {
			changed = byHand
		}
		for _, line := range changed {
			fmt.Fprintln(cmd.ErrOrStderr(), line)
		}
		if !f.Changed(text) {
			break
		}
		if err := cli.Replace(f.Name, text); err != nil {
			return nil, err
		}
		next, errs := policytest.Parse(f.Name, text)
		if len(errs) > 0 {
			return nil, errs.Err()
		}
		f = next
		results = runner.Run(f, now, only)
	}
	return results, nil
}

// maxUpdates bounds how often a file is written: a case ends with its first step that went
// otherwise, and the steps behind it show only then.
const maxUpdates = 100

// writeDrafts writes a first test file for each webhook that has no case.
func (o *options) writeDrafts(cmd *cobra.Command, runner *policytest.Runner, now time.Time) error {
	drafts, err := runner.Drafts(now, o.p.Paths...)
	if err != nil {
		return err
	}
	if len(drafts) == 0 {
		fmt.Fprintln(cmd.OutOrStdout(), "each webhook has a case already")
	}
	for i := range drafts {
		d := &drafts[i]
		for _, line := range d.LeftOut {
			fmt.Fprintf(cmd.ErrOrStderr(), "webhook %s: not written, since it does not hold: %s\n", d.Webhook, line)
		}
		switch err := d.Write(); {
		case d.Text == "":
			fmt.Fprintf(cmd.ErrOrStderr(), "webhook %s: nothing to write\n", d.Webhook)
		case errors.Is(err, os.ErrExist):
			fmt.Fprintf(cmd.ErrOrStderr(), "webhook %s: %s is there already, and no case of it reaches the webhook\n", d.Webhook, d.Name)
		case err != nil:
			return err
		default:
			fmt.Fprintln(cmd.OutOrStdout(), d.Name)
		}
	}
	return nil
}
