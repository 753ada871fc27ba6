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

// Attribute keys of the metrics.
const (
	webhookKey = attribute.Key("webhook")
	reasonKey  = attribute.Key("reason")
	verdictKey = attribute.Key("verdict")
	resultKey  = attribute.Key("result")
)

// metrics holds the instruments. Decisions are counted in plain atomics, one
// for each webhook and reason, which the SDK reads when it collects.
type metrics struct {
	duration, bodySize, skew metric.Float64Histogram

	webhooks sync.Map // name → *series
	count    atomic.Int64

	reloads, reloadErrors, panics, recordsLimited atomic.Int64
}

// series is what is counted for one webhook.
type series struct {
	decisions [authz.ReasonCount]atomic.Int64
	attrs     metric.MeasurementOption
}

func newMetrics(config Config) (*metrics, error) {
	m := &metrics{}
	var errs [3]error
	m.duration, errs[0] = config.Meter.Float64Histogram("hookbastion.decision.duration",
		metric.WithUnit("s"), metric.WithDescription("Time from the whole message to the answer."),
		metric.WithExplicitBucketBoundaries(1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 5e-2, 0.1, 0.5))
	m.bodySize, errs[1] = config.Meter.Float64Histogram("hookbastion.body.size",
		metric.WithUnit("By"), metric.WithDescription("Size of the body."),
		metric.WithExplicitBucketBoundaries(256, 1<<10, 4<<10, 16<<10, 64<<10, 256<<10, 1<<20, 4<<20))
	m.skew, errs[2] = config.Meter.Float64Histogram("hookbastion.clock.skew",
		metric.WithUnit("s"), metric.WithDescription("Our time minus the verified time of the delivery."),
		metric.WithExplicitBucketBoundaries(-60, -10, -1, 0, 1, 2, 5, 10, 30, 60, 120, 300))
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	return m, m.observe(config)
}

// observe registers what is read when the SDK collects.
func (m *metrics) observe(config Config) error {
	var errs [5]error
	var decisions, reloads, panics, records metric.Int64ObservableCounter
	var nonces metric.Int64ObservableGauge
	decisions, errs[0] = config.Meter.Int64ObservableCounter("hookbastion.decisions",
		metric.WithUnit("{decision}"), metric.WithDescription("Decisions by webhook and reason."))
	reloads, errs[1] = config.Meter.Int64ObservableCounter("hookbastion.policy.reloads",
		metric.WithUnit("{reload}"), metric.WithDescription("Loads of the policy by result."))
	panics, errs[2] = config.Meter.Int64ObservableCounter("hookbastion.panics",
		metric.WithUnit("{panic}"), metric.WithDescription("Faults of the service that were answered with a denial."))
	records, errs[3] = config.Meter.Int64ObservableCounter("hookbastion.records.dropped",
		metric.WithUnit("{record}"), metric.WithDescription("Decision records that were not written."))
	nonces, errs[4] = config.Meter.Int64ObservableGauge("hookbastion.nonces",
		metric.WithUnit("{nonce}"), metric.WithDescription("Nonces held."))
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	_, err := config.Meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		m.webhooks.Range(func(name, value any) bool {
			if s, ok := value.(*series); ok {
				s.observe(o, decisions, name)
			}
			return true
		})
		o.ObserveInt64(reloads, m.reloads.Load(), metric.WithAttributes(resultKey.String("ok")))
		o.ObserveInt64(reloads, m.reloadErrors.Load(), metric.WithAttributes(resultKey.String("error")))
		o.ObserveInt64(panics, m.panics.Load())
		o.ObserveInt64(records, m.recordsLimited.Load(), metric.WithAttributes(reasonKey.String("limit")))
		if config.Records != nil {
			o.ObserveInt64(records, config.Records.dropped.Load(), metric.WithAttributes(reasonKey.String("slow")))
		}
		if config.Nonces != nil {
			o.ObserveInt64(nonces, config.Nonces())
		}
		return nil
	}, decisions, reloads, panics, records, nonces)
	return err
}

func (s *series) observe(o metric.Observer, decisions metric.Int64Observable, name any) {
	label, _ := name.(string)
	for i := range s.decisions {
		n := s.decisions[i].Load()
		if n == 0 {
			continue
		}
		reason, verdict := authz.Reason(i), authz.Deny
		if reason.Allows() {
			verdict = authz.Allow
		}
		o.ObserveInt64(decisions, n, metric.WithAttributes(
			webhookKey.String(label), reasonKey.String(reason.String()), verdictKey.String(verdict.String())))
	}
}

func (m *metrics) record(e *Event) {
	name := ""
	if e.Decision.Webhook != nil {
		name = e.Decision.Webhook.Name
	}
	s := m.series(name)
	if reason := e.Decision.Reason; int(reason) < len(s.decisions) {
		s.decisions[reason].Add(1)
	}
	ctx := context.Background() // measuring must not end with the call
	m.duration.Record(ctx, e.Duration.Seconds(), s.attrs)
	if e.Decision.Webhook != nil {
		m.bodySize.Record(ctx, float64(e.Request.Body.Len()), s.attrs)
	}
	if !e.Decision.SignedTime.IsZero() {
		m.skew.Record(ctx, e.Time.Sub(e.Decision.SignedTime).Seconds(), s.attrs)
	}
}

func (m *metrics) series(name string) *series {
	if s, ok := m.webhooks.Load(name); ok {
		return s.(*series) //nolint:forcetypeassert // nothing else is stored
	}
	if name != otherWebhooks && m.count.Load() > maxWebhooks {
		return m.series(otherWebhooks)
	}
	s, found := m.webhooks.LoadOrStore(name, &series{
		attrs: metric.WithAttributeSet(attribute.NewSet(webhookKey.String(name))),
	})
	if !found { // calls that come at once count one webhook once
		m.count.Add(1)
	}
	return s.(*series) //nolint:forcetypeassert // nothing else is stored
}
