package monitor

import (
	"math"
	"slices"
)

// weeks is for how long numbers of deliveries are kept, by the hour.
const weeks = 5

const hoursKept = weeks * 7 * 24

// missing is an hour of which nothing is known.
const missing = 0xff

// hours are the numbers of deliveries of the last hours, each in a byte: exact up to
// 15, then twelve classes for each doubling.
type hours struct {
	Codes [hoursKept]uint8
	// Last is the last hour that was written, since 1970; First the first.
	First, Last int64
}

func newHours() hours {
	var h hours
	for i := range h.Codes {
		h.Codes[i] = missing
	}
	return h
}

func encodeCount(n float64) uint8 {
	if n < 16 {
		return uint8(max(n, 0) + 0.5)
	}
	return uint8(min(16+12*math.Log2(n/16)+0.5, missing-1))
}

var decoded = func() (all [256]float32) {
	for i := range all {
		all[i] = float32(i)
		if i >= 16 {
			all[i] = float32(16 * math.Exp2(float64(i-16)/12))
		}
	}
	return all
}()

// at is the number of an hour; ok is false where it is not known.
func (h *hours) at(hour int64) (n float64, ok bool) {
	if hour > h.Last || hour < h.First || hour <= h.Last-hoursKept {
		return 0, false
	}
	code := h.Codes[hour%hoursKept]
	return float64(decoded[code]), code != missing
}

// set writes an hour, and that those since the last one are not known.
func (h *hours) set(hour int64, n float64, known bool) {
	if h.First == 0 {
		h.First, h.Last = hour, hour-1
	}
	for at := max(h.Last+1, hour-hoursKept); at < hour; at++ {
		h.Codes[at%hoursKept] = missing
	}
	h.Last = hour
	h.Codes[hour%hoursKept] = missing
	if known {
		h.Codes[hour%hoursKept] = encodeCount(n)
	}
}

// around is the mean of the hours from one to another, both included, and whether at
// least half of them are known.
func (h *hours) around(from, to int64) (mean float64, ok bool) {
	n := 0
	for hour := from; hour <= to; hour++ {
		if v, ok := h.at(hour); ok {
			mean += v
			n++
		}
	}
	return mean / float64(max(n, 1)), n > 0 && 2*int64(n) >= to-from+1
}

// daily is the number of deliveries of a day, over the last two weeks.
func (h *hours) daily() float64 {
	mean, _ := h.around(h.Last-14*24+1, h.Last)
	return mean * 24
}

// weekend reports whether an hour lies on a Saturday or Sunday in UTC.
func weekend(hour int64) bool {
	day := (hour/24 + 4) % 7 // 1970 began with a Thursday
	return day == 0 || day == 6
}

// weighted is a number that counts more or less.
type weighted struct{ value, weight float64 }

// expectation is what is expected of an hour.
type expectation struct {
	// Middle is the mean of the middle half of what such hours had, Low a fifth of the
	// way up. Both are 0 where Known is false.
	Middle, Low float64
	Known       bool
	// From is how many such hours there were, Most the largest.
	From int
	Most float64
}

// smoothing is how many hours around one are taken together, for so many deliveries a
// day.
func smoothing(daily float64) int64 {
	switch {
	case daily >= 1000:
		return 0
	case daily >= 150:
		return 1
	case daily >= 10:
		return 3
	default:
		return 6
	}
}

// weekdays are the mean hours of the days of the week, counted from that of an hour
// backwards; -1 where none is known.
func (h *hours) weekdays(hour int64) (means [7]float64) {
	var n [7]int
	for back := int64(1); back < hoursKept; back++ {
		if v, ok := h.at(hour - back); ok {
			day := (hour/24 - (hour-back)/24) % 7
			if back >= 24 || day != 0 { // today is not over
				means[day] += v
				n[day]++
			}
		}
	}
	for day := range means {
		if n[day] < 12 {
			means[day] = -1
			continue
		}
		means[day] /= float64(n[day])
	}
	return means
}

