// Package probe is the subcommand probe: attacks on a running gateway.
package probe

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"os"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/policy/probe"
)

func New() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "probe --policy DIR --target URL",
		Short: "Attack a running gateway, and say what got through",
		Long: "Send a valid delivery of each webhook to a running gateway, and then what an attacker\n" +
			"could send: forged, altered, old and repeated deliveries, forged headers, other paths,\n" +
			"hosts and methods. The valid ones reach the application as any other delivery does.\n" +
			"What the policies let in is not sent. --list says what there is, and sends nothing.\n" +
			"Exits 0 if all was held; 2 if nobody answers; 3 if policies are invalid; 4 if a valid\n" +
			"delivery was refused, what became of an attack is unclear, or a webhook could not be\n" +
			"probed; 5 if an attack got through.",
		Example: "  hookbastion probe --list\n" +
			"  hookbastion probe --policy policies --target http://localhost:10000\n" +
			"  hookbastion probe --target https://hooks.example.com --webhook hook --rate 5 --yes --output junit > probe.xml",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	o.policies.AddFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&o.target, "target", "", "the gateway, as https://hooks.example.com: scheme and host (required, or --list)")
	f.BoolVar(&o.list, "list", false, "list what is sent, and send nothing (default: false)")
	f.BoolVar(&o.yes, "yes", false, "do not ask before a target is attacked that is not this machine (default: false)")
	f.StringArrayVar(&o.webhooks, "webhook", nil, "name of a webhook; may be repeated (default: all)")
	f.StringArrayVar(&o.gateway.Only, "attack", nil, "id of an attack of --list; may be repeated (default: all)")
	f.StringArrayVar(&o.keys, "key", nil, "NAME=FILE, as --key of sign for the webhook of that name: the private key where the policy has the public one, the token where it has the digest; may be repeated (default: none)")
	f.StringArrayVar(&o.paths, "path", nil, "NAME=PATH, the path of the webhook of that name, as one with a tenant that has a secret; may be repeated (default: that of the policy)")
	f.StringVar(&o.host, "host", "", "the host that requests are for (default: that of the target, or the webhook's if it takes no other)")
	f.StringVar(&o.body, "body", "", "file with the body of valid deliveries, where policies or the application ask for more than a sample (default: a small JSON object or form)")
	f.StringVar(&o.source, "source", "", "the address from which the gateway sees this machine, for policies with source_ip (default: this machine's on loopback, else one that the policy allows)")
	f.StringVar(&o.gateway.Marker, "marker", "", "a header that the application alone puts into its answers, as \"x-app: orders\" or only its name (default: none, it is told by how the valid delivery is answered)")
	f.Float64Var(&o.rate, "rate", defaultRate, "requests a second at most")
	f.DurationVar(&o.gateway.Timeout, "timeout", defaultTimeout, "how long to wait for each answer")
	f.BoolVar(&o.insecure, "insecure", false, "accept any certificate of the gateway (default: false)")
	f.StringVar(&o.cert, "cert", "", "file with a client certificate to show, in PEM form (default: none)")
	f.StringVar(&o.certKey, "cert-key", "", "file with its key, in PEM form (default: that of --cert)")
	f.StringVar(&o.output, "output", "text", "text, json or junit")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(outputs, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
	return cmd
}

const (
	defaultRate    = 20
	defaultTimeout = 10 * time.Second
	maxRate        = 10_000
	minRate        = 0.001
)

var outputs = []string{"text", "json", "junit"}

type options struct {
	policies                   cli.Policies
	target, host, body, source string
	cert, certKey, output      string
	webhooks, keys, paths      []string
	list, yes, insecure        bool
	rate                       float64
	gateway                    probe.Gateway
	keyOf, pathOf              map[string]string
	targetHost                 string // as it stands in the URL
	loopback                   bool
}

