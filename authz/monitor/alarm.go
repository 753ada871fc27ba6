package monitor

import (
	"fmt"
	"time"
)

// Kind says what is unusual. The set is closed.
type Kind uint8

// The kinds.
const (
	// SignatureFailures: signatures or tokens fail. From networks that deliver, the
	// provider's secret has probably changed.
	SignatureFailures Kind = iota
	// Copies: many deliveries have come before.
	Copies
	// ClockDrift: signed times have moved against our clock.
	ClockDrift
	// NewSource: deliveries that are allowed come from a network that is new.
	NewSource
	// Silence: nothing comes any more.
	Silence
	// BodySize: bodies are larger or smaller than they were.
	BodySize
	// Rate: there are far more deliveries than at such an hour, or far fewer.
	Rate
	// RetiredKey: a key is in use again that others had replaced, or that is not valid.
	RetiredKey
	// PathScan: somebody tries many paths that are not configured, or many tenants.
	PathScan
	// UnknownOutcomes: of many deliveries nobody knows what became of them.
	UnknownOutcomes
	kindCount
)

var kindNames = [kindCount]string{
	"signature_failures", "copies", "clock_drift", "new_source", "silence", "body_size", "rate", "retired_key", "path_scan", "unknown_outcomes",
}

// Kinds are all kinds.
func Kinds() []Kind {
	all := make([]Kind, kindCount)
	for i := range all {
		all[i] = Kind(i)
	}
	return all
}

// String returns the kind's word.
func (k Kind) String() string {
	if k < kindCount {
		return kindNames[k]
	}
	return "unknown"
}

// MarshalText writes the kind's word.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads a kind's word and fails on any other.
func (k *Kind) UnmarshalText(text []byte) error {
	for i, name := range kindNames {
		if name == string(text) {
			*k = Kind(i)
			return nil
		}
	}
	return fmt.Errorf("unknown kind %q", text)
}

// Alarm is one thing that is unusual.
type Alarm struct {
	// Time is when it was raised.
	Time time.Time `json:"time"`
	Kind Kind      `json:"kind"`
	// Webhook is empty where no webhook matched.
	Webhook string `json:"webhook"`
	// Source is the network that most of it came from; empty where that is not known or
	// says nothing.
	Source string `json:"source"`
	// Baseline is what is usual, Value what was seen. Unit says of what.
	Baseline float64 `json:"baseline"`
	Value    float64 `json:"value"`
	Unit     string  `json:"unit"`
	// Samples is how many events it rests on, Since when they began.
	Samples int64     `json:"samples"`
	Since   time.Time `json:"since"`
	Message string    `json:"message"`
	// Strangers: whoever holds no key can cause it.
	Strangers bool `json:"strangers"`
	// Ended is when nothing spoke for it any more; nil while it goes on.
	Ended *time.Time `json:"ended,omitempty"`
}

// alarms are those that go on and the last that ended.
type alarms struct {
	current []Alarm
	past    []Alarm // newest last
	raised  [kindCount]int64
	held    int64   // of strangers
	untold  []Alarm // on no span yet
}

// state is that of one kind of alarm of a webhook.
type state struct {
	Raised int64 // the slot; 0: not raised
	Quiet  int64 // slots since one spoke for it
	Calm   int64 // those of them that had events
	// Strangers can have caused the one that is raised.
	Strangers bool
}

// settle is for how long an alarm lasts until it is the new usual, in slots.
const settle = 72 * slotsAnHour

// How many slots without a word for it end an alarm: quiet, or weak where the evidence
// has not gone down; and how many of them must have had events, which for a webhook of
// a few deliveries takes a day.
const (
	quiet = slotsAnHour
	weak  = 6 * slotsAnHour
	calm  = 3
)

// timeOf is when a slot begins.
func timeOf(slot int64) time.Time { return time.Unix(slot*int64(Slot/time.Second), 0).UTC() }

// learns reports whether what comes is learned: not what is raised.
func (s *series) learns(k Kind) bool { return s.States[k].Raised == 0 }

