package posture

import (
	"slices"
	"strconv"
	"strings"
)

// numbers are rules of lint by the numbers in their ids, which stay for ever.
type numbers []int

// has reports whether an id is of one of the rules.
func (n numbers) has(id string) bool { return slices.Contains(n, number(id)) }

// number is that of a rule of lint; -1 if it is none.
func number(id string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(id, "HB"))
	if err != nil {
		return -1
	}
	return n
}

// The rules that single controls and practices look for.
var (
	openWays       = numbers{10, 11, 12, 13, 41}
	badSecrets     = numbers{5, 20, 21, 22, 23, 24, 25, 33, 50, 51, 52, 53, 54, 113}
	weakAlgorithms = numbers{82, 84, 85, 86, 95}
	unrecorded     = numbers{140, 141}
	unwatched      = numbers{140, 142}
)

// Topic is the practice that a rule of lint is about: ids are given by topic. It is empty
// for what is no rule of lint.
func Topic(id string) string {
	switch n := number(id); {
	case n < 0:
		return ""
	case n < 10, n == 44, n == 90, n == 91:
		return Knowledge
	case n >= 26 && n <= 32:
		return Rotation
	case n >= 60 && n <= 62, n == 66, n == 67:
		return Encryption
	case n == 70, n == 71, n >= 140 && n < 150:
		return Monitoring
	default:
		return Authentication
	}
}
