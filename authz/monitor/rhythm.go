package monitor

import "math"

// rhythm watches how many deliveries there are.
type rhythm struct {
	Hours hours
	// Fano is how much more the hours stray than independent deliveries do, Sigma how
	// much those with many stray in proportion.
	Fano, Sigma float32
	// Bunch is how much more slots of a few deliveries stray than independent ones.
	Bunch float32
	// Level is how many deliveries came lately, over how many were expected.
	LevelGot, LevelOf float32
	// Pauses: how many, their sum and that of their squares, in expected deliveries.
	Pauses, PauseSum, PauseSquares float32
	// Long are the longest pauses of the last four weeks, one a day.
	Long [habitPauses]dayPause
	// Owed is what was expected since the last delivery, after slot Last.
	Owed float64
	Last int64
	// Backlog is what the last long pause, which ended in slot BackAt, has held back.
	Backlog float64
	BackAt  int64
	// Fewer: the alarm that goes on is one of too few.
	Fewer bool
	// LastMore is the last slot in which an hour had too many.
	LastMore int64
	// Got and Expected are the slots of the last hour, Alive those with any word of the
	// provider, Day what was expected of the hours of the last day.
	Got      [slotsAnHour]uint32
	Alive    [slotsAnHour]uint32
	Expected [slotsAnHour]float32
	Day      [24]float32

	// NowHour is the hour that runs, HourGot what it has so far; Whole says that it was
	// seen from its beginning.
	NowHour int64
	HourGot float64
	Whole   bool
	now     expectation // of the hour that runs
}

func newRhythm() rhythm { return rhythm{Hours: newHours(), Fano: 1, Sigma: 0.2, Bunch: 1} }

// turn begins an hour, if the slot is in another one, and reports whether it did.
func (r *rhythm) turn(slot int64, scratch []weighted) bool {
	hour := slot / slotsAnHour
	if r.NowHour == hour {
		return false
	}
	if r.NowHour != 0 && (r.Hours.First != 0 || r.HourGot > 0) { // none are of before the first delivery
		r.Hours.set(r.NowHour, r.HourGot, r.Whole)
		if r.now.Known && r.Whole {
			r.learn(r.HourGot, r.now.Middle)
		}
	}
	r.Whole = r.NowHour == hour-1
	r.NowHour, r.HourGot = hour, 0
	r.now = r.Hours.expect(hour, scratch)
	r.Day[hour%24] = -1
	if r.now.From >= fewest {
		r.Day[hour%24] = float32(r.now.Middle)
	}
	return true
}

// fewest is from how many earlier hours on a number of deliveries is judged.
const fewest = 2

// learn follows how far an hour was from what was expected.
func (r *rhythm) learn(got, expected float64) {
	if expected >= 0.02 {
		r.Fano += float32((min((got-expected)*(got-expected)/expected, 30) - float64(r.Fano)) / 200)
		r.Fano = max(1, r.Fano)
	}
	if expected >= 20 { // the size that three of four hours stay below
		off := math.Abs(math.Log((got + 0.5) / expected))
		if off > 1.15*float64(r.Sigma) {
			r.Sigma *= 1.03
		} else {
			r.Sigma *= 0.99
		}
		r.Sigma = max(0.05, min(r.Sigma, 0.4))
	}
}

// end ends a slot.
func (r *rhythm) end(slot int64, got, alive uint32, crowd float64) {
	at := slot % slotsAnHour
	r.Got[at], r.Alive[at], r.Expected[at] = got, alive, -1
	r.HourGot += float64(got)
	if r.now.From >= fewest {
		r.Expected[at] = float32(r.now.Middle / float64(slotsAnHour))
	}
	if e := r.now.Middle / float64(slotsAnHour); e >= 0.5 && e <= 20 && r.now.From >= fewest {
		r.Bunch += float32((min(square(float64(alive)-e)/e, 40) - float64(r.Bunch)) / 500)
	}
	low := r.now.Low / float64(slotsAnHour) * r.level() * crowd
	if r.Fewer {
		low *= fewer // that there are fewer is known
	}
	if alive == 0 {
		r.Owed += low
		return
	}
	r.pause(r.Owed+low, float64(alive), low)
	r.follow(float64(alive), r.Owed+low)
	r.keepLong(slot)
	if r.Owed >= 5 {
		r.Backlog, r.BackAt = r.Owed, slot
	}
	r.Owed, r.Last = 0, slot
}

// pause notes the pauses that n deliveries have ended, after as many as owed were
// expected, of which as many as low in the slot itself.
func (r *rhythm) pause(owed, n, low float64) {
	if !r.now.Known || owed <= 0 {
		return
	}
	first := owed
	if n > 1 { // those within the slot are taken to be random
		first = owed - low + low/n
		r.PauseSum += float32((n - 1) * low / n)
		r.PauseSquares += float32((n - 1) * 2 * low / n * low / n)
	}
	r.Pauses += float32(n)
	r.PauseSum += float32(first)
	r.PauseSquares += float32(first * first)
	if r.Pauses > 1000 && n > 0 {
		keep := float32(max(0.5, 1-n/1e5))
		r.Pauses, r.PauseSum, r.PauseSquares = r.Pauses*keep, r.PauseSum*keep, r.PauseSquares*keep
	}
}

