package monitor

import (
	"math"
	"math/bits"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hookbastion/hookbastion/authz"
)

// series is one webhook. That of the empty name is the requests that no webhook
// matched. What a decision touches stands together and is small, and what was learned
// apart from it: with many webhooks the cost is that of the memory.
type series struct {
	mu       sync.Mutex
	hash     uint64
	keyHash  uint64    // of the key that signed last,
	keyUses  uint32    // so often in this slot
	nears    [4]uint32 // networks that delivered last and are known well, so that the table is not asked
	good     uint32
	alive    uint32
	youth    uint16 // for how many hours a network is new
	nextNear uint8
	open     bool
	nowhere  bool
	few      fewValues
	born     int64 // the hour of the first delivery; -1 where something else came, 0 where nothing did

	failures part
	copies   part
	unknown  part
	sources  part
	strange  float32
	sizes    values
	skews    values

	*past
	key     string // that signed last
	name    string
	paths   distinct // unknown ones, or unknown tenants
	votes   [kindCount]vote
	scratch []weighted
}

// part is what a slot has of a share.
type part struct{ n, k, odd float32 }

// past is what a series has learned; it is kept over a restart.
type past struct {
	Born     int64 // the first slot
	Open     bool  // the policy asks for no proof: strangers can cause everything
	Nowhere  bool  // nobody knows sources
	Failures share
	Strange  count
	Copies   share
	Unknown  share
	Sources  share
	Scan     count
	Sizes    shift
	Skews    shift
	Keys     keys
	States   [kindCount]state
	Rhythm   rhythm
}

func newSeries(name string, seed [2]uint64) *series {
	s := &series{name: name, hash: hashText(seed, name), youth: young, past: &past{}, scratch: make([]weighted, 0, 24)}
	s.Rhythm = newRhythm()
	size := 2
	if name == "" {
		size = 64
	}
	s.paths.bits = make([]uint64, size)
	return s
}

// begin notes the first event; arrive, the first delivery.
func (s *series) begin(slot int64) {
	if s.Born == 0 {
		s.Born = slot
	}
	s.born = s.Born / slotsAnHour
	if s.Rhythm.Hours.First == 0 {
		s.born = -1
	}
}

// arrive notes the first delivery: what strangers sent before it is no past of the
// webhook.
func (s *series) arrive(slot int64) {
	s.Born, s.born = slot, slot/slotsAnHour
}

// young is for how many hours a network is new at least, and at most where there are
// few deliveries.
const (
	young  = 24
	oldest = 4 * young
)

// observe counts an event.
func (s *series) observe(e *Event, near uint64, n *networks) {
	slot := slotOf(e.Time)
	if s.born == 0 {
		s.begin(slot)
	}
	if s.name == "" {
		if e.Reason == authz.NoWebhook {
			s.paths.add(hashText(n.seed, e.Path))
			s.votes[PathScan].add(e.Source)
		}
		return
	}
	if e.Allowed {
		s.delivery(e, near, n, slot)
		return
	}
	s.denial(e, n, s.knows(e, near, n, slot/slotsAnHour))
}

// knows reports whether a denial comes from where the provider is.
func (s *series) knows(e *Event, near uint64, n *networks, hour int64) bool {
	if !e.Source.IsValid() {
		return s.nowhere // where nobody knows sources, all are alike
	}
	if _, known := n.age(near, hour); known {
		return true
	}
	spread := s.Sources.usual(&sourceShare)
	if spread > everywhere {
		return true
	}
	if spread <= scattered {
		return false
	}
	_, known := n.age(n.wide(s.hash, e.Source), hour)
	return known
}

