package serve

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/ranges"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/serve/console"
	"github.com/hookbastion/hookbastion/envoy/captures"
	"github.com/hookbastion/hookbastion/envoy/telemetry/recent"
	"github.com/hookbastion/hookbastion/policy/watermark"
)

// admin is the listener of operators: an interface for programs below /api/v1, profiles below
// /debug/pprof, and the pages of the console. It is not there unless the settings ask for it.
type admin struct {
	facts   facts
	settler *replay.Settler
	log     *slog.Logger
	access  *access
	// process tells cursors of this process from those of an earlier one.
	process  string
	mux      *http.ServeMux
	pages    *console.Console        // nil: none
	inForce  func() []settings.Value // nil: none were read
	server   *http.Server
	listener net.Listener
}

// facts are what operators ask for.
type facts interface {
	// Keys says which keys have matched.
	Keys() cli.LiveKeys
	// Webhooks are those that have nonces, by the names under which these are
	// kept.
	Webhooks() map[string]watermark.Kept
	// Policy is by what is decided now.
	Policy() console.Policy
	// Ranges are the lists of addresses that policies name.
	Ranges() []*ranges.List
	// Anomalies are the alarms of the monitor.
	Anomalies() Anomalies
	// Decisions are the last ones.
	Decisions() *recent.Ring
	// Captures are of denied requests; nil: none are kept.
	Captures() *captures.Keeper
	// Table is by what is decided now.
	Table() *authz.Table
}

func newAdmin(s *settings.Settings, settler *replay.Settler, known facts, log *slog.Logger) (*admin, error) {
	who, err := newAccess(&s.Admin, log)
	if err != nil {
		return nil, err
	}
	a := &admin{facts: known, settler: settler, log: log, access: who, process: strconv.FormatInt(time.Now().UnixNano(), 36), mux: http.NewServeMux()}
	mux := a.mux
	mux.HandleFunc("POST /api/v1/redeliver", a.redeliver)
	mux.HandleFunc("GET /api/v1/keys", a.listKeys)
	mux.HandleFunc("GET /api/v1/webhooks", a.listWebhooks)
	mux.HandleFunc("GET /api/v1/policy", a.showPolicy)
	mux.HandleFunc("GET /api/v1/ranges", a.listRanges)
	mux.HandleFunc("GET /api/v1/ranges/{name}", a.showRange)
	mux.HandleFunc("POST /api/v1/ranges/accept", a.acceptRange)
	mux.HandleFunc("GET /api/v1/anomalies", a.listAnomalies)
	mux.HandleFunc("GET /api/v1/decisions", a.listDecisions)
	mux.HandleFunc("GET /api/v1/decisions/{id}", a.showDecision)
	mux.HandleFunc("GET /api/v1/captures", a.listCaptures)
	mux.HandleFunc("GET /api/v1/captures/{id}", a.showCapture)
	mux.HandleFunc("POST "+deliveredPath, a.delivered)
	a.diagnose(mux)
	a.server = &http.Server{
		Handler: who.guard(mux), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	return a, nil
}

// show adds the pages.
func (a *admin) show(pages *console.Console) {
	a.pages = pages
	a.mux.Handle("/", pages)
}

// follow counts for the pages until the context ends.
func (a *admin) follow(ctx context.Context) {
	if a.pages != nil {
		a.pages.Run(ctx)
	}
}

func (a *admin) listen(address string) (err error) {
	if address != "" {
		a.listener, err = net.Listen("tcp", address)
	}
	return err
}

// address is where it listens; empty if it does not.
func (a *admin) address() string {
	if a.listener == nil {
		return ""
	}
	return a.listener.Addr().String()
}

func (a *admin) serve() error {
	if err := a.server.Serve(a.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (a *admin) stop() { _ = a.server.Close() } // requests are short

// listKeys says when each key has matched.
func (a *admin) listKeys(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(a.facts.Keys()) // the client is gone
}

// showPolicy says by what is decided, and what is weak in it.
func (a *admin) showPolicy(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(a.facts.Policy()) // the client is gone
}

// listWebhooks says which webhooks have nonces.
func (a *admin) listWebhooks(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(a.facts.Webhooks()) // the client is gone
}

// clientName is a name of the certificate that the client showed; empty if it
// showed none.
func clientName(r *http.Request) string {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return ""
	}
	shown := r.TLS.PeerCertificates[0]
	switch {
	case len(shown.URIs) > 0:
		return shown.URIs[0].String()
	case len(shown.DNSNames) > 0:
		return shown.DNSNames[0]
	default:
		return "number " + shown.SerialNumber.String()
	}
}

// mayOperate reports whether a request may change something, and answers it if not. A
// form of a page has another content type, which a browser sends without asking.
func (a *admin) mayOperate(w http.ResponseWriter, r *http.Request) bool {
	if a.access.of(r) < toOperate {
		http.Error(w, "forbidden: this token or certificate may read, and no more", http.StatusForbidden)
		return false
	}
	if media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media != "application/json" {
		http.Error(w, "the content type must be application/json", http.StatusUnsupportedMediaType)
		return false
	}
	return true
}

// redeliver lets the next copy of what a decision refused through, once.
func (a *admin) redeliver(w http.ResponseWriter, r *http.Request) {
	if !a.mayOperate(w, r) {
		return
	}
	var wanted struct {
		Decision string `json:"decision"`
		Ticket   string `json:"redeliver"`
	}
	if err := json.NewDecoder(r.Body).Decode(&wanted); err != nil || (wanted.Decision == "") == (wanted.Ticket == "") {
		http.Error(w, `the body must be {"decision": "…"}, or {"redeliver": "…"} with that of a decision record`, http.StatusBadRequest)
		return
	}
	answer, status, problem := a.permit(r, wanted.Decision, wanted.Ticket)
	if problem != "" {
		http.Error(w, problem, status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // the client is gone
}

// permitted is what the answer says of a copy that may pass.
type permitted struct {
	Decision string `json:"decision"`
	Webhook  string `json:"webhook"`
	Seconds  int    `json:"seconds"`
}

// permit lets the next copy through of what a decision refused, which is named by its id
// or by the ticket of its record. It returns a status and, if none may pass, why.
func (a *admin) permit(r *http.Request, decision, ticket string) (p permitted, status int, problem string) {
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	var webhook string
	var err error
	if ticket != "" {
		webhook, decision, err = a.settler.RedeliverTicket(ctx, ticket, time.Now())
	} else {
		webhook, err = a.settler.Redeliver(ctx, decision, time.Now())
	}
	switch {
	case err != nil:
		return p, http.StatusServiceUnavailable, "the nonce store does not answer"
	case webhook == "":
		return p, http.StatusNotFound, "no refused copy is known by this, or it would not be a copy any more; another replica's or an older refusal is known by its record"
	}
	a.log.Info("a copy may pass once", "decision", decision, "webhook", webhook, "by", r.RemoteAddr, "certificate", clientName(r))
	return permitted{decision, webhook, int(replay.PermitTime.Seconds())}, http.StatusOK, ""
}
