package replaytest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
)

// Subject is a store in the hands of the model.
type Subject struct {
	// Replicas are two views of one store; twice the same where it is for one
	// replica.
	Replicas [2]replay.Store
	// Restart ends what holds the nonces, at a time by the clock that is ahead,
	// and returns what comes after.
	Restart func(at time.Time) Subject
	// Keeps: a restart forgets nothing. Otherwise what has no signed time is
	// forgotten. Until Uncertain after a restart, signed times may be refused as
	// uncertain, and so may be, until Recovery after it, what has none.
	Keeps               bool
	Uncertain, Recovery time.Duration
	// Unbounded: no flood makes it evict or refuse.
	Unbounded bool
	// Sweep, if there is one, does what is due.
	Sweep func(now time.Time)
	// Possible, if it counts them, returns the reservations with that mark since
	// the last restart.
	Possible func() int64
}

// model is a store that two replicas share, and the truth about deliveries of
// some contents: what was forwarded, and what the upstream did with it. The
// store is judged by the truth alone:
//
//   - what was forgotten is marked for as long as it would have been known, and
//     nothing else is that nobody knows,
//   - what may have been taken is never forwarded again, unless nobody knows
//     and the policy says so; then it is marked, and counted,
//   - an honest retry is never refused as a copy where the upstream failed, nor
//     under RELEASE where nobody knows,
//   - what is on its way is called that, and only that.
type model struct {
	Subject
	room   int
	now    time.Time
	skew   [2]time.Duration
	latest time.Time // by any clock
	// uncertain is until when signed times may be below a watermark.
	uncertain time.Time
	// recovered is when the last restart has no more to do with what has no
	// signed time.
	recovered time.Time
	lost      time.Time // when that was
	unknown   replay.Fate
	signed    bool
	stretch   time.Duration // how many times the window, by a reload
	possible  int64         // reservations with that mark since the start
	flooded   bool
	owners    uint64
	contents  []*content
	filler    uint64
}

const modelWindow = 4 * time.Minute // four leases

type content struct {
	number     uint64
	signedAt   time.Time
	deliveries []*delivery
	evicted    bool
	restarted  bool
}

// delivery is one request on its way through Envoy, which may ask twice.
type delivery struct {
	check uint64
	// attempts are one or two. They come in any order: one may be held up. Envoy
	// takes the answer of the first one here, or, if it is gone, none.
	attempts []attempt
	gone     bool

	forwarded, forgotten bool
	expires              time.Time
	state                string // of what was forwarded: open, ok, failed, unknown
}

type attempt struct {
	r         authz.Reservation
	expires   time.Time
	asked     bool
	reserved  bool
	cancelled bool
	settled   bool
}

func newModel(subject Subject, room int, signed bool, unknown replay.Fate) *model {
	return &model{Subject: subject, room: room, now: Start, latest: Start, signed: signed, unknown: unknown, stretch: 1, filler: 1 << 40}
}

func (m *model) clock(replica int) time.Time {
	c := m.now.Add(m.skew[replica])
	if c.After(m.latest) {
		m.latest = c
	}
	return c
}

func (m *model) content(number uint64) *content {
	c := &content{number: number, signedAt: m.now}
	m.contents = append(m.contents, c)
	return c
}

func (m *model) nonce(c *content, at time.Time) replay.Nonce {
	if m.signed {
		n := Signed(c.number, c.signedAt)
		n.Span *= m.stretch
		n.Expires = n.Expires.Add(n.Span - n.Span/m.stretch)
		return n
	}
	return Unsigned(c.number, at, modelWindow*m.stretch)
}

