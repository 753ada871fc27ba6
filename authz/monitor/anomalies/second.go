package anomalies

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/monitor"
)

// Second makes a stream of another kind: eight webhooks, each a process of its own that
// says when its next delivery comes (sessions, timetables, regular beats), weeks that
// rest on Friday and Saturday, IPv6, bodies of two kinds, and anomalies that come in
// any order and overlap. No number is that of First.
func Second(seed uint64, days int) *Stream {
	rng := newRand(seed, 0x5ec0d)
	from := time.Date(2027, 1, 12, 0, 0, 0, 0, time.UTC).Add(time.Duration(rng.IntN(24)) * time.Hour)
	c := &city{rng: rng, from: from, to: from.AddDate(0, 0, days)}
	names := []string{"billing-eu", "pos", "hr", "telemetry", "git", "tickets", "bank", "video"}
	for i, name := range names {
		c.shops = append(c.shops, &shop{
			name: name, way: i, rng: newRand(seed, 100+uint64(i)), at: from,
			body: math.Exp(5.5 + 4*rng.Float64()), second: 0.1 + 0.3*rng.Float64(), delay: 0.05 + 2*rng.Float64(), nets: 1 + rng.IntN(9),
		})
	}
	for _, k := range monitor.Kinds() {
		for range 2 * max(days-9, 0) / 19 {
			c.trouble(k)
		}
	}
	return &Stream{Webhooks: names, Labels: c.labels, From: c.from, To: c.to, Run: c.run}
}

// city has all shops.
type city struct {
	rng      *rand.Rand
	shops    []*shop
	from, to time.Time
	labels   []Label
	troubles []trouble
	prober   time.Time
}

// shop is a webhook.
type shop struct {
	name   string
	way    int
	rng    *rand.Rand
	at     time.Time // of the next delivery
	burst  int       // deliveries left of a session
	body   float64
	second float64 // share of bodies of the other kind
	delay  float64
	nets   int
	mood   float64
}

// signed reports whether deliveries have a signed time.
func (s *shop) signed() bool { return s.way != 1 && s.way != 4 }

type trouble struct {
	Label
	share, by float64
	way       int
}

// busy is how busy a shop is at a time, 1 on average by day.
func (s *shop) busy(t time.Time) float64 {
	local := t.Add(3 * time.Hour)
	hour := float64(local.Hour()) + float64(local.Minute())/60
	day := math.Max(0.08, math.Sin((hour-6)/14*math.Pi))
	if hour < 6 || hour > 20 {
		day = 0.08
	}
	if d := local.Weekday(); d == time.Friday || d == time.Saturday {
		day *= [8]float64{0.9, 1.6, 0.08, 1, 0.5, 0.6, 0.04, 1.9}[s.way]
	}
	if local.YearDay() == 30 { // a feast
		day *= 0.4
	}
	return day * math.Exp(s.mood)
}

// next moves the shop to its next delivery.
func (s *shop) next() {
	wait := func(mean float64) time.Duration {
		return time.Duration(s.rng.ExpFloat64() * mean * float64(time.Second))
	}
	if s.rng.IntN(2000) == 0 {
		s.mood = 0.7*s.mood + 0.12*s.rng.NormFloat64()
	}
	thin := func(mean float64) { // an uneven Poisson process, by thinning
		for {
			s.at = s.at.Add(wait(mean / 3))
			if s.rng.Float64()*3 < s.busy(s.at) {
				return
			}
		}
	}
	switch s.way {
	case 0: // a timetable: each quarter of an hour, a little late
		s.at = s.at.Truncate(15 * time.Minute).Add(15*time.Minute + time.Duration(5+s.rng.IntN(50))*time.Second)
	case 1:
		thin(1.1)
	case 2:
		thin(900)
	case 3: // a beat each ten seconds, by day and night
		s.at = s.at.Add(9*time.Second + wait(1))
	case 4, 5: // sessions
		if s.burst > 0 {
			s.burst--
			s.at = s.at.Add(wait(12))
			return
		}
		s.burst = s.rng.IntN(7)
		thin([]float64{25, 260}[s.way-4])
	case 6: // five a day
		thin(9000)
	default:
		thin(4)
	}
}

// spacing lies between two troubles of a webhook.
const spacing = 20 * time.Hour

