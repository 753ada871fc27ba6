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
		e := delivery(names, i)
		m.Observe(&e)
	}
}

func delivery(names []string, i int) monitor.Event {
	return monitor.Event{
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
// million sources, all in random order: from four networks each, and from a network each.
// line is what one random line of as much memory takes, of which they need two and three.
// slot judges all webhooks.
func BenchmarkObserve(b *testing.B) {
	names := webhooks()
	m := monitor.New(monitor.Config{})
	fill(m, names)
	usual := monitor.New(monitor.Config{})
	near := func(i int) monitor.Event { // the networks of a webhook are 10.x.y.0/24 to 10.x+3.y.0/24
		e := delivery(names, i)
		w := i % manyWebhooks
		e.Source = netip.AddrFrom4([4]byte{10, byte(w>>8 + 40*(i/manyWebhooks%4)), byte(w), byte(i / manyWebhooks)})
		return e
	}
	for i := range manySources {
		e := near(i)
		usual.Observe(&e)
	}
	random := func(i int) int { return i * 7919 % manySources }
	b.Run("decision", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			e := near(random(i)) // as a decision would, which is at hand
			usual.Observe(&e)
		}
	})
	b.Run("networks", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			e := delivery(names, random(i))
			m.Observe(&e)
		}
	})
	b.Run("line", func(b *testing.B) {
		lines := make([][8]uint64, 1<<18)
		at := uint64(1)
		for range b.N {
			at = lines[at>>46][0] + at*6364136223846793005 + 1442695040888963407 // waits for the line
		}
		runtime.KeepAlive(at)
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
