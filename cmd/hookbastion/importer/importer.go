// Package importer is the subcommand import: policies of what another gateway verifies.
package importer

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/authz/files"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/policytest"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/convert"
	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
)

func New() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "import --from FORMAT FILE...",
		Short: "Make policies of what ngrok, Hookdeck, Kong or a table says of webhooks",
		Long: "Make policies of what another gateway says of webhooks: a traffic policy of ngrok with\n" +
			"verify-webhook, sources of Hookdeck in JSON, Kong's plugin standard-webhooks, or a table\n" +
			"(CSV) of providers and secret files. Policies go to policies/, secrets that stand in the file\n" +
			"to secrets/, each with mode 0600 and never printed. What is there is never overwritten.\n" +
			"What could not be carried over is said on standard error, line by line; what is written has\n" +
			"no errors. Exits 0 if there is any policy, 3 if a file is wrong or nothing could be carried\n" +
			"over, and 2 if a file cannot be read or written.",
		Example: "  hookbastion import --from ngrok traffic-policy.yaml\n" +
			"  hookbastion import --from hookdeck --into hooks --provider MAILCHIMP=mandrill sources.json\n" +
			"  hookbastion import --from kong --dry-run kong.yaml\n" +
			"  hookbastion import --from table webhooks.csv",
		Args: cli.Needs(1, 0, "a file of another gateway, or - for standard input"),
		RunE: o.run,
	}
	var names []string
	for _, f := range convert.Formats() {
		names = append(names, string(f))
	}
	cmd.Flags().StringVar(&o.from, "from", "", "whose file it is: "+strings.Join(names, ", ")+" (required)")
	cmd.Flags().StringVar(&o.into, "into", ".", "the directory that has policies/ and secrets/, or gets them")
	cmd.Flags().StringArrayVar(&o.providers, "provider", nil, "which entry of the catalogue a provider is, as in THEIRS=OURS (default: that of the same name); may be repeated")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "print the policy, and write nothing (default: false)")
	cmd.Flags().StringVar(&o.output, "output", "text", "text or json")
	_ = cmd.MarkFlagRequired("from")                                                                              // the flag exists
	_ = cmd.RegisterFlagCompletionFunc("from", cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
	return cmd
}

type options struct {
	from, into, output string
	providers          []string
	dryRun             bool
}

// imported is what `import --output json` prints.
type imported struct {
	// Files are those that were written, the policy first.
	Files    []string       `json:"files"`
	Webhooks []webhook      `json:"webhooks"`
	Notes    []convert.Note `json:"notes"`
}

type webhook struct {
	Name     string `json:"name"`
	Provider string `json:"provider"`
	From     string `json:"from"`
	// Secrets are the files that it names, New those of them that hold a new secret.
	Secrets []string `json:"secrets"`
	New     []string `json:"new_secrets"`
}

func (o *options) run(cmd *cobra.Command, args []string) error {
	if err := cli.OneOf("--output", o.output, "text", "json"); err != nil {
		return err
	}
	all, err := o.read(cmd.InOrStdin(), args)
	if err != nil {
		return err
	}
	s := &stage{into: o.into, file: outputName(args), result: all}
	if err := s.settle(); err != nil {
		return err
	}
	if len(all.Webhooks) == 0 {
		o.printNotes(cmd, all)
		if o.output == "json" {
			if err := cli.PrintJSON(cmd.OutOrStdout(), &imported{Files: []string{}, Webhooks: []webhook{}, Notes: notesOf(all)}); err != nil {
				return err
			}
		}
		fmt.Fprintln(cmd.ErrOrStderr(), "nothing could be carried over, and nothing is written")
		return cli.Invalid
	}
	newFiles, report, err := s.files()
	if err != nil {
		return err
	}
	if !o.dryRun {
		if err := cli.WriteNew(o.into, newFiles); err != nil {
			return err
		}
	}
	report.Notes = notesOf(all)
	o.printNotes(cmd, all)
	switch {
	case o.output == "json":
		return cli.PrintJSON(cmd.OutOrStdout(), report)
	case o.dryRun:
		_, err := cmd.OutOrStdout().Write(newFiles[0].Data)
		return err
	default:
		report.print(cmd.OutOrStdout())
		return nil
	}
}