// alike reports whether two days have about as many deliveries.
func alike(a, b float64) bool {
	const few = 4. / 24
	ratio := (a + few) / (b + few)
	return ratio < 1.6 && ratio > 1/1.6
}

// strange is what is left of what is expected of a weekday that has not been seen yet,
// before its absence is a silence: it may be one of rest.
const strange = 0.25

// expect says what is expected of an hour, by those before it.
func (h *hours) expect(hour int64, scratch []weighted) expectation {
	width := smoothing(h.daily())
	take := func(at int64, weight float64) {
		if v, ok := h.around(at-width, min(at+width, hour-1)); ok {
			scratch = append(scratch, weighted{v, weight})
		}
	}
	scratch = scratch[:0]
	for week := int64(1); week <= weeks; week++ {
		take(hour-week*7*24, 2)
	}
	same := len(scratch)
	means := h.weekdays(hour)
	for day := int64(1); day <= 14; day++ {
		like := weekend(hour) == weekend(hour-day*24)
		if means[0] >= 0 && means[day%7] >= 0 {
			like = alike(means[0], means[day%7])
		}
		if day%7 != 0 && like {
			take(hour-day*24, 1)
		}
	}
	if same < 1 && len(scratch) < 3 {
		return expectation{}
	}
	slices.SortFunc(scratch, func(a, b weighted) int {
		switch {
		case a.value < b.value:
			return -1
		case a.value > b.value:
			return 1
		}
		return 0
	})
	e := expectation{Middle: middle(scratch, 0.38, 0.62), Low: middle(scratch, 0.2, 0.45), Known: true, From: len(scratch), Most: scratch[len(scratch)-1].value}
	if width > 3 { // a few deliveries have no middle
		e.Middle = middle(scratch, 0.1, 0.9)
		e.Low = 0.8 * e.Middle
	}
	if same == 0 {
		e.Low *= strange
	}
	if width == 0 { // the rhythm may come an hour earlier or later
		for _, near := range []int64{hour - 1, hour + 1} {
			if v, ok := h.like(near, hour); ok {
				e.Low = min(e.Low, v)
			}
		}
	}
	return e
}

// like is the least of the same hour of the last weeks, or of the last like days.
func (h *hours) like(at, now int64) (least float64, ok bool) {
	var all [weeks]float64
	n := 0
	for week := int64(1); week <= weeks; week++ {
		if v, known := h.at(at - week*7*24); known && at-week*7*24 < now {
			all[n] = v
			n++
		}
	}
	for day := int64(1); n < 3 && day <= 7; day++ {
		if weekend(at) == weekend(at-day*24) {
			if v, known := h.at(at - day*24); known && at-day*24 < now {
				all[n] = v
				n++
			}
		}
	}
	if n == 0 {
		return 0, false
	}
	slices.Sort(all[:n])
	return all[(n-1)/2], true
}

// middle is the mean of what lies between two quantiles of a sorted list.
func middle(sorted []weighted, from, to float64) float64 {
	var total, at, sum, weight float64
	for _, w := range sorted {
		total += w.weight
	}
	for _, w := range sorted {
		part := min(at+w.weight, to*total) - max(at, from*total)
		if part > 0 {
			sum += part * w.value
			weight += part
		}
		at += w.weight
	}
	if weight == 0 {
		return 0
	}
	return sum / weight
}

// peak is what one of ten hours of the last two weeks exceeds.
func (h *hours) peak() float64 {
	var codes [256]int
	n := 0
	for back := range int64(14 * 24) {
		if _, ok := h.at(h.Last - back); ok {
			codes[h.Codes[(h.Last-back)%hoursKept]]++
			n++
		}
	}
	for code, above := missing-1, 0; code >= 0; code-- {
		if above += codes[code]; 10*above > n {
			return float64(decoded[code])
		}
	}
	return 0
}