// follow follows the level over about six hours.
func (r *rhythm) follow(got, expected float64) {
	if expected <= 0 {
		return
	}
	keep := float32(math.Exp(-1. / 72))
	r.LevelGot, r.LevelOf = r.LevelGot*keep+float32(got), r.LevelOf*keep+float32(expected)
}

// level is at most 1.
func (r *rhythm) level() float64 {
	return max(0.1, min(1, float64(r.LevelGot+5)/float64(r.LevelOf+5)))
}

// By how rare a pause is an alarm: onceIn of them in the pauses of so many days.
const (
	onceIn    = 0.02
	pauseDays = 28
)

// shortest is how many slots a silence has at least.
const shortest = 3

// silent reports whether the pause is too long, with what was expected in it.
func (r *rhythm) silent(slot int64) (owed float64, yes bool) {
	if r.Owed < 3 || slot-r.Last < shortest || r.Pauses < 10 {
		return r.Owed, false
	}
	n, sum, squares := float64(r.Pauses)+30, float64(r.PauseSum)+30, float64(r.PauseSquares)+60
	mean := sum / n
	shape := max(0.02, min(min(mean*mean/max(squares/n-mean*mean, 1e-9), 4/max(1, square(float64(r.Bunch)))), 4))
	many := max(1, min(r.Hours.daily(), 24*float64(slotsAnHour))) * pauseDays
	return r.Owed, longer(shape, r.Owed, max(mean, 0.9)) < math.Log(onceIn/many) && !r.habitual(slot)
}

// lastHour is what came and what was expected in the last hour; ok is false if that is
// not known.
func (r *rhythm) lastHour(of *[slotsAnHour]uint32) (got, expected float64, ok bool) {
	for i, e := range r.Expected {
		if e < 0 {
			return 0, 0, false
		}
		got += float64(of[i])
		expected += float64(e)
	}
	return got, expected, true
}

// more reports whether more came than any reason but one explains, in the last hour or
// the last day: how many, how many were expected, and in how many hours.
func (r *rhythm) more(slot int64) (got, expected float64, hours int64, yes bool) {
	got, expected, ok := r.lastHour(&r.Got)
	if !ok {
		return 0, 0, 0, false
	}
	if r.above(got, expected) && r.above(got, expected*r.lately()) && !r.owing(slot, got-expected) && !r.habit(got) && !r.erratic(got) {
		r.LastMore = slot
		return got, expected, 1, true
	}
	if slot%slotsAnHour != slotsAnHour-1 {
		return got, expected, 1, false
	}
	got, expected = r.HourGot, 0
	for back := int64(0); back < 24; back++ {
		if v, ok := r.Hours.at(r.NowHour - back); ok && back > 0 {
			got += v
		}
		e := float64(r.Day[(r.NowHour-back)%24])
		if e < 0 {
			return got, 0, 24, false
		}
		expected += e
	}
	return got, expected, 24, expected < 200 && slot-r.LastMore >= 25*slotsAnHour && r.above(got, expected*1.3) && !r.owing(slot, got-expected) && !r.usualDay(got)
}

// lately is how many deliveries came in the last day, without its last hour, over how
// many were expected: from 1 to 1.5, for what grows.
func (r *rhythm) lately() float64 {
	var got, expected float64
	for back := int64(2); back < 24; back++ {
		e := float64(r.Day[(r.NowHour-back)%24])
		if n, ok := r.Hours.at(r.NowHour - back); ok && e > 0 {
			got, expected = got+n, expected+e
		}
	}
	return max(1, min((got+5)/(expected+5), 1.5))
}

// above reports whether a number lies above the band around what was expected.
func (r *rhythm) above(got, expected float64) bool {
	stray := math.Sqrt(expected*float64(max(r.Fano, r.Bunch)) + square(float64(r.Sigma)*expected) + 0.25)
	times := 2.
	if r.now.From < 5 { // most of so few may have been holidays
		times = max(2.5, min(2*r.now.Most/max(r.now.Middle, 0.1), 5))
	}
	return got >= times*expected+8 && got >= expected+5*stray*times/2
}

func square(v float64) float64 { return v * v }

// owing reports whether an excess makes up for what was missing in the last day, or
// before it.
func (r *rhythm) owing(slot int64, excess float64) bool {
	if r.BackAt > 0 && slot-r.BackAt < 48*slotsAnHour && excess < 1.5*r.Backlog {
		return true
	}
	owed := 0.
	for back := int64(23); back > 0; back-- {
		e := float64(r.Day[(r.NowHour-back)%24])
		if got, ok := r.Hours.at(r.NowHour - back); ok && e > 0 && (got < 0.6*e || owed > 0) {
			if back == 1 { // part of it is in the excess
				got = min(got, e)
			}
			owed = max(0, owed+e-got)
		}
	}
	return owed > 0 && excess < 1.5*owed
}

