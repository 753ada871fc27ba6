package anomalies

import (
	"math"
	"slices"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/monitor"
)

// Bands is what the monitor is compared with: for each webhook and kind one number an
// hour, and a band around those of the last week. An alarm is an hour outside of it
// after one inside.
type Bands struct {
	// Band returns the band around values of a week.
	Band   func(week []float64) (low, high float64)
	Alarms []monitor.Alarm

	hour    time.Time
	byName  map[string]*bandSeries
	ordered []*bandSeries
}

// Sigma is the mean and three standard deviations.
func Sigma(week []float64) (low, high float64) {
	var mean, squares float64
	for _, v := range week {
		mean += v / float64(len(week))
	}
	for _, v := range week {
		squares += (v - mean) * (v - mean) / float64(len(week))
	}
	off := 3 * math.Sqrt(squares)
	return mean - off, mean + off
}

// MAD is the median and two median absolute deviations.
func MAD(week []float64) (low, high float64) {
	sorted := slices.Clone(week)
	slices.Sort(sorted)
	middle := sorted[len(sorted)/2]
	for i, v := range sorted {
		sorted[i] = math.Abs(v - middle)
	}
	slices.Sort(sorted)
	off := 2 * sorted[len(sorted)/2]
	return middle - off, middle + off
}

const (
	kinds     = int(monitor.UnknownOutcomes) + 1
	bandHours = 7 * 24
	bandLeast = 48
)

// bandSeries is one webhook.
type bandSeries struct {
	name    string
	now     [kinds]float64
	n       float64 // deliveries
	skews   float64
	week    [kinds][]float64
	out     [kinds]bool
	sources map[[4]byte]bool
	keys    map[string]float64
}

// NewBands returns what compares with bands.
func NewBands(band func([]float64) (low, high float64)) *Bands {
	return &Bands{Band: band, byName: map[string]*bandSeries{}}
}

// Observe counts a decision.
func (b *Bands) Observe(e *monitor.Event) {
	hour := e.Time.Truncate(time.Hour)
	for ; b.hour.Before(hour); b.hour = b.hour.Add(time.Hour) {
		if b.hour.IsZero() {
			b.hour = hour
			break
		}
		b.end(b.hour.Add(time.Hour))
	}
	s := b.byName[e.Webhook]
	if s == nil {
		s = &bandSeries{name: e.Webhook, sources: map[[4]byte]bool{}, keys: map[string]float64{}}
		b.byName[e.Webhook], b.ordered = s, append(b.ordered, s)
	}
	s.observe(e)
}

func (s *bandSeries) observe(e *monitor.Event) {
	switch {
	case e.Reason == authz.NoWebhook:
		s.now[monitor.PathScan]++
	case e.Reason == authz.SignatureInvalid || e.Reason == authz.SignatureMissing:
		s.now[monitor.SignatureFailures]++
	case e.Reason == authz.Replayed:
		s.now[monitor.Copies]++
	case e.Reason == authz.InFlight || e.Reason == authz.ReplayUncertain || e.Mark == authz.MarkPossible:
		s.now[monitor.UnknownOutcomes]++
	case e.Reason == authz.KeyNotValidNow:
		s.now[monitor.RetiredKey]++
	}
	if e.HasSkew {
		s.now[monitor.ClockDrift] += e.Skew.Seconds()
		s.skews++
	}
	if !e.Allowed {
		return
	}
	s.n++
	s.now[monitor.BodySize] += float64(e.BodyBytes)
	a := e.Source.As16()
	if network := [4]byte(a[11:15]); !s.sources[network] {
		s.sources[network] = true
		s.now[monitor.NewSource]++
	}
	s.keys[e.KeyID]++
	for _, n := range s.keys {
		if n > 20*s.keys[e.KeyID] { // another one is usual
			s.now[monitor.RetiredKey]++
			break
		}
	}
}

// end ends an hour.
func (b *Bands) end(at time.Time) {
	for _, s := range b.ordered {
		s.now[monitor.Rate], s.now[monitor.Silence] = s.n, s.n
		s.now[monitor.BodySize] /= max(s.n, 1)
		s.now[monitor.ClockDrift] /= max(s.skews, 1)
		for k := range kinds {
			if (monitor.Kind(k) == monitor.BodySize && s.n == 0) || (monitor.Kind(k) == monitor.ClockDrift && s.skews == 0) {
				continue // no number in this hour
			}
			b.judge(s, monitor.Kind(k), s.now[k], at)
		}
		s.now, s.n, s.skews = [kinds]float64{}, 0, 0
	}
}

func (b *Bands) judge(s *bandSeries, k monitor.Kind, v float64, at time.Time) {
	week := s.week[k]
	out := false
	if len(week) >= bandLeast {
		low, high := b.Band(week)
		switch k {
		case monitor.Silence:
			out = v == 0 && v < low
		case monitor.Rate:
			out = v > high || v < low && v > 0
		case monitor.ClockDrift, monitor.BodySize:
			out = v > high || v < low
		default:
			out = v > high
		}
	}
	if out && !s.out[k] {
		b.Alarms = append(b.Alarms, monitor.Alarm{Time: at, Kind: k, Webhook: s.name})
	}
	s.out[k] = out
	if len(week) == bandHours {
		week = append(week[:0], week[1:]...)
	}
	s.week[k] = append(week, v)
}
