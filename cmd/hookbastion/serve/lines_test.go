package serve

import (
	"testing"
	"time"
)

func TestLineLimit(t *testing.T) {
	l := &lineLimit{most: 2, period: 10 * time.Second}
	start := time.Unix(1_800_000_000, 0)
	for i, step := range []struct {
		after   time.Duration
		ok      bool
		leftOut int
		full    bool
	}{
		{0, true, 0, false},
		{time.Second, true, 0, false},
		{2 * time.Second, false, 0, true},
		{9 * time.Second, false, 0, false},
		{10 * time.Second, true, 2, false},
		{11 * time.Second, true, 0, false},
		{40 * time.Second, true, 0, false},
	} {
		ok, leftOut, full := l.allow(start.Add(step.after))
		if ok != step.ok || leftOut != step.leftOut || full != step.full {
			t.Errorf("step %d: %v, %d, %v; want %+v", i, ok, leftOut, full, step)
		}
	}
}
