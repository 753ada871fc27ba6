package serve

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/capture"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/envoy/captures"
	"github.com/hookbastion/hookbastion/envoy/telemetry/recent"
	"github.com/hookbastion/hookbastion/envoy/telemetry/record"
)

// keepCaptures keeps denied requests, if the settings say for whom.
func keepCaptures(s *settings.Settings, log *slog.Logger) *captures.Keeper {
	if s.Capture == nil {
		return nil
	}
	log.Info("some denied requests are kept in memory, encrypted", "recipients", len(s.Capture.Recipients), "keep", s.Capture.Keep, "interval", s.Capture.Every)
	return captures.New(*s.Capture)
}

// Captures are of denied requests.
func (c *counted) Captures() *captures.Keeper { return c.captures }

// Table is by what is decided now.
func (c *counted) Table() *authz.Table { return c.watcher.Table() }

// listCaptures says which denied requests are kept.
func (a *admin) listCaptures(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	answer := cli.Captures{On: a.facts.Captures() != nil, Captures: a.facts.Captures().List(time.Now())}
	_ = json.NewEncoder(w).Encode(answer) // the client is gone
}

// showCapture answers with one of them, a file of age. Each is logged.
func (a *admin) showCapture(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	data, ok := a.facts.Captures().Get(id, time.Now())
	if !ok {
		http.Error(w, "no capture of this decision is kept by this replica: hookbastion capture lists those that are", http.StatusNotFound)
		return
	}
	a.log.Info("a captured request is handed out, encrypted", "decision", id, "by", r.RemoteAddr, "certificate", clientName(r))
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(data) // the client is gone
}

// deliveredPath is where one asks what was delivered before.
const deliveredPath = "/api/v1/delivered"

// maxAsked is the size in bytes of the largest request that can be asked for: 24 MiB, in
// base64.
const maxAsked = 32 << 20

// maxDelivered is how many decisions one answer has.
const maxDelivered = 100

// delivered says what is known of earlier decisions about the content of a request: the body
// has the raw request. Who may ask could ask the webhook as well, but for the nonce, which
// this leaves as it is; so it is for operators.
func (a *admin) delivered(w http.ResponseWriter, r *http.Request) {
	if !a.mayOperate(w, r) {
		return
	}
	var asked cli.AskDelivered
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		http.Error(w, `the body must be {"request": "…"}, a raw HTTP/1.1 request in base64, of at most 24 MiB`, http.StatusBadRequest)
		return
	}
	req, err := capture.Parse(asked.Request)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	capture.TakeFacts(req)
	req.Webhook, req.Scheme, req.Transport.TLS = authz.View(asked.Webhook), authz.View("https"), true
	if asked.Scheme == "http" {
		req.Scheme, req.Transport.TLS = authz.View("http"), false
	}
	proven := a.facts.Table().Prove(r.Context(), req, time.Now())
	answer := cli.Delivered{Holds: proven.Holds, Reason: proven.Reason.String(), Known: !proven.Fingerprint.IsZero(), Decisions: []record.Record{}}
	if proven.Webhook != nil {
		answer.Webhook = proven.Webhook.Name
	}
	if answer.Known {
		page := a.facts.Decisions().Query(recent.Query{Content: proven.Fingerprint, Limit: maxDelivered})
		answer.Decisions = append(answer.Decisions, page.Decisions...)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // the client is gone
}
