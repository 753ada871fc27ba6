package serve

import (
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/replay"
)

// Whether an access log comes is noticed in stores where nobody sees a lease end.
func TestUnsettled(t *testing.T) {
	begin := time.Unix(1_800_000_000, 0)
	u := &unsettled{}
	for i, step := range []struct {
		at    time.Duration
		stats replay.Stats
		want  bool
	}{
		{0, replay.Stats{}, false},
		{time.Hour, replay.Stats{Reserved: 1}, false},
		{time.Hour + 119*time.Second, replay.Stats{Reserved: 7}, false},
		{time.Hour + 120*time.Second, replay.Stats{Reserved: 7}, false},
		{2 * time.Hour, replay.Stats{Reserved: 7}, false}, // no more came
		{2 * time.Hour, replay.Stats{Reserved: 8}, true},
	} {
		if got := u.overdue(step.stats, time.Minute, begin.Add(step.at)); got != step.want {
			t.Errorf("step %d: %t", i, got)
		}
	}
	if !(&unsettled{}).overdue(replay.Stats{Reserved: 1, LeaseTaken: 1}, time.Minute, begin) {
		t.Error("a lease has ended")
	}
}
