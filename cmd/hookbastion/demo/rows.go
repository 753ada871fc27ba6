package demo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/sample"
	"github.com/hookbastion/hookbastion/envoy"
)

// row is one request of the demo and what must become of it.
type row struct {
	name    string
	webhook string
	// age is how long ago it was signed.
	age time.Duration
	// wrongSecret signs with another secret.
	wrongSecret bool
	// again sends the request of the row with this name once more.
	again string
	// change alters the signed request.
	change func(*authz.Request)
	status int
	reason authz.Reason
	// byEnvoy says that Envoy itself refuses it, before it asks.
	byEnvoy bool
}

// result is what became of a row.
type result struct {
	Name       string  `json:"name"`
	Verdict    string  `json:"verdict"`
	Status     int     `json:"status"`
	Reason     string  `json:"reason"`
	LatencyMS  float64 `json:"latency_ms"`
	AsExpected bool    `json:"as_expected"`
	Problem    string  `json:"problem,omitempty"`

	decisionID string
}

func demoRows() []row {
	return []row{
		{name: "GitHub delivery", webhook: "github", status: 200, reason: authz.OK},
		{name: "Stripe delivery", webhook: "stripe", status: 200, reason: authz.OK},
		{name: "Slack delivery", webhook: "slack", status: 200, reason: authz.OK},
		{name: "Standard Webhooks delivery", webhook: "standard-webhooks", status: 200, reason: authz.OK},
		{name: "tampered body", webhook: "stripe", change: tamperBody, status: 400, reason: authz.SignatureInvalid},
		{name: "wrong secret", webhook: "github", wrongSecret: true, status: 401, reason: authz.SignatureInvalid},
		{name: "no signature", webhook: "github", change: drop("x-hub-signature-256"), status: 401, reason: authz.SignatureMissing},
		{name: "signed ten minutes ago", webhook: "slack", age: 10 * time.Minute, status: 401, reason: authz.TimestampTooOld},
		{name: "signed ten minutes ahead", webhook: "stripe", age: -10 * time.Minute, status: 400, reason: authz.TimestampInFuture},
		{name: "old delivery with a new time", webhook: "slack", age: 10 * time.Minute, change: restamp, status: 401, reason: authz.SignatureInvalid},
		{name: "exact copy", again: "Stripe delivery", status: 409, reason: authz.Replayed},
		{name: "copy with another delivery id", again: "GitHub delivery", change: set("x-github-delivery", "00000000-0000-4000-8000-000000000000"), status: 409, reason: authz.Replayed},
		{name: "copy with a signature added", again: "Standard Webhooks delivery", change: addSignature, status: 409, reason: authz.Replayed},
		{name: "signature cut short", webhook: "github", change: cutSignature, status: 401, reason: authz.SignatureMalformed},
		{name: "signature header twice", webhook: "github", change: double("x-hub-signature-256"), status: 401, reason: authz.SignatureMalformed},
		{name: "body over Envoy's limit", webhook: "github", change: oversize, status: 413, byEnvoy: true},
		{name: "forged X-Forwarded-For", webhook: "partner", change: set("x-forwarded-for", "203.0.113.7"), status: 403, reason: authz.SourceDenied},
		{name: "unsigned, forged verified header", webhook: "github", change: forgeVerified, status: 401, reason: authz.SignatureMissing},
		{name: "signed, forged headers of ours", webhook: "github", change: forgeOwn, status: 200, reason: authz.OK},
		{name: "unknown path", webhook: "github", change: path("/webhooks/unknown"), status: 404, reason: authz.NoWebhook},
		{name: "path that two parsers read apart", webhook: "github", change: path("/x/..%2fwebhooks/github"), status: 404, reason: authz.NoWebhook},
		{name: "wrong method", webhook: "github", change: method("PUT"), status: 405, reason: authz.MethodNotAllowed},
	}
}

func tamperBody(r *authz.Request) {
	body := bytes.Clone(bytes.Join(r.Body.Segments, nil))
	body[len(body)/2] ^= 1
	r.Body.Segments = [][]byte{body}
}

func drop(name string) func(*authz.Request) {
	return func(r *authz.Request) {
		var kept authz.Headers
		for _, h := range r.Headers {
			if string(h.Name) != name {
				kept = append(kept, h)
			}
		}
		r.Headers = kept
	}
}

func add(r *authz.Request, name, value string) {
	r.Headers = append(r.Headers, authz.Header{Name: authz.View(name), Value: authz.View(value)})
}

func set(name, value string) func(*authz.Request) {
	return func(r *authz.Request) { drop(name)(r); add(r, name, value) }
}

func double(name string) func(*authz.Request) {
	return func(r *authz.Request) {
		value, _ := r.Headers.Lookup(name)
		add(r, name, string(value))
	}
}

func restamp(r *authz.Request) {
	set("x-slack-request-timestamp", fmt.Sprint(time.Now().Unix()))(r)
}

