// Package sign is the subcommand sign: a valid delivery for tests.
package sign

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/jose"
	"github.com/hookbastion/hookbastion/authz/publickey"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
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
	cmd.Flags().Lookup("handshake").NoOptDefVal = firstHandshake
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
	delivery          Delivery
}

// Delivery says of which webhook a delivery is made, and what its policy leaves
// open.
type Delivery struct {
	Webhook string
	Host    string // with its port if it is not 443
	Path    string // empty: that of the webhook
	KeyID   string // empty: the first key signs
	Key     string // a file with what the policy does not hold: the private key, or the token of a digest
	// Handshake is the name of the provider's handshake to make, or firstHandshake; empty:
	// a delivery.
	Handshake string
}

// firstHandshake is any name.
const firstHandshake = "first"

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
			return PrintCurl(cmd.OutOrStdout(), scheme, req, "--insecure")
		}
		return PrintCurl(cmd.OutOrStdout(), scheme, req)
	}
	return printRaw(cmd.OutOrStdout(), req)
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

// sampleTime tells a sample from the one before, which would be its copy. No byte of it
// is escaped in a form.
const sampleTime = "2006-01-02T150405.000000000Z"

// Request makes a request that the webhook accepts. A body that is nil is a
// small sample, or none where the method mostly has none.
func (d *Delivery) Request(table *authz.Table, now time.Time, body []byte) (*authz.Request, error) {
	hook := table.Webhook(d.Webhook)
	if hook == nil {
		return nil, fmt.Errorf("there is no webhook %q", d.Webhook)
	}
	method, path := table.Sample(d.Webhook)
	if d.Path != "" {
		path = d.Path
	}
	if path == "" {
		return nil, fmt.Errorf("the policy of webhook %q has no path, since Envoy selects it; give --path", d.Webhook)
	}
	contentType := "application/json"
	if hook.WantsForm() {
		contentType = "application/x-www-form-urlencoded"
	}
	switch {
	case body != nil || mostlyEmpty(authz.View(method)):
	case hook.WantsForm():
		body = []byte("hello=hookbastion&at=" + now.UTC().Format(sampleTime))
	default:
		body = []byte(`{"hello":"hookbastion","at":"` + now.UTC().Format(sampleTime) + `"}`)
	}
	req := &authz.Request{Method: authz.View(method), Path: authz.View(path), Host: authz.View(d.Host)}
	if len(body) > 0 || !mostlyEmpty(req.Method) {
		req.Set("content-type", contentType)
	}
	if len(body) > 0 {
		req.Body.Segments = [][]byte{body}
	}
	signing := authz.Signing{KeyID: d.KeyID, Now: now, NewID: rand.Text, Tenant: table.Tenant(d.Webhook, string(req.PathOnly()))}
	if d.Key != "" {
		text, err := (secret.Ref{File: d.Key}).Load()
		if err != nil {
			return nil, err
		}
		signing.X5C = jose.X5C(text.Reveal())
		if signing.Private, err = publickey.ReadPrivate(text.Reveal()); err != nil {
			signing.Secret = text // which is then a token
		}
	}
	if d.Handshake != "" {
		proven, err := d.shake(hook, req, signing)
		if err != nil || !proven {
			return req, err
		}
	}
	err := hook.Sign(req, signing)
	if errors.Is(err, authz.ErrNoKey) && len(body) == 0 && mostlyEmpty(req.Method) {
		err = fmt.Errorf("%w, or what it signs is not in the request; give --path with a query, or --body", err)
	}
	if tenant := (*authz.NoTenantError)(nil); d.Path == "" && errors.As(err, &tenant) {
		err = fmt.Errorf("%w; give --path with a tenant that has a secret", err)
	}
	return req, err
}

// shake makes the request a handshake of the webhook.
func (d *Delivery) shake(hook *authz.Webhook, req *authz.Request, with authz.Signing) (proven bool, err error) {
	if hook.Handshakes == nil {
		return false, fmt.Errorf("webhook %q answers no handshake", d.Webhook)
	}
	names, name := hook.Handshakes.Names(), d.Handshake
	if name == firstHandshake {
		name = names[0]
	}
	req.Headers = nil
	proven, ok := hook.Handshakes.Request(name, req, with)
	if !ok {
		return false, fmt.Errorf("webhook %q answers no handshake %q, but %s", d.Webhook, name, strings.Join(names, ", "))
	}
	return proven, nil
}

// printRaw writes the request as explain reads it.
func printRaw(w io.Writer, req *authz.Request) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", req.Method, req.Path, req.Host)
	for _, h := range req.Headers {
		fmt.Fprintf(&b, "%s: %s\r\n", h.Name, h.Value)
	}
	if req.Body.Len() > 0 || !mostlyEmpty(req.Method) {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", req.Body.Len())
	}
	b.WriteString("\r\n")
	for _, segment := range req.Body.Segments {
		b.Write(segment)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// PrintCurl writes a command line for a POSIX shell, with more options if given. The
// scheme is http or https.
func PrintCurl(w io.Writer, scheme string, req *authz.Request, options ...string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "curl -sS -i -X %s", req.Method)
	for _, option := range options {
		fmt.Fprintf(&b, " %s", shellQuote(option))
	}
	for _, h := range req.Headers {
		fmt.Fprintf(&b, " -H %s", shellQuote(string(h.Name)+": "+string(h.Value)))
	}
	body := bytes.Join(req.Body.Segments, nil)
	if bytes.IndexByte(body, 0) >= 0 {
		return fmt.Errorf("a body with a NUL byte cannot stand on a command line; use --format http")
	}
	if len(body) > 0 || !mostlyEmpty(req.Method) {
		fmt.Fprintf(&b, " --data-binary %s", shellQuote(string(body)))
	}
	fmt.Fprintf(&b, " %s\n", shellQuote(scheme+"://"+string(req.Host)+string(req.Path)))
	_, err := io.WriteString(w, b.String())
	return err
}

// shellQuote makes one word of any text without a NUL.
func shellQuote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// mostlyEmpty reports whether requests with a method mostly have no body, and
// then no Content-Length.
func mostlyEmpty(method authz.View) bool {
	switch string(method) {
	case http.MethodGet, http.MethodHead, http.MethodDelete, http.MethodOptions, http.MethodTrace:
		return true
	default:
		return false
	}
}
