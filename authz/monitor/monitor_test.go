package monitor_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/monitor"
)

var monday = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

// stream is a steady stream of deliveries to one webhook, with something that changes
// them.
type stream struct {
	rng    *rand.Rand
	m      *monitor.Monitor
	alarms []monitor.Alarm
	now    time.Time
}

func newStream(seed uint64) *stream {
	s := &stream{rng: rand.New(rand.NewPCG(seed, 1)), now: monday}
	s.m = monitor.New(monitor.Config{Networks: 1 << 12, OnAlarm: func(a monitor.Alarm) { s.alarms = append(s.alarms, a) }})
	return s
}

// run lets time pass, with so many deliveries an hour on average.
func (s *stream) run(long time.Duration, hourly float64, change func(e *monitor.Event)) {
	for end := s.now.Add(long); ; {
		wait := time.Duration(min(s.rng.ExpFloat64()/hourly, 1e5) * float64(time.Hour))
		next := min(wait, end.Sub(s.now))
		for tick := s.now.Truncate(monitor.Slot).Add(monitor.Slot); !tick.After(s.now.Add(next)); tick = tick.Add(monitor.Slot) {
			s.m.Tick(tick)
		}
		if s.now = s.now.Add(next); next < wait {
			return
		}
		e := monitor.Event{
			Time: s.now, Webhook: "w", Source: netip.AddrFrom4([4]byte{192, 0, 2, byte(s.rng.IntN(9))}), Allowed: true, Reason: authz.OK, KeyID: "old",
			BodyBytes: 1000 + s.rng.Int64N(1000), HasSkew: true, Skew: time.Duration(s.rng.Int64N(int64(time.Second))),
		}
		if s.now.Sub(monday) > 4*24*time.Hour {
			e.KeyID = "new"
		}
		if change != nil {
			change(&e)
		}
		s.m.Observe(&e)
	}
}

func deny(reason authz.Reason) func(e *monitor.Event) {
	return func(e *monitor.Event) { e.Allowed, e.Reason, e.KeyID = false, reason, "" }
}

// some changes a share of the deliveries.
func some(share float64, change func(e *monitor.Event)) func(e *monitor.Event) {
	rng := rand.New(rand.NewPCG(9, 9))
	return func(e *monitor.Event) {
		if rng.Float64() < share {
			change(e)
		}
	}
}

func stranger(e *monitor.Event) {
	e.Source = netip.AddrFrom4([4]byte{198, 51, 100, 7})
}

// kinds are what each kind is raised for, after two quiet weeks, and no other is.
var kinds = map[string]struct {
	kind   monitor.Kind
	hourly float64 // after the two weeks; 0: as before
	change func(e *monitor.Event)
	says   string
}{
	"the secret has changed":  {monitor.SignatureFailures, 0, deny(authz.SignatureInvalid), "secret has probably changed"},
	"one of two secrets":      {monitor.SignatureFailures, 0, some(0.3, deny(authz.SignatureInvalid)), "may have changed"},
	"a token has changed":     {monitor.SignatureFailures, 0, deny(authz.TokenInvalid), "secret has probably changed"},
	"copies":                  {monitor.Copies, 0, some(0.3, deny(authz.Replayed)), "copies"},
	"copies that are marked":  {monitor.Copies, 0, some(0.3, func(e *monitor.Event) { e.Mark = authz.MarkCopy }), "copies"},
	"a clock behind":          {monitor.ClockDrift, 0, func(e *monitor.Event) { e.Skew += 8 * time.Second }, "behind our clock"},
	"a clock ahead":           {monitor.ClockDrift, 0, func(e *monitor.Event) { e.Skew -= 8 * time.Second }, "behind our clock"},
	"a clock far ahead":       {monitor.ClockDrift, 0, func(e *monitor.Event) { deny(authz.TimestampInFuture)(e); e.Skew = -10 * time.Minute }, "behind our clock"},
	"another network":         {monitor.NewSource, 0, some(0.4, func(e *monitor.Event) { e.Source = netip.MustParseAddr("2001:db8::1") }), "not known a day before"},
	"nothing":                 {monitor.Silence, 1e-4, nil, "nothing has come"},
	"large bodies":            {monitor.BodySize, 0, func(e *monitor.Event) { e.BodyBytes *= 4 }, "larger"},
	"small bodies":            {monitor.BodySize, 0, func(e *monitor.Event) { e.BodyBytes /= 4 }, "smaller"},
	"five times as many":      {monitor.Rate, 300, nil, "more deliveries"},
	"a tenth":                 {monitor.Rate, 6, nil, "fewer deliveries"},
	"the old key":             {monitor.RetiredKey, 0, some(0.2, func(e *monitor.Event) { e.KeyID = "old" }), `key "old"`},
	"a key that is not valid": {monitor.RetiredKey, 0, some(0.2, func(e *monitor.Event) { deny(authz.KeyNotValidNow)(e); e.KeyID = "old" }), "not valid now"},
	"outcomes unknown":        {monitor.UnknownOutcomes, 0, some(0.3, func(e *monitor.Event) { e.Mark = authz.MarkPossible }), "nobody knows"},
	"outcomes uncertain":      {monitor.UnknownOutcomes, 0, some(0.3, deny(authz.ReplayUncertain)), "nobody knows"},
}

