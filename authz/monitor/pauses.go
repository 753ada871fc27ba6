package monitor

// habitPauses is on how many days there must have been pauses of a length for it to be a
// habit.
const habitPauses = 3

// dayPause is the longest pause that ended on a day, in deliveries that were expected
// in it, and in slots. A distribution does not show it where most pauses are within a
// batch, and one a night is between two.
type dayPause struct {
	Owed  float32
	Slots int32
	Day   int32 // since 1970; 0: none
}

func dayOf(slot int64) int32 { return int32(slot / (24 * slotsAnHour)) }

// keepLong notes a pause that ended in a slot.
func (r *rhythm) keepLong(slot int64) {
	if r.Owed <= 0 {
		return
	}
	now := dayPause{float32(r.Owed), int32(slot - r.Last), dayOf(slot)}
	least := 0
	for i := range r.Long {
		l := &r.Long[i]
		if l.Day == now.Day {
			l.Owed, l.Slots = max(l.Owed, now.Owed), max(l.Slots, now.Slots)
			return
		}
		if now.Day-l.Day > pauseDays {
			*l = dayPause{}
		}
		if l.Owed < r.Long[least].Owed {
			least = i
		}
	}
	if now.Owed > r.Long[least].Owed {
		r.Long[least] = now
	}
}

// habitual reports whether a pause is not much longer than those of other days: by what
// was expected in it, and not twice as long; or whether its hours were empty on two other
// days, as those between two batches are.
func (r *rhythm) habitual(slot int64) bool {
	least, known := r.Long[0], true
	for _, l := range r.Long {
		known = known && dayOf(slot)-l.Day <= pauseDays
		least = dayPause{Owed: min(least.Owed, l.Owed), Slots: min(least.Slots, l.Slots)}
	}
	if known && r.Owed < 1.25*float64(least.Owed) && slot-r.Last < 2*int64(least.Slots) {
		return true
	}
	return r.emptyBefore(slot)
}

// overnight is from how many whole hours on a pause is held against those of other days.
const overnight = 12

// emptyBefore reports whether the hours of a long pause were empty on two other days, too.
func (r *rhythm) emptyBefore(slot int64) bool {
	first, end := r.Last/slotsAnHour+1, slot/slotsAnHour
	if end-first < overnight {
		return false
	}
	days := 0
	for back := int64(24); back <= pauseDays*24 && days < habitDays; back += 24 {
		if r.empty(first-back, end-back) {
			days++
		}
	}
	return days >= habitDays
}

// empty reports whether nothing came in the hours from one to before another.
func (r *rhythm) empty(from, end int64) bool {
	for hour := from; hour < end; hour++ {
		if n, ok := r.Hours.at(hour); !ok || n > 0 {
			return false
		}
	}
	return true
}