// delivery counts what was allowed.
func (s *series) delivery(e *Event, near uint64, n *networks, slot int64) {
	if s.born <= 0 {
		s.arrive(slot)
	}
	s.open = e.Reason == authz.Unprotected
	s.alive++
	switch e.Mark {
	case authz.MarkCopy:
		s.copies.n++
		s.copies.k++
		s.votes[Copies].add(e.Source)
		return // it says nothing new of the provider
	case authz.MarkPossible:
		s.unknown.k++
	case authz.MarkNone, authz.MarkRedelivered:
	}
	s.good++ // and one of each share
	if s.few.full() {
		s.spill()
	}
	s.few.add(e)
	if key := hashText(n.seed, e.KeyID); key == s.keyHash {
		s.keyUses++
	} else {
		s.flush(slot)
		s.key, s.keyHash, s.keyUses = string(append([]byte(nil), e.KeyID...)), key, 1
	}
	if s.nowhere = !e.Source.IsValid(); s.nowhere {
		return
	}
	hour := slot / slotsAnHour
	if slices.Contains(s.nears[:], uint32(near>>32)) && hour%24 != 0 { // once a day the table hears of them
		return
	}
	if age, known := n.seen(near, hour); s.settled(hour, age, known) {
		s.nears[s.nextNear%4] = uint32(near >> 32)
		s.nextNear++
		return
	}
	if age, known := n.seen(n.wide(s.hash, e.Source), hour); s.settled(hour, age, known) {
		s.sources.k += 0.5 // a neighbour of a known one
	} else {
		s.sources.k++
	}
	s.votes[NewSource].add(e.Source)
}

// fewValues are the classes of sizes and skews of deliveries that are not counted yet: side
// by side, where two distributions would be memory that is far apart.
type fewValues struct {
	n     uint8
	sizes [22]uint8
	skews [22]uint8
}

// noSkew stands for a delivery without a signed time.
const noSkew = 0xff

func (f *fewValues) full() bool { return int(f.n) == len(f.sizes) }

func (f *fewValues) add(e *Event) {
	f.sizes[f.n], f.skews[f.n] = uint8(min(sizeClass(e.BodyBytes), cells-1)), noSkew
	if e.HasSkew {
		f.skews[f.n] = uint8(max(0, min(skewClass(e.Skew), cells-1)))
	}
	f.n++
}

// spill counts them.
func (s *series) spill() {
	for i := range s.few.n {
		s.sizes.add(int(s.few.sizes[i]))
		if s.few.skews[i] != noSkew {
			s.skews.add(int(s.few.skews[i]))
		}
	}
	s.few.n = 0
}

// flush notes the uses of the key that signed last.
func (s *series) flush(slot int64) {
	if s.keyUses > 0 {
		s.Keys.used(s.key, slot, s.keyUses)
		s.keyUses = 0
	}
}

// scattered is the share of deliveries from new networks from which on a provider has
// so many that their neighbours are taken for it, too.
const scattered = 0.2

// everywhere is the share from which on networks say nothing: all are taken for known.
const everywhere = 0.35

// settled reports whether a network that has been known for so many hours is new no
// more. Those of a webhook's first days never are.
func (s *series) settled(hour int64, age int, known bool) bool {
	return known && (age >= int(s.youth) || hour-int64(age) < s.born+learnSources/slotsAnHour)
}

