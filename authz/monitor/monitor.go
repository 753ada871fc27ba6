// Package monitor says what is unusual in a stream of decisions.
//
// Time is cut into slots of five minutes. Observe only counts; at the end of a
// slot Tick holds what was counted of each webhook against the webhook's own past:
//
//   - Shares (failed signatures from networks that deliver, copies, unknown outcomes,
//     deliveries from networks that are new) and counts (failures of strangers, paths
//     that nobody has configured) go into cumulative sums (Page, 1954) of the
//     log-likelihood ratio of two rates, one mild and one strong. No slot brings all
//     that an alarm needs: of shares two must speak for it, of counts three, of unknown
//     outcomes four, so that a burst of a moment, such as a restart, is none.
//   - Sizes of bodies and clock skews become ranks in their own past distribution,
//     whatever its form, and the ranks go into such sums, upwards and downwards.
//   - Numbers of deliveries are kept by the hour for five weeks. What is expected of an
//     hour is the middle half of the same hour of the same weekday, of the same hour of
//     like days, and, for webhooks of a few deliveries a day, of whole days. A band
//     around it follows from how far the webhook has strayed from that so far. An
//     excess that only makes up for what was missing in the last day, or that has
//     happened on two days of the last four weeks, is none.
//   - Silence is the time since the last delivery, measured in deliveries that were
//     expected in it, and held against the lengths of earlier pauses: an alarm is a
//     pause so long that one would come by chance once in about four years, and longer
//     than those of three other days of four weeks. Holidays,
//     on which most webhooks have less, lower what is expected.
//
// There is no training job: what is usual is learned on the way, from the second to
// the fourth day on, depending on the kind. What is raised as an alarm is not learned,
// unless it lasts for three days: then it is the new usual.
//
// An alarm is raised once and ends when nothing has spoken for it for an hour, or for
// six after a weak end; only then the same kind of the same webhook can come again.
// Alarms that strangers can cause, who hold no key, have a share of their own: one an
// hour, of all kinds and webhooks together. What is held back is raised later if it
// goes on. They cannot make the monitor learn, either: a network is known by a delivery
// that was allowed, and what comes from elsewhere counts for no other kind.
//
// Bounds: MaxWebhooks webhooks and Config.Networks networks, about 55 MiB with the
// defaults when they are full. Names come from policies. Beyond that, webhooks are not watched and are
// counted; of networks those go that were not seen for longest.
//
// It does not see what is done slowly over weeks, what lies within a webhook's own
// noise, or anything of a webhook with too few deliveries to have a rhythm. It is no
// protection: nothing is refused because of it. Each replica watches what it gets
// itself; alarms of replicas may differ.
package monitor

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookbastion/hookbastion/authz"
)

// Bounds.
const (
	// MaxWebhooks is how many webhooks are watched.
	MaxWebhooks = 12_000
	// DefaultNetworks is how many pairs of a webhook and a network that delivers to it
	// are remembered.
	DefaultNetworks = 1 << 20
	// keptAlarms is how many alarms that have ended are remembered.
	keptAlarms = 256
	// strangersPause lies between two alarms that strangers can cause.
	strangersPause = time.Hour
)

// Slot is how often the monitor judges.
const Slot = 5 * time.Minute

const slotsAnHour = int64(time.Hour / Slot)

// Event is one decision. It is read during Observe only.
type Event struct {
	Time time.Time
	// Webhook is empty if none matched.
	Webhook string
	// Source is not valid if nobody knows it.
	Source  netip.Addr
	Allowed bool
	Reason  authz.Reason
	Mark    authz.Mark
	KeyID   string
	// Path is looked at where no webhook or no tenant matched.
	Path authz.View
	// BodyBytes is the size of the body.
	BodyBytes int64
	// Skew is our time minus the signed time, if there is a verified one.
	Skew    time.Duration
	HasSkew bool
}

// Config configures a monitor.
type Config struct {
	// Networks bounds the networks that are remembered; 0: DefaultNetworks.
	Networks int
	// OnAlarm, if it is not nil, is called by Tick with each alarm that is raised. It
	// must not call the monitor.
	OnAlarm func(Alarm)
	// OnEnd, if it is not nil, is called by Tick with each alarm that ends.
	OnEnd func(Alarm)
}

