// Package telemetry counts decisions and writes them down: metrics, a span and
// a log record over OpenTelemetry, and one JSON object a line for each decision.
//
// It runs after the verdict and cannot change it. Nothing secret leaves it: of a request's
// body it tells the size, of the headers two ids, and of the query nothing. Text that a
// stranger chose is escaped and cut. Label values come from the policy and from closed sets.
//
// Whether a decision gets a span is settled before anything of it is made, and
// the span is made after the verdict, from times noted on the way. Exporters
// keep what they get longer than the call lasts, so that they get copies.
//
// Strangers can cause denials at will, and answers to handshakes that prove nothing, so that
// records of either are limited per second; the metrics count every one. What has no record is counted by webhook and
// reason, and the records themselves say so every ten seconds, in at most 17 lines.
package telemetry

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/fetch"
	"github.com/hookbastion/hookbastion/authz/monitor"
	"github.com/hookbastion/hookbastion/authz/ranges"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/tenant"
	"github.com/hookbastion/hookbastion/envoy/logwatch"
	"github.com/hookbastion/hookbastion/envoy/telemetry/recent"
)

// Event is one decision. It aliases the request and is valid during Record only.
type Event struct {
	// Time is the time that was decided by.
	Time time.Time
	// Arrived is when the call came, Duration how long it took.
	Arrived    time.Time
	Duration   time.Duration
	Trace      Trace
	DecisionID string
	Request    *authz.Request
	Decision   *authz.Decision
	// PolicyDigest is that of the policy that decided; empty if none did.
	PolicyDigest string
	// Redeliver is the ticket by which an operator lets what was refused as a copy
	// through; empty if there is none.
	Redeliver string
}

// Config configures a recorder.
type Config struct {
	// Records takes the decision records; nil for none.
	Records *Writer
	// DenialsPerSecond bounds the records of denials, and those of handshakes that prove
	// nothing.
	DenialsPerSecond int
	// LeaveOut are reasons whose decisions get no records.
	LeaveOut []authz.Reason
	// Recent keeps decisions in memory, denials without a limit; nil for none.
	Recent *recent.Ring
	// Replica names this process in the records.
	Replica string
	// PolicyDigest returns the digest of the policy that serves now, for
	// decisions that no policy made.
	PolicyDigest func() string
	// Meter makes the instruments; none are kept if nil.
	Meter metric.Meter
	// Tracer makes the spans of those decisions that Sampler takes; none are
	// made if nil. It must record every span that it is asked for.
	Tracer  trace.Tracer
	Sampler Sampler
	// Logger takes the decision records as log records; nil for none.
	Logger log.Logger
	// Replay returns what the nonce store has done.
	Replay func() replay.Stats
	// Secrets counts the keys of the policy that serves, Tenants the looks for
	// those of tenants.
	Secrets func() secret.Counts
	Tenants func() tenant.Stats
	// Fetched says what is known of what providers publish; nil: nothing is fetched.
	Fetched func(now time.Time) fetch.Stats
	// Ranges says what is known of the lists of addresses in use; nil: there are none.
	Ranges func(now time.Time) []ranges.Status
	// Nonces returns the number of nonces held; nil if nobody knows.
	Nonces func() int64
	// Monitor sees each decision; nil for none.
	Monitor *monitor.Monitor
	// Anomalies counts the alarms that were raised since the start, and those that go on,
	// by kind; nil: nobody watches.
	Anomalies func() (raised, current map[string]int64)
	// Limits returns how often bounds were met, by the names in [Limits]; nil: nobody knows.
	Limits func() map[string]int64
	// AccessLog says what is known of each Envoy's access log; nil: nothing is.
	AccessLog func() []logwatch.Node
	// Build says what runs.
	Build Build
	// OnTextBody is called once, with the first body that Envoy sends as text; nil if
	// nobody asks. It must not block.
	OnTextBody func(webhook string)
	// Remote returns what was met of a nonce store that lies elsewhere; nil if it
	// does not.
	Remote func() replay.Remote
}

