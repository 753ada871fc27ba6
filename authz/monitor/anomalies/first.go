package anomalies

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/monitor"
)

// start is a Monday.
var start = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

// hook is a webhook of the first generator.
type hook struct {
	name    string
	daily   float64 // deliveries on a usual working day
	form    form
	weekend float64 // of a working day
	peak    float64 // hour of the day
	pool    int     // networks of the provider
	size    float64 // bytes, median
	spread  float64 // of the logarithm of the size
	skew    float64 // seconds, median
	signed  bool    // has a signed time
	backlog bool    // has a backfill each week, at the same hour

	rng     *rand.Rand
	level   float64 // logarithm, moves slowly
	prefix  [2]byte
	keys    [2]string
	rotates time.Time
	owed    float64 // deliveries that an outage has held back
}

// form is how a day looks.
type form uint8

const (
	flat form = iota
	business
	evening
	nightly
)

// hooks are the twelve webhooks: from 3 a day to 2 a second.
func hooks() []*hook {
	return []*hook{
		{name: "payroll", daily: 3, form: flat, weekend: 0.9, pool: 1, size: 2500, spread: 0.3, skew: 0.6, signed: true},
		{name: "esign", daily: 12, form: flat, weekend: 0.6, pool: 1, size: 6000, spread: 0.5, skew: 1.2, signed: true},
		{name: "forms", daily: 50, form: business, weekend: 0.5, peak: 14, pool: 2, size: 1500, spread: 0.7, skew: 0.5},
		{name: "support", daily: 180, form: business, weekend: 0.35, peak: 13, pool: 3, size: 4000, spread: 0.8, skew: 0.8, signed: true},
		{name: "crm", daily: 600, form: business, weekend: 0.25, peak: 15, pool: 4, size: 3000, spread: 0.6, skew: 0.4, signed: true},
		{name: "calendar", daily: 1500, form: business, weekend: 0.3, peak: 10, pool: 2, size: 900, spread: 0.4, skew: 0.3},
		{name: "warehouse", daily: 4000, form: nightly, weekend: 0.7, peak: 2, pool: 2, size: 12000, spread: 0.9, skew: 0.5, signed: true, backlog: true},
		{name: "chat", daily: 6000, form: evening, weekend: 1.1, peak: 20, pool: 24, size: 1100, spread: 0.6, skew: 0.3, signed: true},
		{name: "code", daily: 9000, form: business, weekend: 0.3, peak: 15, pool: 6, size: 9000, spread: 1.1, skew: 0.7},
		{name: "shop", daily: 14000, form: evening, weekend: 1.3, peak: 19, pool: 3, size: 3500, spread: 0.5, skew: 0.9, signed: true},
		{name: "mail", daily: 22000, form: business, weekend: 0.5, peak: 11, pool: 40, size: 700, spread: 0.5, skew: 1.5, signed: true},
		{name: "payments", daily: 95000, form: evening, weekend: 1.2, peak: 18, pool: 5, size: 2800, spread: 0.4, skew: 0.4, signed: true},
	}
}

// First makes the stream of a seed, of so many days; 28 is a month.
func First(seed uint64, days int) *Stream {
	w := &world{rng: newRand(seed, 0xfeed), hooks: hooks(), from: start, to: start.AddDate(0, 0, days)}
	for i, h := range w.hooks {
		h.rng = newRand(seed, uint64(i))
		h.prefix = [2]byte{byte(20 + 7*i), byte(w.rng.IntN(250))}
		h.keys = [2]string{"2025", "2026"}
		if i%2 == 0 {
			h.rotates = start.AddDate(0, 0, 3+w.rng.IntN(5)).Add(time.Duration(w.rng.IntN(24)) * time.Hour)
		}
	}
	w.calendar(days)
	w.plant(days)
	s := &Stream{Labels: w.labels, From: w.from, To: w.to, Run: w.run}
	for _, h := range w.hooks {
		s.Webhooks = append(s.Webhooks, h.name)
	}
	return s
}

// newRand returns numbers that a seed and a stream always make alike.
func newRand(seed, stream uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, stream)) //nolint:gosec // it must be the same each time
}

// world is what happens.
type world struct {
	rng      *rand.Rand
	hooks    []*hook
	from, to time.Time
	holidays []time.Time
	deploys  []time.Time // ours: the gateway restarts
	labels   []Label
	plans    []plan
	batch    []monitor.Event
}

// plan is something that happens to a webhook.
type plan struct {
	label    int // of the labels; -1: it is usual
	kind     monitor.Kind
	hook     *hook
	from, to time.Time
	strength float64
	way      int
}

func (p *plan) at(t time.Time) bool { return !t.Before(p.from) && t.Before(p.to) }

