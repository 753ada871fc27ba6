//go:build race

package memory_test

// raceDetector makes long tests shorter.
const raceDetector = true