// denial counts what was refused. What comes from a network that has never delivered
// says nothing of the provider.
func (s *series) denial(e *Event, n *networks, known bool) {
	if known {
		s.alive++
	}
	switch e.Reason {
	case authz.SignatureMissing, authz.SignatureMalformed, authz.SignatureInvalid, authz.TokenMissing, authz.TokenInvalid, authz.TokenExpired:
		s.votes[SignatureFailures].add(e.Source)
		if known {
			s.failures.n++
			s.failures.k++
			if s.Sources.usual(&sourceShare) > everywhere {
				s.failures.odd++ // known as all are
			}
		} else {
			s.strange++
		}
	case authz.Replayed:
		s.votes[Copies].add(e.Source)
		s.copies.n++
		s.copies.k++
		if !known {
			s.copies.odd++
		}
	case authz.InFlight, authz.ReplayUncertain, authz.StoreUnavailable, authz.Timeout, authz.Internal:
		if known || e.Reason != authz.Timeout && e.Reason != authz.Internal { // the others need a signature that holds
			s.unknown.n++
			s.unknown.k++
		}
	case authz.KeyNotValidNow:
		s.Keys.refused(e.KeyID, slotOf(e.Time))
	case authz.TimestampTooOld, authz.TimestampInFuture:
		if e.HasSkew && known {
			s.skews.add(skewClass(e.Skew))
		}
	case authz.BodyTooLarge:
		if known {
			s.sizes.add(sizeClass(e.BodyBytes))
		}
	case authz.TenantUnknown:
		s.paths.add(hashText(n.seed, e.Path))
		s.votes[PathScan].add(e.Source)
	default:
	}
}

// many counts decisions of which little is known.
func (s *series) many(at time.Time, allowed bool, reason authz.Reason, n uint32) {
	if s.born == 0 {
		s.begin(slotOf(at))
	}
	switch {
	case s.name == "": // how many paths there were, nobody knows
	case allowed:
		if s.born <= 0 {
			s.arrive(slotOf(at))
		}
		s.good, s.alive = s.good+n, s.alive+n
		s.sources.n -= float32(n) // from where they came, nobody knows
	case isFailure(reason):
		s.strange += float32(n)
	}
}

// isFailure reports whether a reason says that no key was proven.
func isFailure(r authz.Reason) bool {
	switch r {
	case authz.SignatureMissing, authz.SignatureMalformed, authz.SignatureInvalid, authz.TokenMissing, authz.TokenInvalid, authz.TokenExpired:
		return true
	default:
		return false
	}
}

// earliest is the first slot that there is: what is before it, in a broken record or by a
// clock that was never set, counts as then. Weeks before it are numbers, too.
const earliest = 60 * 24 * slotsAnHour

// slotOf is the slot of a time.
func slotOf(t time.Time) int64 { return max(t.Unix()/int64(Slot/time.Second), earliest) }

// distinct estimates how many different texts there were (linear counting).
type distinct struct{ bits []uint64 }

func (d *distinct) add(hash uint64) {
	d.bits[hash>>6%uint64(len(d.bits))] |= 1 << (hash & 63)
}

// take returns the estimate and begins again.
func (d *distinct) take() float64 {
	set := 0
	for i, word := range d.bits {
		set += bits.OnesCount64(word)
		d.bits[i] = 0
	}
	all := float64(64 * len(d.bits))
	return -all * math.Log(1-min(float64(set), all-1)/all)
}

// vote finds the network that most of the events came from (Boyer and Moore).
type vote struct {
	of netip.Addr
	n  int32
}

func (v *vote) add(source netip.Addr) {
	switch {
	case v.n == 0:
		v.of, v.n = source, 1
	case network(v.of) == network(source):
		v.n = min(v.n+1, 1000)
	default:
		v.n--
	}
}

// source is the network in words; empty if none was voted for.
func (v *vote) source() string {
	if v.n == 0 || !v.of.IsValid() {
		return ""
	}
	return network(v.of).String()
}

func median(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// crowd is what most webhooks have of what was expected of them in the last hour, at
// most 1: on a holiday all have less. At least four must say so; and where none has
// anything, they have not all taken a holiday.
func crowd(all []*series) float64 {
	var ratios [1024]float64
	n := 0
	for _, s := range all {
		if n == len(ratios) {
			break
		}
		s.mu.Lock()
		got, expected, ok := s.Rhythm.lastHour(&s.Rhythm.Alive)
		s.mu.Unlock()
		if ok && expected >= 10 {
			ratios[n] = got / expected
			n++
		}
	}
	if n < 4 {
		return 1
	}
	return max(0.15, min(median(ratios[:n]), 1))
}