// trouble plants one.
func (c *city) trouble(k monitor.Kind) {
	r := c.rng
	for range 300 {
		s := c.shops[r.IntN(len(c.shops))]
		t := trouble{Label: Label{Kind: k, Webhook: s.name}, way: r.IntN(3), share: 0.25 + 0.75*r.Float64(), by: 5 + 20*r.Float64()}
		t.From = c.from.AddDate(0, 0, 9).Add(time.Duration(r.Int64N(int64(c.to.Sub(c.from) - 9*24*time.Hour)))).Truncate(time.Second)
		hours := 1.5 + 5*r.Float64()
		if s.way == 6 || s.way == 2 {
			hours = 40 + 20*r.Float64()
			t.share = 0.8 + 0.2*r.Float64()
		}
		if s.way == 6 {
			hours *= 2
		}
		if s.way == 0 || s.way == 5 {
			hours = 6 + 8*r.Float64()
		}
		switch k {
		case monitor.PathScan:
			t.Webhook, hours = "", 0.4+2*r.Float64()
			t.Strength = fmt.Sprintf("a path each %.0f s", 2+t.by/3)
		case monitor.Silence:
			if s.way == 6 || s.way == 2 {
				hours *= 1.6
			}
			t.Strength = "nothing"
		case monitor.Rate:
			if s.way == 6 || s.way == 0 || s.way == 2 {
				continue
			}
			t.by = 3 + 4*r.Float64()
			t.Strength = fmt.Sprintf("%.1f times", t.by)
		case monitor.RetiredKey:
			t.Strength = fmt.Sprintf("%.0f %%", 100*t.share)
		case monitor.ClockDrift, monitor.BodySize:
			if k == monitor.ClockDrift && !s.signed() {
				continue
			}
			t.share = 1
			t.Strength = fmt.Sprintf("by %.0f", t.by)
		default:
			t.Strength = fmt.Sprintf("%.0f %%", 100*t.share)
		}
		t.To = t.From.Add(time.Duration(hours * float64(time.Hour)))
		if s.busy(t.From) < 0.3 && s.way != 3 && s.way != 0 && k != monitor.PathScan && hours < 20 || !c.free(&t) {
			continue
		}
		c.labels = append(c.labels, t.Label)
		c.troubles = append(c.troubles, t)
		return
	}
}

func (c *city) free(t *trouble) bool {
	for i := range c.troubles {
		if o := &c.troubles[i]; o.Webhook == t.Webhook && t.From.Before(o.To.Add(spacing)) && o.From.Before(t.To.Add(spacing)) {
			return false
		}
	}
	return t.To.Before(c.to)
}

// Len, Less, Swap, Push and Pop make the shops a heap by the time of their next delivery.
func (c *city) Len() int           { return len(c.shops) }
func (c *city) Less(i, j int) bool { return c.shops[i].at.Before(c.shops[j].at) }
func (c *city) Swap(i, j int)      { c.shops[i], c.shops[j] = c.shops[j], c.shops[i] }
func (c *city) Push(any)           {}
func (c *city) Pop() any           { return nil }

func (c *city) run(emit func(*monitor.Event)) {
	c.prober = c.from
	heap.Init(c)
	for {
		s := c.shops[0]
		if c.prober.Before(s.at) {
			if !c.prober.Before(c.to) {
				return
			}
			c.probe(emit)
			continue
		}
		if !s.at.Before(c.to) {
			return
		}
		c.deliver(s, emit)
		s.next()
		heap.Fix(c, 0)
	}
}

func (c *city) now(name string, k monitor.Kind, at time.Time) *trouble {
	for i := range c.troubles {
		if t := &c.troubles[i]; t.Webhook == name && t.Kind == k && !at.Before(t.From) && at.Before(t.To) {
			return t
		}
	}
	return nil
}

