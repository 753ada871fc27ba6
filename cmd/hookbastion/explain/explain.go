// Package explain is the subcommand explain: what becomes of one captured
// request, and why.
package explain

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/capture"
	"github.com/hookbastion/hookbastion/authz/signature/cause"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/policy/provider"
)

func New() *cobra.Command {
	var o explainOptions
	cmd := &cobra.Command{
		Use:   "explain --policy DIR FILE|- | --decision ID {--admin URL | --records FILE}",
		Short: "Decide one captured HTTP/1.1 request and say why",
		Long: "Decide one captured HTTP/1.1 request and say why: request line, headers, an empty\n" +
			"line, then the body to the end of the file as it is.\n" +
			"One that the service has captured (docs/capture.md) is decrypted with --identity, and says\n" +
			"itself when and from where it came. With --admin: what the service decided about the same\n" +
			"content before.\n" +
			"With --decision: say what is known of a decision that was made, from decision records or\n" +
			"from a running service. A captured request tells more, since no record has the request.\n\n" +
			"Exits 0 for allow, 1 for deny, 2 if something cannot be read, 3 if the policy is invalid.",
		Example: "  hookbastion explain --policy policies --now 2026-11-24T10:00:03Z delivery.http\n" +
			"  hookbastion explain --policy policies --source-ip 203.0.113.9 --show-content --output json delivery.http\n" +
			"  hookbastion explain --decision 9c1185a5c5e9fc54612808977ee8f548 --records records.json",
		Args: func(cmd *cobra.Command, args []string) error {
			if err := o.decision.check(args); err != nil || o.decision.id != "" {
				return err
			}
			return cli.Needs(1, 1, "a file with a captured request, or - for standard input")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cli.OneOf("--output", o.output, "text", "json"); err != nil {
				return err
			}
			if o.decision.id != "" {
				return o.decision.run(cmd, o.output)
			}
			return o.run(cmd, args[0])
		},
	}
	o.policies.AddFlags(cmd)
	cmd.Flags().StringVar(&o.now, "now", "", "the time of the request, RFC 3339 or Unix seconds (default: now)")
	cmd.Flags().StringVar(&o.source, "source-ip", "", "the sender's address (default: unknown)")
	cmd.Flags().StringVar(&o.scheme, "scheme", "https", "http or https")
	cmd.Flags().StringVar(&o.webhook, "webhook", "", "the webhook that Envoy's route names with hookbastion.webhook (default: none, and host and path decide)")
	cmd.Flags().BoolVar(&o.content, "show-content", false, "show all of the content that is signed, and not the body's length and digest alone (default: false)")
	cmd.Flags().StringVar(&o.identity, "identity", "", "file with an identity of age, for a request that the service has captured (default: none)")
	cmd.Flags().StringVar(&o.output, "output", "text", "text or json")
	o.decision.addFlags(cmd)
	return cmd
}

type explainOptions struct {
	policies                    cli.Policies
	now, source, scheme, output string
	webhook                     string
	content                     bool
	identity                    string
	schemeGiven                 bool
	facts                       *capture.Facts // of a capture that the service made; nil: none
	decision                    decisionOptions
}

func (o *explainOptions) run(cmd *cobra.Command, file string) error {
	o.schemeGiven = cmd.Flags().Changed("scheme")
	req, raw, err := o.request(cmd.InOrStdin(), file)
	if err != nil {
		return err
	}
	now, err := cli.ParseNow(o.now)
	if err != nil {
		return err
	}
	table, keys, err := o.policies.Keys()
	if err != nil {
		return err
	}
	s, err := o.policies.Settings()
	if err != nil {
		return err
	}
	warnings := cli.AsEnvoyShows(table, req, s.Mapping)
	var d authz.Decision
	e := decide(table, req, now, &d)
	if names := namedOnly(table); e.Reason == authz.NoWebhook.String() && o.webhook == "" && len(names) > 0 {
		warnings = append(warnings, "Envoy's routes select webhooks, too; say with --webhook which: "+strings.Join(names, ", "))
	}
	if d.Reason == authz.SignatureInvalid {
		warnings = append(warnings, compressedHint(table, req, s.Mapping, now)...)
	}
	if e.Causes, err = causes(table, req, &d, keys, now); err != nil {
		return err
	}
	e.Limit = limitHit(&d, req, s.Mapping.MaxRequestBytes, now)
	if d.Webhook != nil && (o.content || d.Reason == authz.SignatureInvalid) {
		e.Signed = contentOf(d.Webhook, req, callOf(d.Webhook, req, now, d.Tenant), o.content)
	}
	e.Warnings = append(e.Warnings, warnings...)
	e.Warnings = append(e.Warnings, cli.WeakWarnings(keys, e.Webhook, string(table.Lookup(req).Tenant))...)
	o.hint(e, req)
	if o.decision.admin.URL != "" {
		if e.Delivered, err = o.ask(cmd.Context(), raw); err != nil {
			return err
		}
	}
	o.captured(e)
	if o.output == "json" {
		err = cli.PrintJSON(cmd.OutOrStdout(), e)
	} else {
		e.print(cmd.OutOrStdout())
	}
	if err == nil && e.Verdict != authz.Allow.String() {
		return cli.Denied
	}
	return err
}