// reserve is an attempt of a delivery, at a replica.
func (m *model) reserve(c *content, d *delivery, n, replica int) error {
	at := m.clock(replica)
	if m.signed && at.Sub(c.signedAt) > 300*time.Second {
		return nil // the freshness check refuses it
	}
	m.owners++
	nonce := m.nonce(c, at)
	a, err := m.Replicas[replica].Reserve(context.Background(), nonce, Claim(d.check, m.owners, m.unknown), at)
	if err != nil {
		return err
	}
	if err := m.judge(c, d, n, a, at); err != nil {
		return err
	}
	for i := range d.attempts {
		if a.Adopted && d.attempts[i].r.ID == a.Reservation.ID {
			nonce.Expires = d.attempts[i].expires // it is kept from then on
		}
	}
	d.attempts[n] = attempt{r: a.Reservation, asked: true, reserved: a.Outcome == replay.Reserved, expires: nonce.Expires}
	if a.Outcome == replay.Reserved {
		if a.Mark == authz.MarkPossible && !a.Adopted {
			m.possible++
		}
		if n == 0 && !d.gone {
			d.forwarded, d.state, d.expires, d.forgotten = true, "open", nonce.Expires, false
		}
	}
	return nil
}

// held reports whether some attempt holds the nonce by that clock.
func (c *content) held(at time.Time) bool {
	for _, d := range c.deliveries {
		for _, a := range d.attempts {
			if a.reserved && !a.cancelled && !a.settled && at.UnixNano() < a.r.Ends {
				return true
			}
		}
	}
	return false
}

// judge compares the answer to an attempt with the truth.
func (m *model) judge(c *content, d *delivery, n int, a replay.Answer, at time.Time) error {
	var delivered, unknown, open, forgotten, anything bool
	for _, f := range c.deliveries {
		if f.forgotten && f.state != "failed" && at.Before(f.expires) {
			forgotten = true
		}
		if f == d && n == 0 || !f.forwarded || f.forgotten || f.state == "failed" {
			continue
		}
		// A nonce may live a 64th longer than it must, and as long as the clock
		// that is ahead has said.
		anything = anything || at.Before(f.expires.Add(modelWindow*m.stretch/32+2*replay.Skew))
		if !at.Before(f.expires) || !m.signed && !m.latest.Before(f.expires) {
			continue // a window is measured by the clock that is ahead
		}
		switch over := m.latest.UnixNano() >= f.attempts[0].r.Ends; {
		case f.state == "ok":
			delivered = true
		case f.state == "unknown" || over:
			unknown = true
		default:
			open = true
		}
	}
	switch a.Outcome {
	case replay.Reserved:
		switch {
		case a.Adopted && !slices.ContainsFunc(d.attempts, func(other attempt) bool { return other.r.ID == a.Reservation.ID }):
			return fmt.Errorf("adopted what no other attempt had reserved")
		case a.Adopted:
		case delivered, open:
			return fmt.Errorf("a copy was accepted (delivered %t, open %t)", delivered, open)
		case unknown && m.unknown != replay.Unsure:
			return fmt.Errorf("accepted after an unknown outcome under TAKEN")
		case unknown && a.Mark != authz.MarkPossible:
			return fmt.Errorf("accepted after an unknown outcome without a mark")
		case forgotten && a.Mark != authz.MarkPossible:
			return fmt.Errorf("accepted after it was forgotten, without a mark")
		case a.New && a.Mark != authz.MarkNone && !m.doubtful(at):
			return fmt.Errorf("marked without a reason")
		}
	case replay.Copy:
		if !anything {
			return fmt.Errorf("an honest retry was refused as a copy")
		}
	case replay.CopyUnknown:
		switch {
		case m.unknown == replay.Unsure:
			return fmt.Errorf("an honest retry was lost under RELEASE")
		case !anything && !m.leaseOfCancelled(c):
			return fmt.Errorf("an honest retry was refused as a copy of nothing")
		}
	case replay.Pending:
		if !c.held(at) {
			return fmt.Errorf("in flight, and nothing is")
		}
	case replay.Uncertain:
		late := m.latest.Sub(c.signedAt) > 300*time.Second // by another clock it has expired
		excused := late || c.evicted || c.restarted || !c.signedAt.After(m.uncertain)
		if !m.signed {
			excused = at.Before(m.recovered)
		}
		if !excused {
			return fmt.Errorf("uncertain without a reason")
		}
	case replay.Full:
		if !m.flooded {
			return fmt.Errorf("full without a flood")
		}
	default:
		return fmt.Errorf("outcome %d", a.Outcome)
	}
	return nil
}

