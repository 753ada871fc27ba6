package monitor_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/monitor"
)

// batch delivers so many within so long, from now on.
func (s *stream) batch(n int, within time.Duration) {
	for range n {
		s.run(within/time.Duration(n), 1e-9, nil)
		s.m.Observe(&monitor.Event{Time: s.now, Webhook: "w", Source: netip.MustParseAddr("192.0.2.1"), Allowed: true, Reason: authz.OK, KeyID: "k", BodyBytes: 1000})
	}
}

// until lets time pass to a time of day, without deliveries.
func (s *stream) until(day int, at time.Duration) {
	s.run(monday.Add(time.Duration(day)*24*time.Hour+at).Sub(s.now), 1e-9, nil)
}

func (s *stream) count(k monitor.Kind) (n int) {
	for _, a := range s.alarms {
		if a.Kind == k {
			n++
		}
	}
	return n
}

// A batch each night leaves a pause of a day, which is no silence, however much of the
// batch's hour was left. A night without it is one.
func TestBatchANight(t *testing.T) {
	s := newStream(3)
	for day := range 35 {
		s.until(day, 115*time.Minute+time.Duration(s.rng.IntN(8))*time.Minute)
		s.batch(300+s.rng.IntN(300), 12*time.Minute)
	}
	if s.count(monitor.Silence) > 0 {
		t.Errorf("five weeks of nights: %v", s.alarms)
	}
	s.alarms = nil
	s.until(35, 5*time.Hour)
	if s.count(monitor.Silence) != 1 {
		t.Errorf("a night without deliveries: %v", s.alarms)
	}
}

// Bursts at any time of the day are no excess, and what lies between them no silence.
func TestBursts(t *testing.T) {
	s := newStream(4)
	bursts := func(days float64) {
		for end := s.now.Add(time.Duration(days * 24 * float64(time.Hour))); s.now.Before(end); {
			s.run(time.Duration(s.rng.ExpFloat64()*6*float64(time.Hour)), 1e-9, nil)
			s.batch(50+s.rng.IntN(250), 2*time.Minute)
		}
	}
	bursts(14)
	s.alarms = nil // it learns
	bursts(56)
	if len(s.alarms) > 2 {
		t.Errorf("eight weeks of bursts have %d alarms: %v", len(s.alarms), s.alarms)
	}
}

// What strangers send to a webhook before its first delivery is no past of it.
func TestStrangersBeforeTheFirstDelivery(t *testing.T) {
	s := newStream(5)
	s.run(10*24*time.Hour, 1, func(e *monitor.Event) { stranger(e); deny(authz.SignatureInvalid)(e) })
	s.run(12*24*time.Hour, 20, nil)
	if len(s.alarms) > 0 {
		t.Errorf("of a webhook that is new: %v", s.alarms)
	}
	s.run(6*time.Hour, 20, some(0.6, func(e *monitor.Event) { e.Source = netip.MustParseAddr("203.0.113.5") }))
	if s.count(monitor.NewSource) != 1 {
		t.Errorf("a network that is new: %v", s.alarms)
	}
}

// A flood of strangers' failures does not hide that the secret has changed.
func TestFloodHidesNothing(t *testing.T) {
	s := newStream(6)
	s.run(15*24*time.Hour, 60, nil)
	flood := func(long time.Duration, change func(e *monitor.Event)) {
		s.run(long, 600, func(e *monitor.Event) {
			if s.rng.IntN(10) > 0 {
				stranger(e)
				deny(authz.SignatureInvalid)(e)
			} else if change != nil {
				change(e)
			}
		})
	}
	flood(3*time.Hour, nil)
	if len(s.alarms) != 1 || !s.alarms[0].Strangers {
		t.Fatalf("of strangers alone: %v", s.alarms)
	}
	flood(3*time.Hour, deny(authz.SignatureInvalid))
	if len(s.alarms) != 2 || s.alarms[1].Kind != monitor.SignatureFailures || s.alarms[1].Strangers {
		t.Errorf("of a secret that has changed meanwhile: %v", s.alarms)
	}
	if current, past := s.m.Alarms(); len(current) != 1 || len(past) != 1 || current[0].Strangers || !past[0].Strangers {
		t.Errorf("%v go on, %v have ended", current, past)
	}
}

// Where each delivery comes from a new network, strangers look like the provider: what
// they can cause is theirs.
func TestEverywhere(t *testing.T) {
	s := newStream(7)
	anywhere := func(e *monitor.Event) {
		e.Source = netip.AddrFrom4([4]byte{10, byte(s.rng.IntN(256)), byte(s.rng.IntN(256)), 1})
	}
	s.run(15*24*time.Hour, 60, anywhere)
	s.run(12*time.Hour, 1e-9, nil)
	s.alarms = nil
	s.run(2*time.Hour, 20, func(e *monitor.Event) { stranger(e); deny(authz.SignatureInvalid)(e) })
	for _, a := range s.alarms {
		if a.Kind == monitor.SignatureFailures && !a.Strangers {
			t.Errorf("of strangers: %+v", a)
		}
	}
	if s.count(monitor.SignatureFailures) != 1 {
		t.Errorf("failures: %v", s.alarms)
	}
}