// request reads a captured request, and returns its text as well.
func (o *explainOptions) request(stdin io.Reader, file string) (*authz.Request, []byte, error) {
	data, err := cli.ReadInput(stdin, file)
	if err != nil {
		return nil, nil, err
	}
	if data, err = o.decrypted(data); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	req, err := capture.Parse(data)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	o.asCaptured(req)
	if err := cli.OneOf("--scheme", o.scheme, "http", "https"); err != nil {
		return nil, nil, err
	}
	req.Scheme, req.Webhook = authz.View(o.scheme), authz.View(o.webhook)
	req.Transport.TLS = o.scheme == "https" // who asks says so
	if o.source != "" {
		addr, err := netip.ParseAddr(o.source)
		if err != nil {
			return nil, nil, fmt.Errorf("--source-ip must be an address, not %q", o.source)
		}
		req.Source = addr.Unmap().WithZone("")
	}
	return req, data, nil
}

// explained is what `explain --output json` prints.
type explained struct {
	Verdict string `json:"verdict"`
	Reason  string `json:"reason"`
	Status  int    `json:"status"`
	Webhook string `json:"webhook"`
	KeyID   string `json:"key_id"`
	// Handshake names the handshake that the request is, right or wrong.
	Handshake string          `json:"handshake,omitempty"`
	Checks    []explainedItem `json:"checks"`
	Warnings  []string        `json:"warnings"`
	// Causes are mistakes that fit a signature that does not hold, or a time that is refused.
	Causes []cause.Cause `json:"causes,omitempty"`
	// Limit is the bound that was met, Signed the content that a signature should be over.
	Limit    *limit    `json:"limit,omitempty"`
	Signed   *signed   `json:"signed,omitempty"`
	Response *response `json:"response,omitempty"`
	// Delivered is what a running service knows, where it was asked.
	Delivered *delivered `json:"delivered,omitempty"`
}

type explainedItem struct {
	Check    string `json:"check"`
	Reason   string `json:"reason"`
	Expected string `json:"expected"`
	Found    string `json:"found"`
}

// response is what the caller gets where the request is not forwarded.
type response struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

func decide(table *authz.Table, req *authz.Request, now time.Time, d *authz.Decision) *explained {
	explanation := &authz.Explanation{}
	table.DecideExplained(context.Background(), req, now, d, explanation)
	e := &explained{
		Verdict: d.Verdict.String(), Reason: d.Reason.String(), Status: http.StatusOK,
		KeyID: d.KeyID, Checks: []explainedItem{}, Warnings: []string{},
	}
	for _, f := range explanation.Findings {
		e.Checks = append(e.Checks, explainedItem{f.Check, f.Reason.String(), f.Expected, f.Found})
	}
	if len(e.Checks) == 0 {
		e.Checks = append(e.Checks, matchFinding(d, req))
	}
	if d.Webhook != nil {
		e.Webhook, e.Handshake = d.Webhook.Name, d.Handshake
		if d.Webhook.Shadow && d.Verdict != authz.Allow {
			e.Warnings = append(e.Warnings, "the webhook is in SHADOW mode: the request is forwarded all the same")
		}
	}
	if hint := otherProvider(d, req); hint != "" {
		e.Warnings = append(e.Warnings, hint)
	}
	if !d.Forward() {
		e.Status = d.Status()
		denial := envoy.NewDenial(d, "explained")
		e.Response = &response{Status: denial.Status, Headers: map[string]string{}, Body: denial.Body}
		for _, h := range denial.Headers {
			e.Response.Headers[h.Name] = h.Value
		}
	}
	return e
}

