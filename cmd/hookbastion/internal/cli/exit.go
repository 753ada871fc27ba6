// Package cli holds what subcommands share: exit codes, flags, input and output.
package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/finding"
)

// Exit is a code that a command ends with. As an error it has no words: what there
// was to say was printed already.
type Exit int

// The codes. docs/exit-codes.md lists them with the commands that have them.
const (
	Good Exit = iota
	// Denied: explain would refuse the request, what sign has sent was refused,
	// healthcheck has found no service that is ready.
	Denied
	// Unusable: flags or arguments that nobody can follow, or what they name cannot
	// be read or reached.
	Unusable
	// Invalid: what was read is wrong, or has findings that count.
	Invalid
	// CaseFailed: a case of a test did not end as expected.
	CaseFailed
	// AttackPassed: something was let through that should not have been.
	AttackPassed
)

func (e Exit) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// Meaning says in a few words what the code stands for.
func (e Exit) Meaning() string {
	return [...]string{
		"good", "denied", "usage, or something that cannot be read or reached",
		"invalid: a policy, a record, a configuration; or findings at or above `--fail-on`",
		"a case failed", "an attack passed",
	}[e]
}

// Exits are all codes.
func Exits() []Exit { return []Exit{Good, Denied, Unusable, Invalid, CaseFailed, AttackPassed} }

// Finish prints what is left to say of how a command ended, and returns its code.
func Finish(w io.Writer, err error) Exit {
	code := Good
	switch err = Reported(w, err); {
	case err == nil || errors.As(err, &code):
		return code
	default:
		fmt.Fprintln(w, "hookbastion:", err)
		return Unusable
	}
}

// Reported prints errors that have places, one a line, and leaves the others
// to Finish.
func Reported(w io.Writer, err error) error {
	var errs policy.Errors
	if !errors.As(err, &errs) {
		return err
	}
	PrintErrors(w, errs)
	return CodeOf(errs)
}

// CodeOf is the code for errors that were printed: it tells what is wrong from what
// could not even be read.
func CodeOf(err error) Exit {
	var errs policy.Errors
	errors.As(err, &errs)
	for _, e := range errs {
		if !e.Unread {
			return Invalid
		}
	}
	return Unusable
}

// FailOn is the flag --fail-on: which findings a command counts.
type FailOn struct{ severity string }

// AddFlag gives a command the flag.
func (f *FailOn) AddFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.severity, "fail-on", string(finding.Error), "error, warning or info: exit 3 where a finding is as bad, or worse")
	_ = cmd.RegisterFlagCompletionFunc("fail-on", cobra.FixedCompletions(severities(), cobra.ShellCompDirectiveNoFileComp)) // the flag exists
}

func severities() []string {
	var words []string
	for _, s := range finding.Severities() {
		words = append(words, string(s))
	}
	return words
}

// Check says what is wrong with the flag's value.
func (f *FailOn) Check() error {
	return OneOf("--fail-on", f.severity, severities()...)
}

// Exit returns Invalid if a finding counts.
func (f *FailOn) Exit(found []finding.Finding) error {
	if finding.Worst(found, finding.Severity(f.severity)) {
		return Invalid
	}
	return nil
}

// Needs is what a command's arguments are checked by, where it takes at least least
// and at most most of them; most 0: any number. The words say what they are.
func Needs(least, most int, words string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return fmt.Errorf("%s needs %s: %s", cmd.CommandPath(), words, cmd.UseLine())
		case most > 0 && len(args) > most:
			return fmt.Errorf("%s takes %s, and %q is one too many", cmd.CommandPath(), words, args[most])
		default:
			return nil
		}
	}
}
