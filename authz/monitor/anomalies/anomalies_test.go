package anomalies_test

import (
	"crypto/sha256"
	"encoding/hex"
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

// TestSeed: a seed makes the same stream every time, and another one another.
func TestSeed(t *testing.T) {
	for name, generate := range map[string]func(seed uint64, days int) *anomalies.Stream{"first": anomalies.First, "second": anomalies.Second} {
		digest := func(seed uint64) string {
			sum := sha256.New()
			records := anomalies.NewRecords(sum)
			generate(seed, 1).Run(records.Write)
			if err := records.Close(); err != nil {
				t.Fatal(err)
			}
			return hex.EncodeToString(sum.Sum(nil))
		}
		if once := digest(7); digest(7) != once || digest(8) == once {
			t.Errorf("%s: seeds do not say what comes", name)
		}
	}
}
