package main

import (
	"bytes"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// The t of a known example: two classes of three and four values.
func TestWelch(t *testing.T) {
	var samples []sample
	for _, ns := range []float64{27, 31, 26} {
		samples = append(samples, sample{ns, false})
	}
	for _, ns := range []float64{41, 36, 39, 44} {
		samples = append(samples, sample{ns, true})
	}
	// Means 28 and 40, variances 7 and 34/3: t = 12 / sqrt(7/3 + 34/12).
	crops := crops
	defer func(all []float64) { setCrops(all) }(crops)
	setCrops([]float64{1})
	got := compare(samples)
	if want := 12 / math.Sqrt(7.0/3+34.0/12); math.Abs(got.t-want) > 1e-9 {
		t.Errorf("%+v, want t %v", got, want)
	}
}

func setCrops(all []float64) { crops = all }

// synthetic is what a machine measures: a floor, jitter, and now and then an
// interruption that is a thousand times as long.
func synthetic(random *rand.Rand, n int, leak, tail float64) []sample {
	samples := make([]sample, n)
	for i := range samples {
		s := sample{ns: 500 + 20*random.ExpFloat64(), last: random.IntN(2) == 0}
		if random.Float64() < tail {
			s.ns += 20_000 * random.ExpFloat64()
		}
		if s.last {
			s.ns += leak
		}
		samples[i] = s
	}
	return samples
}

func TestCompareFindsWhatLeaks(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for name, c := range map[string]struct {
		leak, tail float64
		want       bool
	}{
		"nothing":                {0, 0, false},
		"nothing, disturbed":     {0, 0.05, false},
		"a leak":                 {2, 0, true},
		"a leak, disturbed":      {2, 0.05, true},
		"the other way":          {-2, 0.05, true},
		"too small to be seen":   {0.001, 0.05, false},
		"large, much disturbed":  {10, 0.3, true},
		"as large as the jitter": {20, 0.05, true},
	} {
		results := make([]result, 3)
		for i := range results {
			results[i] = compare(synthetic(random, 40_000, c.leak, c.tail))
		}
		if leaks(results) != c.want {
			t.Errorf("%s: %+v", name, results)
		}
		for _, r := range results {
			if c.want && math.Abs(r.difference-c.leak) > 3*r.bound {
				t.Errorf("%s: %+v is not %v", name, r, c.leak)
			}
		}
	}
	// The tail hides it from a test without crops.
	defer setCrops(crops)
	setCrops([]float64{1})
	if r := compare(synthetic(random, 40_000, 2, 0.05)); math.Abs(r.t) > limit {
		t.Errorf("%+v", r)
	}
}

// Chance in some rounds, or of both signs, is no leak.
func TestLeaksInEachRound(t *testing.T) {
	for _, c := range []struct {
		ts   []float64
		want bool
	}{
		{[]float64{9, 9, 9}, true}, {[]float64{-9, -9, -9}, true}, {[]float64{9, 9, 4}, false}, {[]float64{9, -9, 9}, false}, {[]float64{0, 0, 0}, false},
	} {
		var results []result
		for _, x := range c.ts {
			results = append(results, result{t: x})
		}
		if leaks(results) != c.want {
			t.Errorf("%v: %v", c.ts, !c.want)
		}
	}
}

// All targets measure what they say: inputs of both classes are refused, and
// differ where they should. The times themselves are not looked at.
func TestTargets(t *testing.T) {
	targets, err := allTargets()
	if err != nil {
		t.Fatal(err)
	}
	controls := 0
	for _, target := range targets {
		if target.control {
			controls++
		}
		for _, last := range []bool{false, true} {
			target.set(last)
			if target.accepted() {
				t.Errorf("%s: what differs is accepted (last %v)", target.name, last)
			}
		}
		target.reset()
		if !target.accepted() {
			t.Errorf("%s: the right value is refused", target.name)
		}
		if samples := target.measure(10); len(samples) != 10 {
			t.Errorf("%s: %d samples", target.name, len(samples))
		}
	}
	if controls < 2 || len(targets) < 8 {
		t.Errorf("%d targets, %d controls", len(targets), controls)
	}
}

// A control that is not seen is measured again, a leak is not asked twice, and
// the row says what was seen last.
func TestJudge(t *testing.T) {
	seen, none := []result{{t: 9}}, []result{{t: 1}}
	for name, c := range map[string]struct {
		control  bool
		measured [][]result
		ok       bool
		verdict  string
	}{
		"no leak":                  {false, [][]result{none}, true, "| no leak |"},
		"a leak":                   {false, [][]result{seen}, false, "| leak (wrong) |"},
		"a control":                {true, [][]result{seen}, true, "| leak |"},
		"a control, disturbed":     {true, [][]result{none, seen}, true, "| leak, measured 2 times |"},
		"a control that is silent": {true, [][]result{none, none, none}, false, "| no leak (wrong), measured 3 times |"},
	} {
		n := 0
		line, ok := judge(&target{name: name, control: c.control, batch: 1}, func() []result {
			n++
			return c.measured[n-1]
		})
		if ok != c.ok || n != len(c.measured) || !strings.HasSuffix(line, c.verdict) {
			t.Errorf("%s: %v after %d: %s", name, ok, n, line)
		}
	}
}

// With one measurement nothing is found, which is wrong of the controls.
func TestRunFailsWithoutALeakInTheControls(t *testing.T) {
	var out bytes.Buffer
	if err := run(&out, 3, 1); err == nil || strings.Count(err.Error(), "no leak (wrong)") < 2 || strings.Count(out.String(), "no leak (wrong)") < 2 {
		t.Errorf("%v\n%s", err, out.String())
	}
}
