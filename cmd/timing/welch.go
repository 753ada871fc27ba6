package main

import (
	"math"
	"slices"
)

// sample is one measurement.
type sample struct {
	ns   float64
	last bool // the class: the difference is in the last byte, not the first
}

// moments are the mean and the spread of a class (Welford).
type moments struct{ n, mean, m2 float64 }

func (m *moments) add(x float64) {
	m.n++
	d := x - m.mean
	m.mean += d / m.n
	m.m2 += d * (x - m.mean)
}

// errorSquared is the square of the standard error of the mean.
func (m *moments) errorSquared() float64 {
	if m.n < 2 {
		return math.Inf(1)
	}
	return m.m2 / (m.n - 1) / m.n
}

// result is what a test says of two classes, in nanoseconds.
type result struct {
	// t is Welch's, the largest in amount over all crops.
	t float64
	// difference is how much larger the mean of the last class is, without the
	// slowest tenth of each; with 95 % it is right within bound.
	difference, bound float64
}

// crops are the shares of the measurements that are looked at, the fastest ones.
var crops = []float64{1, 0.99, 0.95, 0.9, 0.75, 0.5}

// compare tests the classes against each other.
func compare(samples []sample) result {
	var first, last []float64
	for _, s := range samples {
		if s.last {
			last = append(last, s.ns)
		} else {
			first = append(first, s.ns)
		}
	}
	all := slices.Concat(first, last)
	for _, part := range [][]float64{all, first, last} {
		slices.Sort(part)
	}
	var r result
	for _, crop := range crops {
		most := all[max(0, int(crop*float64(len(all)))-1)]
		if difference, spread := welch(below(first, most), below(last, most)); math.Abs(difference) > math.Abs(r.t)*spread {
			r.t = difference / spread
		}
	}
	var spread float64
	r.difference, spread = welch(first[:len(first)*9/10], last[:len(last)*9/10])
	r.bound = 1.96 * spread
	return r
}

// below returns those of the sorted values that are at most so large.
func below(sorted []float64, most float64) []float64 {
	n, _ := slices.BinarySearch(sorted, math.Nextafter(most, math.Inf(1)))
	return sorted[:n]
}

// welch returns the difference of the means and its standard error, which is
// infinite if there are too few values, or all are the same.
func welch(first, last []float64) (difference, spread float64) {
	var a, b moments
	for _, x := range first {
		a.add(x)
	}
	for _, x := range last {
		b.add(x)
	}
	spread = math.Sqrt(a.errorSquared() + b.errorSquared())
	if spread == 0 {
		spread = math.Inf(1)
	}
	return b.mean - a.mean, spread
}
