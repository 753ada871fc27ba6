package monitor

import (
	"math"
	"math/bits"
	"time"
)

// cells is how many classes a distribution has.
const cells = 56

// shift watches whether values lie elsewhere in their own past distribution than they
// used to. A value counts by its rank there, as the quantile of a normal distribution.
type shift struct {
	Past    [cells]float32
	Total   float32
	Spread  float32  // variance of a slot's score, minus 1
	Tallies [4]tally // mild and strong, upwards, then downwards
	// Middle and Low are, for each tally, the sums over its slots of the middle and the
	// lower quarter of each, and Slots is their number.
	Middle, Low, Slots [4]float32
	spoke              bool // the last slot spoke for what is raised or nearly so
}

// values are those of a slot, by class.
type values struct {
	of [cells]uint16
	n  uint32
}

// add counts a value of a class.
func (v *values) add(class int) {
	class = max(0, min(class, cells-1))
	if v.of[class] < math.MaxUint16 {
		v.of[class]++
		v.n++
	}
}

// quantile returns the class, with fractions, below which a share of a distribution
// lies.
func quantile[T uint16 | float32](of *[cells]T, total, share float64) float64 {
	var sum float64
	for i, n := range of {
		if next := sum + float64(n); next >= share*total && n > 0 {
			return float64(i) + (share*total-sum)/float64(n)
		} else {
			sum = next
		}
	}
	return cells
}

// learned is how many values must be known before an alarm.
const learned = 20

// end ends a slot. It returns the tally that raises an alarm, counted from 1, or 0;
// differs says whether a change from the past matters.
func (s *shift) end(of *values, slot int64, learn bool, differs func(up bool, middle, low float64) bool) int {
	s.spoke = false
	if of.n == 0 {
		return 0
	}
	n := float64(of.n)
	raised := 0
	if s.Total >= learned {
		score := s.score(of)
		middle, low := quantile(&of.of, n, 0.5), quantile(&of.of, n, 0.25)
		for i := range s.Tallies {
			step, up, z := 0.5, i < 2, score
			if i%2 == 1 {
				step = 1.5
			}
			if !up {
				z = -z
			}
			t := &s.Tallies[i]
			ratio := (step*z - n*step*step/2) / (1 + float64(s.Spread))
			t.add(slot, ratio, enough/3.5, n, n, 0)
			s.spoke = s.spoke || ratio > 0 && t.Sum > enough/2
			s.follow(i, middle, low)
			if t.Sum >= enough && t.N >= 5 && differs(up, float64(s.Middle[i]/s.Slots[i]), float64(s.Low[i]/s.Slots[i])) {
				raised = i + 1
			}
		}
		s.Spread = stray(s.Spread, min(score*score/n, 30))
	}
	if learn {
		s.learn(of)
	}
	*of = values{}
	return raised
}

// score is the sum of the ranks of the slot's values.
func (s *shift) score(of *values) (sum float64) {
	total, below := 1., 0.5
	for _, past := range s.Past { // not Total: a sum of rounded numbers is another one
		total += float64(past)
	}
	for i, n := range of.of {
		past := float64(s.Past[i])
		if n > 0 {
			rank := (below + past/2) / total
			sum += float64(n) * max(-3, min(normal(rank), 3))
		}
		below += past
	}
	return sum
}

// normal is the quantile of the normal distribution.
func normal(p float64) float64 { return math.Sqrt2 * math.Erfinv(2*p-1) }

// follow sums where the slots of a tally lie.
func (s *shift) follow(i int, middle, low float64) {
	if s.Tallies[i].Sum <= 0 {
		s.Middle[i], s.Low[i], s.Slots[i] = 0, 0, 0
		return
	}
	s.Middle[i] += float32(middle)
	s.Low[i] += float32(low)
	s.Slots[i]++
}

// at is where a tally's slots lie, on the whole.
func (s *shift) at(i int) float64 { return float64(s.Middle[i] / s.Slots[i]) }

// usual is the middle of the past, and its lower quarter.
func (s *shift) usual() (middle, low float64) {
	return quantile(&s.Past, float64(s.Total), 0.5), quantile(&s.Past, float64(s.Total), 0.25)
}

func (s *shift) learn(of *values) {
	weight := float32(1)
	if s.suspicious() {
		weight = 0.1
	}
	if s.Total > 2000 {
		keep := float32(1 - 1./memory)
		for i := range s.Past {
			s.Past[i] *= keep
		}
		s.Total *= keep
	}
	for i, k := range of.of {
		s.Past[i] += weight * float32(k)
	}
	s.Total += weight * float32(of.n)
}

func (s *shift) suspicious() bool { return s.strongest() > enough/3 }
func (s *shift) alive() bool      { return s.strongest() > enough/4 }

func (s *shift) strongest() (most float32) {
	for i := range s.Tallies {
		most = max(most, s.Tallies[i].Sum)
	}
	return most
}

func (s *shift) reset() {
	s.Tallies = [4]tally{}
	s.Middle, s.Low, s.Slots = [4]float32{}, [4]float32{}, [4]float32{}
}

// sizeClass is the class of a number of bytes: two for each doubling, from 1 byte up.
func sizeClass(bytes int64) int {
	if bytes <= 0 {
		return 0
	}
	return 1 + halves(uint64(bytes))
}

// halves is twice the logarithm to the base of 2, rounded down.
func halves(n uint64) int {
	whole := bits.Len64(n) - 1
	// whether n is beyond the root of 2 times the power: by its first 32 bits
	first := n << (63 - whole) >> 32
	if first >= 0xb504f334 {
		return 2*whole + 1
	}
	return 2 * whole
}

// sizeOf is the number of bytes at a class.
func sizeOf(class float64) float64 { return math.Exp2((class - 1) / 2) }

// skewStep is below what clock skews are told apart in proportion.
const skewStep = 250 * time.Millisecond

// skewClass is the class of a clock skew: two for each doubling beyond a quarter of a
// second, in both directions.
func skewClass(skew time.Duration) int {
	if skew < 0 {
		return cells/2 - 1 - halves(1024+uint64(-skew/(skewStep/1024))) + 20
	}
	return cells/2 + halves(1024+uint64(skew/(skewStep/1024))) - 20
}

// skewOf is the skew at a class, in seconds.
func skewOf(class float64) float64 {
	from := class - cells/2
	return math.Copysign(skewStep.Seconds()*(math.Exp2(math.Abs(from)/2)-1), from)
}
