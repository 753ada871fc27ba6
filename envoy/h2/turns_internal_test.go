package h2

import (
	"slices"
	"testing"
)

// Of those who wait for room connections take turns by bytes, whoever has come first, and one
// that gives up has had none.
func TestConnectionsTakeTurns(t *testing.T) {
	for _, c := range []struct {
		name   string
		comes  string // connections, as their messages come: large ones of A, small ones of others
		served int64  // bytes that are given then
		gives  int    // which gives up then, if not the first
		later  string // who comes then
		want   []int  // who waits, by their places in both, in the order in which they are served
	}{
		{"one", "aaa", 0, 0, "", []int{0, 1, 2}},
		{"another comes later", "aaaab", 0, 0, "", []int{0, 4, 1, 2, 3}},
		{"several", "aaabbc", 0, 0, "", []int{0, 3, 5, 1, 4, 2}},
		{"large ones", "AAbbb", 0, 0, "", []int{0, 2, 3, 1, 4}},
		{"one that was served", "aaabb", 20, 0, "a", []int{1, 4, 2, 5}},
		{"one that comes when others were served", "aaaa", 20, 0, "bb", []int{4, 2, 5, 3}},
		{"one gives up", "aab", 0, 1, "a", []int{0, 2, 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := budget{limit: 100}
			b.give(-100) // there is no room
			of := map[rune]*turns{}
			var waiters []*waiter
			come := func(names string) {
				for _, name := range names {
					n := int64(10)
					if name == 'A' {
						n = 20
					}
					if of[name] == nil {
						of[name] = &turns{}
					}
					waiters = append(waiters, b.enter(n, of[name]))
				}
			}
			come(c.comes)
			b.give(c.served)
			if c.gives > 0 && b.leave(waiters[c.gives]) {
				t.Fatal("there was room")
			}
			come(c.later)
			var got []int
			wanted := int64(0)
			for _, w := range b.queue {
				got = append(got, slices.Index(waiters, w))
				wanted += w.n
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
			if n := b.wanted.Load(); n != wanted {
				t.Errorf("%d bytes are wanted, and %d are counted", wanted, n)
			}
		})
	}
}
