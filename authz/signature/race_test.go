//go:build race

package signature_test

// With the race detector a sync.Pool forgets at random.
const raceDetector = true
