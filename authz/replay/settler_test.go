package replay_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
)

// delivering is a check in two phases whose access log has proven itself.
func delivering(t *testing.T, m *memory.Store, onCopy replay.OnCopy) (*replay.Check, *replay.Settler) {
	t.Helper()
	settler := replay.NewSettler(m, replaytest.Lease, replay.SealKey{1})
	settler.Pause = func(context.Context, time.Duration) bool { return true }
	check := &replay.Check{
		Store: m, Settler: settler, Window: time.Hour, OnCopy: onCopy,
		Rules:      replay.Rules{Failure: replay.Undelivered, ClientError: replay.Taken, Unknown: replay.Unsure},
		Likenesses: authz.NewFingerprinter(authz.FingerprintKey{1}),
	}
	first := call(1, 1, start)
	if got := check.Run(first); got != authz.OK {
		t.Fatal(got)
	}
	if got := settler.Settle(context.Background(), []byte(settler.Seal(first.Reservation)), replay.ResultDelivered, start); got != replay.Settled || !settler.Proven() {
		t.Fatal(got)
	}
	return check, settler
}

func call(content, stream uint64, now time.Time) *authz.Call {
	return &authz.Call{
		Context: context.Background(), Now: now, Webhook: "hook", Proof: authz.ProofSignature, Fingerprint: replaytest.Fingerprint(content),
		Request: &authz.Request{CheckID: authz.CheckID{Stream: stream, Time: 1, Port: 1}, Body: authz.Body{State: authz.BodyWhole}},
	}
}

// A copy of what is on its way waits for the access log and its batches, and for no
// longer than 127 ms, or half of what its time leaves.
func TestCopyWaitsForTheSettlement(t *testing.T) {
	for name, c := range map[string]struct {
		result replay.Result
		want   authz.Reason
	}{
		"failed":      {replay.ResultFailed, authz.OK},
		"delivered":   {replay.ResultDelivered, authz.Replayed},
		"no word yet": {replay.ResultNone, authz.InFlight},
	} {
		check, settler := delivering(t, newStore(), replay.DenyCopy)
		first := call(2, 2, start)
		if got := check.Run(first); got != authz.OK {
			t.Fatal(got)
		}
		waited := time.Duration(0)
		settler.Pause = func(_ context.Context, d time.Duration) bool {
			if waited += d; waited == 63*time.Millisecond {
				settler.Settle(context.Background(), []byte(settler.Seal(first.Reservation)), c.result, start)
			}
			return true
		}
		if got := check.Run(call(2, 3, start)); got != c.want || waited < 63*time.Millisecond || waited > 127*time.Millisecond {
			t.Errorf("%s: %s after %s", name, got, waited)
		}
		soon, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		third := call(2, 4, start)
		third.Context, waited = soon, 100*time.Millisecond // nothing is settled any more
		check.Run(third)
		cancel()
		if waited -= 100 * time.Millisecond; waited >= 50*time.Millisecond {
			t.Errorf("%s: with 50 ms left it waited for %s", name, waited)
		}
	}
}

func TestCopiesByPolicy(t *testing.T) {
	for name, c := range map[string]struct {
		onCopy       replay.OnCopy
		result       replay.Result
		want         authz.Reason
		mark         authz.Mark
		acknowledged bool
	}{
		"denied":                        {onCopy: replay.DenyCopy, result: replay.ResultDelivered, want: authz.Replayed},
		"acknowledged":                  {onCopy: replay.AcknowledgeCopy, result: replay.ResultDelivered, want: authz.Replayed, acknowledged: true},
		"not acknowledged in flight":    {onCopy: replay.AcknowledgeCopy, want: authz.InFlight},
		"not acknowledged when refused": {onCopy: replay.AcknowledgeCopy, result: replay.ResultClientError, want: authz.Replayed},
		"forwarded when unknown":        {onCopy: replay.AcknowledgeCopy, result: replay.ResultUnknown, want: authz.OK, mark: authz.MarkPossible},
		"marked":                        {onCopy: replay.MarkCopies, result: replay.ResultDelivered, want: authz.OK, mark: authz.MarkCopy},
		"marked in flight":              {onCopy: replay.MarkCopies, want: authz.OK, mark: authz.MarkPossible},
	} {
		check, settler := delivering(t, newStore(), c.onCopy)
		first := call(2, 2, start)
		if got := check.Run(first); got != authz.OK || first.Mark != authz.MarkNone {
			t.Fatal(got)
		}
		settler.Settle(context.Background(), []byte(settler.Seal(first.Reservation)), c.result, start)
		second := call(2, 3, start)
		if got := check.Run(second); got != c.want || second.Mark != c.mark || second.Acknowledge != c.acknowledged {
			t.Errorf("%s: %s, mark %q, acknowledged %t", name, got, second.Mark, second.Acknowledge)
		}
	}
}

