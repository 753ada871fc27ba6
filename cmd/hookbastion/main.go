// The hookbastion command verifies webhooks for Envoy: `serve` runs the
// external authorization service, the other subcommands help to write, check
// and explain its policies.
package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/audit"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/capture"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/config"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/demo"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/envoyconfig"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/explain"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/importer"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/keys"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/lesson"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/monitor"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/probe"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/providers"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/ranges"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/records"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/redeliver"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/serve"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/sign"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/starter"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/test"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/validate"
)

func main() { os.Exit(run(os.Args[1:])) }

// run executes the command line and returns the exit code.
func run(args []string) int {
	root := newRoot()
	addCompletions(root)
	root.SetArgs(args)
	return int(cli.Finish(os.Stderr, root.Execute()))
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "hookbastion",
		Short:         "Verifies incoming webhooks at the edge, behind Envoy",
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       buildOf().String(), // also --version
	}
	root.SetVersionTemplate("{{.Version}}\n")
	envoy := &cobra.Command{Use: "envoy", Short: "Help with Envoy's configuration"}
	envoy.AddCommand(audit.New(), envoyconfig.New())
	root.AddCommand(serve.New(), validate.New(), test.New(), lesson.New(), explain.New(), sign.New(), newVersion(), newHealthcheck(), demo.New(), probe.New(), providers.New(), ranges.New(), envoy, redeliver.New(), records.New(), keys.New(), monitor.New(), config.New())
	root.AddCommand(importer.New(), starter.New(), capture.New())
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.HasSubCommands() && !cmd.Runnable() {
			// Without this, a misspelt one would show the help and exit 0.
			cmd.Args = cobra.NoArgs
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
	return root
}
