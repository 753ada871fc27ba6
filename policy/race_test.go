//go:build race

package policy_test

// slowness is how much longer things take with the race detector, at most.
const slowness = 20
