package lesson

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/policy/finding"
	"github.com/hookbastion/hookbastion/policy/lint"
)

// goThrough prints all lessons, those first that the reader's own policies have. On a
// terminal it waits before each answer, and after it.
func (o *options) goThrough(cmd *cobra.Command) error {
	lessons, err := all()
	if err != nil {
		return err
	}
	own, err := o.own(cmd)
	if err != nil {
		return err
	}
	ordered := inOrder(lessons, own)
	if o.from != "" {
		i := slices.IndexFunc(ordered, func(l *lesson) bool { return l.rule.ID == strings.ToUpper(o.from) })
		if i < 0 {
			return fmt.Errorf("there is no lesson %s", o.from)
		}
		ordered = ordered[i:]
	}
	w, lines, waits := cmd.OutOrStdout(), bufio.NewScanner(cmd.InOrStdin()), isTerminal()
	for i, l := range ordered {
		fmt.Fprintf(w, "Lesson %d of %d, %s\n\n", i+1, len(ordered), l.practice)
		for _, f := range own[l.rule.ID] {
			fmt.Fprintf(w, "In your policies: %s: %s\n\n", f.Place, f.Message)
		}
		fmt.Fprint(w, l.text(!waits))
		if waits {
			fmt.Fprint(w, "Enter shows the answer. ")
			if !lines.Scan() {
				return nil
			}
			fmt.Fprintf(w, "\n%s\nEnter goes on; to go on another day: hookbastion lesson --course --from %s ", l.answer, l.rule.ID)
			if !lines.Scan() {
				return nil
			}
		}
		fmt.Fprintln(w)
	}
	return nil
}

// inOrder puts the lessons first whose findings the reader has, the worst before the others.
func inOrder(lessons []*lesson, own map[string][]finding.Finding) []*lesson {
	rank := func(l *lesson) int {
		worst := len(finding.Severities())
		for _, f := range own[l.rule.ID] {
			worst = min(worst, slices.Index(finding.Severities(), f.Severity))
		}
		return worst
	}
	ordered := slices.Clone(lessons)
	slices.SortStableFunc(ordered, func(a, b *lesson) int { return rank(a) - rank(b) })
	return ordered
}

// own are the findings of the reader's policies, by their ids; none where there are no
// policies, unless somebody has named them.
func (o *options) own(cmd *cobra.Command) (map[string][]finding.Finding, error) {
	if _, err := os.Stat(cli.DefaultPolicies); err != nil && !cmd.Flags().Changed("policy") {
		fmt.Fprintln(cmd.ErrOrStderr(), "There is no directory policies here: the lessons come in their own order. --policy names yours.")
		return nil, nil //nolint:nilnil // no findings
	}
	now := time.Now()
	s, err := settings.Check(o.policies.Config, now)
	if err != nil {
		return nil, err
	}
	table, keys, err := o.policies.Keys()
	if err != nil {
		return nil, err
	}
	found, err := o.policies.Lint(s, table, keys, lint.Store{}, now)
	own := map[string][]finding.Finding{}
	for _, f := range found {
		if f.Suppressed == "" {
			own[f.ID] = append(own[f.ID], f)
		}
	}
	return own, err
}

// isTerminal reports whether somebody sits before the standard input.
func isTerminal() bool {
	info, err := os.Stdin.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
