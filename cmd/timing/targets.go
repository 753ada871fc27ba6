package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/hookbastion/hookbastion/authz/secret"
)

// target is a comparison that is measured.
type target struct {
	name string
	// control: it ends at the first difference, and must be found.
	control bool
	// batch is how many times it runs in one measurement, so that the clock
	// can see it.
	batch int
	// right is what is compared with, and place where what is sent stands: in
	// the same memory for both classes.
	right, place []byte
	// write puts a value into the place.
	write func(place, value []byte)
	// differ changes a byte of a value.
	differ func(value []byte, i int)
	run    func()
	// accepted reports whether what stands in the place is taken.
	accepted func() bool
}

// reset puts the right value into the place.
func (t *target) reset() { t.write(t.place, t.right) }

// set puts a wrong value into the place.
func (t *target) set(last bool) {
	value := bytes.Clone(t.right)
	i := 0
	if last {
		i = len(value) - 1
	}
	t.differ(value, i)
	t.write(t.place, value)
}

// chunk is how many measurements are made between two collections.
const chunk = 2000

// measure returns so many measurements of classes in random order.
func (t *target) measure(n int) []sample {
	samples := make([]sample, n)
	for i := range samples {
		if i%chunk == 0 {
			runtime.GC()
			t.set(false)
			for range 200 { // what a collection has put out of the caches
				t.run()
			}
		}
		last := random(2) == 0
		t.set(last)
		start := time.Now()
		for range t.batch {
			t.run()
		}
		samples[i] = sample{float64(time.Since(start)), last}
	}
	return samples
}

func random(n int) int {
	return rand.IntN(n) //nolint:gosec // what is measured, not a secret
}

// as it is, or in hexadecimal.
func plain(place, value []byte)  { copy(place, value) }
func inHex(place, value []byte)  { hex.Encode(place, value) }
func anyBit(value []byte, i int) { value[i] ^= byte(1 + random(255)) }

// otherLetter is for tokens, of which each byte is one of a to p.
func otherLetter(value []byte, i int) {
	value[i] = 'a' + (value[i]-'a'+byte(1+random(15)))%16
}

// taken counts, so that what comparisons return is not thrown away.
var taken int

func take(equal bool) {
	if equal {
		taken++
	}
}

// naive ends at the first difference.
//
//go:noinline
func naive(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func allTargets() ([]*target, error) {
	right := sha256.Sum256([]byte("what is right"))
	function := func(name string, control bool, compare func(a, b []byte) bool) *target {
		t := &target{name: name, control: control, batch: 32, right: right[:], place: make([]byte, len(right)), write: plain, differ: anyBit}
		t.run = func() { take(compare(t.place, t.right)) }
		t.accepted = func() bool { return compare(t.place, t.right) }
		return t
	}
	all := []*target{
		function("`secret.Equal`, as of MACs", false, secret.Equal),
		digests(right),
		function("control: a loop that ends early", true, naive),
	}
	paths, err := pathTargets()
	return append(all, paths...), err
}

// digests compares digests of tokens. What differs is in the digest itself,
// since that of another token differs anywhere.
func digests(right [sha256.Size]byte) *target {
	t := &target{name: "`secret.Digest.Same`, as of tokens", batch: 32, right: right[:], differ: anyBit}
	t.place = make([]byte, len(right))
	var sent, want secret.Digest
	parse := func(value []byte) secret.Digest {
		d, err := secret.ParseDigest(hex.EncodeToString(value))
		if err != nil {
			panic(err) // 64 hexadecimal digits
		}
		return d
	}
	want = parse(t.right)
	t.write = func(place, value []byte) {
		copy(place, value)
		sent = parse(value)
	}
	t.run = func() { take(sent.Same(&want)) }
	t.accepted = func() bool { return sent.Same(&want) }
	return t
}

// sign returns the HMAC-SHA256 of a body.
func sign(key, body []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(body)
	return mac.Sum(nil)
}
