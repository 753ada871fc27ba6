package replay_test

import (
	"context"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
)

var start = replaytest.Start

// newStore has room for more than any of these tests needs.
func newStore() *memory.Store { return memory.New(memory.Config{MaxEntries: 1 << 16}) }

func TestFreshnessBoundsAreInclusive(t *testing.T) {
	check := &replay.Freshness{Tolerance: 300 * time.Second, Future: 60 * time.Second}
	for age, want := range map[time.Duration]authz.Reason{
		0: authz.OK, 300 * time.Second: authz.OK, 300*time.Second + 1: authz.TimestampTooOld,
		-60 * time.Second: authz.OK, -60*time.Second - 1: authz.TimestampInFuture,
	} {
		if got := check.Run(&authz.Call{Now: start, SignedTime: start.Add(-age)}); got != want {
			t.Errorf("age %s: %s, want %s", age, got, want)
		}
	}
	for name, c := range map[string]struct {
		signed time.Time
		want   authz.Reason
	}{
		"the end of time":              {time.Unix(999_999_999_999_999, 0), authz.TimestampInFuture},
		"the beginning":                {time.Unix(-999_999_999_999_999, 0), authz.TimestampTooOld},
		"the zero time":                {time.Time{}, authz.TimestampMissing},
		"Unix's beginning":             {time.Unix(0, 0), authz.TimestampTooOld},
		"milliseconds read as seconds": {time.Unix(start.UnixMilli(), 0), authz.TimestampInFuture},
	} {
		if got := check.Run(&authz.Call{Now: start, SignedTime: c.signed}); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestCheckNeedsASignature(t *testing.T) {
	check := &replay.Check{Store: newStore(), Window: time.Hour}
	f := replaytest.Fingerprint(1)
	for name, call := range map[string]*authz.Call{
		"nothing":    {Now: start},
		"no proof":   {Now: start, Fingerprint: f},
		"no content": {Now: start, Proof: authz.ProofSignature},
	} {
		if got := check.Run(call); got != authz.Internal {
			t.Errorf("%s: %s", name, got)
		}
	}
	call := &authz.Call{Context: context.Background(), Now: start, Proof: authz.ProofSignature, Fingerprint: f}
	if got := check.Run(call); got != authz.OK {
		t.Errorf("a signature: %s", got)
	}
	if got := check.Run(call); got != authz.Replayed {
		t.Errorf("a copy: %s", got)
	}
	check.OnCopy = replay.MarkCopies
	if got := check.Run(call); got != authz.OK || call.Mark != authz.MarkPossible {
		t.Errorf("a copy that is marked: %s", got)
	}
}

// A policy that keeps deliveries for longer than the one before says so: what came
// before it may be forgotten.
func TestCheckMarksWhatAnEarlierPolicyForgets(t *testing.T) {
	const window = time.Hour
	check := &replay.Check{Store: newStore(), Window: window, Watermark: start}
	for age, want := range map[time.Duration]authz.Mark{
		0: authz.MarkPossible, window: authz.MarkPossible, window + replay.Skew - 1: authz.MarkPossible, window + replay.Skew: authz.MarkNone,
	} {
		call := &authz.Call{Context: context.Background(), Now: start.Add(age), Proof: authz.ProofSignature, Fingerprint: replaytest.Fingerprint(uint64(age))}
		if got := check.Run(call); got != authz.OK || call.Mark != want {
			t.Errorf("after %s: %s, mark %q, want %q", age, got, call.Mark, want)
		}
	}
}

// The look before the conditions refuses what is known to be a copy, and leaves a time that
// may have been forgotten to the check itself.
func TestKnownLeavesWhatIsUncertain(t *testing.T) {
	check := &replay.Check{Store: newStore(), Tolerance: time.Minute, Watermark: start}
	call := func(signed time.Time) *authz.Call {
		return &authz.Call{Context: t.Context(), Now: start, Proof: authz.ProofSignature, Fingerprint: replaytest.Fingerprint(uint64(signed.Unix())), SignedTime: signed}
	}
	if got := (replay.Known{Check: check}).Run(call(start)); got != authz.OK {
		t.Errorf("the look says %s", got)
	}
	if got := check.Run(call(start)); got != authz.ReplayUncertain {
		t.Errorf("the check says %s", got)
	}
	fresh := call(start.Add(time.Second))
	if got := check.Run(fresh); got != authz.OK {
		t.Fatalf("a newer one: %s", got)
	}
	if got := (replay.Known{Check: check}).Run(fresh); got != authz.Replayed {
		t.Errorf("its copy: %s", got)
	}
	if got := (replay.Known{Check: check}).Run(&authz.Call{Context: t.Context(), Now: start}); got != authz.Internal {
		t.Errorf("what proves nothing: %s", got)
	}
}

// answering is a store that always says the same.
type answering struct {
	replay.Store
	answer replay.Answer
	err    error
}

func (s answering) Reserve(context.Context, replay.Nonce, replay.Claim, time.Time) (replay.Answer, error) {
	return s.answer, s.err
}

// What the store did not reserve is denied, and is no copy unless it says so.
func TestReasonsOfOutcomes(t *testing.T) {
	for outcome, want := range map[replay.Outcome]authz.Reason{
		replay.Failed: authz.StoreUnavailable, replay.Reserved: authz.OK, replay.Copy: authz.Replayed, replay.CopyUnknown: authz.Replayed,
		replay.Pending: authz.Replayed /* nobody will tell what became of it */, replay.Uncertain: authz.ReplayUncertain, replay.Full: authz.StoreUnavailable,
		replay.Busy: authz.Overloaded, replay.Busy + 1: authz.StoreUnavailable,
	} {
		call := &authz.Call{Context: t.Context(), Now: start, Proof: authz.ProofSignature, Fingerprint: replaytest.Fingerprint(1)}
		check := &replay.Check{Store: answering{answer: replay.Answer{Outcome: outcome}}, Window: time.Hour}
		if got := check.Run(call); got != want {
			t.Errorf("outcome %d: %s, want %s", outcome, got, want)
		}
		check.Store = answering{answer: replay.Answer{Outcome: outcome}, err: context.DeadlineExceeded}
		if got := check.Run(call); got != authz.StoreUnavailable {
			t.Errorf("outcome %d with an error: %s", outcome, got)
		}
	}
}
