package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/fetch"
	"github.com/hookbastion/hookbastion/authz/ranges"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/tenant"
	"github.com/hookbastion/hookbastion/envoy/logwatch"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
)

// collect returns the metrics by name.
func collect(t *testing.T, reader *sdkmetric.ManualReader) map[string]metricdata.Metrics {
	t.Helper()
	var data metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &data); err != nil {
		t.Fatal(err)
	}
	all := map[string]metricdata.Metrics{}
	for _, m := range data.ScopeMetrics[0].Metrics {
		all[m.Name] = m
	}
	return all
}

// matches returns hookbastion.key.last_match by its labels.
func matches(t *testing.T, reader *sdkmetric.ManualReader) map[string]int64 {
	t.Helper()
	gauge, _ := collect(t, reader)["hookbastion.key.last_match"].Data.(metricdata.Gauge[int64])
	got := map[string]int64{}
	for _, p := range gauge.DataPoints {
		got[p.Attributes.Encoded(attributes{})] = p.Value
	}
	return got
}

func TestLastMatchOfEachKey(t *testing.T) {
	r, reader := measured(t, nil, 10)
	match := func(key string, at time.Duration, reason authz.Reason) {
		e := event(reason)
		e.Decision.KeyID, e.Time = key, now.Add(at)
		r.Record(e)
	}
	match("old", 0, authz.OK)
	match("new", time.Hour, authz.OK)
	match("new", time.Minute, authz.OK) // a call that took long
	match("old", 2*time.Hour, authz.Replayed)
	match("none", 2*time.Hour, authz.SignatureInvalid)
	got := matches(t, reader)
	if len(got) != 2 || got["key_id=old,webhook=hook"] != now.Unix() || got["key_id=new,webhook=hook"] != now.Add(time.Hour).Unix() {
		t.Errorf("%v", got)
	}
	for i := range 40 { // rotations over the years
		match(fmt.Sprintf("key-%d", i), time.Duration(i+2)*time.Hour, authz.OK)
	}
	got = matches(t, reader)
	if len(got) != 16 || got["key_id=key-39,webhook=hook"] != now.Add(41*time.Hour).Unix() || got["key_id=old,webhook=hook"] != 0 {
		t.Errorf("%d keys: %v", len(got), got)
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 200 {
				match(fmt.Sprintf("key-%d", (i+j)%20), 100*time.Hour, authz.OK)
			}
		})
	}
	all.Wait()
	if got = matches(t, reader); len(got) != 16 {
		t.Errorf("%d keys", len(got))
	}
}

// The denials of a webhook that only watches are told apart: they were forwarded.
func TestModesOfDecisions(t *testing.T) {
	r, reader := measured(t, nil, 10)
	r.Record(event(authz.SignatureInvalid))
	shadow := event(authz.SignatureInvalid)
	webhook := *shadow.Decision.Webhook
	webhook.Shadow = true
	shadow.Decision.Webhook = &webhook
	r.Record(shadow)
	r.Record(shadow)
	r.Record(&telemetry.Event{Time: now, Request: &authz.Request{}, Decision: &authz.Decision{Reason: authz.NoWebhook}})
	got := counters(t, reader)
	for key, want := range map[string]int64{
		"mode=ENFORCE,reason=signature_invalid,verdict=deny,webhook=hook": 1,
		"mode=SHADOW,reason=signature_invalid,verdict=deny,webhook=hook":  2,
		"mode=ENFORCE,reason=no_webhook,verdict=deny,webhook=":            1,
	} {
		if n := got["hookbastion.decisions "+key]; n != want {
			t.Errorf("%s is %d, want %d: %v", key, n, want, got)
		}
	}
}