// otherProvider says whose delivery a request looks like, where it lacks what
// the webhook asks for.
func otherProvider(d *authz.Decision, req *authz.Request) string {
	switch d.Reason {
	case authz.SignatureMissing, authz.TokenMissing, authz.NoWebhook:
	default:
		return ""
	}
	nearest, err := provider.Nearest(func(name string) bool {
		_, count := req.Headers.Lookup(name)
		return count > 0
	})
	if err != nil || len(nearest) == 0 || d.Webhook != nil && slices.Contains(nearest, d.Webhook.Provider) {
		return ""
	}
	const most = 5
	if len(nearest) > most {
		nearest = append(nearest[:most:most], fmt.Sprintf("%d others", len(nearest)-most))
	}
	return "the headers look like a delivery of " + strings.Join(nearest, " or ")
}

// matchFinding explains why no webhook was asked.
func matchFinding(d *authz.Decision, req *authz.Request) explainedItem {
	item := explainedItem{Check: "match", Reason: d.Reason.String(), Found: fmt.Sprintf("%.100q on host %.100q", req.Path, req.Host)}
	switch d.Reason {
	case authz.MethodNotAllowed:
		item.Expected, item.Found = "method "+d.AllowedMethods, fmt.Sprintf("%.20q", req.Method)
	case authz.MalformedRequest:
		item.Expected, item.Found = "one well-formed request", "a Content-Length that is not one number"
	default:
		item.Expected = "a webhook with this host and path"
	}
	return item
}

// printAnswer writes what a handshake is answered.
func (e *explained) printAnswer(w io.Writer) {
	fmt.Fprintf(w, "answer:\n   %d\n", e.Response.Status)
	for _, name := range slices.Sorted(maps.Keys(e.Response.Headers)) {
		fmt.Fprintf(w, "   %s: %s\n", name, e.Response.Headers[name])
	}
	if e.Response.Body != "" {
		fmt.Fprintf(w, "\n   %s\n", e.Response.Body)
	}
}

func (e *explained) print(w io.Writer) {
	fmt.Fprintf(w, "%s: %s", e.Verdict, e.Reason)
	if e.Response != nil {
		fmt.Fprintf(w, ", status %d", e.Status)
	}
	fmt.Fprintln(w)
	if e.Webhook != "" {
		fmt.Fprintf(w, "webhook %s", e.Webhook)
		if e.KeyID != "" {
			fmt.Fprintf(w, ", key %s", e.KeyID)
		}
		if e.Handshake != "" {
			fmt.Fprintf(w, ", handshake %s", e.Handshake)
		}
		fmt.Fprintln(w)
	}
	for i, c := range e.Checks {
		branch, stem := "├─", "│ "
		if i == len(e.Checks)-1 {
			branch, stem = "└─", "  "
		}
		fmt.Fprintf(w, "%s %s: %s\n", branch, c.Check, c.Reason)
		if c.Expected != "" {
			fmt.Fprintf(w, "%s    expected  %s\n%s    found     %s\n", stem, c.Expected, stem, c.Found)
		}
	}
	if e.Reason == authz.Handshake.String() && e.Response != nil {
		e.printAnswer(w)
	}
	if e.Signed != nil {
		e.Signed.print(w)
	}
	if e.Limit != nil {
		fmt.Fprintf(w, "limit: %s is %s; found %s\n", e.Limit.Name, e.Limit.Value, e.Limit.Found)
	}
	for _, c := range e.Causes {
		fmt.Fprintf(w, "cause: %s (%s)\n    %s\n", cli.Printable(c.Says), c.ID, cli.Printable(c.Mend))
	}
	if e.Delivered != nil {
		e.Delivered.print(w)
	}
	for _, warning := range e.Warnings {
		fmt.Fprintln(w, "warning:", warning)
	}
}