func addSignature(r *authz.Request) {
	value, _ := r.Headers.Lookup("webhook-signature")
	set("webhook-signature", "v1,"+strings.Repeat("A", 43)+"= "+string(value))(r)
}

func cutSignature(r *authz.Request) {
	value, _ := r.Headers.Lookup("x-hub-signature-256")
	set("x-hub-signature-256", string(value[:len(value)-2]))(r)
}

func oversize(r *authz.Request) { r.Body.Segments = [][]byte{make([]byte, 1<<20+1)} }

func forgeVerified(r *authz.Request) {
	drop("x-hub-signature-256")(r)
	add(r, envoy.HeaderVerified, "signature")
}

func forgeOwn(r *authz.Request) {
	add(r, envoy.HeaderVerified, "forged")
	add(r, envoy.HeaderTenant, "forged")
	add(r, "x-hookbastion-anything", "forged")
}

func path(p string) func(*authz.Request) { return func(r *authz.Request) { r.Path = authz.View(p) } }

func method(m string) func(*authz.Request) {
	return func(r *authz.Request) { r.Method = authz.View(m) }
}

// send sends all rows, one after the other.
func (d *demo) send(ctx context.Context, rows []row) []result {
	sent := map[string]*authz.Request{}
	var results []result
	for i, r := range rows {
		req, err := d.request(r, i, sent)
		if err != nil {
			results = append(results, result{Name: r.name, Problem: err.Error()})
			continue
		}
		sent[r.name] = req
		results = append(results, d.sendOne(ctx, r, req))
	}
	return results
}

func (d *demo) request(r row, i int, sent map[string]*authz.Request) (*authz.Request, error) {
	var req *authz.Request
	if r.again != "" {
		again := *sent[r.again]
		again.Headers = append(authz.Headers{}, again.Headers...)
		req = &again
	} else {
		table := d.table
		if r.wrongSecret {
			table = d.wrong
		}
		body := fmt.Appendf(nil, `{"event":"demo","number":%d}`, i)
		var err error
		if req, err = (&sample.Delivery{Webhook: r.webhook, Host: d.client.Address}).Request(table, time.Now().Add(-r.age), body); err != nil {
			return nil, err
		}
	}
	if r.change != nil {
		r.change(req)
	}
	return req, nil
}

func (d *demo) sendOne(ctx context.Context, r row, req *authz.Request) result {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out := result{Name: r.name, Verdict: authz.Deny.String()}
	begin := time.Now()
	status, decisionID, err := d.client.Send(ctx, req)
	out.LatencyMS = float64(time.Since(begin).Microseconds()) / 1000
	if err != nil {
		out.Problem = err.Error()
		return out
	}
	out.Status = status
	got := d.application.Take()
	if len(got) > 0 {
		out.Verdict = authz.Allow.String()
		decisionID = got[0].Header.Get(envoy.HeaderDecisionID)
		out.Problem = upstreamProblem(got, req)
	}
	out.decisionID = decisionID
	if decisionID != "" {
		out.Reason = d.records.reason(ctx, decisionID)
	}
	want := r.reason.String()
	if r.byEnvoy {
		want = ""
	}
	out.AsExpected = out.Problem == "" && out.Status == r.status && out.Reason == want && (len(got) > 0) == r.reason.Allows()
	return out
}

// upstreamProblem compares what the application got with what was sent.
func upstreamProblem(got []sample.Arrived, req *authz.Request) string {
	switch {
	case len(got) > 1:
		return "the application got it twice"
	case !bytes.Equal(got[0].Body, bytes.Join(req.Body.Segments, nil)):
		return "the application got other bytes"
	case strings.Join(got[0].Header.Values(envoy.HeaderVerified), " ") != authz.ProofSignature.String():
		return "the application got a forged " + envoy.HeaderVerified
	case got[0].Header.Get(envoy.HeaderTenant) != "" || got[0].Header.Get("x-hookbastion-anything") != "":
		return "the application got a forged header of ours"
	}
	return ""
}

func printResults(w io.Writer, results []result) {
	fmt.Fprintf(w, "  %-34s %-8s %-7s %-20s %s\n", "what was sent", "verdict", "status", "reason", "latency")
	expected := 0
	for _, r := range results {
		sign := "✗"
		if r.AsExpected {
			sign = "✓"
			expected++
		}
		reason := r.Reason
		if reason == "" {
			reason = "- (Envoy itself)"
		}
		fmt.Fprintf(w, "%s %-34s %-8s %-7d %-20s %.1f ms\n", sign, r.Name, r.Verdict, r.Status, reason, r.LatencyMS)
		if r.Problem != "" {
			fmt.Fprintf(w, "    %s\n", r.Problem)
		}
	}
	fmt.Fprintf(w, "\n%d of %d as expected\n", expected, len(results))
}
