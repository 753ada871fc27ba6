//go:build race

package replay_test

// raceDetector makes long tests shorter.
const raceDetector = true
