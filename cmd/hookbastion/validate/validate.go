// Package validate is the subcommand validate: what is wrong with policies, and
// what they leave weak.
package validate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay/file"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/keys"
	"github.com/hookbastion/hookbastion/policy/watermark"
)

func New() *cobra.Command {
	var output string
	var p cli.Policies
	admin := &cli.Admin{}
	cmd := &cobra.Command{
		Use:   "validate DIR...",
		Short: "Check policies and print every error with its place",
		Long:  "Check policies and print every error with its place.\nExits 0 if they are good and 3 if not.",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cli.OneOf("--output", output, "text", "json", "sarif"); err != nil {
				return err
			}
			p.Paths = args
			table, keys, problem := p.Keys()
			found, err := []policy.Finding{}, error(nil)
			if problem == nil {
				if found, err = findings(cmd.Context(), &p, admin, table, keys); err != nil {
					return err
				}
			}
			switch {
			case output == "json":
				err = printValidation(cmd.OutOrStdout(), problem, found)
			case output == "sarif":
				err = printSARIF(cmd.OutOrStdout(), cli.AsErrors(problem), found)
			case problem != nil:
				cli.PrintErrors(cmd.ErrOrStderr(), problem)
			default:
				for i := range found {
					fmt.Fprintf(cmd.OutOrStdout(), "%s (%s %s)\n", found[i].Error, found[i].Severity, found[i].ID)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%d webhooks, no errors\n", len(table.Webhooks()))
			}
			if err == nil && problem != nil {
				return cli.Invalid
			}
			return err
		},
	}
	p.AddConfig(cmd)
	admin.AddFlags(cmd, "", "address of the service's admin listener, to look for webhooks that were renamed (default: look into the directory of replay.file)")
	cmd.Flags().StringVar(&output, "output", "text", "text, json or sarif")
	return cmd
}

// findings lists what valid policies leave weak under these settings.
func findings(ctx context.Context, p *cli.Policies, admin *cli.Admin, table *authz.Table, keys []keys.Key) ([]policy.Finding, error) {
	s, err := p.Settings()
	if err != nil {
		return nil, err
	}
	set, err := policy.Load(p.Paths...)
	if err != nil {
		return nil, err
	}
	found := weakFindings(keys)
	add := func(more []policy.Finding, err2 error) {
		found, err = append(found, more...), errors.Join(err, err2)
	}
	add(set.TransportFindings(s.Proofs()))
	add(set.URLFindings())
	add(set.CopyFindings())
	add(set.UnverifiedFindings())
	add(renamed(ctx, s, admin, set, table))
	add(set.BorderFindings(table))
	if s.Lease == 0 {
		add(set.OnePhaseFindings(table))
	}
	return found, err
}

// renamed looks for webhooks that were renamed, by what the store knows: that of
// the service, if it is to be asked, or else that in the settings' directory.
func renamed(ctx context.Context, s *settings.Settings, admin *cli.Admin, set *policy.Set, table *authz.Table) ([]policy.Finding, error) {
	if admin.URL != "" {
		known, err := admin.Webhooks(ctx)
		if err != nil {
			return nil, err
		}
		return set.RenameFindings(table, known)
	}
	if s.File == nil {
		return nil, nil
	}
	data, err := file.ReadKept(s.File.Path)
	var known map[string]watermark.Kept
	if err == nil && data != nil {
		err = json.Unmarshal(data, &known)
	}
	if err != nil { // it may belong to another user
		message := "what the nonce store knows cannot be read, so that renamed webhooks go unnoticed: " + err.Error()
		return []policy.Finding{{Error: policy.Error{File: s.File.Path, Message: message}, ID: "HB091", Severity: "info"}}, nil //nolint:nilerr // it is a finding
	}
	return set.RenameFindings(table, known)
}

func printValidation(w io.Writer, err error, found []policy.Finding) error {
	report := struct {
		Errors   policy.Errors    `json:"errors"`
		Findings []policy.Finding `json:"findings"`
	}{policy.Errors{}, found}
	if errs := cli.AsErrors(err); errs != nil {
		report.Errors = errs
	}
	return cli.PrintJSON(w, report)
}

// weakFindings are the findings about weak secrets.
func weakFindings(keys []keys.Key) []policy.Finding {
	found := []policy.Finding{}
	for i := range keys {
		if f, ok := policy.KeyFinding(&keys[i]); ok {
			found = append(found, f)
		}
	}
	slices.SortStableFunc(found, func(a, b policy.Finding) int {
		return strings.Compare(fmt.Sprintf("%s:%08d", a.File, a.Line), fmt.Sprintf("%s:%08d", b.File, b.Line))
	})
	return found
}
