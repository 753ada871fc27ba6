package judges_test

import "strings"

// difference explains why verdicts differ.
type difference struct {
	// judges are their ids, or "*"; with "PyPI " or "npm " before one that is
	// in both.
	judges []string
	// cases are names of cases; one that ends in * is a beginning.
	cases  []string
	accept bool // they accept, and we refuse; or the other way round
	why    string
}

var differences = []difference{}

func findDifference(j *judge, name string, accept bool) int {
	for i := range differences {
		d := &differences[i]
		if d.accept == accept && matchesAny(d.cases, name) && d.about(j) {
			return i
		}
	}
	return -1
}

func (d *difference) about(j *judge) bool {
	return matchesAny(d.judges, j.id) || matchesAny(d.judges, j.name())
}

func matchesAny(patterns []string, name string) bool {
	for _, p := range patterns {
		if prefix, ok := strings.CutSuffix(p, "*"); p == name || ok && strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
