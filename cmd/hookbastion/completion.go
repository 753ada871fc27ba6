package main

import (
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/policy"
)

// addCompletions tells the shell what the flags of all commands may be.
func addCompletions(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		addCompletions(sub)
	}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		switch values := flagValues(f); {
		case f.Name == "webhook":
			complete(cmd, f.Name, webhookNames)
		case values != nil:
			complete(cmd, f.Name, func(*cobra.Command) []string { return values })
		case f.Name == "now" || f.Name == "host" || f.Name == "source-ip":
			complete(cmd, f.Name, func(*cobra.Command) []string { return nil }) // no files
		}
	})
}

func complete(cmd *cobra.Command, flag string, values func(*cobra.Command) []string) {
	// It fails only for a flag that is not there or has a function already.
	_ = cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return values(cmd), cobra.ShellCompDirectiveNoFileComp
	})
}

var enumeration = regexp.MustCompile(`^(?:[a-z]+, )*[a-z]+ or [a-z]+$`)

// flagValues returns the values that a flag's own description lists, as in
// "text, json or sarif", perhaps with more after a colon.
func flagValues(f *pflag.Flag) []string {
	if words := f.Annotations[settings.Words]; words != nil {
		return words
	}
	words, _, _ := strings.Cut(f.Usage, ":")
	if !enumeration.MatchString(words) {
		return nil
	}
	return strings.Split(strings.ReplaceAll(words, " or ", ", "), ", ")
}

// webhookNames lists the webhooks of the policies that the command line names,
// as far as they can be read.
func webhookNames(cmd *cobra.Command) []string {
	paths, err := cmd.Flags().GetStringArray("policy")
	if err != nil {
		return nil
	}
	set, _ := policy.Load(paths...)
	return set.Names()
}
