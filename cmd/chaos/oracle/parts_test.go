package oracle

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// A part of a cluster that begins again has all that it had: a time may be uncertain, and
// a copy is a copy.
func TestPartBeginsAgain(t *testing.T) {
	all := All()
	github := all[slices.IndexFunc(all, func(e *Endpoint) bool { return e.Name == "github" })]
	now := time.Now()
	honest := github.honest(rand.New(rand.NewPCG(1, 2)), now)
	told := http.Header{"X-Hookbastion-Decision-Id": {"1"}, "Retry-After": {"1"}}
	came := http.Header{"X-Hookbastion-Verified": {"signature"}, "X-Hookbastion-Webhook": {"github"}, "X-Hookbastion-Decision-Id": {"1"}, "X-Hookbastion-Replay": {"possible"}}
	again := *honest
	again.Copy = &Content{Case: honest, Outcome: Took, Began: now.Add(-time.Minute), Ended: now.Add(-time.Minute), Arrived: true}
	for _, c := range []struct {
		name   string
		of     *Case
		answer Answer
		ago    time.Duration // when the move ended
		began  bool
		want   string
	}{
		{"uncertain", honest, Answer{Status: 503, Reason: "replay_uncertain", Header: told}, time.Second, true, ""},
		{"uncertain, and nothing began", honest, Answer{Status: 503, Reason: "replay_uncertain", Header: told}, 10 * time.Second, false, "the reason is"},
		{"uncertain long after", honest, Answer{Status: 503, Reason: "replay_uncertain", Header: told}, time.Minute, true, "the reason is"},
		{"away", honest, Answer{Status: 503, Reason: "store_unavailable", Header: told}, time.Second, true, ""},
		{"away long after", honest, Answer{Status: 503, Reason: "store_unavailable", Header: told}, 10 * time.Second, true, "the reason is"},
		{"marked", honest, Answer{Status: 200, Reason: "ok", Arrived: came}, time.Minute, true, ""},
		{"marked, and nothing began", honest, Answer{Status: 200, Reason: "ok", Arrived: came}, time.Minute, false, "marked"},
		{"a copy", &again, Answer{Status: 409, Reason: "replayed", Header: told}, time.Second, true, ""},
		{"a copy that comes marked", &again, Answer{Status: 200, Reason: "ok", Arrived: came}, time.Second, true, "the reason is ok"},
	} {
		w := &Weather{}
		w.aways = []*away{{parts: 1, from: now.Add(-c.ago - time.Second), to: now.Add(-c.ago), again: c.began}}
		w.Was(Part, now.Add(-c.ago-time.Second), now.Add(-c.ago))
		j := &Judge{Weather: w, Lease: 4 * time.Second, Pause: time.Second, Since: now.Add(-time.Hour)}
		c.answer.Sent, c.answer.Done = now, now.Add(time.Millisecond)
		if _, wrong := j.Verdict(c.of, c.answer, false); c.want == "" && wrong != "" || !strings.Contains(wrong, c.want) {
			t.Errorf("%s: %q, want %q", c.name, wrong, c.want)
		}
	}
}

// While parts of a cluster are away the others pass.
func TestOthersPass(t *testing.T) {
	e := All()[0]
	now := time.Now()
	for _, c := range []struct {
		name          string
		parts, losses int
		refused       int // of a hundred
		reason        string
		came          bool
		want          string
	}{
		{"a part", 1, 0, 6, "replay_uncertain", true, ""},
		{"more than a part", 1, 0, 30, "replay_uncertain", true, "were refused"},
		{"more than a part that is away", 1, 0, 40, "store_unavailable", true, "were refused"},
		{"half", 8, 0, 50, "store_unavailable", true, ""},
		{"more than half", 8, 0, 80, "store_unavailable", true, "were refused"},
		{"a loss of all", 1, 1, 100, "replay_uncertain", false, ""},
		{"all", 16, 0, 100, "store_unavailable", false, ""},
		{"none", 0, 0, 0, "store_unavailable", false, ""},
	} {
		w := &Weather{}
		if c.parts > 0 {
			w.aways = []*away{{parts: c.parts, from: now.Add(-time.Second), to: now, again: true}}
		}
		if c.losses > 0 {
			w.lost = []time.Time{now}
		}
		j := &Judge{Weather: w, Pause: time.Second}
		one := e.honest(rand.New(rand.NewPCG(1, 2)), now)
		for i := range 1000 {
			a := Answer{Reason: "ok", Sent: now, Done: now}
			if i%100 < c.refused {
				a.Reason = c.reason
			}
			j.count(one, a)
		}
		if came, _, wrong := j.Others(); (came > 0) != c.came || c.want == "" && wrong != "" || !strings.Contains(wrong, c.want) {
			t.Errorf("%s: %d, %q, want %q", c.name, came, wrong, c.want)
		}
	}
}