// A body that came as text is counted each time and told of once.
func TestTextBodies(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	var told []string
	r, err := telemetry.New(telemetry.Config{
		Meter:      sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test"),
		OnTextBody: func(webhook string) { told = append(told, webhook) },
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Record(event(authz.OK))
	text := event(authz.OK)
	text.Request.Body.Text = true
	for range 3 {
		r.Record(text)
	}
	if n := counters(t, reader)["hookbastion.bodies.text webhook=hook"]; n != 3 || len(told) != 1 || told[0] != "hook" {
		t.Errorf("%d counted, told of %q", n, told)
	}
}

// The age of the policy and how long a newer one has failed.
func TestPolicyAge(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	r, err := telemetry.New(telemetry.Config{
		Meter: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test"),
		Build: telemetry.Build{Version: "1.2.3", Revision: "abc", Go: "go1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) int64 {
		t.Helper()
		g, _ := collect(t, reader)[name].Data.(metricdata.Gauge[int64])
		if len(g.DataPoints) != 1 {
			return -1
		}
		return g.DataPoints[0].Value
	}
	if read("hookbastion.policy.last_load") != -1 || read("hookbastion.policy.age") != -1 || read("hookbastion.policy.stale") != 0 {
		t.Error("before the first load there is an age")
	}
	loaded := time.Now().Add(-2 * time.Hour)
	r.Reloaded(nil, loaded)
	if age := read("hookbastion.policy.age"); read("hookbastion.policy.last_load") != loaded.Unix() || age < 7200 || age > 7500 || read("hookbastion.policy.stale") != 0 {
		t.Errorf("age %d", age)
	}
	r.Reloaded(errors.New("broken"), time.Now().Add(-time.Hour))
	r.Reloaded(errors.New("still broken"), time.Now())
	if stale, age := read("hookbastion.policy.stale"), read("hookbastion.policy.age"); stale < 3600 || stale > 3900 || age < 7200 {
		t.Errorf("stale for %d, age %d", stale, age)
	}
	if at, since := r.Policy(); !at.Equal(loaded.Truncate(0)) && at.Unix() != loaded.Unix() || time.Since(since) < time.Hour {
		t.Errorf("%s, %s", at, since)
	}
	r.Held()
	if read("hookbastion.policy.stale") != 0 || read("hookbastion.policy.age") < 7200 {
		t.Error("what is held back is stale, or loaded")
	}
	r.Reloaded(nil, time.Now().Add(time.Hour)) // a clock that is set back
	if read("hookbastion.policy.stale") != 0 || read("hookbastion.policy.age") != 0 {
		t.Error("stale, or a negative age")
	}
	build, _ := collect(t, reader)["hookbastion.build_info"].Data.(metricdata.Gauge[int64])
	if got := build.DataPoints[0].Attributes.Encoded(attributes{}); build.DataPoints[0].Value != 1 || got != "goversion=go1,revision=abc,version=1.2.3" {
		t.Errorf("%s", got)
	}
}

// Nothing that can happen meets the SDK's limit, which would lose series.
func TestTheMostSeriesFitIntoTheLimit(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithCardinalityLimit(telemetry.MaxSeries))
	r, err := telemetry.New(telemetry.Config{Meter: provider.Meter("test")})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 600 {
		name := fmt.Sprintf("hook-%d", i)
		for reason := range authz.ReasonCount {
			e := named(name)
			e.Decision.Reason = authz.Reason(reason)
			e.Decision.KeyID = fmt.Sprintf("key-%d", reason)
			r.Record(e)
		}
	}
	for i := range 600 { // and all of them as webhooks that only watch
		for reason := range authz.ReasonCount {
			e := named(fmt.Sprintf("hook-%d", i))
			e.Decision.Webhook.Shadow = true
			e.Decision.Reason = authz.Reason(reason)
			r.Record(e)
		}
	}
	for reason := range authz.ReasonCount {
		r.Record(&telemetry.Event{Time: now, Request: &authz.Request{}, Decision: &authz.Decision{Reason: authz.Reason(reason)}})
	}
	all := collect(t, reader)
	decisions, _ := all["hookbastion.decisions"].Data.(metricdata.Sum[int64])
	total := int64(0)
	for _, p := range decisions.DataPoints {
		if p.Attributes.HasValue("otel.metric.overflow") {
			t.Fatal("the limit was met")
		}
		total += p.Value
	}
	if total != int64(1201*authz.ReasonCount) || len(decisions.DataPoints) < 1001*authz.ReasonCount {
		t.Errorf("%d decisions in %d series", total, len(decisions.DataPoints))
	}
	keys, _ := all["hookbastion.key.last_match"].Data.(metricdata.Gauge[int64])
	for _, p := range keys.DataPoints {
		if p.Attributes.HasValue("otel.metric.overflow") {
			t.Fatal("the limit was met")
		}
	}
	if len(keys.DataPoints) < 500*16 {
		t.Errorf("%d keys", len(keys.DataPoints))
	}
}

// A histogram keeps the traces of some of what it has counted.
func TestDurationsHaveExemplars(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	traced, _ := spans(t, "")
	r, err := telemetry.New(traced.With(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test")))
	if err != nil {
		t.Fatal(err)
	}
	e := event(authz.OK)
	e.Trace = r.Trace(incoming{"traceparent", traceparent})
	r.Record(e)
	histogram, _ := collect(t, reader)["hookbastion.decision.duration"].Data.(metricdata.Histogram[float64])
	if x := histogram.DataPoints[0].Exemplars; len(x) != 1 || fmt.Sprintf("%x", x[0].TraceID) != traceparent[3:35] {
		t.Errorf("%v", x)
	}
}

// How many keys are at their last good value is seen, and how often tenants are
// looked for.
func TestSecretsAreMeasured(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	_, err := telemetry.New(telemetry.Config{
		Meter:   sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test"),
		Secrets: func() secret.Counts { return secret.Counts{Current: 5, LastGood: 2} },
		Tenants: func() tenant.Stats {
			return tenant.Stats{Loaded: 4, Unknown: 3, Failed: 2, Refused: 1, Held: 7, Missed: 6}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	all := collect(t, reader)
	got := map[string]int64{}
	secrets, _ := all["hookbastion.secrets"].Data.(metricdata.Gauge[int64])
	loads, _ := all["hookbastion.tenant.loads"].Data.(metricdata.Sum[int64])
	held, _ := all["hookbastion.tenants"].Data.(metricdata.Gauge[int64])
	for _, p := range append(secrets.DataPoints, loads.DataPoints...) {
		for _, label := range p.Attributes.ToSlice() {
			got[label.Value.AsString()] = p.Value
		}
	}
	for _, p := range held.DataPoints {
		state, _ := p.Attributes.Value("state")
		got["held "+state.AsString()] = p.Value
	}
	want := map[string]int64{"held known": 7, "held unknown": 6, "current": 5, "last_good": 2, "loaded": 4, "unknown": 3, "failed": 2, "refused": 1}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// Each key has its first and last match and their number.
func TestKeyMatches(t *testing.T) {
	r, err := telemetry.New(telemetry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for i, key := range []string{"new", "old", "new"} {
		e := event(authz.OK)
		e.Decision.KeyID, e.Time = key, now.Add(time.Duration(i)*time.Minute)
		r.Record(e)
	}
	matches, complete := r.KeyMatches()
	if len(matches) != 2 || !complete {
		t.Fatalf("%v, complete %v", matches, complete)
	}
	m := matches[0]
	if m.KeyID != "new" || m.Count != 2 || m.First.Unix() != now.Unix() || m.Last.Unix() != now.Add(2*time.Minute).Unix() {
		t.Errorf("%+v", m)
	}
	var none *telemetry.Recorder
	if matches, _ := none.KeyMatches(); matches != nil {
		t.Error("a nil recorder knows of keys")
	}
}

// What the page says of the metrics is what there is.
func TestEveryMetricIsDescribed(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	r, err := telemetry.New(telemetry.Config{
		Meter: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test"), Nonces: func() int64 { return 1 },
		Replay:  func() replay.Stats { return replay.Stats{Watermark: now, LogBytes: 1} },
		Secrets: func() secret.Counts { return secret.Counts{Current: 1} },
		Tenants: func() tenant.Stats { return tenant.Stats{Loaded: 1} },
		Fetched: func(time.Time) fetch.Stats {
			return fetch.Stats{Sources: []fetch.Status{{Name: "a", Confirmed: now}}, Results: map[string]map[string]int64{"a": {"": 1}}}
		},
		Ranges: func(time.Time) []ranges.Status { return []ranges.Status{{Name: "a", URL: "https://a/", At: now}} },
		Remote: func() replay.Remote { return replay.Remote{Up: true} },
		Anomalies: func() (raised, current map[string]int64) {
			return map[string]int64{"silence": 3}, map[string]int64{"silence": 1}
		},
		AccessLog: func() []logwatch.Node { return []logwatch.Node{{Address: "10.0.0.1", Judged: true}} },
	})
	if err != nil {
		t.Fatal(err)
	}
	text := event(authz.OK)
	text.Request.Body.Text = true
	r.Record(text)
	r.Reloaded(nil, now)
	_, _ = r.Store(fake{nil, replay.Reserved, nil}).Reserve(t.Context(), replay.Nonce{}, replay.Claim{}, now)
	r.Settled(replay.Settled, replay.ResultDelivered, time.Second)
	described := telemetry.Instruments()
	for name := range collect(t, reader) {
		if !described[name] {
			t.Errorf("%s is not described", name)
		}
		delete(described, name)
	}
	for name := range described {
		t.Errorf("%s is described and does not occur", name)
	}
}