// raise raises an alarm at the end of a slot, unless it is raised already or the
// strangers' share is used up. It takes the place of one that strangers have caused,
// unless they can cause it as well.
func (s *series) raise(m *Monitor, slot int64, a Alarm) {
	st := &s.States[a.Kind]
	a.Strangers = a.Strangers || s.open
	if st.Raised != 0 && (a.Strangers || !st.Strangers) {
		return
	}
	if a.Strangers {
		if slot-m.stranger < int64(strangersPause/Slot) {
			m.reported.Lock()
			m.alarms.held++
			m.reported.Unlock()
			return
		}
		m.stranger = slot
	}
	if st.Raised != 0 { // strangers must not hide what is none of theirs
		m.end(s.name, a.Kind, timeOf(slot+1))
	}
	*st = state{Raised: slot, Strangers: a.Strangers}
	a.Webhook, a.Time = s.name, timeOf(slot+1)
	m.reported.Lock()
	m.alarms.raised[a.Kind]++
	m.alarms.current = append(m.alarms.current, a)
	if len(m.alarms.untold) < maxUntold {
		m.alarms.untold = append(m.alarms.untold, a)
		m.untold.Store(true)
	}
	m.reported.Unlock()
	if m.config.OnAlarm != nil {
		m.config.OnAlarm(a)
	}
}

// word is what a slot says of an alarm that was raised.
type word struct {
	spoke  bool // for it
	events bool // there was something to judge
	alive  bool // evidence is left
	stays  bool // it never is the new usual
}

// heard notes what a slot says of an alarm. ended says that it ends, accepted that it is
// the new usual.
func (s *series) heard(m *Monitor, slot int64, k Kind, w word) (ended, accepted bool) {
	st := &s.States[k]
	if st.Raised == 0 {
		return false, false
	}
	st.Quiet++
	if w.events {
		st.Calm++
	}
	if w.spoke {
		st.Quiet, st.Calm = 0, 0
	}
	accepted = !w.stays && slot-st.Raised >= settle
	if !accepted && (st.Calm < calm || st.Quiet < quiet || w.alive && st.Quiet < weak) {
		return false, false
	}
	*st = state{}
	m.end(s.name, k, timeOf(slot+1))
	return true, accepted
}

// end moves an alarm to the past ones.
func (m *Monitor) end(webhook string, k Kind, at time.Time) {
	m.reported.Lock()
	var a Alarm
	for i := range m.alarms.current {
		if c := m.alarms.current[i]; c.Kind == k && c.Webhook == webhook {
			a = c
			a.Ended = &at
			m.alarms.current = append(m.alarms.current[:i], m.alarms.current[i+1:]...)
			break
		}
	}
	if len(m.alarms.past) == keptAlarms {
		m.alarms.past = append(m.alarms.past[:0], m.alarms.past[1:]...)
	}
	m.alarms.past = append(m.alarms.past, a)
	m.reported.Unlock()
	if m.config.OnEnd != nil {
		m.config.OnEnd(a)
	}
}

// Alarms returns those that go on and the last 256 that have ended, each with the
// oldest first.
func (m *Monitor) Alarms() (current, past []Alarm) {
	m.reported.Lock()
	defer m.reported.Unlock()
	return append([]Alarm{}, m.alarms.current...), append([]Alarm{}, m.alarms.past...)
}

// maxUntold is how many alarms wait for a span of their webhook.
const maxUntold = 64

// Untold returns the alarms of a webhook that were raised since it was asked last: for
// its next span. It costs nothing while there are none.
func (m *Monitor) Untold(webhook string) (all []Alarm) {
	if !m.untold.Load() {
		return nil
	}
	m.reported.Lock()
	defer m.reported.Unlock()
	rest := m.alarms.untold[:0]
	for _, a := range m.alarms.untold {
		if a.Webhook == webhook {
			all = append(all, a)
		} else {
			rest = append(rest, a)
		}
	}
	m.alarms.untold = rest
	m.untold.Store(len(rest) > 0)
	return all
}

// Stats counts alarms.
type Stats struct {
	// Raised are all so far, by kind, and Current those that go on.
	Raised, Current [kindCount]int64
	// Held is how many slots of webhooks had an alarm of strangers held back.
	Held int64
	// Left is how many decisions were of webhooks beyond MaxWebhooks.
	Left int64
	// Webhooks are those that are watched.
	Webhooks int
}

// Stats returns the counts.
func (m *Monitor) Stats() Stats {
	m.mu.RLock()
	st := Stats{Left: m.left, Webhooks: len(m.all)}
	m.mu.RUnlock()
	m.reported.Lock()
	defer m.reported.Unlock()
	st.Raised, st.Held = m.alarms.raised, m.alarms.held
	for _, a := range m.alarms.current {
		st.Current[a.Kind]++
	}
	return st
}
