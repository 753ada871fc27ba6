// Package probe attacks a running gateway with what senders of webhooks could send, and says
// what got through.
//
// For each webhook it sends one valid delivery, signed with the webhook's own secrets. What
// comes back is the measure of all that follows: the application answers like that. Then
// comes each attack of the catalogue, made from a delivery of its own, so that none is
// refused merely because it was seen before. The webhook's own policy, compiled here, says
// what must become of each: what it refuses must not pass, and what it lets in is no attack
// and is not sent. So the question is whether the gateway does what its policies say.
//
// From outside a request has got through where its answer is the application's: it is 2xx
// and bears no decision id, which every answer of the service's own has; or it bears what
// only answers of the application had until then, though the application itself refused it.
// What reached something else behind the gateway, or cannot be told, is said to be unclear
// and never to be held. A forged header of a valid delivery is seen only where the
// application repeats in its answer what it got.
//
// It does not look for what the policies themselves leave open, which package lint does, nor
// try what takes a failure of the service, hours of time or an address of somebody else. It
// proves that the attacks that it sent were held, and nothing of others.
//
// A run of one webhook sends some hundred and fifty requests at most, one after the other.
package probe

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// Gateway is what is attacked.
type Gateway struct {
	// Address is what is connected to, a host and a port.
	Address string
	// TLS is for https; nil: http. Its ServerName must be set.
	TLS *tls.Config
	// Source is the address from which the gateway sees this machine. Invalid: not known,
	// and taken for one that the policies let in.
	Source netip.Addr
	// MaxRequestBytes is what Envoy forwards to the service at most.
	MaxRequestBytes int64
	// VersionHeader is the header in which Envoy tells the TLS version; empty: none.
	VersionHeader string
	// Marker is a header that the application alone puts into its answers, as in
	// "x-app: yes"; a name alone stands for any value. Empty: nothing is known of them.
	Marker string
	// Only are the ids of the attacks to send; empty: all. Valid deliveries are always sent.
	Only []string
	// Timeout bounds each request.
	Timeout time.Duration
	// Pace waits until the next request may be sent; nil: at once.
	Pace func(context.Context) error
}

// Webhook is one whose deliveries are forged.
type Webhook struct {
	Name string
	// Policy is its policy.
	Policy *policyv1.Webhook
	// Rules is the table with the webhook that judges what is sent, in the order in which
	// it is sent. Trials judges what is never sent. Their stores are empty.
	Rules, Trials *authz.Table
	// Sign makes a delivery.
	Sign func(How) (*authz.Request, error)
	// Others are names of webhooks that Sign can sign as well.
	Others []string
	// Asks are handshakes that Asked answers.
	Asks []string
	// Public are the public keys that it is verified with, in PEM form.
	Public [][]byte
}

// How says how a delivery is made. The zero value is a valid one with a new body.
type How struct {
	// Webhook is the name of another one.
	Webhook string
	// Now is the time at which it is signed.
	Now time.Time
	// Variant signs by a variant of the webhook; empty: as it is.
	Variant Variant
	// KeyID names the key; empty: the first.
	KeyID string
	// Body is the content; nil: a sample that was never sent.
	Body []byte
	// Path and Host are where it goes; empty: those of the webhook.
	Path, Host string
	// Handshake is the name of a handshake to make in place of a delivery.
	Handshake string
}

// Variant is a webhook of which one thing is another.
type Variant string

// The variants.
const (
	// OtherSecret and OtherToken have another secret or key, or another token.
	OtherSecret Variant = "secret"
	OtherToken  Variant = "token"
	// OtherClaims asks for no claims of a token.
	OtherClaims Variant = "claims"
	// OtherURL has the public_url https://other.example.
	OtherURL Variant = "url"
	// Asked answers handshakes where the policy says OFF.
	Asked Variant = "asked"
)

// Variants are all of them.
func Variants() []Variant { return []Variant{OtherSecret, OtherToken, OtherClaims, OtherURL, Asked} }

// ErrNone says that the webhook has nothing that could be varied so.
var ErrNone = errors.New("there is no such thing")

// ErrCannot says that a delivery of this kind cannot be made.
var ErrCannot = errors.New("cannot be made, or judged")