// An altered copy that came first, under the same signed content, does not make
// the honest delivery vanish: nobody says that it was taken.
func TestOnlyWhatIsAlikeIsAcknowledged(t *testing.T) {
	with := func(stream uint64, path, body string) *authz.Call {
		c := call(2, stream, start)
		c.Request.Path, c.Request.Body.Segments = authz.View(path), [][]byte{[]byte(body)}
		return c
	}
	for name, c := range map[string]struct {
		altered *authz.Call
		want    bool
	}{
		"the same":                {with(2, "/hook", "honest"), true},
		"another body":            {with(2, "/hook", "altered"), false},
		"another target":          {with(2, "/hook?to=me", "honest"), false},
		"a body that was not all": {func() *authz.Call { c := with(2, "/hook", "honest"); c.Request.Body.State = authz.BodyCut; return c }(), false},
	} {
		check, settler := delivering(t, newStore(), replay.AcknowledgeCopy)
		if got := check.Run(c.altered); got != authz.OK {
			t.Fatal(got)
		}
		settler.Settle(context.Background(), []byte(settler.Seal(c.altered.Reservation)), replay.ResultDelivered, start)
		honest := with(3, "/hook", "honest")
		if got := check.Run(honest); got != authz.Replayed || honest.Acknowledge != c.want {
			t.Errorf("%s: %s, acknowledged %t", name, got, honest.Acknowledge)
		}
		check.Likenesses = nil
		if again := with(4, "/hook", "honest"); check.Run(again) != authz.Replayed || again.Acknowledge {
			t.Errorf("%s: acknowledged without a comparison", name)
		}
	}
}

// A copy of what is on its way counts once, however often its check asks: as a copy
// where no access log has come, for which nobody says that anything is on its way.
func TestCopiesCountOnce(t *testing.T) {
	m := newStore()
	settler := replay.NewSettler(m, replaytest.Lease, replay.SealKey{1})
	asked := 0
	settler.Pause = func(context.Context, time.Duration) bool { asked++; return true }
	check := &replay.Check{Store: m, Settler: settler, Window: time.Hour}
	first := call(1, 1, start)
	check.Run(first)
	counts := func(what string, copies, inFlight int64) {
		t.Helper()
		if s := settler.Counted(m.Stats()); s.Copies != copies || s.InFlight != inFlight || s.Reserved == 0 {
			t.Errorf("%s: %d copies and %d in flight, want %d and %d", what, s.Copies, s.InFlight, copies, inFlight)
		}
	}
	if got := check.Run(call(1, 2, start)); got != authz.Replayed || asked < 2 {
		t.Fatalf("%s after %d tries", got, asked)
	}
	counts("no access log", 1, 0)
	if got := settler.Settle(context.Background(), []byte(settler.Seal(first.Reservation)), replay.ResultDelivered, start); got != replay.Settled {
		t.Fatal(got)
	}
	second := call(2, 3, start)
	check.Run(second)
	if got := check.Run(call(2, 4, start)); got != authz.InFlight {
		t.Fatal(got)
	}
	counts("on its way", 1, 1)
	settler.Pause = func(context.Context, time.Duration) bool {
		settler.Settle(context.Background(), []byte(settler.Seal(second.Reservation)), replay.ResultDelivered, start)
		return true
	}
	if got := check.Run(call(2, 5, start)); got != authz.Replayed {
		t.Fatal(got)
	}
	counts("settled while it waited", 2, 1)
	var none *replay.Settler
	if s := none.Counted(replay.Stats{Copies: 7}); s.Copies != 7 {
		t.Errorf("%+v", s)
	}
}

