// Package demo is the subcommand demo: deliveries and attacks through a real
// Envoy.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/sample"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/serve"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
	"github.com/hookbastion/hookbastion/examples"
)

func New() *cobra.Command {
	var stay bool
	var output string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Send deliveries and attacks through a real Envoy on this machine",
		Long: "Start the service, a real Envoy with examples/quickstart/envoy.yaml and a sample\n" +
			"application on free loopback ports, send deliveries of four providers and attacks,\n" +
			"and print what became of each, and the whole trace of one. Exits 0 if every\n" +
			"verdict is the expected one, 4 if not, and 5 if an attack has reached the application.",
		Example: "  hookbastion demo\n" +
			"  hookbastion demo --stay",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cli.OneOf("--output", output, "text", "json"); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return runDemo(ctx, cmd.OutOrStdout(), stay, output)
		},
	}
	cmd.Flags().BoolVar(&stay, "stay", false, "keep running and print a curl command, and where the console is")
	cmd.Flags().StringVar(&output, "output", "text", "text or json")
	return cmd
}

func runDemo(ctx context.Context, out io.Writer, stay bool, output string) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if output == "text" {
		fmt.Fprintf(out, "Starting Hookbastion, Envoy %s and a sample application on free loopback ports …\n\n", envoytest.Version)
	}
	d, err := startDemo(ctx, stay)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stop()) }()
	rows := demoRows()
	results := d.send(ctx, rows)
	if output == "json" {
		err = cli.PrintJSON(out, results)
	} else {
		printResults(out, results)
		err = d.printTrace(ctx, out, results)
	}
	if err != nil {
		return err
	}
	if stay {
		if err := d.printCurl(out); err != nil {
			return err
		}
		<-ctx.Done()
	}
	return judge(rows, results)
}

// judge returns the exit code: an attack that passed is worse than a row that ended
// otherwise than expected.
func judge(rows []row, results []result) error {
	code := cli.Good
	for i, r := range results {
		switch {
		case !rows[i].reason.Allows() && r.Verdict == authz.Allow.String(): // it has reached the application
			return cli.AttackPassed
		case !r.AsExpected:
			code = cli.CaseFailed
		}
	}
	if code != cli.Good {
		return code
	}
	return nil
}

// demo is everything that runs.
type demo struct {
	dir         string
	cancel      context.CancelFunc
	served      chan error
	console     net.Addr // nil: none
	envoy       *envoytest.Envoy
	application *sample.Application
	records     *recordBook
	collector   *envoytest.Collector
	client      *sample.Client
	table       *authz.Table // to sign with
	wrong       *authz.Table // the same webhooks with other secrets
}

// startDemo starts everything; with a console, if somebody stays to look.
func startDemo(ctx context.Context, console bool) (d *demo, err error) {
	ctx, cancel := context.WithCancel(ctx)
	d = &demo{cancel: cancel, records: newRecordBook()}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.stop())
		}
	}()
	if d.dir, err = os.MkdirTemp("", "hookbastion-demo-"); err != nil {
		return d, err
	}
	for _, name := range []string{"right", "wrong"} {
		if err := sample.WriteQuickstart(filepath.Join(d.dir, name)); err != nil {
			return d, err
		}
	}
	if d.table, err = (&cli.Policies{Paths: []string{d.policies("right")}}).Table(); err != nil {
		return d, err
	}
	if d.wrong, err = (&cli.Policies{Paths: []string{d.policies("wrong")}}).Table(); err != nil {
		return d, err
	}
	if d.collector, err = envoytest.StartCollector(nil); err != nil {
		return d, err
	}
	info, err := d.startService(ctx, console)
	if err != nil {
		return d, err
	}
	if d.application, err = sample.Start(); err != nil {
		return d, err
	}
	if err := d.startEnvoy(ctx, info); err != nil {
		return d, err
	}
	return d, ctx.Err()
}

func (d *demo) policies(name string) string { return filepath.Join(d.dir, name, "policies") }

func (d *demo) startService(ctx context.Context, console bool) (*serve.Info, error) {
	s, err := settings.Load("", nil)
	if err != nil {
		return nil, err
	}
	s.GRPCListen, s.HTTPListen, s.UnixPath = "127.0.0.1:0", "127.0.0.1:0", ""
	s.LameDuck = 0 // nobody else is there to ask
	if console {
		s.Admin.Listen = "127.0.0.1:0"
	}
	s.Policies = []string{d.policies("right")}
	s.Denials = 1000
	s.SetupUntil = time.Now().Add(time.Minute) // it had no earlier life
	spans, err := exportTo(ctx, d.collector.Addr())
	if err != nil {
		return nil, err
	}
	ready := make(chan *serve.Info, 1)
	d.served = make(chan error, 1)
	go func() {
		d.served <- serve.Run(ctx, s, serve.Options{
			Log: slog.New(slog.DiscardHandler), Records: d.records, Spans: spans,
			Ready: func(info *serve.Info) { ready <- info },
		})
	}()
	select {
	case info := <-ready:
		d.console = info.Admin
		return info, nil
	case err := <-d.served:
		d.served = nil
		return nil, err
	}
}

func (d *demo) startEnvoy(ctx context.Context, info *serve.Info) error {
	text, err := examples.Quickstart.ReadFile("quickstart/envoy.yaml")
	if err != nil {
		return err
	}
	config, err := envoytest.ParseConfig(text)
	if err != nil {
		return err
	}
	cert, key, pool, err := envoytest.Certificate(d.dir)
	if err != nil {
		return err
	}
	config.SetCertificate(cert, key)
	config.SetCluster("hookbastion", info.GRPC)
	config.SetCluster("application", d.application.Address)
	config.SetTracing(d.collector.Addr())
	if d.envoy, err = envoytest.Start(ctx, config, d.dir); err != nil {
		return err
	}
	d.client = sample.NewClient(d.envoy.Listeners["webhooks"], pool)
	return nil
}

// stop ends everything and removes the files.
func (d *demo) stop() error {
	var errs []error
	if d.envoy != nil {
		d.envoy.Stop()
	}
	d.cancel()
	if d.served != nil {
		errs = append(errs, <-d.served)
	}
	if d.collector != nil {
		d.collector.Stop()
	}
	if d.application != nil {
		errs = append(errs, d.application.Stop())
	}
	if d.dir != "" {
		errs = append(errs, os.RemoveAll(d.dir))
	}
	return errors.Join(errs...)
}

func (d *demo) printCurl(out io.Writer) error {
	req, err := (&sample.Delivery{Webhook: "github", Host: d.envoy.Listeners["webhooks"]}).Request(d.table, time.Now(), []byte(`{"zen":"Keep it logically awesome."}`))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nStill running; Ctrl-C ends it. A valid delivery, once; then it is a copy:\n\n  ")
	if err := sample.PrintCurl(out, "https", req, "--cacert", filepath.Join(d.dir, "tls.crt")); err != nil {
		return err
	}
	if d.console != nil {
		fmt.Fprintf(out, "\nWhat the service has decided:\n\n  http://%s/\n", d.console)
	}
	return nil
}