// incapable: the reason is not the request's, but that of whoever should judge it: keys that
// the service fetches and that are not here, for instance.
func incapable(r authz.Reason) bool {
	switch r {
	case authz.KeysUnavailable, authz.StoreUnavailable, authz.ReplayUncertain, authz.NotReady, authz.Overloaded, authz.Timeout, authz.Internal, authz.Unset:
		return true
	default:
		return false
	}
}

// Verdict says what became of an attack.
type Verdict string

// The verdicts.
const (
	// Held: it was refused.
	Held Verdict = "held"
	// Passed: it got through.
	Passed Verdict = "passed"
	// Unclear: what became of it cannot be told from outside.
	Unclear Verdict = "unclear"
	// Unseen: it may pass, and what of it the application got cannot be seen from outside.
	Unseen Verdict = "unseen"
	// Allowed: the policies let it in. It was not sent.
	Allowed Verdict = "allowed"
	// Skipped: it could not be made.
	Skipped Verdict = "skipped"
	// Delivered and Refused are said of valid deliveries alone.
	Delivered Verdict = "delivered"
	Refused   Verdict = "refused"
)

// Result is what became of one attack.
type Result struct {
	Webhook string `json:"webhook"`
	// Attack is its id in the catalogue, Detail what of the request it was about.
	Attack string `json:"attack"`
	Detail string `json:"detail,omitempty"`
	Sent   string `json:"sent"`
	// Verdict, and Status of the answer; 0: there was none.
	Verdict Verdict `json:"verdict"`
	Status  int     `json:"status,omitempty"`
	// Expected is the reason for which the policies refuse it.
	Expected string `json:"expected,omitempty"`
	// Why is said where the verdict does not explain itself.
	Why string `json:"why,omitempty"`
	// DecisionID is the id by which the service has answered.
	DecisionID string `json:"decision_id,omitempty"`
	// Harm is what follows where it passed.
	Harm string `json:"harm,omitempty"`
}

// Run attacks the gateway by one webhook, and tells of each result as it comes. The error is
// that nobody answers, or the context's, or ErrCannot where nobody here can judge deliveries.
func (g *Gateway) Run(ctx context.Context, w *Webhook, tell func(Result)) error {
	s := &session{ctx: ctx, gateway: g, hook: w, tell: tell, made: map[[sha256.Size]byte]bool{}}
	if err := s.begin(); err != nil {
		return err
	}
	for i := range catalogue {
		if len(g.Only) > 0 && !slices.Contains(g.Only, catalogue[i].ID) {
			continue
		}
		if err := s.attack(&catalogue[i]); err != nil {
			return err
		}
	}
	return s.end()
}

// attack sends all requests of one attack.
func (s *session) attack(a *Attack) error {
	shots, err := a.shots(s)
	if errors.Is(err, ErrNone) {
		return nil
	}
	if err != nil {
		s.report(a, "", Result{Verdict: Skipped, Why: err.Error()})
		return s.ctx.Err()
	}
	for i := range shots {
		r, err := s.fire(&shots[i])
		if err != nil {
			return err
		}
		s.report(a, shots[i].detail, r)
	}
	return nil
}

func (s *session) report(a *Attack, detail string, r Result) {
	r.Webhook, r.Attack, r.Detail, r.Sent = s.hook.Name, a.ID, detail, a.Sent
	if r.Verdict == Passed {
		r.Harm = a.Harm
	}
	s.tell(r)
}

