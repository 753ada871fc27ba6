package replay_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookbastion/hookbastion/authz/replay"
)

// slowStore answers when it is told to.
type slowStore struct {
	replay.Store
	answer chan struct{}
}

func (s slowStore) Reserve(ctx context.Context, _ replay.Nonce, _ replay.Claim, _ time.Time) (replay.Answer, error) {
	select {
	case <-s.answer:
		return replay.Answer{Outcome: replay.Reserved}, nil
	case <-ctx.Done():
		return replay.Answer{}, ctx.Err()
	}
}

func TestOneWebhookLeavesCallsForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := slowStore{answer: make(chan struct{})}
		s := replay.NewShares(slow, 18)
		reserve := func(ctx context.Context, webhook string) <-chan replay.Answer {
			answers := make(chan replay.Answer, 1)
			go func() {
				answer, err := s.Reserve(ctx, replay.Nonce{Webhook: webhook}, replay.Claim{}, time.Now())
				if err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				answers <- answer
			}()
			synctest.Wait()
			return answers
		}
		busy := func(answers <-chan replay.Answer) bool {
			select {
			case answer := <-answers:
				return answer.Outcome == replay.Busy
			default:
				return false
			}
		}
		var greedy []<-chan replay.Answer
		for range 16 {
			greedy = append(greedy, reserve(t.Context(), "greedy"))
		}
		if !busy(reserve(t.Context(), "greedy")) {
			t.Error("one webhook has more than eight times what is free")
		}
		ctx, cancel := context.WithCancel(t.Context())
		for i, want := range []bool{false, false, true} {
			if got := busy(reserve(ctx, "modest")); got != want {
				t.Errorf("call %d of another: busy %t", i, got)
			}
		}
		cancel()
		synctest.Wait()
		if busy(reserve(t.Context(), "another")) {
			t.Error("calls that have ended are counted")
		}
		for range 17 {
			slow.answer <- struct{}{}
		}
		for _, answers := range greedy {
			if answer := <-answers; answer.Outcome != replay.Reserved {
				t.Errorf("outcome %d", answer.Outcome)
			}
		}
		if n := s.Refused(); n != 2 {
			t.Errorf("%d were refused", n)
		}
	})
}

// A webhook alone always works, and wherever there is more than one call it leaves some for others.
func TestSharesOfSizes(t *testing.T) {
	for calls, want := range map[int]int{1: 1, 2: 1, 3: 2, 8: 7, 9: 8, 10: 9, 16: 15, 18: 16, 128: 114, 256: 228} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			s := replay.NewShares(slowStore{answer: make(chan struct{})}, calls)
			ask := func(webhook string) (waits bool) {
				refused := s.Refused()
				go func() { _, _ = s.Reserve(ctx, replay.Nonce{Webhook: webhook}, replay.Claim{}, start) }()
				synctest.Wait()
				return s.Refused() == refused
			}
			got := 0
			for got <= calls && ask("greedy") {
				got++
			}
			if got != want {
				t.Errorf("one webhook has %d of %d calls, want %d", got, calls, want)
			}
			if calls > 1 && !ask("modest") {
				t.Errorf("of %d calls none is left for another", calls)
			}
			cancel()
		})
	}
}

// broken is a store with a fault.
type broken struct{ replay.Store }

func (broken) Reserve(context.Context, replay.Nonce, replay.Claim, time.Time) (replay.Answer, error) {
	panic("a fault")
}

func TestAFaultHoldsNoCalls(t *testing.T) {
	s := replay.NewShares(broken{}, 1)
	for range 3 {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the store is not asked")
				}
			}()
			_, _ = s.Reserve(t.Context(), replay.Nonce{Webhook: "w"}, replay.Claim{}, start)
		}()
	}
}