func TestKinds(t *testing.T) {
	seen := map[monitor.Kind]bool{monitor.PathScan: true} // see TestPathScan
	for name, c := range kinds {
		seen[c.kind] = true
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStream(5)
			s.run(15*24*time.Hour, 60, nil)
			if len(s.alarms) > 0 {
				t.Fatalf("alarms in two quiet weeks: %v", s.alarms)
			}
			began, hourly := s.now, c.hourly
			if hourly == 0 {
				hourly = 60
			}
			s.run(4*time.Hour, hourly, c.change)
			if len(s.alarms) != 1 {
				t.Fatalf("alarms %v", s.alarms)
			}
			a := s.alarms[0]
			if a.Kind != c.kind || a.Webhook != "w" || !strings.Contains(a.Message, c.says) || a.Samples <= 0 || a.Unit == "" || a.Strangers {
				t.Errorf("alarm %+v", a)
			}
			if a.Baseline == a.Value || a.Since.Before(began.Add(-3*time.Hour)) || !a.Since.Before(a.Time) || a.Time.Sub(began) > 3*time.Hour {
				t.Errorf("began %v: %+v", began, a)
			}
			current, past := s.m.Alarms()
			if len(current) != 1 || len(past) != 0 {
				t.Errorf("%d go on, %d have ended", len(current), len(past))
			}
			s.run(26*time.Hour, 60, nil) // it ends, and is not raised again
			if current, past = s.m.Alarms(); len(current) != 0 || len(past) != 1 || past[0].Ended == nil || len(s.alarms) != 1 {
				t.Errorf("%v go on, %v have ended", current, past)
			}
		})
	}
	for _, k := range monitor.Kinds() {
		if !seen[k] {
			t.Errorf("no case shows %s", k)
		}
	}
}

// TestBackfill: old events that a provider sends again by the thousand are one alarm, of
// their number, and no clock.
func TestBackfill(t *testing.T) {
	s := newStream(14)
	s.run(15*24*time.Hour, 60, nil)
	s.run(2*time.Hour, 3000, func(e *monitor.Event) { e.Skew += 5 * time.Hour })
	if len(s.alarms) != 1 || s.alarms[0].Kind != monitor.Rate {
		t.Errorf("alarms %v", s.alarms)
	}
	s.run(24*time.Hour, 60, nil)
	if len(s.alarms) != 1 {
		t.Errorf("afterwards: %v", s.alarms)
	}
}

