package telemetry

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/hookbastion/hookbastion/authz"
)

// maxWebhooks is how many webhooks have a label of their own. The others share
// the label otherWebhooks, so that a large policy does not make a large number
// of series.
const (
	maxWebhooks   = 500
	otherWebhooks = "other"
)

// MaxSeries is more than any instrument can have: each webhook, the decisions
// without one and the others together, with each reason in both modes or each key id. It belongs
// into the SDK's cardinality limit, which must not be met by surprise.
const MaxSeries = (maxWebhooks+2)*max(modes*authz.ReasonCount, maxKeys) + 1

// Attribute keys of the metrics.
const (
	webhookKey = attribute.Key("webhook")
	reasonKey  = attribute.Key("reason")
	verdictKey = attribute.Key("verdict")
	resultKey  = attribute.Key("result")
	outcomeKey = attribute.Key("outcome")
	keyIDKey   = attribute.Key("key_id")
	modeKey    = attribute.Key("mode")
)

// The modes of decisions. What no webhook decides is enforced, too.
const (
	enforced = iota
	shadowed
	modes
)

var modeNames = [modes]string{"ENFORCE", "SHADOW"}

// metrics holds the instruments. Decisions are counted in plain atomics, one
// for each webhook and reason, which the SDK reads when it collects.
type metrics struct {
	duration, bodySize, skew, store metric.Float64Histogram

	settlements settlements

	webhooks sync.Map // name → *series
	count    atomic.Int64

	policy policyState

	panics, recordsLimited, recordsFiltered, unlabelled, connectionsRefused atomic.Int64
}

// series is what is counted for one webhook.
type series struct {
	decisions [modes][authz.ReasonCount]atomic.Int64
	texts     atomic.Int64 // bodies that came as text
	keys      keys
	label     string
	// labels is a slice, since a variadic call would make one each time.
	labels []metric.RecordOption
}

func newMetrics(config Config) (*metrics, error) {
	m := &metrics{}
	var errs [5]error
	m.duration, errs[0] = histogram(config.Meter, metricDuration,
		1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 5e-2, 0.1, 0.5)
	m.bodySize, errs[1] = histogram(config.Meter, metricBodySize,
		256, 1<<10, 4<<10, 16<<10, 64<<10, 256<<10, 1<<20, 4<<20)
	m.skew, errs[2] = histogram(config.Meter, metricSkew, -60, -10, -1, 0, 1, 2, 5, 10, 30, 60, 120, 300)
	m.store, errs[3] = histogram(config.Meter, metricStoreDuration,
		1e-6, 1e-5, 1e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.5)
	m.settlements.lag, errs[4] = histogram(config.Meter, metricSettleLag, 1e-3, 2.5e-3, 5e-3, 1e-2, 5e-2, 0.1, 0.5, 1, 5, 10, 60)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	for _, register := range []func(Config) error{
		m.observe, m.observeReplay, m.observeSecrets, m.observeStore, m.observeFetches, m.observeRanges,
		m.observePolicy, m.observeAccessLog, m.observeLimits, m.observeAnomalies,
	} {
		if err := register(config); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func histogram(meter metric.Meter, i instrument, bounds ...float64) (metric.Float64Histogram, error) {
	return meter.Float64Histogram(i.Name, metric.WithUnit(i.Unit), metric.WithDescription(i.About), metric.WithExplicitBucketBoundaries(bounds...))
}

func counter(meter metric.Meter, i instrument) (metric.Int64ObservableCounter, error) {
	return meter.Int64ObservableCounter(i.Name, metric.WithUnit(i.Unit), metric.WithDescription(i.About))
}

func gauge(meter metric.Meter, i instrument) (metric.Int64ObservableGauge, error) {
	return meter.Int64ObservableGauge(i.Name, metric.WithUnit(i.Unit), metric.WithDescription(i.About))
}

// observe registers what is read when the SDK collects.
func (m *metrics) observe(config Config) error {
	var errs [7]error
	var decisions, texts, panics, records, refused metric.Int64ObservableCounter
	var nonces, lastMatch metric.Int64ObservableGauge
	decisions, errs[0] = counter(config.Meter, metricDecisions)
	texts, errs[1] = counter(config.Meter, metricTextBodies)
	panics, errs[2] = counter(config.Meter, metricPanics)
	records, errs[3] = counter(config.Meter, metricRecordsDropped)
	nonces, errs[4] = gauge(config.Meter, metricNonces)
	lastMatch, errs[5] = gauge(config.Meter, metricLastMatch)
	refused, errs[6] = counter(config.Meter, metricRefusedConns)
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	_, err := config.Meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		m.webhooks.Range(func(name, value any) bool {
			if s, ok := value.(*series); ok {
				s.observe(o, decisions, texts, lastMatch, name)
			}
			return true
		})
		o.ObserveInt64(panics, m.panics.Load())
		o.ObserveInt64(refused, m.connectionsRefused.Load())
		o.ObserveInt64(records, m.recordsLimited.Load(), metric.WithAttributes(reasonKey.String(becauseLimit)))
		o.ObserveInt64(records, m.recordsFiltered.Load(), metric.WithAttributes(reasonKey.String(becauseFilter)))
		if config.Records != nil {
			o.ObserveInt64(records, config.Records.dropped.Load(), metric.WithAttributes(reasonKey.String(becauseSlow)))
		}
		if config.Nonces != nil {
			o.ObserveInt64(nonces, config.Nonces())
		}
		return nil
	}, decisions, texts, panics, records, refused, nonces, lastMatch)
	return err
}

