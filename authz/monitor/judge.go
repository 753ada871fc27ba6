package monitor

import (
	"fmt"
	"math"
	"time"
)

// The shares and counts that are watched.
var (
	failureShare = shareKind{prior: 0.01, weight: 50, slots: 2, least: 15, hits: 3, mild: 0.03, strong: 0.4}
	copyShare    = shareKind{prior: 0.01, weight: 50, slots: 2, least: 15, hits: 3, mild: 0.03, strong: 0.4}
	unknownShare = shareKind{prior: 0.01, weight: 50, slots: 4, least: 15, hits: 3, mild: 0.03, strong: 0.4}
	sourceShare  = shareKind{prior: 0.01, weight: 50, slots: 2, least: 15, hits: 2, mild: 0.03, strong: 0.4}

	strangeCount = countKind{mild: 2, strong: 20, least: 12 * float64(slotsAnHour), hits: 30, times: 3}
	pathCount    = countKind{mild: 3, strong: 20, least: 12 * float64(slotsAnHour), hits: 30, times: 3}
)

// learnSources is after how long the share of new networks is learned, and twice that
// when it is judged, in slots: at first all are new.
const learnSources = 48 * slotsAnHour

// judge ends a slot.
func (s *series) judge(m *Monitor, slot int64) {
	if s.Born == 0 {
		return
	}
	s.judgeScan(m, slot)
	if s.name == "" {
		return
	}
	s.flush(slot)
	s.spill()
	s.Open, s.Nowhere = s.open, s.nowhere
	for _, of := range []*part{&s.failures, &s.copies, &s.unknown, &s.sources} {
		of.n += float32(s.good)
	}
	if s.Rhythm.turn(slot, s.scratch) {
		s.youth = uint16(max(young, min(young*200/max(s.Rhythm.Hours.daily(), 1), oldest)))
	}
	s.judgeFailures(m, slot)
	s.judgeShare(m, slot, Copies, &s.Copies, &s.copies, &copyShare, "of the deliveries are copies of earlier ones, where %s is usual")
	s.judgeShare(m, slot, UnknownOutcomes, &s.Unknown, &s.unknown, &unknownShare, "of the deliveries have an outcome that nobody knows, where %s is usual")
	s.judgeSources(m, slot)
	s.judgeSizes(m, slot)
	s.judgeSkews(m, slot)
	s.judgeKeys(m, slot)
	s.judgeRhythm(m, slot)
	s.good, s.alive = 0, 0
}

// percent writes a share.
func percent(share float64) string {
	if share >= 0.0995 {
		return fmt.Sprintf("%.0f %%", 100*share)
	}
	return fmt.Sprintf("%.2g %%", 100*share)
}

// alarm fills what a tally tells.
func (t *tally) alarm(k Kind) Alarm {
	return Alarm{Kind: k, Samples: int64(t.N), Since: timeOf(t.Since), Strangers: t.Odd > t.K/2}
}

// finish ends an alarm when its time has come, and lets go of what was seen where there
// is none.
func (s *series) finish(m *Monitor, slot int64, k Kind, w word, reset, accept func()) {
	ended, accepted := s.heard(m, slot, k, w)
	if ended {
		if accepted {
			accept()
		}
		reset()
	}
	if ended || s.States[k].Raised == 0 && !w.alive {
		s.votes[k] = vote{}
	}
}

// judgeShare ends a slot of a share.
func (s *series) judgeShare(m *Monitor, slot int64, k Kind, sh *share, of *part, kind *shareKind, words string) {
	usual, n, hits := sh.usual(kind), of.n, of.k
	if t := sh.end(kind, slot, s.learns(k), *of); t != nil {
		a := t.alarm(k)
		a.Source, a.Baseline, a.Value, a.Unit = s.votes[k].source(), usual, float64(t.K/t.N), "share"
		a.Message = percent(a.Value) + " " + fmt.Sprintf(words, percent(usual))
		s.raise(m, slot, a)
	}
	*of = part{}
	spoke := float64(hits) > float64(n)*max(3*usual, kind.mild/2)
	s.finish(m, slot, k, word{spoke: spoke, events: n > 0, alive: sh.alive()}, sh.reset, sh.accept)
}

