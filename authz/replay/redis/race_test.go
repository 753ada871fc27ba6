//go:build race

package redis_test

// raceDetector makes long tests shorter.
const raceDetector = true