// probe is what strangers do.
func (c *city) probe(emit func(*monitor.Event)) {
	r := c.rng
	e := monitor.Event{Time: c.prober, Reason: authz.NoWebhook, Path: authz.View(fmt.Sprintf("/.env.%d", r.IntN(300))), Source: six(0x2a00, r.IntN(1<<16), r)}
	t := c.now("", monitor.PathScan, c.prober)
	if t != nil {
		e.Path, e.Source = authz.View(fmt.Sprintf("/admin/%d", r.IntN(1<<20))), netip.AddrFrom4([4]byte{9, 9, 9, byte(r.IntN(255))})
		c.prober = c.prober.Add(time.Duration((2 + t.by/3) * r.ExpFloat64() * float64(time.Second)))
	} else {
		next := c.prober.Add(time.Duration(1500 * r.ExpFloat64() * float64(time.Second)))
		for i := range c.troubles { // a scan begins when it does
			if o := &c.troubles[i]; o.Kind == monitor.PathScan && o.From.After(c.prober) && o.From.Before(next) {
				next = o.From
			}
		}
		c.prober = next
	}
	emit(&e)
	if t == nil && r.IntN(4) == 0 {
		e = monitor.Event{Time: e.Time, Webhook: c.shops[r.IntN(len(c.shops))].name, Reason: authz.SignatureMissing, Source: e.Source}
		emit(&e)
	}
}

// six is an address of IPv6.
func six(head, network int, r *rand.Rand) netip.Addr {
	return netip.AddrFrom16([16]byte{byte(head >> 8), byte(head), byte(network >> 8), byte(network), 0, byte(network), 15: byte(r.IntN(256))})
}

// deliver makes the delivery of a shop, and those that come with it.
func (c *city) deliver(s *shop, emit func(*monitor.Event)) {
	r := s.rng
	e := monitor.Event{Time: s.at, Webhook: s.name, Allowed: true, Reason: authz.OK, KeyID: "b", Source: six(0x2001, 64*s.way+r.IntN(s.nets), r)}
	if s.at.Sub(c.from) < 5*24*time.Hour+time.Duration(s.way)*time.Hour {
		e.KeyID = "a"
	}
	e.BodyBytes = int64(s.body * (0.5 + r.Float64()))
	if r.Float64() < s.second {
		e.BodyBytes *= 6
	}
	e.HasSkew = s.signed()
	skew := s.delay * (0.5 + r.ExpFloat64())
	if r.IntN(400) == 0 {
		e.Allowed, e.Reason = false, authz.Replayed
	}
	times := 1
	for i := range c.troubles {
		t := &c.troubles[i]
		if t.Webhook != s.name || s.at.Before(t.From) || !s.at.Before(t.To) {
			continue
		}
		if t.Kind == monitor.Silence {
			return
		}
		if t.Kind == monitor.Rate {
			times = int(t.by + r.Float64())
			continue
		}
		t.change(&e, &skew, r)
	}
	for range times {
		e.Skew = time.Duration(skew * float64(time.Second))
		emit(&e)
	}
}

func (t *trouble) change(e *monitor.Event, skew *float64, r *rand.Rand) {
	hit := r.Float64() < t.share
	switch t.Kind {
	case monitor.SignatureFailures:
		if hit {
			e.Allowed, e.HasSkew, e.KeyID = false, false, ""
			e.Reason = []authz.Reason{authz.SignatureInvalid, authz.SignatureMissing, authz.SignatureMalformed}[t.way]
		}
	case monitor.Copies:
		if hit && t.way == 0 {
			e.Mark = authz.MarkCopy
		} else if hit {
			e.Allowed, e.Reason = false, authz.Replayed
		}
	case monitor.UnknownOutcomes:
		if hit {
			e.Allowed = t.way == 0
			e.Mark = []authz.Mark{authz.MarkPossible, authz.MarkNone, authz.MarkNone}[t.way]
			e.Reason = []authz.Reason{authz.OK, authz.InFlight, authz.ReplayUncertain}[t.way]
		}
	case monitor.ClockDrift:
		if t.way == 0 {
			*skew -= t.by
		} else {
			*skew += t.by
		}
	case monitor.NewSource:
		if hit {
			e.Source = netip.AddrFrom4([4]byte{45, byte(t.by), byte(t.From.Minute()), byte(r.IntN(255))})
		}
	case monitor.BodySize:
		if t.way == 0 {
			e.BodyBytes = 1 + int64(float64(e.BodyBytes)/t.by)
		} else {
			e.BodyBytes = int64(float64(e.BodyBytes) * t.by)
		}
	case monitor.RetiredKey:
		if hit {
			e.KeyID = "a"
			if t.way == 0 {
				e.Allowed, e.Reason = false, authz.KeyNotValidNow
			}
		}
	case monitor.Silence, monitor.Rate, monitor.PathScan:
	}
}
