package anomalies

import (
	"fmt"
	"math"
	"time"

	"github.com/hookbastion/hookbastion/authz/monitor"
)

// planting is after how many days the first anomaly comes, and apart lies between two of
// one webhook.
const (
	planting = 8
	apart    = 14 * time.Hour
)

// plant chooses what goes wrong: of each kind three a month.
func (w *world) plant(days int) {
	if days <= planting {
		return
	}
	times := max(1, 3*(days-planting)/20)
	for _, kind := range monitor.Kinds() {
		for n := 0; n < times; {
			for range 400 {
				if p, words, ok := w.choose(kind); ok && w.free(&p) {
					p.label = len(w.labels)
					name := ""
					if p.hook != nil {
						name = p.hook.name
					}
					w.labels = append(w.labels, Label{Kind: kind, Webhook: name, From: p.from, To: p.to, Strength: words})
					w.plans = append(w.plans, p)
					break
				}
			}
			n++
		}
	}
}

// free reports whether nothing else happens to the webhook then.
func (w *world) free(p *plan) bool {
	if p.to.After(w.to.Add(-2 * time.Hour)) {
		return false
	}
	for i := range w.plans {
		o := &w.plans[i]
		if o.hook == p.hook && p.from.Before(o.to.Add(apart)) && o.from.Before(p.to.Add(apart)) {
			return false
		}
		// strangers have one alarm an hour
		if p.strangers() && o.strangers() && p.from.Before(o.to.Add(2*time.Hour)) && o.from.Before(p.to.Add(2*time.Hour)) {
			return false
		}
	}
	return true
}

func (p *plan) strangers() bool {
	return p.kind == monitor.PathScan || p.kind == monitor.SignatureFailures && p.way == 1
}

// choose makes a plan of a kind for some webhook.
func (w *world) choose(kind monitor.Kind) (p plan, words string, ok bool) {
	r := w.rng
	h := w.hooks[r.IntN(len(w.hooks))]
	days := int(w.to.Sub(w.from) / (24 * time.Hour))
	p = plan{kind: kind, hook: h, way: r.IntN(2)}
	p.from = w.from.AddDate(0, 0, planting).Add(time.Duration(r.Int64N(int64(days-planting) * int64(24*time.Hour)))).Truncate(minute)
	need, least := 25.0, time.Hour // deliveries that it is to touch
	switch kind {
	case monitor.SignatureFailures:
		if p.way == 1 {
			p.strength = 200 + 400*r.Float64()
			p.to = p.from.Add(time.Duration(45+r.IntN(90)) * time.Minute)
			return p, fmt.Sprintf("strangers, %.0f an hour", p.strength), true
		}
		p.strength, need = []float64{0.2, 0.5, 1}[r.IntN(3)], 12
		words = fmt.Sprintf("%.0f %% of the deliveries", 100*p.strength)
	case monitor.Copies:
		p.strength = 0.15 + 0.4*r.Float64()
		words = fmt.Sprintf("%.0f %% of the deliveries", 100*p.strength)
	case monitor.UnknownOutcomes:
		p.strength = 0.12 + 0.4*r.Float64()
		words = fmt.Sprintf("%.0f %% of the deliveries", 100*p.strength)
	case monitor.ClockDrift:
		if !h.signed {
			return p, "", false
		}
		p.strength, need, least = 6+50*r.Float64(), 40, 2*time.Hour
		words = fmt.Sprintf("%.0f s behind", p.strength)
		if r.IntN(3) == 0 {
			p.strength, words = -p.strength, fmt.Sprintf("%.0f s ahead", p.strength)
		}
		if p.way == 1 {
			words += ", growing"
		}
	case monitor.NewSource:
		p.strength = 0.1 + 0.7*r.Float64()
		words = fmt.Sprintf("%.0f %% of the deliveries", 100*p.strength)
	case monitor.BodySize:
		p.strength, need = 3+7*r.Float64(), 30
		words = fmt.Sprintf("%.1f times as large", p.strength)
		if r.IntN(3) == 0 {
			p.strength, words = 1/p.strength, fmt.Sprintf("%.1f times smaller", p.strength)
		}
	case monitor.RetiredKey:
		if h.rotates.IsZero() || p.from.Sub(h.rotates) < 4*24*time.Hour || h.daily < 10 {
			return p, "", false
		}
		p.strength, need = 0.1+0.5*r.Float64(), 6
		words = fmt.Sprintf("%.0f %% of the deliveries", 100*p.strength)
	case monitor.PathScan:
		p.hook, p.strength = nil, 5+20*r.Float64()
		p.to = p.from.Add(time.Duration(20+r.IntN(60)) * time.Minute)
		return p, fmt.Sprintf("%.0f paths a minute", p.strength), true
	case monitor.Silence:
		return w.silence(p)
	case monitor.Rate:
		return w.rate(p)
	}
	share := p.strength
	if kind == monitor.ClockDrift || kind == monitor.BodySize {
		share = 1
	}
	p.to = w.until(&p, need/share, least)
	return p, words, p.to.Sub(p.from) < 9*24*time.Hour
}

// until is when so many deliveries are expected to have come.
func (w *world) until(p *plan, need float64, least time.Duration) time.Time {
	t := p.from
	for sum := 0.0; sum < need && t.Before(w.to); t = t.Add(10 * minute) {
		sum += 600 * p.hook.rate(t, w.holidays)
	}
	if end := p.from.Add(least); t.Before(end) {
		return end
	}
	return t
}

// silence is an outage of the provider of at least an hour, in which more than fifteen
// deliveries would have come, and 24 where there are thousands a day.
func (w *world) silence(p plan) (plan, string, bool) {
	p.to = w.until(&p, 16+8*w.rng.Float64()+2*math.Log10(p.hook.daily), time.Duration(60+w.rng.IntN(120))*time.Minute)
	return p, "nothing for " + p.to.Sub(p.from).String(), p.to.Sub(p.from) < 9*24*time.Hour
}

// rate is several times as much as usual, fifty a second, or a tenth.
func (w *world) rate(p plan) (plan, string, bool) {
	r := w.rng
	p.to = p.from.Add(time.Duration(2+r.IntN(3)) * time.Hour)
	mean := 3600 * p.hook.rate(p.from, w.holidays)
	switch r.IntN(3) {
	case 0:
		if p.hook.daily < 20000 {
			return p, "", false
		}
		p.way, p.to = 1, p.from.Add(time.Hour)
		return p, "50 a second", true
	case 1:
		p.way, p.strength = 0, 0.05+0.1*r.Float64()
		return p, fmt.Sprintf("%.0f %% of the usual", 100*p.strength), mean*float64(p.to.Sub(p.from).Hours()) > 600 && mean > 200
	default:
		p.way, p.strength = 0, 4+6*r.Float64()
		return p, fmt.Sprintf("%.1f times the usual", p.strength), mean*p.strength > 20
	}
}