// calendar says when there are holidays and deploys.
func (w *world) calendar(days int) {
	for i := range days / 14 { // one in each fortnight
		w.holidays = append(w.holidays, w.from.AddDate(0, 0, 14*i+3+w.rng.IntN(11)))
	}
	for t := w.from; t.Before(w.to); {
		t = t.Add(time.Duration((20 + 70*w.rng.Float64()) * float64(time.Hour)))
		w.deploys = append(w.deploys, t)
	}
}

// rate is how many deliveries a second are usual, without noise.
func (h *hook) rate(t time.Time, holidays []time.Time) float64 {
	hour := float64(t.Hour()) + float64(t.Minute())/60
	off := math.Abs(math.Mod(hour-h.peak+24+12, 24) - 12)
	shape := 1.0
	switch h.form {
	case flat:
	case business:
		shape = 0.12 + 2.6*math.Exp(-off*off/18)
	case evening:
		shape = 0.25 + 1.7*math.Exp(-off*off/28)
	case nightly:
		shape = 0.4 + 4.5*math.Exp(-off*off/4)
	}
	r := h.daily / 86400 * shape
	if d := t.Weekday(); d == time.Saturday || d == time.Sunday {
		r *= h.weekend
	} else if d == time.Monday {
		r *= 1.1
	}
	for _, day := range holidays {
		if t.YearDay() == day.YearDay() && h.form == business {
			r *= 0.35
		} else if t.YearDay() == day.YearDay() {
			r *= 0.7
		}
	}
	return r
}

// minute is the step of the generator.
const minute = time.Minute

// run makes all decisions, minute by minute.
func (w *world) run(emit func(*monitor.Event)) {
	strangers := newRand(w.rng.Uint64(), 1)
	for t := w.from; t.Before(w.to); t = t.Add(minute) {
		w.batch = w.batch[:0]
		down := w.deploying(t)
		for _, h := range w.hooks {
			w.deliveries(h, t, down)
			w.noise(h, t)
		}
		w.probes(strangers, t)
		slices.SortFunc(w.batch, func(a, b monitor.Event) int { return a.Time.Compare(b.Time) })
		for i := range w.batch {
			emit(&w.batch[i])
		}
	}
}

// deploying returns how many minutes ago a deploy of ours began, or -1.
func (w *world) deploying(t time.Time) int {
	for _, d := range w.deploys {
		if ago := t.Sub(d); ago >= 0 && ago < 4*minute {
			return int(ago / minute)
		}
	}
	return -1
}

// within is a moment of a minute.
func within(rng *rand.Rand, t time.Time) time.Time {
	return t.Add(time.Duration(rng.Int64N(int64(minute))))
}

// deliveries makes those of a webhook in a minute.
func (w *world) deliveries(h *hook, t time.Time, down int) {
	if t.Minute() == 0 {
		h.level = 0.8*h.level + 0.09*h.rng.NormFloat64()
	}
	mean := 60 * h.rate(t, w.holidays) * math.Exp(h.level)
	if h.backlog && t.Weekday() == time.Tuesday && t.Hour() == 4 { // every week
		mean += 60 * 8
	}
	for i := range w.plans {
		p := &w.plans[i]
		if p.hook != h || !p.at(t) {
			continue
		}
		switch {
		case p.kind == monitor.Silence:
			h.owed += mean * 0.6 // the provider sends later what it could not
			mean = 0
		case p.kind == monitor.Rate && p.way == 1:
			mean = 60 * 50 // fifty a second
		case p.kind == monitor.Rate:
			mean *= p.strength
		}
	}
	if h.owed > 0 && mean > 0 {
		extra := min(h.owed, max(2*mean, 1))
		h.owed -= extra
		mean += extra
	}
	if down == 0 { // the gateway is away, and senders come back
		h.owed += mean
		mean = 0
	}
	for range poisson(h.rng, mean) {
		w.batch = append(w.batch, w.delivery(h, within(h.rng, t), down))
	}
}

func poisson(rng *rand.Rand, mean float64) int {
	if mean <= 0 {
		return 0
	}
	if mean > 60 {
		return max(0, int(mean+math.Sqrt(mean)*rng.NormFloat64()+0.5))
	}
	n, p, limit := 0, rng.Float64(), math.Exp(-mean)
	for p > limit {
		n++
		p *= rng.Float64()
	}
	return n
}

