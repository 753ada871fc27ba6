// Package envoy speaks Envoy's external authorization protocol,
// envoy.service.auth.v3.Authorization, on behalf of package authz.
//
// request.go reads a CheckRequest, package authz decides, respond.go writes
// the CheckResponse. [Service.Answer] is all three: bytes in, bytes out, with
// no gRPC in it. serve.go is the transport with its limits. accesslog.go and otlplog.go
// take what Envoy's access log says of deliveries afterwards, and settle.go what it means.
//
// Check never fails: every outcome, theirs or ours, is an answer with a status.
// A gRPC error would leave the decision to Envoy's failure_mode_allow, and an
// empty message is an allow. A panic, a timeout or a fault of a store is a
// denial with status 503 and Retry-After, because webhook senders retry.
package envoy

import (
	"context"
	"encoding/hex"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/envoy/assertion"
	"github.com/hookbastion/hookbastion/envoy/captures"
	"github.com/hookbastion/hookbastion/envoy/logwatch"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
)

// Source has the table that serves now.
type Source interface {
	// Table returns nil before the first valid policy. It is safe for
	// concurrent use.
	Table() *authz.Table
}

// Service decides Check messages. It is safe for concurrent use.
type Service struct {
	Source    Source
	Mapping   Mapping
	Telemetry *telemetry.Recorder
	// Settler ends what the checks reserve; nil if nothing is reserved.
	Settler *replay.Settler
	// ShortMetadata leaves out of an answer's metadata what is not the decision's id
	// and its seal.
	ShortMetadata bool
	// Log notices that the access log does not come; nil if nobody asks.
	Log *logwatch.Watch
	// Captures keeps some denied requests, encrypted; nil if nobody asks for them.
	Captures *captures.Keeper
	// Assertions signs for webhooks with an audience; nil if there is none.
	Assertions *assertion.Signer
	// Now is the clock; time.Now if nil.
	Now func() time.Time

	states sync.Pool
}

// state is the memory of one call.
type state struct {
	request  mapped
	decision authz.Decision
	answer   answerMemory
	seal     []byte
	event    telemetry.Event
}

func (s *Service) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// Caller is the context of a call, and its metadata.
type Caller interface {
	context.Context
	telemetry.Metadata
	// Only returns the value of a header, in lower case, that stands there once;
	// otherwise it is empty. It allocates nothing.
	Only(name string) string
	// Peer is where the call comes from, without the port; empty if nobody knows.
	Peer() string
}

// Plain returns a call without metadata.
func Plain(ctx context.Context) Caller { return plain{ctx} }

type plain struct{ context.Context }

func (plain) Values(string) []string { return nil }

func (plain) Only(string) string { return "" }

func (plain) Peer() string { return "" }

// Answer decides one CheckRequest and appends the encoded CheckResponse to out.
// Neither is kept. It never panics.
func (s *Service) Answer(ctx context.Context, check []byte, out []byte) []byte {
	out, _ = s.answer(Plain(ctx), [][]byte{check}, authz.OK, out)
	return out
}

// AnswerChunks is Answer for a message that came in chunks. Of them nothing is
// kept or changed, and a body is not joined unless its scheme must parse it. It
// also returns what was reserved for the request, to be given back if the
// answer cannot be sent.
func (s *Service) AnswerChunks(ctx Caller, check [][]byte, out []byte) ([]byte, authz.Reservation) {
	return s.answer(ctx, check, authz.OK, out)
}

// Refuse answers a call whose message was not read.
func (s *Service) Refuse(ctx Caller, reason authz.Reason, out []byte) []byte {
	out, _ = s.answer(ctx, nil, reason, out)
	return out
}

func (s *Service) answer(ctx Caller, check [][]byte, reason authz.Reason, out []byte) (answer []byte, held authz.Reservation) {
	arrived := time.Now()
	st, _ := s.states.Get().(*state)
	if st == nil {
		st = &state{}
	}
	st.decision = authz.Decision{} // a panic must not find that of another call
	done := false
	defer func() {
		if !done {
			_ = recover() // whatever went wrong, the answer is a denial
			s.Settler.GiveBack(st.decision.Reservation, s.now())
			s.Telemetry.Panicked()
			answer, held = append(out, fallback...), authz.Reservation{}
		}
	}()
	now := s.now()
	place := s.Telemetry.Trace(ctx)
	var elapsed func() time.Duration
	if place.Sampled() { // or else no check reads the clock
		elapsed = func() time.Duration { return time.Since(arrived) }
	}
	id := newDecisionID()
	digest, table := "", (*authz.Table)(nil)
	if reason == authz.OK && s.Mapping.read(ctx, check, &st.request) != nil {
		reason = authz.MalformedRequest
	}
	if reason != authz.OK {
		st.request.reset()
		st.decision = authz.Decision{Reason: reason}
	} else {
		table = s.Source.Table()
		table.DecideTimed(ctx, &st.request.Request, now, &st.decision, elapsed)
		if table != nil {
			digest = table.Digest
		}
		s.assert(&st.request.Request, &st.decision, id, now)
	}
	id, ticket := s.refused(&st.decision, id)
	st.answer.short = s.ShortMetadata
	seal := s.settle(ctx, st, now)
	st.answer.asks = len(seal) > 0 && s.Log.Expect(ctx.Peer(), st.decision.Reservation, now)
	answer = st.answer.append(out, &st.request.Request, &st.decision, id, seal)
	st.event = telemetry.Event{
		Time: now, Arrived: arrived, Duration: time.Since(arrived), Trace: place, DecisionID: id,
		Request: &st.request.Request, Decision: &st.decision, PolicyDigest: digest, Redeliver: ticket,
	}
	s.Telemetry.Record(&st.event)
	if s.Captures != nil && table != nil && st.decision.Verdict == authz.Deny {
		s.Captures.Denied(ctx, table, &st.request.Request, &st.decision, id, now)
	}
	held = st.decision.Reservation
	st.request.reset()
	s.states.Put(st)
	done = true
	return answer, held
}

// refused takes down a copy that is refused. It returns the id of the decision,
// which tells the copy, and the ticket by which one may pass.
func (s *Service) refused(d *authz.Decision, id string) (decisionID, ticket string) {
	if d.Reservation.ID != 0 || d.Reason != authz.Replayed || d.Webhook == nil {
		return id, ""
	}
	id = s.Settler.RefusalID(id, d.Reservation)
	return id, s.Settler.Refused(id, d.Webhook.Name, d.Reservation)
}

// settle returns the seal of what was reserved for a request that goes to the
// upstream, and gives back what nobody will use, once: it is then not reserved
// any more.
func (s *Service) settle(ctx context.Context, st *state, now time.Time) []byte {
	d := &st.decision
	switch {
	case d.Reservation.ID == 0:
		return nil
	case !d.Forward() || ctx.Err() != nil:
		s.Settler.GiveBack(d.Reservation, now)
		d.Reservation = authz.Reservation{}
		return nil
	default:
		st.seal = s.Settler.AppendSeal(st.seal[:0], d.Reservation)
		return st.seal
	}
}

// newDecisionID returns 32 hexadecimal digits. It names a decision and proves
// nothing.
func newDecisionID() string {
	var raw [16]byte
	for i := 0; i < len(raw); i += 8 {
		n := rand.Uint64() //nolint:gosec // a name, not a secret
		for j := range 8 {
			raw[i+j] = byte(n >> (8 * j))
		}
	}
	return hex.EncodeToString(raw[:])
}
