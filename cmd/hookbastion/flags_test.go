package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestEveryFlagSaysItsDefault: what a flag means, and what holds without it. Where
// pflag adds the default itself, the words need not.
func TestEveryFlagSaysItsDefault(t *testing.T) {
	seen := 0
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		if cmd.Name() == "completion" || cmd.HasParent() && cmd.Parent().Name() == "completion" {
			return // cobra's own
		}
		cmd.InitDefaultHelpFlag()
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			seen++
			words := strings.ToLower(f.Usage)
			added := f.DefValue != "" && f.DefValue != "[]" && f.DefValue != "0" && f.DefValue != "false"
			says := strings.Contains(words, "default: ") || strings.Contains(words, "required") || strings.Contains(words, "or --")
			if len(words) < 4 || !added && !says && f.Value.Type() != "bool" {
				t.Errorf("%s --%s: %q, default %q", cmd.CommandPath(), f.Name, f.Usage, f.DefValue)
			}
		})
	}
	walk(newRoot())
	if seen < 150 {
		t.Errorf("only %d flags", seen)
	}
}