// delivery makes one.
func (w *world) delivery(h *hook, t time.Time, down int) monitor.Event {
	e := monitor.Event{
		Time: t, Webhook: h.name, Source: h.source(), Allowed: true, Reason: authz.OK, KeyID: h.keys[0],
		BodyBytes: int64(h.size * math.Exp(h.spread*h.rng.NormFloat64())),
	}
	if !h.rotates.IsZero() && t.After(h.rotates) && (t.Sub(h.rotates) > 2*time.Hour || h.rng.Float64() < 0.5) {
		e.KeyID = h.keys[1]
	}
	skew := h.skew * math.Exp(0.5*h.rng.NormFloat64())
	switch p := h.rng.Float64(); { // what happens on any day
	case p < 0.0008:
		e.Allowed, e.Reason = false, authz.SignatureInvalid
	case p < 0.003:
		e.Allowed, e.Reason = false, authz.Replayed
	case p < 0.004:
		e.Mark = authz.MarkPossible
	case p < 0.012: // tried again, with the first time
		skew += 20 + 200*h.rng.Float64()
	case p < 0.016:
		e.BodyBytes *= 15
	}
	if down > 0 && down < 3 && h.rng.Float64() < 0.3 {
		e.Allowed, e.Reason = false, authz.ReplayUncertain
	}
	for i := range w.plans {
		if p := &w.plans[i]; p.hook == h && p.at(t) {
			p.change(h, &e, &skew)
		}
	}
	if h.signed && (e.Allowed || e.Reason == authz.Replayed) {
		e.HasSkew, e.Skew = true, time.Duration(skew*float64(time.Second))
		if skew > 300 {
			e.Allowed, e.Reason = false, authz.TimestampTooOld
		} else if skew < -60 {
			e.Allowed, e.Reason = false, authz.TimestampInFuture
		}
	}
	return e
}

// source is an address of the provider.
func (h *hook) source() netip.Addr {
	n := int(float64(h.pool) * h.rng.Float64() * h.rng.Float64()) // some are used more
	return netip.AddrFrom4([4]byte{h.prefix[0], h.prefix[1] + byte(n%3), byte(11 * n), byte(1 + h.rng.IntN(12))})
}

// change does to a delivery what is planted.
func (p *plan) change(h *hook, e *monitor.Event, skew *float64) {
	hit := h.rng.Float64() < p.strength
	switch p.kind {
	case monitor.SignatureFailures:
		if hit && p.way == 0 {
			e.Allowed, e.Reason, e.KeyID = false, authz.SignatureInvalid, ""
		}
	case monitor.Copies:
		if hit {
			e.Allowed, e.Reason = false, authz.Replayed
		}
	case monitor.UnknownOutcomes:
		switch {
		case hit && p.way == 0:
			e.Mark = authz.MarkPossible
		case hit:
			e.Allowed, e.Reason = false, authz.InFlight
		}
	case monitor.ClockDrift:
		grown := 1.0
		if p.way == 1 { // slowly
			grown = min(1, float64(e.Time.Sub(p.from))/float64(p.to.Sub(p.from)/2))
		}
		*skew += p.strength * grown
	case monitor.NewSource:
		if hit {
			e.Source = netip.AddrFrom4([4]byte{185, 60 + byte(p.from.YearDay()%100), byte(p.from.Hour()), byte(1 + h.rng.IntN(9))})
		}
	case monitor.BodySize:
		e.BodyBytes = max(1, int64(float64(e.BodyBytes)*p.strength))
	case monitor.RetiredKey:
		switch {
		case hit && p.way == 0:
			e.KeyID = h.keys[0]
		case hit:
			e.KeyID, e.Allowed, e.Reason = h.keys[0], false, authz.KeyNotValidNow
		}
	case monitor.Silence, monitor.Rate, monitor.PathScan:
	}
}

func anywhere(rng *rand.Rand) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(100 + rng.IntN(80)), byte(rng.IntN(256)), byte(rng.IntN(256)), byte(rng.IntN(256))})
}

// noise is what strangers send to a webhook on any day, and what is planted of them.
func (w *world) noise(h *hook, t time.Time) {
	mean := 0.004
	for i := range w.plans {
		if p := &w.plans[i]; p.hook == h && p.kind == monitor.SignatureFailures && p.way == 1 && p.at(t) {
			mean += p.strength / 60
		}
	}
	for range poisson(h.rng, mean) {
		e := monitor.Event{Time: within(h.rng, t), Webhook: h.name, Source: anywhere(h.rng), Reason: authz.SignatureMissing, BodyBytes: 20}
		if h.rng.IntN(2) == 0 {
			e.Reason = authz.SignatureInvalid
		}
		w.batch = append(w.batch, e)
	}
}

// probes are requests for paths that nobody has configured.
func (w *world) probes(rng *rand.Rand, t time.Time) {
	send := func(n int, from netip.Addr, word string) {
		for range n {
			w.batch = append(w.batch, monitor.Event{Time: within(rng, t), Source: from, Reason: authz.NoWebhook, Path: authz.View(fmt.Sprintf("/%s/%d", word, rng.IntN(5000)))})
		}
	}
	for range poisson(rng, 0.08) {
		send(1, anywhere(rng), "wp")
	}
	if rng.Float64() < 1./700 { // a bot with a list
		send(10+rng.IntN(15), anywhere(rng), "bot")
	}
	for i := range w.plans {
		if p := &w.plans[i]; p.kind == monitor.PathScan && p.at(t) {
			send(poisson(rng, p.strength), netip.AddrFrom4([4]byte{77, 1, 2, 3}), "scan")
		}
	}
}