// habitDays is on how many days of the last four weeks something must have happened to
// be a habit.
const habitDays = 2

// habit reports whether there were hours with nearly as many on two days: at about
// the same time, or at any where no usual day has as many; or at this time a week ago.
func (r *rhythm) habit(got float64) bool {
	for back := int64(7*24 - 1); back <= 7*24+1; back++ {
		if n, ok := r.Hours.at(r.NowHour - back); ok && n >= 0.6*got {
			return true
		}
	}
	whenever := got > 2*r.Hours.peak()
	days, last, weekdays := 0, int64(-1), 0
	for back := int64(2); back < 28*24; back++ {
		hour := r.NowHour - back
		if off := (back + 2) % 24; !whenever && (off > 4 || weekend(hour) != weekend(r.NowHour)) {
			continue
		}
		if n, ok := r.Hours.at(hour); ok && n >= 0.6*got && hour/24 != last && hour/24 != r.NowHour/24 {
			days, last, weekdays = days+1, hour/24, weekdays|1<<(hour/24%7)
		}
	}
	return days >= habitDays && weekdays&(weekdays-1) != 0 // what comes on one weekday belongs to that
}

// usualDay reports whether there were days with nearly as many.
func (r *rhythm) usualDay(got float64) bool {
	days := 0
	for back := int64(1); back <= 28; back++ {
		if mean, ok := r.Hours.around(r.NowHour-24*back-23, r.NowHour-24*back); ok && mean*24 >= 0.7*got {
			days++
		}
	}
	return days >= habitDays
}

// erratic reports whether there were hours with nearly as many on erraticDays days that
// were unlike the same hour of the days and weeks around them: deliveries that come in
// bursts, at any time.
func (r *rhythm) erratic(got float64) bool {
	days, last := 0, int64(-1)
	for back := int64(2); back < 28*24; back++ {
		hour := r.NowHour - back
		if n, ok := r.Hours.at(hour); ok && n >= 0.6*got && hour/24 != last && r.odd(hour, n) {
			days, last = days+1, hour/24
		}
	}
	return days >= erraticDays
}

// erraticDays is more than habitDays, since the time of the day counts for nothing.
const erraticDays = 4

// odd reports whether an hour had far more than those at the same time of the days and
// weeks around it.
func (r *rhythm) odd(hour int64, n float64) bool {
	for _, off := range []int64{-7 * 24, -24, 24, 7 * 24} {
		if other, ok := r.Hours.at(hour + off); ok && other > 0.5*n {
			return false
		}
	}
	return true
}

// less reports whether far fewer came than expected, in the last hour and the one
// before, though not none.
func (r *rhythm) less(crowd float64) (got, expected float64, yes bool) {
	got, expected, ok := r.lastHour(&r.Alive)
	expected *= crowd
	before, known := r.Hours.at(r.NowHour - 1)
	then := float64(r.Day[(r.NowHour+23)%24]) * crowd
	if !ok || !known || got == 0 || r.now.From < 4 || expected < 60 || then < 60 {
		return got, expected, false
	}
	below := func(got, expected float64) bool {
		stray := math.Sqrt(expected * float64(max(r.Fano, r.Bunch)))
		return got < 0.3*expected && got < 0.5*r.now.Low*crowd && got < expected-4*stray && math.Log((got+1)/expected) < -4*float64(r.Sigma)
	}
	if !below(got, expected) || !below(before, then) {
		return got, expected, false
	}
	days := 0
	for back := int64(1); back <= 28; back++ {
		if n, ok := r.Hours.at(r.NowHour - 24*back); ok && n < 1.5*got {
			days++
		}
	}
	return got, expected, days < habitDays
}

// fewer is what is expected before a silence where few come already.
const fewer = 0.1

// still reports whether an alarm goes on: there are not quite as many, or as few, as it
// takes to raise it.
func (r *rhythm) still(crowd float64) bool {
	if got, expected, ok := r.lastHour(&r.Alive); r.Fewer {
		return ok && got < 0.6*expected*crowd
	}
	got, expected, ok := r.lastHour(&r.Got)
	return ok && got > 1.5*expected+4
}

// oldAfter is for how long after a pause what comes may be old, in slots, and longPause
// how many deliveries it must have held back.
const (
	oldAfter  = 2 * slotsAnHour
	longPause = 9
)

// old reports whether what came in a slot may be old: there is more than noise explains,
// in the slot or the hour before it, or there was a pause.
func (r *rhythm) old(slot int64, now uint32) bool {
	if r.Owed >= longPause || r.Backlog >= longPause && slot-r.BackAt < oldAfter {
		return true
	}
	got, expected, ok := r.lastHour(&r.Got)
	each := expected / float64(slotsAnHour)
	return ok && (got+float64(now) > 1.6*(expected+each)+8 || float64(now) > 2.5*each+8)
}
