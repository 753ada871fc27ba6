package main

import (
	"io"
	"testing"
	"time"
)

// What grows is found, and what goes up and down is not.
func TestFlat(t *testing.T) {
	for _, c := range []struct {
		name string
		of   func(i int) float64
		want bool
	}{
		{"the same", func(int) float64 { return 50 }, true},
		{"a saw", func(i int) float64 { return 50 + float64(i%7) }, true},
		{"a beginning", func(i int) float64 { return 100 + float64(min(i, 30)) }, true},
		{"a leak", func(i int) float64 { return 50 + float64(i)*0.3 }, false},
		{"a leak that begins late", func(i int) float64 { return 50 + float64(max(0, i-90))*1.5 }, false},
		{"nothing", func(int) float64 { return 0 }, false},
	} {
		r := &record{}
		for i := range 180 {
			s := sample{at: time.Unix(int64(i)*10, 0)}
			for q := range s.values {
				s.values[q] = c.of(i)
			}
			r.samples = append(r.samples, s)
		}
		if got := r.flat(io.Discard, c.name); got != c.want {
			t.Errorf("%s: flat is %v", c.name, got)
		}
	}
	if metric("# HELP go_goroutines x\ngo_goroutines 33\n", "go_goroutines") != 33 {
		t.Error("a line is not read")
	}
}
