// Package starter is the subcommand init: a first directory of policies, tests, secrets and a
// configuration of Envoy, for providers of the catalogue.
package starter

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/edge"
	"github.com/hookbastion/hookbastion/envoy/config"
)

func New() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write a first directory: policies, tests, secrets and Envoy's configuration",
		Long: "Write what a first delivery needs: policies and their tests to policies/, a secret for each\n" +
			"provider to secrets/ with mode 0600, a .gitignore that leaves them out, envoy.yaml, and\n" +
			"hookbastion.yaml with the settings that go with it; and say what to do next. Without\n" +
			"--provider it asks, on standard error, and reads the answers from standard input, a line\n" +
			"each. A secret that is not given is new and random, or a public key that nobody can sign\n" +
			"for: nothing passes until provider and file have the same. What is there is never\n" +
			"overwritten, and of one mistake nothing is written.\n" +
			"Exits 0 if all is written, 2 if an answer, a flag or a file cannot be used or something is\n" +
			"there already, 3 if what would be written has errors.",
		Example: "  hookbastion init --dir hooks --provider github --provider stripe=/hooks/stripe\n" +
			"  hookbastion init --dir pay --provider twilio --host hooks.example.com --secret twilio=token.txt\n" +
			"  hookbastion init --dir events --provider paypal --parameter paypal.webhook_id=1JE4291016473214C",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&o.providers, "provider", nil, "an entry of the catalogue, and perhaps the path that it delivers to, as in NAME=/PATH (default: it is asked for; the path is /webhooks/NAME); may be repeated")
	flags.StringVar(&o.dir, "dir", ".", "the directory to write to, which is made where it is not there")
	flags.StringVar(&o.host, "host", "", "the host that providers deliver to, without a port (default: any; needed where a provider signs the URL)")
	flags.StringArrayVar(&o.secrets, "secret", nil, "a file with a secret that is there already, copied to secrets/NAME, as in NAME=FILE (default: a new secret); may be repeated")
	flags.StringArrayVar(&o.parameters, "parameter", nil, "what a webhook must know of itself, as in NAME.PARAMETER=VALUE (default: none); may be repeated")
	flags.StringVar(&o.listen, "listen", edge.Listen, "where senders connect to Envoy, HOST:PORT")
	flags.StringVar(&o.application, "application", edge.Application, "where verified deliveries go, HOST:PORT or unix:PATH")
	return cmd
}

type options struct {
	dir, host, listen, application string
	providers, secrets, parameters []string
}

func (o *options) run(cmd *cobra.Command) error {
	if o.dir == "" {
		return errors.New("--dir needs the name of a directory")
	}
	at, err := o.addresses()
	if err != nil {
		return err
	}
	// What is there already is said before anything is asked.
	if err := o.stillFree(); err != nil {
		return err
	}
	var webhooks []*webhook
	if len(o.providers) > 0 {
		webhooks, err = o.plan()
	} else {
		webhooks, err = o.ask(cmd.InOrStdin(), cmd.ErrOrStderr())
	}
	if err != nil {
		return err
	}
	s := &stage{dir: o.dir, host: o.host, webhooks: webhooks, options: at}
	files, err := s.files()
	if err != nil {
		return err
	}
	if err := cli.WriteNew(o.dir, files); err != nil {
		return err
	}
	for _, line := range s.said {
		fmt.Fprintln(cmd.ErrOrStderr(), line)
	}
	return o.print(cmd.OutOrStdout(), files, webhooks, s.tested)
}

// addresses are those of Envoy's configuration.
func (o *options) addresses() (config.Options, error) {
	var at config.Options
	var errs []error
	for _, a := range []struct {
		to         *config.Address
		flag, text string
	}{{&at.Listen, "--listen", o.listen}, {&at.Application, "--application", o.application}, {&at.Service, "the service", edge.Service}} {
		var err error
		if *a.to, err = config.ParseAddress(a.text); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", a.flag, err))
		}
	}
	return at, errors.Join(errs...)
}

// ask asks for all that flags can say. Each answer is one line; where they end before all is
// answered, nothing is written.
func (o *options) ask(in io.Reader, out io.Writer) ([]*webhook, error) {
	lines := bufio.NewScanner(in)
	answer := func(question string) (string, error) {
		fmt.Fprintf(out, "%s: ", question)
		if !lines.Scan() {
			fmt.Fprintln(out)
			if err := lines.Err(); err != nil {
				return "", fmt.Errorf("standard input: the answer to %q: %w", question, err)
			}
			return "", fmt.Errorf("no answer to %q, and nothing is written: answer on standard input, or say all with --provider and other flags (hookbastion init --help)", question)
		}
		return strings.TrimSpace(lines.Text()), nil
	}
	text, err := answer("Providers, as in: github stripe=/hooks/stripe")
	if err != nil {
		return nil, err
	}
	if o.providers = strings.Fields(text); len(o.providers) == 0 {
		return nil, errors.New("no provider is named, and nothing is written; hookbastion providers list has them all")
	}
	webhooks, err := o.named()
	if err != nil {
		return nil, err
	}
	if o.host == "" {
		if o.host, err = answer("Host that they deliver to, as in hooks.example.com (empty: any)"); err != nil {
			return nil, err
		}
	}
	if err := o.badHost(); err != nil {
		return nil, err
	}
	for _, w := range webhooks {
		for _, p := range w.missing(o.parameters) {
			text, err := answer(w.name + ": " + p.GetName() + ", " + p.GetText())
			if err != nil {
				return nil, err
			}
			o.parameters = append(o.parameters, w.name+"."+p.GetName()+"="+text)
		}
		for _, key := range w.keys {
			if o.hasSecret(key.file) {
				continue
			}
			text, err := answer("File with the secret " + key.file + ", to be copied (empty: a new secret)")
			if err != nil {
				return nil, err
			}
			if text != "" {
				o.secrets = append(o.secrets, key.file+"="+text)
			}
		}
	}
	return o.plan()
}
