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

// series is what is known of one webhook. That of the empty name is the requests that
// no webhook matched.
type series struct {
	mu   sync.Mutex
	name string
	hash uint64

	past
	paths    distinct // unknown ones, or unknown tenants
	good     uint32
	alive    uint32
	youth    int    // for how many hours a network is new
	lastNear uint64 // the network that delivered last, where it is known well
	votes    [kindCount]vote
	scratch  []weighted
}

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
	rhythm   rhythm
}

func newSeries(name string, seed [2]uint64) *series {
	s := &series{name: name, hash: hashText(seed, name), youth: young, scratch: make([]weighted, 0, 24)}
	s.rhythm = newRhythm()
	size := 2
	if name == "" {
		size = 64
	}
	s.paths.bits = make([]uint64, size)
	return s
}

// young is for how many hours a network is new at least, and at most where there are
// few deliveries.
const (
	young  = 24
	oldest = 4 * young
)

// observe counts an event.
func (s *series) observe(e *Event, n *networks) {
	slot := slotOf(e.Time)
	if s.Born == 0 {
		s.Born = slot
	}
	if s.name == "" {
		if e.Reason == authz.NoWebhook {
			s.paths.add(hashText(n.seed, e.Path))
			s.votes[PathScan].add(e.Source)
		}
		return
	}
	hour := e.Time.Unix() / 3600
	if e.Allowed {
		s.delivery(e, n, slot, hour)
		return
	}
	known := s.Nowhere // where nobody knows sources, all are alike
	if e.Source.IsValid() {
		near, wide := n.of(s.hash, e.Source)
		_, known = n.age(near, hour)
		if spread := s.Sources.usual(&sourceShare); !known && spread > scattered {
			_, known = n.age(wide, hour)
			known = known || spread > everywhere
		}
	}
	s.denial(e, n, known, slot)
}

// delivery counts what was allowed.
func (s *series) delivery(e *Event, n *networks, slot, hour int64) {
	s.Open = e.Reason == authz.Unprotected
	s.alive++
	s.Failures.n++
	s.Unknown.n++
	s.Copies.n++
	s.Sources.n++
	switch e.Mark {
	case authz.MarkCopy:
		s.Copies.k++
		s.votes[Copies].add(e.Source)
		return // it says nothing new of the provider
	case authz.MarkPossible:
		s.Unknown.k++
	case authz.MarkNone, authz.MarkRedelivered:
	}
	s.good++
	s.Sizes.add(sizeClass(e.BodyBytes), false)
	if e.HasSkew {
		s.Skews.add(skewClass(e.Skew.Seconds()), false)
	}
	s.Keys.used(e.KeyID, slot)
	if s.Nowhere = !e.Source.IsValid(); s.Nowhere {
		return
	}
	near, wide := n.of(s.hash, e.Source)
	if near == s.lastNear && hour%24 != 0 {
		return
	}
	if age, known := n.seen(near, hour); s.settled(hour, age, known) {
		s.lastNear = near
		return
	}
	if age, known := n.seen(wide, hour); s.settled(hour, age, known) {
		s.Sources.k += 0.5 // a neighbour of a known one
	} else {
		s.Sources.k++
	}
	s.votes[NewSource].add(e.Source)
}

// scattered is the share of deliveries from new networks from which on a provider has
// so many that their neighbours are taken for it, too.
const scattered = 0.2

// everywhere is the share from which on networks say nothing: all are taken for known.
const everywhere = 0.5

// settled reports whether a network that has been known for so many hours is new no
// more. Those of a webhook's first days never are.
func (s *series) settled(hour int64, age int, known bool) bool {
	return known && (age >= s.youth || (hour-int64(age))*slotsAnHour < s.Born+learnSources)
}

// denial counts what was refused. What comes from a network that has never delivered
// says nothing of the provider.
func (s *series) denial(e *Event, n *networks, known bool, slot int64) {
	if known {
		s.alive++
	}
	switch e.Reason {
	case authz.SignatureMissing, authz.SignatureMalformed, authz.SignatureInvalid, authz.TokenMissing, authz.TokenInvalid, authz.TokenExpired:
		s.votes[SignatureFailures].add(e.Source)
		if known {
			s.Failures.n++
			s.Failures.k++
		} else {
			s.Strange.k++
			s.Strange.odd++
		}
	case authz.Replayed:
		s.votes[Copies].add(e.Source)
		s.Copies.n++
		s.Copies.k++
		if !known {
			s.Copies.odd++
		}
	case authz.InFlight, authz.ReplayUncertain, authz.StoreUnavailable, authz.Timeout, authz.Internal:
		if known || e.Reason != authz.Timeout && e.Reason != authz.Internal { // the others need a signature that holds
			s.Unknown.n++
			s.Unknown.k++
		}
	case authz.KeyNotValidNow:
		s.Keys.refused(e.KeyID, slot)
	case authz.TimestampTooOld, authz.TimestampInFuture:
		if e.HasSkew && known {
			s.Skews.add(skewClass(e.Skew.Seconds()), false)
		}
	case authz.BodyTooLarge:
		if known {
			s.Sizes.add(sizeClass(e.BodyBytes), false)
		}
	case authz.TenantUnknown:
		s.paths.add(hashText(n.seed, e.Path))
		s.votes[PathScan].add(e.Source)
	default:
	}
}

// many counts decisions of which little is known.
func (s *series) many(at time.Time, allowed bool, reason authz.Reason, n uint32) {
	if s.Born == 0 {
		s.Born = slotOf(at)
	}
	if s.name == "" {
		return // how many paths there were, nobody knows
	}
	if allowed {
		s.good, s.alive = s.good+n, s.alive+n
		for _, sh := range []*share{&s.Failures, &s.Copies, &s.Unknown} {
			sh.n += float32(n)
		}
		return
	}
	if isFailure(reason) {
		s.Strange.k += float32(n)
		s.Strange.odd += float32(n)
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

// slotOf is the slot of a time.
func slotOf(t time.Time) int64 { return t.Unix() / int64(Slot/time.Second) }

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