// judgeFailures watches failures from networks that deliver and those of strangers.
func (s *series) judgeFailures(m *Monitor, slot int64) {
	learn := s.learns(SignatureFailures)
	usual, n, hits, strange := s.Failures.usual(&failureShare), s.failures.n, s.failures.k, float64(s.strange)
	often := s.Strange.usual()
	if t := s.Failures.end(&failureShare, slot, learn, s.failures); t != nil {
		a := t.alarm(SignatureFailures)
		a.Source, a.Baseline, a.Value, a.Unit = s.votes[SignatureFailures].source(), usual, float64(t.K/t.N), "share"
		a.Message = percent(a.Value) + " from networks that deliver fail, where " + percent(usual) + " is usual: "
		if a.Strangers {
			a.Message = percent(a.Value) + " fail, where " + percent(usual) + " is usual: the webhook has new networks at all times, so that it may be strangers, or a secret that has changed"
		} else if a.Value > 0.8 {
			a.Message += "the provider's secret has probably changed"
		} else {
			a.Message += "one of the provider's secrets may have changed, or others share its addresses"
		}
		s.raise(m, slot, a)
	}
	if t := s.Strange.end(&strangeCount, slot, learn, strange); t != nil {
		a := t.alarm(SignatureFailures)
		a.Strangers, a.Samples = true, int64(t.K)
		a.Source, a.Unit = s.votes[SignatureFailures].source(), "failures an hour"
		a.Baseline, a.Value = often*float64(slotsAnHour), float64(t.K/t.N)*float64(slotsAnHour)
		a.Message = fmt.Sprintf("strangers fail %.3g times an hour, where %.2g is usual: they hold no key", a.Value, a.Baseline)
		s.raise(m, slot, a)
	}
	s.failures, s.strange = part{}, 0
	spoke := float64(hits) > float64(n)*max(3*usual, failureShare.mild/2) || strange > 3*often+1
	s.finish(m, slot, SignatureFailures, word{spoke: spoke, events: n > 0, alive: s.Failures.alive() || s.Strange.alive()},
		func() { s.Failures.reset(); s.Strange.reset() }, func() { s.Failures.accept(); s.Strange.accept() })
}

func (s *share) accept() {
	if t := s.strongest(); t.N > 0 {
		s.Total = min(s.Total, 100)
		s.Hits = s.Total * t.K / t.N
	}
}

func (s *share) strongest() *tally {
	if s.Tallies[1].Sum > s.Tallies[0].Sum {
		return &s.Tallies[1]
	}
	return &s.Tallies[0]
}

func (c *count) accept() {
	t := &c.Tallies[0]
	if c.Tallies[1].Sum > t.Sum {
		t = &c.Tallies[1]
	}
	if t.N > 0 {
		c.Mean, c.Slots = t.K/t.N, min(c.Slots, 144)
	}
}

// accept leaves of the past as much as two values.
func (s *shift) accept() {
	keep := 2 / max(s.Total, 2)
	for i := range s.Past {
		s.Past[i] *= keep
	}
	s.Total *= keep
}

// judgeSources watches the share of deliveries from networks that are new.
func (s *series) judgeSources(m *Monitor, slot int64) {
	age := slot - s.Born
	if age < learnSources {
		s.sources = part{}
		return
	}
	kind := sourceShare
	if age < 2*learnSources || s.Sources.usual(&sourceShare) > everywhere {
		kind.least = math.Inf(1)
	}
	s.judgeShare(m, slot, NewSource, &s.Sources, &s.sources, &kind, "of the deliveries come from networks that were not known a day before, where %s is usual")
}

// judgeScan watches how many different unknown paths or tenants there are.
func (s *series) judgeScan(m *Monitor, slot int64) {
	now, often := s.paths.take(), s.Scan.usual()
	if t := s.Scan.end(&pathCount, slot, s.learns(PathScan), now); t != nil {
		a := t.alarm(PathScan)
		a.Strangers, a.Samples, a.Source, a.Unit = true, int64(t.K), s.votes[PathScan].source(), "different an hour"
		a.Baseline, a.Value = often*float64(slotsAnHour), float64(t.K/t.N)*float64(slotsAnHour)
		what := "paths that no webhook has"
		if s.name != "" {
			what = "tenants that nobody knows"
		}
		a.Message = fmt.Sprintf("%.3g %s are tried an hour, where %.2g is usual", a.Value, what, a.Baseline)
		s.raise(m, slot, a)
	}
	s.finish(m, slot, PathScan, word{spoke: now > 3*often+2, events: true, alive: s.Scan.alive()}, s.Scan.reset, s.Scan.accept)
}

// judgeSizes watches the sizes of bodies.
func (s *series) judgeSizes(m *Monitor, slot int64) {
	usual, _ := s.Sizes.usual()
	events := s.sizes.n > 0
	if i := s.Sizes.end(&s.sizes, slot, s.learns(BodySize), func(bool, float64, float64) bool { return true }) - 1; i >= 0 {
		a := s.Sizes.Tallies[i].alarm(BodySize)
		a.Baseline, a.Value, a.Unit = math.Round(sizeOf(usual)), math.Round(sizeOf(s.Sizes.at(i))), "bytes"
		words := "larger"
		if i >= 2 {
			words = "smaller"
		}
		a.Message = fmt.Sprintf("bodies are %s than they were: the middle one has about %.3g bytes, where %.3g is usual", words, a.Value, a.Baseline)
		s.raise(m, slot, a)
	}
	s.finish(m, slot, BodySize, word{spoke: s.Sizes.spoke, events: events, alive: s.Sizes.alive()}, s.Sizes.reset, s.Sizes.accept)
}