// Copies beyond those that may wait are answered at once, and counted.
func TestCopiesThatDoNotWait(t *testing.T) {
	check, settler := delivering(t, newStore(), replay.DenyCopy)
	first := call(2, 2, start)
	check.Run(first)
	entered, leave := make(chan bool, 64), make(chan struct{})
	settler.Pause = func(context.Context, time.Duration) bool { entered <- true; <-leave; return false }
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() { check.Run(call(2, uint64(100+i), start)) })
		<-entered
	}
	if got := check.Run(call(2, 3, start)); got != authz.InFlight {
		t.Error(got)
	}
	close(leave)
	all.Wait()
	if s := settler.Counted(replay.Stats{}); s.Hurried != 1 || s.InFlight != 65 {
		t.Errorf("%+v", s)
	}
}

// In one phase nothing is acknowledged: nobody knows.
func TestOnePhaseAcknowledgesNothing(t *testing.T) {
	for _, settler := range []*replay.Settler{nil, replay.NewSettler(newStore(), 0, replay.SealKey{})} {
		check := &replay.Check{Store: newStore(), Settler: settler, Window: time.Hour, OnCopy: replay.AcknowledgeCopy}
		first, second := call(1, 1, start), call(1, 2, start)
		if got := check.Run(first); got != authz.OK || settler.Seal(first.Reservation) != "" || settler.TwoPhase() {
			t.Errorf("%s, seal %q", got, settler.Seal(first.Reservation))
		}
		if got := check.Run(second); got != authz.Replayed || second.Acknowledge {
			t.Errorf("%s, acknowledged %t", got, second.Acknowledge)
		}
	}
}

// Who is not heard any more gives back what was reserved.
func TestCancelledCallGivesBack(t *testing.T) {
	m := newStore()
	check := &replay.Check{Store: m, Window: time.Hour}
	gone := call(1, 1, start)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	gone.Context = ctx
	if got := check.Run(gone); got != authz.Timeout || gone.Reservation.ID != 0 {
		t.Errorf("%s, %+v", got, gone.Reservation)
	}
	if got := check.Run(call(1, 2, start)); got != authz.OK {
		t.Errorf("the next one: %s", got)
	}
}

func TestSeals(t *testing.T) {
	settler := replay.NewSettler(newStore(), replaytest.Lease, replay.SealKey{1})
	r := authz.Reservation{Fingerprint: replaytest.Fingerprint(1), Partition: 2, ID: 3, Owner: 4, Ends: 5, Rules: 6}
	seal := settler.Seal(r)
	got, ok := settler.Open(seal)
	r.Owner = 0 // it says nothing to the access log
	if !ok || got != r {
		t.Errorf("%+v, %t", got, ok)
	}
	if _, ok := replay.NewSettler(nil, replaytest.Lease, replay.SealKey{2}).Open(seal); ok {
		t.Error("another key opens it")
	}
	if again, ok := replay.NewSettler(nil, replaytest.Lease, replay.SealKey{1}).Open(seal); !ok || again != r {
		t.Error("another replica does not open it")
	}
	for i := range seal {
		for _, c := range "AB_-=\n" {
			forged := seal[:i] + string(c) + seal[i+1:]
			if _, ok := settler.Open(forged); ok && forged != seal {
				t.Fatalf("opened with %q at %d", c, i)
			}
		}
		if _, ok := settler.Open(seal[:i]); ok {
			t.Fatalf("opened when cut at %d", i)
		}
	}
	for _, r := range []authz.Reservation{{}, {ID: 1}, {Ends: 1}} {
		if seal := settler.Seal(r); seal != "" {
			t.Errorf("%+v has the seal %q", r, seal)
		}
	}
}