// begin sends the valid delivery by which all others are measured.
func (s *session) begin() error {
	req, err := s.sign(How{})
	if err != nil {
		return err
	}
	s.control, s.nonce = clone(req), "probe-"+nonce()
	d := s.decision(s.hook.Rules, req, wire{})
	reason := d.Reason
	if d.Webhook == nil || d.Webhook.Name != s.hook.Name {
		return fmt.Errorf("a delivery %w: %q of the host %q is no address of the webhook", ErrCannot, req.PathOnly(), req.Host)
	}
	if reason == authz.SourceDenied && !s.gateway.Source.IsValid() {
		return fmt.Errorf("a delivery %w: its policy lets in published addresses, and nobody has said as which the gateway sees this machine", ErrCannot)
	}
	if incapable(reason) {
		return fmt.Errorf("a delivery %w: its policy says %s here", ErrCannot, reason)
	}
	req.Set(echoHeader, s.nonce)
	sent := time.Now()
	a, err := s.send(req, wire{})
	if err != nil {
		return err
	}
	s.learn(a, sent)
	r := Result{Status: a.status, DecisionID: a.decisionID()}
	switch delivered := a.through() && !a.acknowledged(); {
	case reason.Allows() && delivered:
		r.Verdict, s.delivered = Delivered, true
		if !s.markerIn(a) {
			return fmt.Errorf("%s: the answer to a valid delivery has no %q, so that it is no marker", s.hook.Name, s.gateway.Marker)
		}
	case reason.Allows():
		r.Verdict, r.Why = Refused, s.whyRefused(a)
	case delivered:
		r.Verdict, r.Expected = Passed, reason.String()
		r.Harm = "The gateway takes from this machine what its policies refuse."
	default:
		r.Verdict, r.Expected = Held, reason.String()
		r.Why = "the policies refuse deliveries from here, " + reason.String() + ": what they ask for behind that is not shown"
	}
	s.report(&control, "", r)
	return nil
}

// end sends a last valid delivery: where it is refused and the first was not, something has
// begun to refuse everything.
func (s *session) end() error {
	if !s.delivered {
		return nil
	}
	req, err := s.sign(How{})
	if err != nil {
		return err
	}
	if reason := s.decide(s.hook.Rules, req, wire{}); !reason.Allows() {
		s.report(&last, "", Result{Verdict: Skipped, Why: "each delivery of it is the copy of another: " + reason.String()})
		return nil
	}
	a, err := s.send(req, wire{})
	if err != nil {
		return err
	}
	r := Result{Verdict: Delivered, Status: a.status, DecisionID: a.decisionID()}
	if !a.through() || a.acknowledged() && s.idsTell() {
		r.Verdict, r.Why = Refused, "the first one was delivered: since then something refuses everything, perhaps a limit of requests, and what was held proves little"
	}
	s.report(&last, "", r)
	return nil
}

func (s *session) whyRefused(a *answer) string {
	switch {
	case a.err != nil:
		return "no answer: " + a.err.Error()
	case a.acknowledged():
		return "the service takes it for the copy of an earlier one; give a --body that is new, or come back later"
	case a.decisionID() != "":
		why := fmt.Sprintf("the service refuses it with %d; the decision record with the id %.64q says why", a.status, a.decisionID())
		if s.skew > time.Minute || s.skew < -time.Minute {
			why += fmt.Sprintf("; this machine's clock and the gateway's are %s apart", s.skew.Abs().Round(time.Second))
		}
		return why
	default:
		return fmt.Sprintf("%d without a decision id: the answer is of Envoy or the application", a.status)
	}
}

// decide is what the policies say of a request from here.
func (s *session) decide(table *authz.Table, req *authz.Request, w wire) authz.Reason {
	d := s.decision(table, req, w)
	return d.Reason
}

func (s *session) decision(table *authz.Table, req *authz.Request, w wire) *authz.Decision {
	judged := clone(req)
	for i := range judged.Headers {
		judged.Headers[i].Name = authz.View(strings.ToLower(string(judged.Headers[i].Name)))
	}
	if judged.Body.Len() > 0 {
		judged.Set("content-length", fmt.Sprint(judged.Body.Len()))
	}
	judged.Body.State, judged.Body.Size = authz.BodyWhole, int64(judged.Body.Len())
	judged.Scheme = authz.View(s.gateway.scheme())
	judged.Transport = s.transport(w)
	judged.Source = s.gateway.Source
	if !judged.Source.IsValid() {
		judged.Source = s.allowedSource()
	}
	if w.source.IsValid() {
		judged.Source = w.source
	}
	if s.hook.Policy.GetMatch().GetExtensionOnly() && bytes.Equal(judged.PathOnly(), s.control.PathOnly()) { // its route must match that path alone
		judged.Webhook = authz.View(s.hook.Name)
	}
	d := &authz.Decision{}
	table.Decide(s.ctx, judged, time.Now(), d)
	return d
}

func (g *Gateway) scheme() string {
	if g.TLS != nil {
		return "https"
	}
	return "http"
}