// leastDrift is the smallest change of the clock skew that matters, in seconds.
const leastDrift = 1.0

// judgeSkews watches clock skews. Deliveries that are late move the upper part of a
// slot's skews alone; a clock moves them all. So do old events that a provider sends again
// or makes up for, but then there are many more than usual, or there was a pause: such
// slots say nothing of a clock.
func (s *series) judgeSkews(m *Monitor, slot int64) {
	if s.Rhythm.old(slot, s.good) {
		s.skews = values{}
	}
	usual, low := s.Skews.usual()
	events := s.skews.n > 0
	i := s.Skews.end(&s.skews, slot, s.learns(ClockDrift), func(up bool, nowMiddle, nowLow float64) bool {
		if up {
			return skewOf(nowLow)-skewOf(low) > leastDrift
		}
		return skewOf(usual)-skewOf(nowMiddle) > leastDrift
	}) - 1
	if i >= 0 {
		a := s.Skews.Tallies[i].alarm(ClockDrift)
		a.Baseline, a.Value, a.Unit = seconds(skewOf(usual)), seconds(skewOf(s.Skews.at(i))), "seconds"
		a.Message = fmt.Sprintf("signed times lie %.3g s behind our clock, where %.2g s is usual: the provider's clock or ours has moved", a.Value, a.Baseline)
		s.raise(m, slot, a)
	}
	s.finish(m, slot, ClockDrift, word{spoke: s.Skews.spoke, events: events, alive: s.Skews.alive()}, s.Skews.reset, s.Skews.accept)
}

func seconds(v float64) float64 { return math.Round(v*100) / 100 }

// judgeKeys watches for keys that should be out of use.
func (s *series) judgeKeys(m *Monitor, slot int64) {
	if k := s.Keys.raised(s.Rhythm.Hours.daily()); k != nil {
		a := Alarm{Kind: RetiredKey, Value: float64(k.Back), Unit: "uses", Samples: int64(k.Back), Since: timeOf(k.Since)}
		a.Message = fmt.Sprintf("key %q was used %d times again after others had replaced it", k.ID, k.Back)
		if k.Refused {
			a.Message = fmt.Sprintf("key %q has signed %d deliveries although it is not valid now", k.ID, k.Back)
		}
		s.raise(m, slot, a)
	}
	s.finish(m, slot, RetiredKey, word{spoke: s.Keys.spoke(slot), events: s.alive > 0}, s.Keys.reset, func() { s.Keys.accept(slot) })
}

// judgeRhythm watches how many deliveries there are.
func (s *series) judgeRhythm(m *Monitor, slot int64) {
	r := &s.Rhythm
	r.end(slot, s.good, s.alive, m.crowd)
	owed, silent := r.silent(slot)
	if silent {
		since := timeOf(r.Last + 1)
		s.raise(m, slot, Alarm{
			Kind: Silence, Baseline: math.Round(owed*10) / 10, Value: 0, Unit: "deliveries since then", Samples: int64(r.Pauses), Since: since,
			Message: fmt.Sprintf("nothing has come for %s, in which %.3g deliveries would be usual", timeOf(slot+1).Sub(since).Round(time.Minute), owed),
		})
	}
	s.finish(m, slot, Silence, word{spoke: silent, events: s.alive > 0, stays: true}, func() {}, func() {})
	s.judgeRate(m, slot)
}

// judgeRate watches for more and fewer deliveries than usual.
func (s *series) judgeRate(m *Monitor, slot int64) {
	r := &s.Rhythm
	got, expected, hours, high := r.more(slot)
	low := false
	if !high && s.learns(Silence) {
		if fewer, of, yes := r.less(m.crowd); yes {
			got, expected, hours, low = fewer, of, 1, true
		}
	}
	if high || low {
		words := "more"
		if low {
			words = "fewer"
		}
		if s.learns(Rate) {
			r.Fewer = low
		}
		s.raise(m, slot, Alarm{
			Kind: Rate, Baseline: math.Round(expected*10) / 10, Value: math.Round(got), Unit: "deliveries", Samples: int64(got + 0.5), Since: timeOf(slot + 1 - hours*slotsAnHour),
			Message: fmt.Sprintf("%s deliveries than usual: %.4g in %d h, where %.3g are usual at such a time", words, got, hours, expected),
		})
	}
	spoke := high || low
	if !s.learns(Rate) && !spoke {
		spoke = r.still(m.crowd)
	}
	s.finish(m, slot, Rate, word{spoke: spoke, events: true}, func() { r.Fewer = false }, func() {})
}
