package h2

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
)

// Whoever waits is served in order, and whoever gives up lets the next one on.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := budget{limit: 10}
		if !b.take(t.Context(), 8) || b.take(t.Context(), 11) {
			t.Error("more than there is")
		}
		got := make(chan int, 3)
		begin := func(ctx context.Context, n int64) {
			go func() {
				if b.take(ctx, n) {
					got <- int(n)
				} else {
					got <- -int(n)
				}
			}()
			synctest.Wait()
		}
		ctx, cancel := context.WithCancel(t.Context())
		begin(ctx, 6)
		begin(t.Context(), 1) // there is room for it, and others came first
		begin(t.Context(), 9)
		if len(got) != 0 {
			t.Errorf("%d came first", <-got)
		}
		cancel()
		if a, b := <-got, <-got; a+b != 1-6 {
			t.Errorf("%d and %d", a, b)
		}
		synctest.Wait()
		b.give(9)
		if n := <-got; n != 9 || b.used.Load() != 9 || b.waiting.Load() != 0 || len(b.queue) != 0 {
			t.Errorf("%d; %d are used", n, b.used.Load())
		}
		b.give(-5) // taken without asking
		if b.try(1) {
			t.Error("there was nothing")
		}
		b.give(14)
	})
}

func TestBudgetWithManyTakers(t *testing.T) {
	b := budget{limit: 100}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 500 {
				n := int64((i*7+j)%100 + 1)
				ctx, cancel := context.WithCancel(t.Context())
				if j%3 == 0 {
					go cancel()
				}
				if b.take(ctx, n) {
					if used := b.used.Load(); used > b.limit {
						t.Errorf("%d are used", used)
					}
					b.give(n)
				}
				cancel()
			}
		})
	}
	all.Wait()
	if used := b.used.Load(); used != 0 || len(b.queue) != 0 || b.waiting.Load() != 0 {
		t.Errorf("%d are used, %d wait", used, len(b.queue))
	}
}