// read reads all files, and says all that is wrong with any.
func (o *options) read(stdin io.Reader, args []string) (*convert.Result, error) {
	known, err := o.known()
	if err != nil {
		return nil, err
	}
	format := convert.Format(o.from)
	if !slices.Contains(convert.Formats(), format) {
		var names []string
		for _, f := range convert.Formats() {
			names = append(names, string(f))
		}
		return nil, cli.OneOf("--from", o.from, names...)
	}
	all := &convert.Result{}
	var errs policy.Errors
	for _, name := range args {
		var data []byte
		if name == "-" {
			data, err = cli.ReadInput(stdin, name)
		} else if data, _, err = files.Read(name, convert.MaxBytes+1); err != nil {
			err = fmt.Errorf("%s: %w", name, err)
		}
		if err != nil {
			return nil, err
		}
		one, err := convert.Read(format, name, data, convert.Options{Providers: known})
		var wrong strictyaml.Errors
		switch {
		case errors.As(err, &wrong):
			errs = append(errs, wrong...)
		case err != nil:
			return nil, err
		default:
			all.Webhooks = append(all.Webhooks, one.Webhooks...)
			all.Notes = append(all.Notes, one.Notes...)
		}
	}
	return all, errs.Err()
}

// known reads --provider.
func (o *options) known() (map[string]string, error) {
	known := map[string]string{}
	for _, text := range o.providers {
		theirs, ours, ok := strings.Cut(text, "=")
		if !ok || theirs == "" {
			return nil, fmt.Errorf("--provider must be THEIRS=OURS, not %q", text)
		}
		if p, err := provider.Get(ours); err != nil {
			return nil, err
		} else if p == nil {
			names, _ := provider.Names() // read without an error above
			return nil, fmt.Errorf("--provider: %q is not in the catalogue%s", ours, strictyaml.Suggest(ours, names))
		}
		known[theirs] = ours
	}
	return known, nil
}

// outputName is the name of the policy file: that of the first file that was read.
func outputName(args []string) string {
	name := filepath.Base(args[0])
	name = strings.TrimSuffix(name, filepath.Ext(name))
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	switch {
	case name == "-", name == "", strings.HasPrefix(name, "."), strings.ContainsFunc(name, unprintable):
		return "imported.yaml"
	case policytest.IsTest(name + ".yaml"): // serve and validate would pass over it
		return name + "ed.yaml"
	}
	return name + ".yaml"
}

func notesOf(r *convert.Result) []convert.Note {
	if r.Notes == nil {
		return []convert.Note{} // a list in JSON
	}
	return r.Notes
}

// printNotes writes a line for each, unless they stand in the JSON.
func (o *options) printNotes(cmd *cobra.Command, r *convert.Result) {
	if o.output == "json" {
		return
	}
	for _, n := range r.Notes {
		fmt.Fprintln(cmd.ErrOrStderr(), n.Error())
	}
}

func (r *imported) print(w io.Writer) {
	for _, hook := range r.Webhooks {
		fmt.Fprintf(w, "%s", hook.Name)
		if hook.Provider != "" {
			fmt.Fprintf(w, " (%s)", hook.Provider)
		}
		for i, name := range hook.Secrets {
			word := " "
			if i > 0 {
				word = ", "
			}
			if slices.Contains(hook.New, name) {
				name += " (new)"
			}
			fmt.Fprintf(w, "%s%s", word, name)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "%d webhooks, in %s; look at them with hookbastion validate\n", len(r.Webhooks), r.Files[0])
}
