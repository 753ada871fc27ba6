package monitor

import (
	"encoding/binary"
	"math"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
)

// finite reports whether all numbers below a value are numbers.
func finite(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Float32, reflect.Float64:
		return !math.IsNaN(v.Float()) && !math.IsInf(v.Float(), 0)
	case reflect.Struct:
		for i := range v.NumField() {
			if !finite(v.Field(i)) {
				return false
			}
		}
	case reflect.Array, reflect.Slice:
		for i := range v.Len() {
			if !finite(v.Index(i)) {
				return false
			}
		}
	default:
	}
	return true
}

// FuzzObserve: whatever is decided, all that is learned are numbers, shares lie between 0
// and 1, and no alarm begins after it was raised.
func FuzzObserve(f *testing.F) {
	f.Add([]byte("a decision, and another one, and a third one that is different"))
	f.Add(make([]byte, 400))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 1, 2, 3})
	f.Fuzz(func(t *testing.T, data []byte) {
		var alarms []Alarm
		m := New(Config{Networks: 64, OnAlarm: func(a Alarm) { alarms = append(alarms, a) }})
		at := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
		if len(data) > 0 && data[0]&0xc0 == 0xc0 { // a clock that was never set
			at = time.Time{}
		}
		for ; len(data) >= 8; data = data[8:] {
			n := 1 << (data[0] & 7)
			for range n {
				m.Observe(&Event{
					Time: at, Webhook: string('a' + rune(data[1]&1)), Source: netip.AddrFrom4([4]byte{data[2], data[2], data[3] & 1, 1}), Allowed: data[4]&1 == 1,
					Reason: authz.Reason(data[4] >> 1), Mark: authz.Mark(data[5] & 3), KeyID: string(rune(data[5] >> 5)), Path: authz.View(data[:8]),
					BodyBytes: int64(binary.LittleEndian.Uint64(data)), HasSkew: data[6]&1 == 1, Skew: time.Duration(binary.BigEndian.Uint64(data)),
				})
			}
			m.ObserveMany(at, "a", data[6]&2 == 2, authz.Reason(data[4]>>1), int64(int8(data[7])))
			at = at.Add(time.Duration(data[7]) * 7 * time.Minute)
			m.Tick(at)
		}
		for _, s := range m.all {
			if !finite(reflect.ValueOf(*s.past)) {
				t.Fatalf("%+v", s.past)
			}
			for _, share := range []float64{s.Failures.usual(&failureShare), s.Copies.usual(&copyShare), s.Unknown.usual(&unknownShare), s.Sources.usual(&sourceShare)} {
				if share <= 0 || share >= 1 {
					t.Fatalf("a share is %g", share)
				}
			}
		}
		for _, a := range alarms {
			if a.Since.After(a.Time) || !finite(reflect.ValueOf([]float64{a.Baseline, a.Value})) || a.Samples < 0 {
				t.Fatalf("%+v", a)
			}
		}
	})
}

// TestShiftRounding: values above all others have a rank below 1, however the past was
// rounded.
func TestShiftRounding(t *testing.T) {
	s := &shift{Total: 1000}
	for i := range s.Past {
		s.Past[i] = 40 // twice as many as Total says
	}
	of := &values{}
	for range 100 {
		of.add(cells - 1)
	}
	if score := s.score(of); math.IsNaN(score) || score < 100 {
		t.Errorf("score %g", score)
	}
}

// TestLonger compares with distributions that are known.
func TestLonger(t *testing.T) {
	for _, c := range []struct{ shape, gap, mean, want float64 }{
		{1, 5, 1, -5}, {1, 30, 2, -15}, {1, 0.1, 1, -0.1}, {1, 0, 1, 0}, // exponential
		{2, 3, 2, -3 + math.Log(4)},                // Erlang: e^-x (1 + x), x = 3
		{3, 4, 3, -4 + math.Log(1+4+8)},            // e^-x (1 + x + x²/2)
		{0.5, 4, 0.5, math.Log(math.Erfc(2))},      // of one degree of freedom
		{0.5, 0.01, 0.5, math.Log(math.Erfc(0.1))}, // and a short one
	} {
		if got := longer(c.shape, c.gap, c.mean); math.Abs(got-c.want) > 1e-6 {
			t.Errorf("longer(%g, %g, %g) = %g, want %g", c.shape, c.gap, c.mean, got, c.want)
		}
	}
}

// TestCounts: a number of an hour is kept to within 3 %.
func TestCounts(t *testing.T) {
	for n := 0.0; n < 200_000; n = n*1.01 + 1 {
		n = math.Floor(n)
		if got := float64(decoded[encodeCount(n)]); math.Abs(got-n) > 0.03*n {
			t.Fatalf("%g is kept as %g", n, got)
		}
	}
}

// TestClasses: classes go up with what they stand for, and lead back to it.
func TestClasses(t *testing.T) {
	for bytes, last := int64(1), 0; bytes < 1<<27; bytes = bytes*5/4 + 1 {
		class := sizeClass(bytes)
		if class < last || float64(bytes) < sizeOf(float64(class))*0.999 || float64(bytes) > sizeOf(float64(class)+1)*1.001 {
			t.Errorf("%d bytes are of class %d, from %g", bytes, class, sizeOf(float64(class)))
		}
		last = class
	}
	for s, last := -2000*time.Second, -1000; s < 2000*time.Second; s += 77 * time.Millisecond {
		class := skewClass(s)
		if class < last {
			t.Fatalf("%v is of class %d after %d", s, class, last)
		}
		if low, high := skewOf(float64(class)), skewOf(float64(class)+1); s.Seconds() < low-0.01 || s.Seconds() > high+0.01 {
			t.Fatalf("%v is of class %d, from %g to %g", s, class, low, high)
		}
		last = class
	}
}
