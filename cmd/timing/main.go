// Command timing looks whether the time of a comparison tells where two secrets
// differ.
//
// It measures in the manner of dudect (Reparaz, Balasch, Verbauwhede: "Dude, is
// my code constant time?", DATE 2017): two classes of inputs, which differ from
// the right value in their first or in their last byte, are measured many times
// in random order, in the same memory. Welch's t-test asks whether the means
// differ, of all measurements and of those below several percentiles, since what
// is slow was disturbed. |t| above the limit in every round, with the same sign,
// is a leak.
//
// Comparisons that end at the first difference are measured as well, alone and
// in the whole path: a run that does not find their leak proves nothing, and
// fails. A busy machine hides them, so that such a control is measured up to twice
// more; a leak where there should be none is never asked again. The rows of what is
// wrong stand in the error.
//
// It bounds what can be seen on this machine with so many measurements, not
// what there is.
package main

import (
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
)

func main() {
	measurements := flag.Int("measurements", 100_000, "in each round of each comparison")
	rounds := flag.Int("rounds", 3, "a leak shows in each")
	flag.Parse()
	if err := run(os.Stdout, *rounds, *measurements); err != nil {
		fmt.Fprintln(os.Stderr, "timing:", err)
		os.Exit(1)
	}
}

// limit is the |t| beyond which chance is no explanation: 1 in 100,000.
const limit = 4.5

func run(out io.Writer, rounds, measurements int) error {
	targets, err := allTargets()
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	fmt.Fprintf(out, "%s, %s/%s, %d rounds of %d measurements. A difference in the last byte takes longer by:\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, rounds, measurements)
	fmt.Fprintln(out, "| comparison | ns (95 %) | t in each round | |\n| --- | --- | --- | --- |")
	var wrong []string
	for _, t := range targets {
		line, ok := judge(t, func() []result {
			results := make([]result, rounds)
			for i := range results {
				results[i] = compare(t.measure(measurements))
			}
			return results
		})
		fmt.Fprintln(out, line)
		if !ok {
			wrong = append(wrong, line)
		}
	}
	if len(wrong) > 0 || taken > 0 { // nothing that is measured is right
		return fmt.Errorf("%d comparisons are not as they should be, %d times a wrong value was taken\n%s", len(wrong), taken, strings.Join(wrong, "\n"))
	}
	return nil
}

// attempts is how often a control is measured whose leak is not seen.
const attempts = 3

// judge measures a comparison, a control until its leak is seen, and returns the
// row of the last attempt.
func judge(t *target, measure func() []result) (line string, ok bool) {
	for i := 1; ; i++ {
		results := measure()
		verdict := "no leak"
		if leaks(results) {
			verdict = "leak"
		}
		ok = leaks(results) == t.control
		if !ok {
			verdict += " (wrong)"
		}
		if i > 1 {
			verdict += fmt.Sprintf(", measured %d times", i)
		}
		if ok || !t.control || i == attempts {
			return row(t, results, verdict), ok
		}
	}
}

// leaks reports whether all rounds say the same.
func leaks(results []result) bool {
	for _, r := range results {
		if math.Abs(r.t) <= limit || r.t*results[0].t < 0 {
			return false
		}
	}
	return true
}

func row(t *target, results []result, verdict string) string {
	best := results[0] // that of the narrowest bound
	ts := ""
	for _, r := range results {
		ts += fmt.Sprintf("%.1f ", r.t)
		if r.bound < best.bound {
			best = r
		}
	}
	per := float64(t.batch)
	return fmt.Sprintf("| %s | %.2f ± %.2f | %s| %s |", t.name, best.difference/per, best.bound/per, ts, verdict)
}