// downStore does not answer.
type downStore struct{ replay.Store }

var errDown = errors.New("down")

func (downStore) Settle(context.Context, authz.Reservation, replay.Fate, time.Time) (bool, error) {
	return false, errDown
}

func (downStore) Permit(context.Context, authz.Reservation, time.Time, time.Time) (bool, error) {
	return false, errDown
}

func TestSettlements(t *testing.T) {
	m := newStore()
	settler := replay.NewSettler(m, replaytest.Lease, replay.SealKey{1})
	a, _ := m.Reserve(context.Background(), replaytest.Unsigned(1, start, time.Hour), replaytest.Claim(1, 1, replay.Taken), start)
	seal := settler.Seal(a.Reservation)
	down := replay.NewSettler(downStore{}, replaytest.Lease, replay.SealKey{1})
	for i, c := range []struct {
		settler *replay.Settler
		seal    string
		result  replay.Result
		at      time.Time
		want    replay.Settlement
	}{
		{settler, "", replay.ResultFailed, start, replay.Forged},
		{settler, strings.Repeat("A", len(seal)), replay.ResultFailed, start, replay.Forged},
		{settler, seal, replay.ResultNone, start, replay.Ignored},
		{down, seal, replay.ResultFailed, start, replay.Unsettled},
		{settler, seal, replay.ResultDelivered, start, replay.Settled},
		{settler, seal, replay.ResultFailed, start, replay.Repeated},
		{settler, seal, replay.ResultFailed, start.Add(replaytest.Lease), replay.Late},
	} {
		if proven := c.settler.Proven(); proven != (i > 4) && c.settler == settler {
			t.Errorf("step %d: proven %t", i, proven)
		}
		if got := c.settler.Settle(context.Background(), []byte(c.seal), c.result, c.at); got != c.want {
			t.Errorf("step %d: %s, want %s", i, got, c.want)
		}
	}
}

func TestRedeliver(t *testing.T) {
	check, settler := delivering(t, newStore(), replay.DenyCopy)
	refuse := func(id string, content uint64) {
		t.Helper()
		copied := call(content, 99, start)
		if got := check.Run(copied); got != authz.Replayed {
			t.Fatal(got)
		}
		settler.Refused(id, "hook", copied.Reservation)
	}
	id := strings.Repeat("a", 32)
	refuse(id, 1)
	for _, other := range []string{"", strings.Repeat("b", 32), id[:31], id + "a", strings.Repeat("x", 32), strings.Repeat("0", 32)} {
		if webhook, err := settler.Redeliver(context.Background(), other, start); webhook != "" || err != nil {
			t.Errorf("%q: %q, %v", other, webhook, err)
		}
	}
	if webhook, err := settler.Redeliver(context.Background(), id, start); webhook != "hook" || err != nil {
		t.Fatalf("%q, %v", webhook, err)
	}
	if webhook, _ := settler.Redeliver(context.Background(), id, start); webhook != "" {
		t.Error("one refusal was permitted twice")
	}
	passes := call(1, 100, start)
	if got := check.Run(passes); got != authz.OK || passes.Mark != authz.MarkRedelivered || settler.Seal(passes.Reservation) != "" {
		t.Errorf("%s %q", got, passes.Mark)
	}
	refuse(id, 1)
	// A webhook's refusals push out its own, and no other's.
	other := call(1, 101, start)
	check.Run(other)
	for range 1000 {
		settler.Refused(strings.Repeat("c", 32), "loud", other.Reservation)
	}
	if webhook, _ := settler.Redeliver(context.Background(), id, start); webhook != "hook" {
		t.Error("a refusal was pushed out by another webhook's")
	}
	var none *replay.Settler
	none.Refused(id, "hook", other.Reservation)
	none.GiveBack(other.Reservation, start)
}