// Monitor watches decisions. It is safe for concurrent use. The zero value is not
// usable; New returns one.
type Monitor struct {
	config   Config
	networks *networks

	mu       sync.RWMutex // of the map and the list
	index    index
	all      []*series
	left     int64 // events of webhooks beyond the bound
	judging  sync.Mutex
	slot     int64 // the one that is counted now; 0: none yet
	turn     int   // which series is judged first
	crowd    float64
	stranger int64 // slot of the last alarm that strangers can cause

	reported sync.Mutex
	alarms   alarms
	untold   atomic.Bool // some alarm is on no span yet
}

// New returns a monitor that knows nothing yet.
func New(config Config) *Monitor {
	if config.Networks <= 0 {
		config.Networks = DefaultNetworks
	}
	return &Monitor{config: config, networks: newNetworks(config.Networks), stranger: -1 << 40}
}

// Observe counts one decision.
func (m *Monitor) Observe(e *Event) {
	hash, near := hashText(m.networks.seed, e.Webhook), uint64(0)
	if e.Source.IsValid() {
		near = m.networks.near(hash, e.Source)
		m.networks.touch(near) // it comes from far while the series does
	}
	s := m.find(hash, e.Webhook)
	if s == nil {
		return
	}
	s.mu.Lock()
	s.observe(e, near, m.networks)
	s.mu.Unlock()
}

// ObserveMany counts decisions of which no more is known than their webhook and reason:
// those that the records have left out. They are taken for those of strangers if they
// are denials.
func (m *Monitor) ObserveMany(at time.Time, webhook string, allowed bool, reason authz.Reason, n int64) {
	s := m.find(hashText(m.networks.seed, webhook), webhook)
	if s == nil || n <= 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.many(at, allowed, reason, uint32(min(n, 1<<30)))
}

// find returns the series of a webhook, or nil where there are too many.
func (m *Monitor) find(hash uint64, webhook string) *series {
	s := m.index.find(hash)
	if s != nil {
		return s
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if s = m.index.find(hash); s != nil {
		return s
	}
	if len(m.all) >= MaxWebhooks {
		m.left++
		return nil
	}
	s = newSeries(string(append([]byte(nil), webhook...)), m.networks.seed)
	m.index.add(s)
	m.all = append(m.all, s)
	return s
}

// Left returns how many decisions were not looked at, since there are more than
// MaxWebhooks webhooks.
func (m *Monitor) Left() int64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.left
}

// maxGap is how many slots are judged one by one where nobody called for long.
const maxGap = 35 * 24 * slotsAnHour

// Tick judges all slots that have ended. It is called at least once a slot, from
// outside of decisions, by one goroutine or several. A clock that is set back by up to an
// hour is waited for; by more, numbers of deliveries are learned again.
func (m *Monitor) Tick(now time.Time) {
	m.judging.Lock()
	defer m.judging.Unlock()
	current := slotOf(now)
	switch {
	case m.slot == 0:
		m.slot = current
	case current-m.slot > maxGap:
		m.slot = current - maxGap
	case m.slot-current > slotsAnHour:
		m.setBack(current)
	}
	for ; m.slot < current; m.slot++ {
		m.judge(m.slot)
	}
}

// setBack begins again at a time that lies before what was judged.
func (m *Monitor) setBack(slot int64) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, s := range m.all {
		s.mu.Lock()
		s.Rhythm = newRhythm()
		s.Rhythm.Last = slot
		for _, evidence := range []interface{ reset() }{&s.Failures, &s.Strange, &s.Copies, &s.Unknown, &s.Sources, &s.Scan, &s.Sizes, &s.Skews, &s.Keys} {
			evidence.reset() // its times are still to come
		}
		s.mu.Unlock()
	}
	m.slot = slot
	m.stranger = min(m.stranger, slot)
}

// judge ends a slot for all webhooks. Who is first in turn gets the strangers' share
// first.
func (m *Monitor) judge(slot int64) {
	m.mu.RLock()
	all := m.all
	m.mu.RUnlock()
	m.crowd = crowd(all)
	if len(all) > 0 {
		m.turn = (m.turn + 1) % len(all)
	}
	for i := range all {
		s := all[(m.turn+i)%len(all)]
		s.mu.Lock()
		s.judge(m, slot)
		s.mu.Unlock()
	}
}

// network is what counts as one source: a /24 of IPv4, a /48 of IPv6.
func network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 24
	if a.Is6() {
		bits = 48
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // no address
	}
	return p
}
