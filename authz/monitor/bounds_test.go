package monitor_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/monitor"
)

const (
	manyWebhooks = 10_000
	manySources  = 1_000_000
)

// fill gives a monitor many webhooks and a million addresses, each in a network of its
// own, with a slot between every hundred thousand.
func fill(m *monitor.Monitor, names []string) {
	for i := range manySources {
		if i%100_000 == 0 {
			m.Tick(monday.Add(time.Duration(i/100_000) * monitor.Slot))
		}
		m.Observe(delivery(names, i))
	}
}

func delivery(names []string, i int) *monitor.Event {
	return &monitor.Event{
		Time: monday.Add(time.Duration(i) * time.Millisecond), Webhook: names[i%len(names)], Allowed: true, Reason: authz.OK, KeyID: "k",
		Source:    netip.AddrFrom4([4]byte{byte(1 + i>>16), byte(i >> 8), byte(i), byte(i >> 3)}),
		BodyBytes: int64(100 + i%5000), HasSkew: true, Skew: time.Duration(i%1000) * time.Millisecond,
	}
}

func webhooks() []string {
	names := make([]string, manyWebhooks)
	for i := range names {
		names[i] = fmt.Sprintf("webhook-%d", i)
	}
	return names
}

// maxHeap is what a full monitor may take, in bytes.
const maxHeap = 64 << 20

// TestMemory: 10,000 webhooks and a million sources fit.
func TestMemory(t *testing.T) {
	names := webhooks()
	heap := func() uint64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	before := heap()
	m := monitor.New(monitor.Config{})
	fill(m, names)
	used := heap() - before
	t.Logf("%.1f MiB", float64(used)/(1<<20))
	if used > maxHeap {
		t.Errorf("%d bytes", used)
	}
	for i := range 5000 { // strangers make no names, but a mistaken caller might
		m.Observe(&monitor.Event{Time: monday, Webhook: fmt.Sprint("more-", i)})
	}
	if st := m.Stats(); st.Webhooks != monitor.MaxWebhooks || st.Left != 5000-(monitor.MaxWebhooks-manyWebhooks) {
		t.Errorf("%d webhooks, %d decisions left", st.Webhooks, st.Left)
	}
	runtime.KeepAlive(names)
}

// BenchmarkObserve is the cost of a decision where 10,000 webhooks get deliveries from a
// million sources, and of a slot for all of them. It fails above 64 MiB.
func BenchmarkObserve(b *testing.B) {
	names := webhooks()
	m := monitor.New(monitor.Config{})
	fill(m, names)
	events := make([]*monitor.Event, 1<<16)
	for i := range events {
		events[i] = delivery(names, i*7919%manySources)
	}
	b.Run("decision", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			m.Observe(events[i&(len(events)-1)])
		}
	})
	b.Run("slot", func(b *testing.B) {
		now := monday.Add(24 * time.Hour)
		m.Tick(now)
		for b.Loop() {
			now = now.Add(monitor.Slot)
			m.Tick(now)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/manyWebhooks, "ns/webhook")
	})
}