// doubtful reports whether what has no signed time may have been forgotten.
func (m *model) doubtful(at time.Time) bool {
	return !m.signed && !m.lost.IsZero() && at.Before(m.lost.Add(modelWindow*m.stretch+replay.Skew))
}

// leaseOfCancelled reports whether a lease has ended of an attempt whose answer
// Envoy did not take and that was not given back yet: nobody could know.
func (m *model) leaseOfCancelled(c *content) bool {
	for _, d := range c.deliveries {
		for _, a := range d.attempts {
			if a.reserved && !a.cancelled && m.latest.UnixNano() >= a.r.Ends {
				return true
			}
		}
	}
	return false
}

// cancel is an attempt that gives back what it owns, and once more, since it may
// not know whether that has worked.
func (m *model) cancel(d *delivery, n, replica int) error {
	a := &d.attempts[n]
	if !a.reserved {
		return nil
	}
	given, err := m.Replicas[replica].Release(context.Background(), a.r, m.clock(replica))
	if given && a.cancelled {
		return fmt.Errorf("given back twice")
	}
	a.cancelled = a.cancelled || given
	if again, _ := m.Replicas[1-replica].Release(context.Background(), a.r, m.clock(1-replica)); again {
		return fmt.Errorf("given back twice")
	}
	return err
}

// settle is the entry of the access log, which may reach either replica.
func (m *model) settle(d *delivery, state string, replica int) error {
	if !d.forwarded || d.state != "open" {
		return nil
	}
	fate := map[string]replay.Fate{"ok": replay.Delivered, "failed": replay.Undelivered, "unknown": m.unknown}[state]
	taken := d.attempts[0]
	changed, err := m.Replicas[replica].Settle(context.Background(), taken.r, fate, m.clock(replica))
	if changed {
		d.state = state
		for i := range d.attempts {
			if d.attempts[i].r.ID == taken.r.ID {
				d.attempts[i].settled = true
			}
		}
	}
	again, _ := m.Replicas[replica].Settle(context.Background(), taken.r, replay.Undelivered, m.clock(replica))
	if again {
		return fmt.Errorf("settled twice")
	}
	return err
}

// happens is what nobody asked for.
func (m *model) happens(event string) {
	switch event {
	case "lease":
		m.now = m.now.Add(Ended)
	case "expiry":
		m.now = m.now.Add(modelWindow * m.stretch)
	case "eviction":
		if m.Unbounded {
			return
		}
		m.flooded = true
		for range m.room * 3 {
			m.filler++
			n := Unsigned(m.filler, m.now, modelWindow)
			if m.signed {
				m.now = m.now.Add(time.Second)
				n = Signed(m.filler, m.now)
			}
			_, _ = m.Replicas[0].Reserve(context.Background(), n, replay.Claim{}, m.now) // it never fails
		}
		m.uncertain = m.clock(0).Add(8 * time.Second) // epochs are of 4
		for _, c := range m.contents {
			c.evicted = true
		}
	case "restart":
		m.Subject, m.possible = m.Restart(m.latest), 0
		if m.Keeps {
			return
		}
		m.lost, m.uncertain, m.recovered = m.latest, m.latest.Add(m.Uncertain), m.latest.Add(m.Recovery)
		for _, c := range m.contents {
			c.restarted = true
			for _, d := range c.deliveries {
				d.forgotten = !m.signed // then it passes marked
				for i := range d.attempts {
					d.attempts[i].cancelled = true
				}
			}
		}
	case "widen":
		m.stretch = 8
	case "ahead":
		m.skew[1] = replay.Skew
	case "behind":
		m.skew[1] = -replay.Skew
	case "sweep":
		if m.Sweep != nil {
			m.Sweep(m.clock(0))
		}
	}
}
