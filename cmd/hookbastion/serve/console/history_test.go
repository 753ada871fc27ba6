package console

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/envoy/telemetry/recent"
)

// decided is one decision of a history.
func decided(at time.Time, webhook string, reason authz.Reason, shadow bool) *recent.Entry {
	e := &recent.Entry{Time: at, ID: "x", Webhook: webhook, Verdict: authz.Allow, Reason: reason, Shadow: shadow, Duration: 100 * time.Microsecond}
	if !reason.Allows() {
		e.Verdict = authz.Deny
	}
	return e
}

// What was decided is counted once, in its slot, whatever comes late.
func TestHistoryCounts(t *testing.T) {
	ring := recent.New(1<<20, "")
	h := newHistory(ring, clock)
	add := func(ago time.Duration, webhook string, reason authz.Reason, shadow bool) {
		ring.Append(decided(noon.Add(-ago), webhook, reason, shadow))
	}
	add(0, "a", authz.OK, false)
	add(30*time.Minute, "a", authz.Replayed, false)
	h.follow(noon)
	h.follow(noon) // nothing is counted twice
	add(30*time.Minute, "a", authz.Replayed, false)
	add(30*time.Minute, "b", authz.SignatureInvalid, true)
	add(10*time.Hour, "a", authz.OK, false)
	add(30*time.Hour, "a", authz.OK, false)
	add(-2*time.Hour, "c", authz.OK, false) // a clock that is ahead
	h.follow(noon)

	hour, since, missed := h.total(0, noon)
	if hour.tally.allowed != 2 || hour.tally.denied != 2 || hour.tally.wouldDeny != 1 || missed != 0 || !since.Equal(noon.Add(-30*time.Hour)) {
		t.Errorf("the last hour: %+v, since %v, missed %d", hour.tally, since, missed)
	}
	if day, _, _ := h.total(1, noon); day.tally.allowed != 3 || day.tally.denied != 2 {
		t.Errorf("the last day: %+v", day.tally)
	}
	if last := hour.slots[len(hour.slots)-1]; last.allowed != 2 {
		t.Errorf("the last minute: %+v", last)
	}
	if at := hour.slots[len(hour.slots)-1-30]; at.denied != 2 || at.wouldDeny != 1 {
		t.Errorf("half an hour ago: %+v", at)
	}
	if fmt.Sprint(hour.reasons) != fmt.Sprint([]reasonCount{{authz.Replayed, 2}, {authz.SignatureInvalid, 1}}) {
		t.Error(hour.reasons)
	}
	if a, ok := h.webhook("a", 0, noon); !ok || a.tally.total() != 3 {
		t.Errorf("a: %+v", a.tally)
	}
	if _, ok := h.webhook("nobody", 0, noon); ok {
		t.Error("nobody is counted")
	}
	if n := len(h.webhooks(0, noon)); n != 3 {
		t.Errorf("%d webhooks", n)
	}
	// After the clock was set back, what comes is counted all the same.
	back := noon.Add(-5 * time.Hour)
	ring.Append(decided(back, "a", authz.OK, false))
	h.follow(back)
	if a, _ := h.webhook("a", 0, back); a.tally.total() != 1 || !a.last.Equal(back) {
		t.Errorf("after the clock was set back: %+v, %v", a.tally, a.last)
	}
	// An hour later, slots that are used again begin anew.
	later := noon.Add(time.Hour)
	ring.Append(decided(later, "a", authz.OK, false))
	h.follow(later)
	if hour, _, _ := h.total(0, later); hour.tally.total() != 1 {
		t.Errorf("an hour later: %+v", hour.tally)
	}
}

// More webhooks than are counted by themselves are counted together; what is gone before
// it is counted is known to be missing.
func TestHistoryIsBounded(t *testing.T) {
	ring := recent.New(256<<10, "")
	h := newHistory(ring, clock)
	for i := range 3 * maxSeries {
		ring.Append(decided(noon, fmt.Sprint("w", i), authz.OK, false))
		if i%100 == 0 {
			h.follow(noon)
		}
	}
	h.follow(noon)
	if len(h.by) != maxSeries+1 || h.by[others] == nil {
		t.Errorf("%d series", len(h.by))
	}
	if all, _, missed := h.total(0, noon); all.tally.total() != 3*maxSeries || missed != 0 {
		t.Errorf("%d are counted, %d missed", all.tally.total(), missed)
	}
	const flood = 100_000
	for range flood {
		ring.Append(decided(noon, "w", authz.SignatureInvalid, false))
	}
	h.follow(noon)
	if all, _, missed := h.total(0, noon); missed == 0 || all.tally.total()+int(missed) != 3*maxSeries+flood {
		t.Errorf("%d are counted, %d missed", all.tally.total(), missed)
	}
}

