// Package sign is the subcommand sign: a valid delivery for tests.
package sign

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/sample"
	"github.com/hookbastion/hookbastion/policy/keys"
)

func New() *cobra.Command {
	var o signOptions
	cmd := &cobra.Command{
		Use:   "sign --policy DIR --webhook NAME",
		Short: "Make a valid delivery of a webhook, for tests",
		Long: "Make a valid delivery of a webhook, for tests, and print it as an HTTP/1.1 request or a\n" +
			"curl command. With --send it goes to --url, and the answer is printed.\n" +
			"Exits 0, with --send if the answer is 2xx; 1 if it is another; 3 if the policy is\n" +
			"invalid.",
		Example: "  hookbastion sign --policy policies --webhook github > delivery.http\n" +
			"  hookbastion sign --webhook github --url http://localhost:10000 --send",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	o.policies.AddFlags(cmd)
	cmd.Flags().StringVar(&o.delivery.Webhook, "webhook", "", "name of the webhook (required)")
	cmd.Flags().StringVar(&o.delivery.KeyID, "key-id", "", "id of the key to sign with (default: the first)")
	cmd.Flags().StringVar(&o.delivery.Key, "key", "", "file with the private key, where the policy has the public one (with its certificates, where a delivery brings them), or with the token, where it has the digest (default: none)")
	cmd.Flags().StringVar(&o.now, "now", "", "the time of the delivery, RFC 3339 or Unix seconds (default: now)")
	cmd.Flags().StringVar(&o.body, "body", "", "file with the body, - for standard input (default: a small JSON object or form with the time, so that each is a new delivery; none with GET, HEAD and DELETE)")
	cmd.Flags().StringVar(&o.delivery.Handshake, "handshake", "", "make the provider's handshake of that name in place of a delivery; without a name the first one, as --handshake alone (default: a delivery)")
	cmd.Flags().Lookup("handshake").NoOptDefVal = sample.FirstHandshake
	cmd.Flags().StringVar(&o.delivery.Host, "host", "hooks.example.com", "host of the delivery, with its port if it is not 443")
	cmd.Flags().StringVar(&o.url, "url", "", "where it goes, as http://localhost:10000: scheme and host, and a path in place of --path (default: https and --host)")
	cmd.Flags().BoolVar(&o.insecure, "insecure", false, "with --send or --format curl, accept any certificate, for a listener with a self-signed one")
	cmd.Flags().StringVar(&o.delivery.Path, "path", "", "path of the delivery (default: that of the webhook)")
	cmd.Flags().StringVar(&o.format, "format", "http", "http or curl")
	cmd.Flags().BoolVar(&o.send, "send", false, "send it to --url, once, and print the answer")
	cmd.Flags().StringVar(&o.sending.version, "http", "", "with --send, the version of HTTP, 1.1 or 2 (default: what the listener prefers, and 1.1 without TLS)")
	cmd.Flags().DurationVar(&o.sending.timeout, "timeout", 10*time.Second, "with --send, how long to wait for the answer")
	_ = cmd.MarkFlagRequired("webhook") // the flag exists
	cmd.MarkFlagsMutuallyExclusive("url", "host")
	cmd.MarkFlagsMutuallyExclusive("url", "path")
	cmd.MarkFlagsMutuallyExclusive("send", "format")
	cmd.MarkFlagsMutuallyExclusive("handshake", "body")
	return cmd
}

type signOptions struct {
	policies          cli.Policies
	now, body, format string
	url               string
	insecure, send    bool
	sending           sending
	delivery          sample.Delivery
}

func (o *signOptions) run(cmd *cobra.Command) error {
	if err := cli.OneOf("--format", o.format, "http", "curl"); err != nil {
		return err
	}
	scheme, err := o.place()
	if err == nil {
		err = o.checkSending(cmd)
	}
	if err != nil {
		return err
	}
	o.sending.scheme, o.sending.insecure = scheme, o.insecure
	now, err := cli.ParseNow(o.now)
	if err != nil {
		return err
	}
	var body []byte
	if o.body != "" {
		if body, err = cli.ReadInput(cmd.InOrStdin(), o.body); err != nil {
			return err
		}
	}
	table, keys, err := o.policies.Keys()
	if err != nil {
		return err
	}
	if why := o.delivery.Needless(table, keys); why != "" {
		return fmt.Errorf("--key %s", why)
	}
	req, err := o.delivery.Request(table, now, body)
	if errors.Is(err, authz.ErrNoKey) && publicOnly(keys, o.delivery.Webhook) {
		return fmt.Errorf("%w: the policy has public keys, so that --key must name the file of the private key that belongs to one", err)
	}
	if err != nil {
		return err
	}
	for _, warning := range cli.WeakWarnings(keys, o.delivery.Webhook, table.Tenant(o.delivery.Webhook, string(req.PathOnly()))) {
		fmt.Fprintln(cmd.ErrOrStderr(), "warning:", warning)
	}
	if o.send {
		return o.sending.send(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), req)
	}
	if o.format == "curl" {
		if o.insecure {
			return sample.PrintCurl(cmd.OutOrStdout(), scheme, req, "--insecure")
		}
		return sample.PrintCurl(cmd.OutOrStdout(), scheme, req)
	}
	return sample.PrintRaw(cmd.OutOrStdout(), req)
}

// publicOnly reports whether the webhook has public keys.
func publicOnly(all []keys.Key, webhook string) bool {
	return slices.ContainsFunc(all, func(k keys.Key) bool { return k.Webhook == webhook && len(k.Public) > 0 })
}

// checkSending looks for flags that have no use together.
func (o *signOptions) checkSending(cmd *cobra.Command) error {
	switch {
	case o.send && o.url == "":
		return errors.New("--send needs --url: where to")
	case !o.send && (cmd.Flags().Changed("http") || cmd.Flags().Changed("timeout")):
		return errors.New("--http and --timeout have no use without --send")
	case o.insecure && !o.send && o.format != "curl":
		return errors.New("--insecure has no use without --send or --format curl")
	case o.sending.timeout <= 0:
		return errors.New("--timeout must be more than 0s")
	case o.sending.version != "":
		return cli.OneOf("--http", o.sending.version, "1.1", "2")
	default:
		return nil
	}
}

// place takes host and path out of --url, and returns the scheme.
func (o *signOptions) place() (string, error) {
	if o.url == "" {
		return "https", nil
	}
	rest, secure := strings.CutPrefix(o.url, "https://")
	rest, plain := strings.CutPrefix(rest, "http://")
	u, err := url.Parse(o.url)
	if err != nil || secure == plain || u.Host == "" || u.User != nil || strings.Contains(rest, "#") {
		return "", fmt.Errorf("--url must be http:// or https:// with a host, and perhaps a path with a query, not %q", o.url)
	}
	if o.insecure && plain {
		return "", errors.New("--insecure is about certificates, and an http:// URL has none")
	}
	o.delivery.Host = u.Host
	// The path as it was written: what is signed must not be normalised.
	if path := strings.TrimPrefix(rest, u.Host); path != "" && path != "/" {
		if path[0] == '?' {
			return "", errors.New("--url has a query without a path")
		}
		o.delivery.Path = path
	}
	return u.Scheme, nil
}