func (o *options) run(cmd *cobra.Command) error {
	if err := cli.OneOf("--output", o.output, outputs...); err != nil {
		return err
	}
	if o.list {
		return list(cmd.OutOrStdout(), o.output)
	}
	if err := o.check(); err != nil {
		return err
	}
	set, err := o.load(cmd)
	if set != nil {
		defer set.forget()
	}
	if err != nil {
		return err
	}
	if !o.loopback && !o.yes {
		if err := o.confirm(cmd.InOrStdin(), cmd.ErrOrStderr(), len(set.hooks)); err != nil {
			return err
		}
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o.gateway.Pace = pacer(o.rate)
	report := &report{Target: o.target, Unsigned: set.unsigned}
	for _, hook := range set.hooks {
		err := o.gateway.Run(ctx, hook, report.add)
		if errors.Is(err, probe.ErrCannot) {
			report.Unsigned = append(report.Unsigned, unsigned{Webhook: hook.Name, Why: err.Error()})
			continue
		}
		if err != nil {
			return err
		}
	}
	if err := report.print(cmd.OutOrStdout(), o.output); err != nil {
		return err
	}
	report.missed = slices.ContainsFunc(report.Unsigned, func(u unsigned) bool { return !u.open || o.named(u.Webhook) })
	return report.exit()
}

// named reports whether a webhook was asked for by its name. A key alone does not ask: a
// file of keys may have more.
func (o *options) named(name string) bool {
	_, path := o.pathOf[name]
	return path || slices.Contains(o.webhooks, name)
}

// check reads the flags.
func (o *options) check() error {
	u, err := url.Parse(o.target)
	switch {
	case o.target == "":
		return errors.New("probe needs --target, or --list")
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/")+u.RawQuery+u.Fragment != "":
		return fmt.Errorf("--target must be http:// or https:// with a host, not %q", o.target)
	case !(o.rate >= minRate && o.rate <= maxRate): // nor NaN
		return fmt.Errorf("--rate must be from %g to %d", minRate, maxRate)
	case o.host != "" && !visible(o.host):
		return fmt.Errorf("--host must be a host, not %q", o.host)
	case o.gateway.Timeout <= 0:
		return errors.New("--timeout must be more than 0s")
	case (o.insecure || o.cert != "") && u.Scheme == "http":
		return errors.New("--insecure and --cert are about certificates, and an http:// target has none")
	case o.certKey != "" && o.cert == "":
		return errors.New("--cert-key has no use without --cert")
	}
	for _, id := range o.gateway.Only {
		if !slices.ContainsFunc(probe.Catalogue(), func(a probe.Attack) bool { return a.ID == id }) {
			return fmt.Errorf("--attack: there is no %q; --list has all", id)
		}
	}
	o.targetHost = u.Host
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	o.gateway.Address = net.JoinHostPort(u.Hostname(), port)
	addr, err := netip.ParseAddr(u.Hostname())
	o.loopback = u.Hostname() == "localhost" || err == nil && addr.IsLoopback()
	if err := o.secure(u); err != nil {
		return err
	}
	if err := o.from(addr); err != nil {
		return err
	}
	if o.keyOf, err = pairs("--key", o.keys); err != nil {
		return err
	}
	if o.pathOf, err = pairs("--path", o.paths); err != nil {
		return err
	}
	for name, path := range o.pathOf {
		if !visible(path) || path[0] != '/' {
			return fmt.Errorf("--path of %s must be a path, percent-encoded, such as /hook, not %q", name, path)
		}
	}
	return nil
}

// secure prepares TLS.
func (o *options) secure(u *url.URL) error {
	if u.Scheme == "http" {
		return nil
	}
	name := u.Hostname()
	if o.host != "" {
		name = o.host
		if host, _, err := net.SplitHostPort(o.host); err == nil {
			name = host
		}
	}
	o.gateway.TLS = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: name, InsecureSkipVerify: o.insecure} //nolint:gosec // whoever asks for it
	if o.cert == "" {
		return nil
	}
	key := o.certKey
	if key == "" {
		key = o.cert
	}
	pair, err := tls.LoadX509KeyPair(o.cert, key)
	if err != nil {
		return fmt.Errorf("--cert: %w", err)
	}
	o.gateway.TLS.Certificates = []tls.Certificate{pair}
	return nil
}

// from is where the gateway sees us.
func (o *options) from(target netip.Addr) error {
	if o.source != "" {
		addr, err := netip.ParseAddr(o.source)
		if err != nil {
			return fmt.Errorf("--source must be an address, not %q", o.source)
		}
		o.gateway.Source = addr.Unmap().WithZone("")
		return nil
	}
	if o.loopback {
		o.gateway.Source = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		if target.Is6() {
			o.gateway.Source = netip.IPv6Loopback()
		}
	}
	return nil
}

// pairs reads NAME=VALUE.
func pairs(flag string, given []string) (map[string]string, error) {
	all := map[string]string{}
	for _, text := range given {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" || value == "" {
			return nil, fmt.Errorf("%s must be NAME=…, with the name of a webhook, not %q", flag, text)
		}
		if _, twice := all[name]; twice {
			return nil, fmt.Errorf("%s names webhook %q twice", flag, name)
		}
		all[name] = value
	}
	return all, nil
}

// visible reports whether a text can stand in a request line or a header.
func visible(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

// requests is about how many are sent for a webhook.
const requests = 150

// confirm asks whether somebody else's machine is to be attacked.
func (o *options) confirm(in io.Reader, out io.Writer, hooks int) error {
	fmt.Fprintf(out, "This sends up to %d requests of an attacker to %s, %g a second, and with them valid\ndeliveries that the application takes for real ones. Do it only where you may.\nType the host to go on, %s: ",
		hooks*requests, o.target, o.rate, o.targetHost)
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if strings.TrimSpace(line) != o.targetHost {
		fmt.Fprintln(out)
		return errors.New("nothing was sent: the target is not this machine, and neither --yes nor its name was given")
	}
	return nil
}

// pacer lets so many pass a second. It is for one caller at a time and for few at once.
func pacer(rate float64) func(context.Context) error {
	gap := time.Duration(float64(time.Second) / rate)
	turn := make(chan time.Time, 1)
	turn <- time.Time{}
	return func(ctx context.Context) error {
		var next time.Time
		select {
		case next = <-turn:
		case <-ctx.Done():
			return ctx.Err()
		}
		now := time.Now()
		if next.Before(now) {
			next = now
		}
		turn <- next.Add(gap)
		wait := time.NewTimer(next.Sub(now))
		defer wait.Stop()
		select {
		case <-wait.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// wanted reports whether a webhook is to be probed.
func (o *options) wanted(name string) bool {
	return len(o.webhooks) == 0 || slices.Contains(o.webhooks, name)
}
