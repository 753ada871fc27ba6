package explain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/envoy/telemetry/record"
)

// decisionOptions say of which decision is asked, and who knows of it.
type decisionOptions struct {
	id    string
	files []string
	admin cli.Admin
}

func (o *decisionOptions) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.id, "decision", "", "say what is known of the decision of this id, in place of a request (default: none)")
	cmd.Flags().StringArrayVar(&o.files, "records", nil, "file with decision records in which to look for --decision, - for standard input; may be repeated (default: none)")
	o.admin.AddFlags(cmd, "", "address of the service's admin listener, to ask for --decision, or what was delivered before with the content of a captured request (default: none)")
}

// check looks for what cannot be meant together.
func (o *decisionOptions) check(files []string) error {
	switch asked := len(o.files) > 0 || o.admin.URL != ""; {
	case o.id == "" && len(o.files) > 0:
		return errors.New("--records is for --decision: give it")
	case o.id == "" && asked && len(files) == 0:
		return errors.New("--admin is for --decision or a captured request: give one")
	case o.id == "":
		return nil
	case len(files) > 0:
		return errors.New("give a captured request or --decision, not both")
	case len(o.files) > 0 == (o.admin.URL != ""):
		return errors.New("--decision needs --records or --admin, and not both")
	default:
		return nil
	}
}

// run says what is known of the decision.
func (o *decisionOptions) run(cmd *cobra.Command, output string) error {
	known, err := o.find(cmd.Context(), cmd.InOrStdin(), cmd.ErrOrStderr())
	if known == nil {
		return err
	}
	if output == "json" {
		if failed := cli.PrintJSON(cmd.OutOrStdout(), known); failed != nil {
			return failed
		}
	} else {
		printDecision(cmd.OutOrStdout(), known)
	}
	if err == nil && known.Verdict != authz.Allow.String() {
		return cli.Denied
	}
	return err
}

// find returns the decision. Beside it there may be an error: lines that are no records.
func (o *decisionOptions) find(ctx context.Context, stdin io.Reader, w io.Writer) (known *record.Record, err error) {
	if o.admin.URL != "" {
		return o.admin.Decision(ctx, o.id)
	}
	var leftOut int64
	err = cli.ReadRecords(stdin, w, o.files, func(r *record.Record) error {
		if leftOut += r.LeftOut; r.DecisionID == o.id {
			known = r.Clone()
		}
		return nil
	})
	if known != nil || err != nil {
		return known, err
	}
	if leftOut > 0 {
		return nil, fmt.Errorf("no record of decision %.64q; %d decisions have none in these files, and the service itself may still know of it: ask with --admin", o.id, leftOut)
	}
	return nil, fmt.Errorf("no record of decision %.64q", o.id)
}

// printDecision writes everything that is known.
func printDecision(w io.Writer, r *record.Record) {
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "  %-12s %s\n", name, cli.Printable(value))
		}
	}
	fmt.Fprintf(w, "%s: %s, status %d", cli.Printable(r.Verdict), cli.Printable(r.Reason), r.Status)
	if r.Mode == "SHADOW" && r.Verdict != authz.Allow.String() {
		fmt.Fprint(w, ", and forwarded: the webhook is in SHADOW mode")
	}
	fmt.Fprintln(w)
	for i, c := range r.Checks {
		branch := "├─"
		if i == len(r.Checks)-1 {
			branch = "└─"
		}
		fmt.Fprintf(w, "%s %s: %s\n", branch, cli.Printable(c.Check), cli.Printable(c.Reason))
	}
	line("time", r.Time.UTC().Format(time.RFC3339Nano))
	line("decision", r.DecisionID)
	line("webhook", r.Webhook)
	line("tenant", r.Tenant)
	line("provider", r.Provider)
	line("key", r.KeyID)
	line("replay", r.Replay)
	line("unverified", r.Unverified)
	line("handshake", r.Handshake)
	line("told", r.Told)
	line("source", r.Source)
	line("request", strings.TrimSpace(r.Method+" "+r.Path))
	line("body", fmt.Sprintf("%d bytes", r.BodyBytes))
	if r.SkewMS != nil {
		line("skew", (time.Duration(*r.SkewMS) * time.Millisecond).String())
	}
	line("request id", r.RequestID)
	if r.EventIDUnsigned {
		line("event id", r.EventID+" (unsigned)")
	} else {
		line("event id", r.EventID)
	}
	line("trace", r.TraceID)
	line("took", (time.Duration(r.DurationUS) * time.Microsecond).String())
	line("policy", r.PolicyDigest)
	line("replica", r.Replica)
	if r.Redeliver != "" {
		fmt.Fprintln(w, "A copy of it may pass once: hookbastion redeliver --decision", cli.Printable(r.DecisionID))
	}
}