// Recorder takes events. A nil recorder ignores them. It is safe for
// concurrent use.
type Recorder struct {
	config  Config
	metrics *metrics
	denials limiter
	// answers is that of handshakes: a flood of denials must not hide one.
	answers limiter
	// unwanted are the reasons whose decisions get no records, leftOut what is still to
	// be said of those that got none.
	unwanted [authz.ReasonCount]bool
	leftOut  leftOut
	text     sync.Once
	lines    sync.Pool // of records, which are put together before a lock is taken
}

// New returns a recorder.
func New(config Config) (*Recorder, error) {
	if config.Meter == nil {
		config.Meter = noop.Meter{}
	}
	m, err := newMetrics(config)
	if err != nil {
		return nil, err
	}
	r := &Recorder{config: config, metrics: m, denials: limiter{perSecond: int64(config.DenialsPerSecond)}, answers: limiter{perSecond: int64(config.DenialsPerSecond)}}
	r.leftOut.say = func() { r.sayLeftOut(false) }
	for _, reason := range config.LeaveOut {
		r.unwanted[reason] = true
	}
	if config.Records != nil {
		config.Records.saying(func(lost int64, from time.Time) []byte {
			l := leftOutLine{leftOutKey: leftOutKey{because: becauseSlow}, count: lost, from: from, to: time.Now(), rest: true}
			return l.append(nil, config.Replica)
		})
	}
	return r, nil
}

// Record counts the event, makes its span if it has one, and writes its record.
func (r *Recorder) Record(e *Event) {
	if r == nil {
		return
	}
	digest := e.PolicyDigest
	if digest == "" && r.config.PolicyDigest != nil {
		digest = r.config.PolicyDigest()
	}
	ctx := context.Background() // measuring must not end with the call
	var known []attribute.KeyValue
	if e.Trace.sampled {
		known = facts(e, digest)
		ctx = r.span(e, known)
	}
	r.metrics.record(ctx, e)
	if r.config.Monitor != nil {
		watch(r.config.Monitor, e)
	}
	if r.config.Recent != nil {
		keep(r.config.Recent, e, digest)
	}
	if e.Request.Body.Text && r.config.OnTextBody != nil {
		r.text.Do(func() { r.config.OnTextBody(webhookName(e)) })
	}
	if r.config.Records == nil && r.config.Logger == nil {
		return
	}
	switch {
	case int(e.Decision.Reason) < len(r.unwanted) && r.unwanted[e.Decision.Reason]:
		r.leaveOut(e, becauseFilter)
		return
	case e.Decision.Verdict != authz.Allow && !r.denials.allow(e.Time):
		r.leaveOut(e, becauseLimit)
		return
	case forAnybody(e.Decision) && !r.answers.allow(e.Time):
		r.leaveOut(e, becauseLimit)
		return
	}
	if r.config.Records != nil {
		line, _ := r.lines.Get().(*[]byte)
		if line == nil {
			line = &[]byte{}
		}
		*line = appendRecord((*line)[:0], e, digest, r.config.Replica)
		r.config.Records.write(*line)
		r.lines.Put(line)
	}
	if r.config.Logger != nil {
		if known == nil {
			known = facts(e, digest)
			ctx = e.Trace.context()
		}
		r.emit(ctx, e, known)
	}
}

// forAnybody reports whether a handshake was answered that proves nothing, so that
// strangers can have it answered at will. One that has set a secret is never among them: its
// record says who brought it.
func forAnybody(d *authz.Decision) bool {
	answer := d.Answered()
	return answer != nil && d.Proof == authz.ProofNone && !answer.Learnt
}

// Panicked counts a fault of ours that was answered with a denial.
func (r *Recorder) Panicked() {
	if r != nil {
		r.metrics.panics.Add(1)
	}
}

// ConnectionRefused counts a connection for which there was no place.
func (r *Recorder) ConnectionRefused() {
	if r != nil {
		r.metrics.connectionsRefused.Add(1)
	}
}