// TestCatchingUp: after a pause of the provider what it makes up is no alarm.
func TestCatchingUp(t *testing.T) {
	s := newStream(15)
	s.run(15*24*time.Hour, 60, nil)
	s.run(3*time.Hour, 1e-4, nil)
	if len(s.alarms) != 1 || s.alarms[0].Kind != monitor.Silence {
		t.Fatalf("alarms %v", s.alarms)
	}
	s.run(time.Hour, 240, func(e *monitor.Event) { e.Skew += time.Hour })
	s.run(24*time.Hour, 60, nil)
	if current, _ := s.m.Alarms(); len(s.alarms) != 1 || len(current) != 0 {
		t.Errorf("alarms %v, %v go on", s.alarms, current)
	}
}

func TestPathScan(t *testing.T) {
	s := newStream(6)
	n := 0
	path := func(e *monitor.Event) {
		n++
		*e = monitor.Event{Time: e.Time, Source: e.Source, Reason: authz.NoWebhook, Path: authz.View(fmt.Sprintf("/%d", n%7))}
	}
	s.run(5*24*time.Hour, 200, path)
	if len(s.alarms) > 0 {
		t.Fatalf("seven paths again and again: %v", s.alarms)
	}
	s.run(2*time.Hour, 400, func(e *monitor.Event) { path(e); e.Path = authz.View(fmt.Sprintf("/x/%d", n)); stranger(e) })
	if len(s.alarms) != 1 || s.alarms[0].Kind != monitor.PathScan || !s.alarms[0].Strangers || s.alarms[0].Source != "198.51.100.0/24" {
		t.Errorf("alarms %+v", s.alarms)
	}
}

// TestSparse: with three deliveries a day.
func TestSparse(t *testing.T) {
	for name, c := range map[string]struct {
		kind   monitor.Kind
		hourly float64
		change func(e *monitor.Event)
	}{
		"nothing":     {monitor.Silence, 1e-4, nil},
		"the secret":  {monitor.SignatureFailures, 0.125, deny(authz.SignatureInvalid)},
		"the old key": {monitor.RetiredKey, 0.125, func(e *monitor.Event) { e.KeyID = "old" }},
		"a network":   {monitor.NewSource, 0.125, stranger},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStream(12)
			s.run(28*24*time.Hour, 0.125, nil)
			before := len(s.alarms)
			s.run(7*24*time.Hour, c.hourly, c.change)
			if before > 0 || len(s.alarms) != 1 || s.alarms[0].Kind != c.kind {
				t.Errorf("alarms %+v", s.alarms)
			}
		})
	}
}

// TestStrangers: what strangers do raises one alarm an hour, teaches nothing and hides
// nothing.
func TestStrangers(t *testing.T) {
	s := newStream(7)
	for i := range 40 { // more webhooks
		s.m.Observe(&monitor.Event{Time: s.now, Webhook: fmt.Sprint(i), Allowed: true, Reason: authz.OK, Source: netip.AddrFrom4([4]byte{192, 0, 2, 1})})
	}
	s.run(15*24*time.Hour, 60, nil)
	s.alarms = nil
	n := 0
	attack := func(e *monitor.Event) {
		n++
		if n%2 == 0 {
			return // a delivery among them
		}
		stranger(e)
		deny([]authz.Reason{authz.SignatureInvalid, authz.SignatureMissing, authz.TimestampTooOld, authz.BodyTooLarge, authz.NoWebhook}[n/2%5])(e)
		e.Webhook, e.BodyBytes, e.Skew = fmt.Sprint(n/2%40), 1<<30, time.Hour
		switch n / 2 % 7 {
		case 0:
			e.Webhook = "w"
		case 1:
			e.Webhook, e.Reason, e.Path = "", authz.NoWebhook, authz.View(fmt.Sprint("/", n))
		}
	}
	const hours = 12
	s.run(hours*time.Hour, 20_000, func(e *monitor.Event) { attack(e) })
	strange := 0
	for _, a := range s.alarms {
		if !a.Strangers {
			if a.Kind != monitor.Rate { // there are many deliveries among them
				t.Errorf("strangers raise %+v", a)
			}
			continue
		}
		strange++
	}
	if strange == 0 || strange > hours {
		t.Errorf("%d alarms of strangers in %d hours", strange, hours)
	}
	if s.m.Stats().Held == 0 {
		t.Error("nothing was held back")
	}
	s.alarms = nil
	s.run(3*time.Hour, 20_000, func(e *monitor.Event) {
		if attack(e); n%2 == 0 {
			deny(authz.SignatureInvalid)(e)
		}
	})
	if !slices.ContainsFunc(s.alarms, func(a monitor.Alarm) bool {
		return a.Webhook == "w" && a.Kind == monitor.SignatureFailures && !a.Strangers
	}) && !slices.ContainsFunc(mustCurrent(s.m), func(a monitor.Alarm) bool { return a.Webhook == "w" && a.Kind == monitor.SignatureFailures }) {
		t.Errorf("the changed secret of w is hidden among %+v", s.alarms)
	}
}

