// Package telemetry counts decisions and writes them down: metrics over
// OpenTelemetry and one JSON object a line for each decision.
//
// It runs after the verdict and cannot change it. Nothing secret reaches it: an
// event has no body, no header value and no query. Text that a stranger chose
// is escaped and cut. Label values come from the policy and from closed sets.
//
// Strangers can cause denials at will, so that records of denials are limited
// per second; the metrics count every one.
package telemetry

import (
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/hookbastion/hookbastion/authz"
)

// Event is one decision. It aliases the request and is valid during Record only.
type Event struct {
	Time       time.Time
	Duration   time.Duration
	DecisionID string
	Request    *authz.Request
	Decision   *authz.Decision
	// PolicyDigest is that of the policy that decided; empty if none did.
	PolicyDigest string
}

// Config configures a recorder.
type Config struct {
	// Records takes the decision records; nil for none.
	Records *Writer
	// DenialsPerSecond bounds the records of denials.
	DenialsPerSecond int
	// Replica names this process in the records.
	Replica string
	// PolicyDigest returns the digest of the policy that serves now, for
	// decisions that no policy made.
	PolicyDigest func() string
	// Meter makes the instruments; none are kept if nil.
	Meter metric.Meter
	// Nonces returns the number of nonces held.
	Nonces func() int64
}

// Recorder takes events. A nil recorder ignores them. It is safe for
// concurrent use.
type Recorder struct {
	config  Config
	metrics *metrics
	denials limiter
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
	return &Recorder{config: config, metrics: m, denials: limiter{perSecond: int64(config.DenialsPerSecond)}}, nil
}

// Record counts the event and writes its record.
func (r *Recorder) Record(e *Event) {
	if r == nil {
		return
	}
	r.metrics.record(e)
	if r.config.Records == nil {
		return
	}
	if e.Decision.Verdict != authz.Allow && !r.denials.allow(e.Time) {
		r.metrics.recordsLimited.Add(1)
		return
	}
	digest := e.PolicyDigest
	if digest == "" && r.config.PolicyDigest != nil {
		digest = r.config.PolicyDigest()
	}
	r.config.Records.write(func(line []byte) []byte {
		return appendRecord(line, e, digest, r.config.Replica)
	})
}

// Panicked counts a fault of ours that was answered with a denial.
func (r *Recorder) Panicked() {
	if r != nil {
		r.metrics.panics.Add(1)
	}
}

// Reloaded counts a reload of the policy.
func (r *Recorder) Reloaded(err error) {
	if r == nil {
		return
	}
	if err != nil {
		r.metrics.reloadErrors.Add(1)
	} else {
		r.metrics.reloads.Add(1)
	}
}
