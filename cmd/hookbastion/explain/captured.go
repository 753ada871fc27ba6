package explain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/capture"
	"github.com/hookbastion/hookbastion/authz/files"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/envoy/telemetry/record"
)

// ageMark begins a file of age.
const ageMark = "age-encryption.org/v1\n"

// maxIdentities is the size in bytes of the largest file of identities.
const maxIdentities = 1 << 20

// decrypted is the text of a capture that the service made, or the text itself where it is
// not encrypted.
func (o *explainOptions) decrypted(data []byte) ([]byte, error) {
	var sealed io.Reader = bytes.NewReader(data)
	switch {
	case bytes.HasPrefix(data, []byte(ageMark)):
	case bytes.HasPrefix(data, []byte(armor.Header)):
		sealed = armor.NewReader(sealed)
	case o.identity != "":
		return nil, errors.New("is not encrypted, and --identity has no use")
	default:
		return data, nil
	}
	if o.identity == "" {
		return nil, errors.New("is encrypted with age: name the file with the identity of one of its recipients with --identity")
	}
	text, _, err := files.Read(o.identity, maxIdentities)
	if err != nil {
		return nil, fmt.Errorf("--identity: %s: %w", o.identity, err)
	}
	identities, err := age.ParseIdentities(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("--identity: %s has no identities of age, as age-keygen writes them", o.identity) // the error has the line
	}
	plain, err := age.Decrypt(sealed, identities...)
	if err != nil {
		return nil, fmt.Errorf("cannot be decrypted: %w", err)
	}
	return io.ReadAll(plain)
}

// asCaptured takes what a capture of the service says of its request for what the command
// line leaves open.
func (o *explainOptions) asCaptured(req *authz.Request) {
	f, ok := capture.TakeFacts(req)
	if !ok {
		return
	}
	o.facts = &f
	if o.now == "" && !f.Time.IsZero() {
		o.now = f.Time.Format(time.RFC3339Nano)
	}
	if o.source == "" && f.Source.IsValid() {
		o.source = f.Source.String()
	}
	if !o.schemeGiven && !f.TLS {
		o.scheme = "http"
	}
	if o.webhook == "" {
		o.webhook = f.Webhook
	}
}

// captured says what of the explanation rests on the capture.
func (o *explainOptions) captured(e *explained) {
	f := o.facts
	if f == nil {
		return
	}
	warn := func(format string, args ...any) { e.Warnings = append(e.Warnings, fmt.Sprintf(format, args...)) }
	warn("the request says of itself that it was captured at %s, from %s, and denied with %s in decision %s",
		f.Time.UTC().Format(time.RFC3339), orUnknown(o.source), cli.Printable(orUnknown(f.Reason)), cli.Printable(orUnknown(f.Decision)))
	if len(f.Redacted) > 0 {
		warn("taken out of it were the values of %s: what they decide cannot be seen here", cli.Printable(strings.Join(f.Redacted, ", ")))
	}
	if f.Reason == authz.Replayed.String() && e.Reason != f.Reason && e.Delivered == nil {
		warn("explain knows of no earlier delivery; ask the service with --admin what was delivered before")
	}
}

func orUnknown(text string) string {
	if text == "" {
		return "an unknown one"
	}
	return text
}

// delivered is what a running service knows of earlier decisions about the same content.
type delivered struct {
	Webhook   string          `json:"webhook"`
	Holds     bool            `json:"holds"`
	Reason    string          `json:"reason"`
	Known     bool            `json:"known"`
	Decisions []record.Record `json:"decisions"`
}

// ask asks the service what was delivered before.
func (o *explainOptions) ask(ctx context.Context, raw []byte) (*delivered, error) {
	known, err := o.decision.admin.Delivered(ctx, cli.AskDelivered{Request: raw, Webhook: o.webhook, Scheme: o.scheme})
	if err != nil {
		return nil, err
	}
	return (*delivered)(known), nil
}

// print writes what the service knows, the newest first.
func (d *delivered) print(w io.Writer) {
	switch {
	case !d.Holds:
		fmt.Fprintf(w, "the service has no such content: its own answer is %s\n", cli.Printable(d.Reason))
		return
	case !d.Known:
		fmt.Fprintln(w, "nothing signs the content, so that the service cannot tell copies of it")
		return
	case len(d.Decisions) == 0:
		fmt.Fprintln(w, "none of the last decisions of the service is about this content")
		return
	}
	fmt.Fprintln(w, "the service decided about this content before:")
	for i := range d.Decisions {
		r := &d.Decisions[i]
		fmt.Fprintf(w, "  %s %s: %s, from %s, decision %s\n", r.Time.UTC().Format(time.RFC3339Nano), cli.Printable(r.Verdict), cli.Printable(r.Reason),
			cli.Printable(orUnknown(r.Source)), cli.Printable(r.DecisionID))
	}
	if first := &d.Decisions[len(d.Decisions)-1]; first.Verdict == authz.Allow.String() {
		fmt.Fprintln(w, "  the first of them was forwarded: what has the same content is its copy, unless the application failed it")
	}
}
