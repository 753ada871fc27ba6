package memory_test

import (
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
)

// subject is a store of one replica, which forgets when it restarts.
func subject(config memory.Config) replaytest.Subject {
	m := memory.New(config)
	return replaytest.Subject{
		Replicas: [2]replay.Store{m, m},
		Restart: func(at time.Time) replaytest.Subject {
			config.Started = at
			return subject(config)
		},
		Sweep:     m.SweepAll,
		Uncertain: replay.Skew + time.Minute, // a signed time may be that far ahead
		Possible:  func() int64 { return m.Stats().Possible },
	}
}

func TestModel(t *testing.T) {
	models := replaytest.Models{
		New:   func(room int) replaytest.Subject { return subject(memory.Config{MaxEntries: room}) },
		Steps: 1_000_000,
	}
	if raceDetector {
		models.Steps, models.Around, models.Every = 100_000, 1, 5 // make models: all
	}
	replaytest.Model(t, models)
}
