package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
)

// New returns the subcommand.
func New() *cobra.Command {
	var flags *settings.Flags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the external authorization service",
		Long: "Run the external authorization service that Envoy asks. Each setting has a key in the\n" +
			"file of --config, a variable and a flag; a flag counts more than a variable, a variable\n" +
			"more than the file. hookbastion config print says what is in force.\n\n" +
			"SIGTERM, or Ctrl-C, ends it: it says that it is not ready for grpc.lame_duck, then waits\n" +
			"for calls in flight for limits.shutdown. A second one ends it at once. SIGHUP takes\n" +
			"policies that changed.",
		Example: "  hookbastion serve --policy policies\n" +
			"  hookbastion serve --config hookbastion.yaml",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			values, err := flags.Values()
			if err != nil {
				return cli.Reported(cmd.ErrOrStderr(), err)
			}
			s, err := values.Settings()
			if err != nil {
				return cli.Reported(cmd.ErrOrStderr(), err)
			}
			log := newLog(cmd.ErrOrStderr(), s)
			logValues(log, values)
			ctx, hurry, stop := untilSignals(cmd.Context(), log)
			defer stop()
			limitMemory()
			err = findPolicies(s.Policies)
			if err == nil {
				err = values.Check(s, time.Now())
			}
			if err == nil {
				err = Run(ctx, s, Options{Log: log, Hurry: hurry, InForce: values.InForce})
			}
			return report(cmd.ErrOrStderr(), log, s, err)
		},
	}
	flags = settings.AddFlags(cmd.Flags())
	cmd.SetUsageFunc(settings.Usage)
	return cmd
}

// newLog makes the log that the settings ask for.
func newLog(w io.Writer, s *settings.Settings) *slog.Logger {
	options := &slog.HandlerOptions{Level: s.LogLevel}
	if s.LogJSON {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// logValues tells of the settings that somebody has given, and of variables that look
// as if they were some.
func logValues(log *slog.Logger, values *settings.Values) {
	for _, name := range values.Strange {
		log.Warn("a variable begins as those of settings do, and is none", "variable", name)
	}
	if !log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	for _, v := range values.InForce() {
		if v.From != "default" {
			log.Debug("setting", "key", v.Key, "value", v.Text(), "from", v.From)
		}
	}
}

// untilSignals returns a context that the first SIGTERM or interrupt ends, and what
// the second one closes. A third has its usual effect.
func untilSignals(parent context.Context, log *slog.Logger) (ctx context.Context, hurry <-chan struct{}, stop func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(parent)
	now := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		select {
		case <-signals:
			cancel()
		case <-ended:
			return
		}
		select {
		case <-signals:
			log.Warn("told to stop twice: calls in flight are cut off")
			close(now)
		case <-ended:
		}
		signal.Stop(signals)
	}()
	return ctx, now, func() { signal.Stop(signals); cancel(); close(ended) }
}

// findPolicies says what to do where nobody has written a policy yet.
func findPolicies(paths []string) error {
	if len(paths) != 1 || paths[0] != cli.DefaultPolicies {
		return nil // somebody has named them, and what is wrong with them is said by their name
	}
	if _, err := os.Stat(paths[0]); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("there is no directory %q here: write a policy into it, or name yours with --policy or the setting policy.directories", paths[0])
}

// report says why the service did not run, or ended, in the form of the log.
func report(w io.Writer, log *slog.Logger, s *settings.Settings, err error) error {
	if err == nil || !s.LogJSON {
		return cli.Reported(w, err)
	}
	for _, e := range cli.AsErrors(err) {
		log.Error("the service does not run", "error", strings.TrimPrefix(e.Error(), ": "))
	}
	return cli.CodeOf(err)
}