// Counting ends with the context.
func TestHistoryEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	h := newHistory(recent.New(0, ""), clock)
	go func() { defer close(ended); h.run(ctx) }()
	cancel()
	<-ended
}

func TestQuantiles(t *testing.T) {
	var none tally
	if none.quantile(.99) != 0 {
		t.Error("of nothing")
	}
	for _, c := range []struct {
		d    time.Duration
		want int
	}{{-1, 0}, {0, 0}, {16 * time.Microsecond, 0}, {16*time.Microsecond + 1, 1}, {32 * time.Microsecond, 1}, {33 * time.Microsecond, 2}, {time.Hour, buckets - 1}} {
		if got := bucket(c.d); got != c.want {
			t.Errorf("%v is in bucket %d, want %d", c.d, got, c.want)
		}
	}
	// Of ten thousand from 1 to 10,000 µs, a quantile is right within its bucket.
	var even tally
	for i := 1; i <= 10_000; i++ {
		even.allowed++
		even.durations[bucket(time.Duration(i)*time.Microsecond)]++
	}
	for _, share := range []float64{.01, .5, .9, .99, 1} {
		got, want := even.quantile(share), time.Duration(share*1e4)*time.Microsecond
		if got < want/2 || got > 2*want {
			t.Errorf("%v: %v, want about %v", share, got, want)
		}
	}
}

// A chart is as high as its highest bar needs, shows what is rare, and says in words what
// it shows.
func TestChart(t *testing.T) {
	tr := traffic{slots: make([]tally, 60), start: noon}
	tr.slots[3] = tally{allowed: 1700, denied: 1}
	tr.tally = tr.slots[3]
	c := draw(&tr, &windows[0], false)
	if c.Top != "2k" || c.Half != "1k" || len(c.Bars) != 60 || len(c.Times) != 5 {
		t.Errorf("%+v", c)
	}
	if c.Allowed != "M31 24.0h8v136.0h-8z" || c.Denied != "M31 22.5h8v1.5h-8z" || c.WouldDeny != "" {
		t.Errorf("%s, %s, %s", c.Allowed, c.Denied, c.WouldDeny)
	}
	if c.Label != "last hour: 1,700 allowed, 1 denied, 0 would be denied; at most 1,701 a minute" {
		t.Error(c.Label)
	}
	if empty := draw(&traffic{slots: make([]tally, 60)}, &windows[0], true); strings.ContainsAny(empty.Allowed+empty.Denied, "Mh") {
		t.Errorf("%+v", empty)
	}
	for n, want := range map[int]string{0: "2", 2: "2", 3: "4", 5: "10", 11: "20", 101: "200", 1_234_567: "2M"} {
		if got := short(niceTop(n)); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestWords(t *testing.T) {
	for got, want := range map[string]string{
		number(0): "0", number(999): "999", number(1000): "1,000", number(1234567): "1,234,567",
		percent(0, 0): "0 %", percent(1, 100000): "< 0.1 %", percent(1, 15): "6.7 %", percent(3, 4): "75 %",
		micros(0): "–", micros(64 * time.Microsecond): "64 µs", micros(2500 * time.Microsecond): "2.5 ms", micros(20 * time.Millisecond): "20 ms", micros(2 * time.Second): "2.0 s",
		age(time.Time{}, noon): "never", age(noon.Add(time.Second), noon): "in the future", age(noon.Add(-time.Minute), noon): "60 s",
		age(noon.Add(-time.Hour), noon): "60 min", age(noon.Add(-24*time.Hour), noon): "24 h", age(noon.Add(-72*time.Hour), noon): "3 days",
		size(12): "12 B", size(2048): "2.0 KiB", size(3 << 20): "3.0 MiB",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// What a decision costs that is counted: in the background, beside those who decide.
func BenchmarkFollow(b *testing.B) {
	ring := decisionsOfADay(200_000, noon)
	b.ReportAllocs()
	for b.Loop() {
		h := newHistory(ring, clock)
		h.follow(noon)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/200_000, "ns/decision")
}

// What the first page costs with as many decisions behind it.
func BenchmarkOverview(b *testing.B) {
	c := New(sample(decisionsOfADay(200_000, noon), noon))
	c.history.follow(noon)
	b.ReportAllocs()
	for b.Loop() {
		c.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", http.NoBody))
	}
}