func (s *series) observe(o metric.Observer, decisions, texts, lastMatch metric.Int64Observable, name any) {
	label, _ := name.(string)
	for _, k := range s.keys.all() {
		if at := k.last.Load(); at != 0 {
			o.ObserveInt64(lastMatch, at, metric.WithAttributes(webhookKey.String(label), keyIDKey.String(k.id)))
		}
	}
	if n := s.texts.Load(); n > 0 {
		o.ObserveInt64(texts, n, metric.WithAttributes(webhookKey.String(label)))
	}
	for mode := range s.decisions {
		for i := range s.decisions[mode] {
			n := s.decisions[mode][i].Load()
			if n == 0 {
				continue
			}
			reason, verdict := authz.Reason(i), authz.Deny
			if reason.Allows() {
				verdict = authz.Allow
			}
			o.ObserveInt64(decisions, n, metric.WithAttributes(webhookKey.String(label), reasonKey.String(reason.String()),
				verdictKey.String(verdict.String()), modeKey.String(modeNames[mode])))
		}
	}
}

// record counts a decision. The context is that of its span, if it has one: a
// histogram keeps some of them as examples of what it has counted.
func (m *metrics) record(ctx context.Context, e *Event) {
	mode := enforced
	if e.Decision.Webhook != nil && e.Decision.Webhook.Shadow {
		mode = shadowed
	}
	s := m.series(webhookName(e))
	if reason := e.Decision.Reason; int(reason) < authz.ReasonCount {
		s.decisions[mode][reason].Add(1)
	}
	if s.label == otherWebhooks {
		m.unlabelled.Add(1)
	}
	if e.Request.Body.Text {
		s.texts.Add(1)
	}
	m.duration.Record(ctx, e.Duration.Seconds(), s.labels...)
	if e.Decision.Webhook != nil {
		m.bodySize.Record(ctx, float64(e.Request.Body.Len()), s.labels...)
	}
	if !e.Decision.SignedTime.IsZero() {
		m.skew.Record(ctx, e.Time.Sub(e.Decision.SignedTime).Seconds(), s.labels...)
	}
	if e.Decision.KeyID != "" && e.Decision.Verdict == authz.Allow && s.label != otherWebhooks {
		s.keys.matched(e.Decision.KeyID, e.Time)
	}
}

// webhookName is empty if none matched.
func webhookName(e *Event) string {
	if e.Decision.Webhook == nil {
		return ""
	}
	return e.Decision.Webhook.Name
}

func (m *metrics) series(name string) *series {
	if s, ok := m.webhooks.Load(name); ok {
		return s.(*series) //nolint:forcetypeassert // nothing else is stored
	}
	if name != otherWebhooks && m.count.Load() > maxWebhooks {
		return m.series(otherWebhooks)
	}
	s, found := m.webhooks.LoadOrStore(name, &series{
		label:  name,
		labels: []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(webhookKey.String(name)))},
	})
	if !found { // calls that come at once count one webhook once
		m.count.Add(1)
	}
	return s.(*series) //nolint:forcetypeassert // nothing else is stored
}