func mustCurrent(m *monitor.Monitor) []monitor.Alarm {
	current, _ := m.Alarms()
	return current
}

// TestNewUsual: what goes on is the new usual after three days.
func TestNewUsual(t *testing.T) {
	s := newStream(8)
	s.run(15*24*time.Hour, 60, nil)
	s.run(8*24*time.Hour, 60, func(e *monitor.Event) { e.BodyBytes *= 4 })
	current, past := s.m.Alarms()
	if len(current) != 0 || len(past) != 1 || len(s.alarms) != 1 || past[0].Ended.Sub(past[0].Time) != 72*time.Hour {
		t.Errorf("%v go on, %v have ended", current, past)
	}
}

// TestClock: a clock that is set back, or far ahead, does no harm.
func TestClock(t *testing.T) {
	s := newStream(9)
	for _, year := range []int{1, 1969, 1970} {
		at := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
		s.m.Observe(&monitor.Event{Time: at, Webhook: "old", Allowed: true})
		s.m.Tick(at)
		s.m.Tick(at.Add(time.Hour))
	}
	s.run(24*time.Hour, 60, nil)
	s.m.Tick(s.now.Add(-time.Hour))
	s.m.Tick(s.now.AddDate(3, 0, 0))
	s.m.Tick(s.now)
	if len(s.alarms) > 1 { // nothing has come for years
		t.Errorf("alarms %v", s.alarms)
	}
	s.alarms = nil
	s.run(15*24*time.Hour, 60, nil)
	if len(s.alarms) > 0 {
		t.Errorf("after the clock was set back: %v", s.alarms)
	}
	s.run(2*time.Hour, 1e-4, nil)
	if len(s.alarms) != 1 || s.alarms[0].Kind != monitor.Silence {
		t.Errorf("nothing is seen any more: %v", s.alarms)
	}
}

// TestConcurrent is for the race detector.
func TestConcurrent(t *testing.T) {
	m := monitor.New(monitor.Config{Networks: 1 << 10, OnAlarm: func(monitor.Alarm) {}})
	file := t.TempDir() + "/state"
	var wait sync.WaitGroup
	for g := range 4 {
		wait.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 0))
			for i := range 5000 {
				at := monday.Add(time.Duration(i) * time.Minute)
				m.Observe(&monitor.Event{
					Time: at, Webhook: fmt.Sprint(rng.IntN(20)), Allowed: i%3 > 0, Reason: authz.OK,
					Source: netip.AddrFrom4([4]byte{10, byte(rng.IntN(99)), byte(rng.IntN(99)), 1}),
				})
				if i%50 == 0 {
					m.Tick(at)
				}
				if i%1000 == 0 {
					if err := m.Save(file); err != nil {
						t.Error(err)
					}
				}
				m.Alarms()
				m.Stats()
			}
		})
	}
	wait.Wait()
}
