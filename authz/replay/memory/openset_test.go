package memory

import (
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
)

// An openSet is a map and two queues, whatever is added and removed: with many of
// the same first bits, as nobody can make them who does not know the key, and with
// such as keyed hashes are.
func TestOpenSetIsAMap(t *testing.T) {
	for name, tags := range map[string]uint64{"a few tags": 7, "all tags": 1 << 32} {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, tags)) //nolint:gosec // steps that can be repeated
			var s openSet
			known := map[authz.Fingerprint]open{}
			var queues [2][]authz.Fingerprint
			for step := range 60_000 {
				most := 40 << (step / 10_000 % 6) // up to 1280: it grows, and is emptied
				if step%10_000 > 8_500 {
					most = 0
				}
				if tags < 100 {
					most = min(most, 60)
				}
				if len(known) < most && random.IntN(3) > 0 {
					var f authz.Fingerprint
					binary.LittleEndian.PutUint64(f[:8], random.Uint64N(tags)<<32)
					binary.LittleEndian.PutUint32(f[8:], uint32(step))
					o := open{fingerprint: f, id: uint64(step), ends: int64(step), final: random.IntN(2) > 0}
					known[f] = o
					queues[kind(o)] = append(queues[kind(o)], f)
					if got := s.add(o); got.id != o.id || s.at(got.number) != got {
						t.Fatalf("step %d: added %+v", step, got)
					}
				} else if len(known) > 0 {
					q := random.IntN(2)
					if len(queues[q]) == 0 {
						q = 1 - q
					}
					at := 0
					if random.IntN(2) > 0 {
						at = random.IntN(len(queues[q]))
					}
					f := queues[q][at]
					s.remove(s.find(f))
					delete(known, f)
					queues[q] = slices.Delete(queues[q], at, at+1)
					if s.find(f) != nil {
						t.Fatalf("step %d: it is still there", step)
					}
				}
				if step%97 == 0 || len(known) < 3 {
					same(t, &s, known, queues)
				}
			}
		})
	}
}

func kind(o open) int {
	if o.final {
		return 1
	}
	return 0
}

func same(t *testing.T, s *openSet, known map[authz.Fingerprint]open, queues [2][]authz.Fingerprint) {
	t.Helper()
	if s.count != len(known) {
		t.Fatalf("%d, want %d", s.count, len(known))
	}
	for f, o := range known {
		if got := s.find(f); got == nil || got.id != o.id || got.final != o.final {
			t.Fatalf("found %+v, want %+v", got, o)
		}
	}
	used := 0
	for n := range s.made {
		if s.at(n+1) != nil {
			used++
		}
	}
	if used != len(known) {
		t.Fatalf("%d numbers in use, want %d", used, len(known))
	}
	for q, queue := range queues {
		l := s.order[q]
		if len(queue) > 0 && l.due != known[queue[0]].ends {
			t.Fatalf("due at %d, want %d", l.due, known[queue[0]].ends)
		}
		n := l.first
		for _, f := range queue {
			o := s.at(n)
			if o == nil || o.fingerprint != f {
				t.Fatalf("queue %d: %+v, want %x", q, o, f)
			}
			n = o.next
		}
		if n != 0 {
			t.Fatalf("queue %d is longer than %d", q, len(queue))
		}
	}
}

// Each number has one place, and places follow each other without a gap.
func TestChunks(t *testing.T) {
	chunk, place := 0, 0
	for n := range uint32(5000) {
		c, p := chunkOf(n)
		if c != chunk || p != place {
			t.Fatalf("number %d lies at %d of chunk %d, want %d of %d", n, p, c, place, chunk)
		}
		if place++; place == chunkSizeOf(chunk) {
			chunk, place = chunk+1, 0
		}
	}
}

// Each call looks at the head of a segment, which costs it a line of memory, and
// the collector at no open reservation.
func TestWhatIsLookedAt(t *testing.T) {
	if size := reflect.TypeFor[segment]().Size(); size != 64 {
		t.Errorf("the head of a segment has %d bytes, more than a line of memory", size)
	}
	for field := range reflect.TypeFor[open]().Fields() {
		if kind := field.Type.Kind(); kind == reflect.Pointer || kind == reflect.Slice || kind == reflect.Map || kind == reflect.String {
			t.Errorf("%s is a pointer", field.Name)
		}
	}
}
