package anomalies_test

import (
	"testing"

	"github.com/hookbastion/hookbastion/authz/monitor/anomalies"
)

// TestSlice is a short part of what make anomalies measures: a seed that no threshold was
// chosen by.
func TestSlice(t *testing.T) {
	s := anomalies.First(900_001, 12)
	alarms, decisions := anomalies.Watch(s, nil)
	score := anomalies.Judge(s.Labels, alarms)
	t.Logf("%d decisions, %d of %d found, median delay %v, %d false", decisions, score.Found, score.Labels, score.Delay(), len(score.False))
	if decisions < 1_000_000 || score.Labels < 8 {
		t.Fatalf("%d decisions with %d anomalies are too few to judge by", decisions, score.Labels)
	}
	if score.Found < score.Labels-1 {
		t.Errorf("missed: %v", score.Missed)
	}
	if len(score.False) > 3 {
		t.Errorf("false: %v", score.False)
	}
}

// TestSeed: a seed makes the same stream every time.
func TestSeed(t *testing.T) {
	first, decisions := anomalies.Watch(anomalies.First(7, 9), nil)
	again, same := anomalies.Watch(anomalies.First(7, 9), nil)
	if decisions != same || len(first) != len(again) {
		t.Errorf("%d decisions with %d alarms, then %d with %d", decisions, len(first), same, len(again))
	}
	_, other := anomalies.Watch(anomalies.First(8, 9), nil)
	if other == decisions {
		t.Errorf("another seed makes as many decisions")
	}
}
