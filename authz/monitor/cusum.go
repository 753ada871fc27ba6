package monitor

import "math"

// tally is a cumulative sum of log-likelihood ratios, with what was counted since it
// left zero: the evidence of an alarm.
type tally struct {
	Sum   float32
	N, K  float32 // all, and those that speak for it
	Odd   float32 // of K, what strangers sent
	Since int64   // the first slot
}

// add adds what a slot brought.
func (t *tally) add(slot int64, ratio, bound float64, n, k, odd float64) {
	if t.Sum <= 0 {
		*t = tally{Since: slot}
	}
	if math.IsNaN(ratio) { // says nothing, and must not be kept
		ratio = 0
	}
	sum := float64(t.Sum) + max(min(ratio, bound), -bound)
	if sum <= 0 {
		*t = tally{Since: slot + 1}
		return
	}
	t.Sum = float32(min(sum, 2*enough)) // what goes on for days must be able to end
	t.N, t.K, t.Odd = t.N+float32(n), t.K+float32(k), t.Odd+float32(odd)
}

// enough is the sum that raises an alarm: the natural logarithm of how much likelier
// what was seen is when something is wrong.
const enough = 13.0

// share watches the share of one kind of events among all of a webhook's.
type share struct {
	Hits, Total float32 // the past
	Spread      float32 // variance over that of independent events, minus 1
	Tallies     [2]tally
}

// shareKind is what a share's alarm is about.
type shareKind struct {
	// prior is the share that is assumed of a webhook without a past, weight for how
	// many events it counts.
	prior, weight float64
	// slots is how many slots there must at least be.
	slots float64
	// least is how many of the past there must be, and hits how many events an alarm
	// needs.
	least, hits float64
	// mild and strong are the shares that are looked for.
	mild, strong float64
}

// usual is the share of the past.
func (s *share) usual(k *shareKind) float64 {
	return (float64(s.Hits) + k.prior*k.weight) / (float64(s.Total) + k.weight)
}

// end ends a slot and returns the tally that raises an alarm, if one does.
func (s *share) end(kind *shareKind, slot int64, learn bool, of part) *tally {
	n, k, odd := float64(of.n), float64(of.k), float64(of.odd)
	if n <= 0 {
		return nil
	}
	k = min(k, n)
	p := s.usual(kind)
	var raised *tally
	if float64(s.Total) >= kind.least {
		for i, q := range [2]float64{kind.mild, kind.strong} {
			q = min(q+5*p, 0.5+p/2)
			ratio := (k*math.Log(q/p) + (n-k)*math.Log((1-q)/(1-p))) / (1 + float64(s.Spread))
			t := &s.Tallies[i]
			t.add(slot, ratio, enough/(kind.slots-0.5), n, k, odd)
			if t.Sum >= enough && float64(t.K) >= kind.hits {
				raised = t
			}
		}
	}
	if learn {
		s.learn(n, k, p)
	}
	return raised
}

// memory is after how many slots with events what was learned has lost a third.
const memory = 2000

func (s *share) learn(n, k, p float64) {
	if s.Tallies[0].Sum > enough/3 || s.Tallies[1].Sum > enough/3 {
		k = min(k, 3*n*p+1) // it may become an alarm
	}
	if s.Total > 500 {
		s.Hits, s.Total = s.Hits*(1-1./memory), s.Total*(1-1./memory)
	}
	s.Hits, s.Total = s.Hits+float32(k), s.Total+float32(n)
	if n > 1 {
		odd := (k - n*p) * (k - n*p) / (n * p * (1 - p))
		s.Spread = stray(s.Spread, odd)
	}
}

// stray follows the variance of what was counted, over that of independent events.
func stray(spread float32, now float64) float32 {
	next := float64(spread) + (min(now, 40)-1-float64(spread))/500
	return float32(max(0, min(next, 20)))
}

// reset forgets the evidence.
func (s *share) reset() { s.Tallies = [2]tally{} }

// alive reports whether the evidence still stands.
func (s *share) alive() bool { return max(s.Tallies[0].Sum, s.Tallies[1].Sum) > enough/4 }

// count watches how many events there are in a slot, whoever causes them.
type count struct {
	Mean    float32 // the past, per slot
	Slots   float32 // how many
	Spread  float32
	Tallies [2]tally
}

// countKind is what a count's alarm is about.
type countKind struct {
	// mild and strong are how many more in a slot are looked for, beside three and ten
	// times as many.
	mild, strong float64
	least        float64 // slots of the past
	hits, times  float64 // events that an alarm needs, and times the usual
}

func (c *count) end(kind *countKind, slot int64, learn bool, k float64) *tally {
	usual := c.usual()
	var raised *tally
	if float64(c.Slots) >= kind.least {
		for i, more := range [2]float64{kind.mild, kind.strong} {
			wanted := max(3, 7*float64(i)+3)*usual + more
			ratio := (k*math.Log(wanted/usual) - (wanted - usual)) / (1 + float64(c.Spread))
			t := &c.Tallies[i]
			t.add(slot, ratio, enough/2.5, 1, k, k)
			if t.Sum >= enough && float64(t.K) >= kind.hits && float64(t.K) >= kind.times*usual*float64(t.N) {
				raised = t
			}
		}
	}
	if learn {
		if c.Tallies[0].Sum > enough/3 || c.Tallies[1].Sum > enough/3 {
			k = min(k, 3*usual+1)
		}
		c.Slots = min(c.Slots+1, memory)
		c.Mean += float32((k - float64(c.Mean)) / float64(c.Slots))
		c.Spread = stray(c.Spread, (k-usual)*(k-usual)/usual)
	}
	return raised
}

func (c *count) usual() float64 {
	return (float64(c.Mean)*float64(c.Slots) + 0.5) / (float64(c.Slots) + 12)
}
func (c *count) reset()      { c.Tallies = [2]tally{} }
func (c *count) alive() bool { return max(c.Tallies[0].Sum, c.Tallies[1].Sum) > enough/4 }
