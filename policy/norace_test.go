//go:build !race

package policy_test

const slowness = 1
