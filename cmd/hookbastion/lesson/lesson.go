// Package lesson is the subcommand lesson: what an attacker makes of a weak policy, told so
// that one can try it.
//
// A lesson is data: a story, a request, and the policy before and after the mend.
// Tests send the request to both.
package lesson

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/policy/finding"
	"github.com/hookbastion/hookbastion/policy/lint"
)

func New() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "lesson [HB…|REASON]",
		Short: "Tell how a weakness is used, with the request that does it, and how it is mended",
		Long: "Tell how a weakness is used, with the request that does it, and how it is mended: of a\n" +
			"finding by its id, or of all that a reason of a denial leads to. Without an argument it\n" +
			"lists the lessons. With --course it goes through them in order, those first that your\n" +
			"own policies have.\n" +
			"Exits 0 if there was something to tell, and 2 if there is no such finding or reason.",
		Example: "  hookbastion lesson HB012 --answer\n" +
			"  hookbastion lesson HB012 --write lesson\n" +
			"  hookbastion lesson --course --policy policies",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	cmd.Flags().BoolVar(&o.answer, "answer", false, "print the answer, too (default: false)")
	cmd.Flags().StringVar(&o.write, "write", "", "write request, policies and secrets of the lesson into this directory, to try it (default: nowhere)")
	cmd.Flags().BoolVar(&o.course, "course", false, "go through all lessons (default: false)")
	cmd.Flags().StringVar(&o.from, "from", "", "with --course: the lesson to begin with, to go on where one stopped (default: the first)")
	o.policies.AddFlags(cmd)
	cmd.ValidArgsFunction = completions
	return cmd
}

type options struct {
	answer, course bool
	write, from    string
	policies       cli.Policies
}

func (o *options) run(cmd *cobra.Command, args []string) error {
	switch {
	case o.course && len(args) > 0:
		return errors.New("--course goes through all lessons; leave the id out")
	case o.course:
		return o.goThrough(cmd)
	case o.from != "":
		return errors.New("--from goes with --course")
	case len(args) == 0 && o.write != "":
		return errors.New("--write needs the id of a lesson")
	case len(args) == 0:
		return list(cmd.OutOrStdout())
	}
	found, err := find(args[0])
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return o.rule(cmd.OutOrStdout(), args[0])
	}
	if o.write != "" {
		return found[0].writeTo(cmd.OutOrStdout(), o.write)
	}
	for i, l := range found {
		if i > 0 {
			fmt.Fprintln(cmd.OutOrStdout())
		}
		fmt.Fprint(cmd.OutOrStdout(), l.text(o.answer))
	}
	if !o.answer {
		fmt.Fprintln(cmd.OutOrStdout(), "With --answer the answer stands below.")
	}
	return nil
}

// rule tells of a finding that has no lesson.
func (o *options) rule(w io.Writer, word string) error {
	for _, r := range lint.Rules() {
		if r.ID != strings.ToUpper(word) {
			continue
		}
		if o.write != "" {
			return fmt.Errorf("%s has no story with a request to write", r.ID)
		}
		printRule(w, r)
		return nil
	}
	var reason authz.Reason
	if reason.UnmarshalText([]byte(strings.ToLower(word))) == nil {
		return fmt.Errorf("no lesson tells of %s; docs/reasons.md says what it means", reason)
	}
	return fmt.Errorf("there is no finding and no lesson of a reason called %q; hookbastion lesson lists them, docs/reasons.md all reasons", word)
}

func printRule(w io.Writer, r finding.Rule) {
	fmt.Fprintf(w, "%s: %s\n\nWhat can happen: %s\nHow to mend it:  %s\nMore: %s\n", r.ID, r.Title, r.Risk, r.Fix, r.URL())
}

// list prints all lessons by what they exercise.
func list(w io.Writer) error {
	lessons, err := all()
	if err != nil {
		return err
	}
	practice := ""
	for _, l := range lessons {
		if l.practice != practice {
			practice = l.practice
			fmt.Fprintln(w, practice)
		}
		fmt.Fprintf(w, "  %s  %s\n", l.rule.ID, l.rule.Title)
	}
	return nil
}

// writeTo writes what a reader needs to try the lesson, and says with which commands.
func (l *lesson) writeTo(w io.Writer, dir string) error {
	files := map[string]string{requestFile: l.request, badFile: l.badPolicy, goodFile: l.goodPolicy}
	for _, f := range l.files {
		files[f.Name] = string(f.Data)
	}
	for name, text := range files {
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return err
		}
	}
	named := strings.NewReplacer(" lesson/", " "+filepath.ToSlash(dir)+"/")
	fmt.Fprintf(w, "%s\n%s\n", named.Replace(l.command(badFile)), named.Replace(l.command(goodFile)))
	return nil
}

func completions(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var words []string
	for _, r := range lint.Rules() {
		words = append(words, r.ID+"\t"+r.Title)
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}
