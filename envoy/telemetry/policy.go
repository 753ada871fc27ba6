package telemetry

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Build is what runs.
type Build struct {
	// Version is the release, Revision the commit, Go the version of the toolchain.
	Version, Revision, Go string
}

// policyState is what is known of loads of the policy.
type policyState struct {
	reloads, errors atomic.Int64
	// loaded is when the last good load was, stale since when the newest files have
	// errors, in Unix nanoseconds; 0 if there is no such time.
	loaded, stale atomic.Int64
}

// Reloaded counts a load of the policy that ended at that time.
func (r *Recorder) Reloaded(err error, now time.Time) {
	if r == nil {
		return
	}
	p := &r.metrics.policy
	if err != nil {
		p.errors.Add(1)
		p.stale.CompareAndSwap(0, now.UnixNano())
		return
	}
	p.reloads.Add(1)
	p.loaded.Store(now.UnixNano())
	p.stale.Store(0)
}

// Held takes note that the newest files of the policy have no errors, and do not serve
// yet.
func (r *Recorder) Held() {
	if r != nil {
		r.metrics.policy.stale.Store(0)
	}
}

// Policy says when the last good load of the policy was, and since when the newest files
// have had errors; each is zero if there is no such time.
func (r *Recorder) Policy() (loaded, stale time.Time) {
	at := func(nanos int64) time.Time {
		if nanos == 0 {
			return time.Time{}
		}
		return time.Unix(0, nanos)
	}
	if r == nil {
		return loaded, stale
	}
	p := &r.metrics.policy
	return at(p.loaded.Load()), at(p.stale.Load())
}

// observePolicy registers what is known of the policy and of the program.
func (m *metrics) observePolicy(config Config) error {
	var errs [5]error
	var reloads metric.Int64ObservableCounter
	var loaded, age, stale, build metric.Int64ObservableGauge
	reloads, errs[0] = counter(config.Meter, metricReloads)
	loaded, errs[1] = gauge(config.Meter, metricPolicyLoaded)
	age, errs[2] = gauge(config.Meter, metricPolicyAge)
	stale, errs[3] = gauge(config.Meter, metricPolicyStale)
	build, errs[4] = gauge(config.Meter, metricBuildInfo)
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	about := metric.WithAttributes(attribute.String("version", config.Build.Version),
		attribute.String("revision", config.Build.Revision), attribute.String("goversion", config.Build.Go))
	_, err := config.Meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		p, now := &m.policy, time.Now()
		o.ObserveInt64(reloads, p.reloads.Load(), metric.WithAttributes(resultKey.String("ok")))
		o.ObserveInt64(reloads, p.errors.Load(), metric.WithAttributes(resultKey.String("error")))
		if at := p.loaded.Load(); at != 0 {
			o.ObserveInt64(loaded, at/int64(time.Second))
			o.ObserveInt64(age, secondsSince(at, now))
		}
		since := int64(0)
		if at := p.stale.Load(); at != 0 {
			since = max(secondsSince(at, now), 1) // 0 says that nothing is stale
		}
		o.ObserveInt64(stale, since)
		o.ObserveInt64(build, 1, about)
		return nil
	}, reloads, loaded, age, stale, build)
	return err
}

// secondsSince is how long ago a time in Unix nanoseconds was; 0 if the clock was set back.
func secondsSince(at int64, now time.Time) int64 {
	return max(int64(now.Sub(time.Unix(0, at)).Seconds()), 0)
}
