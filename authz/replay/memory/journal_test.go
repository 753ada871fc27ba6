package memory_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
)

// What is undone must be as it was before, whatever it was.
func TestUndo(t *testing.T) {
	n := replaytest.Unsigned(1, start, time.Hour)
	oneSided := func(check uint64) replay.Claim {
		c := replaytest.Claim(check, check, replay.Taken)
		c.Lease = 0
		return c
	}
	nobody := replay.Claim{Owner: 9}
	for name, c := range map[string]struct {
		before func(*memory.Store)
		claim  replay.Claim
		at     time.Time
		// then is what the same claim gets after it was undone, and other what
		// another one gets.
		then, other replay.Outcome
		mark        authz.Mark
	}{
		"a new one":                      {nil, replaytest.Claim(1, 1, replay.Taken), start, replay.Reserved, replay.Reserved, authz.MarkNone},
		"in one phase":                   {nil, oneSided(1), start, replay.Reserved, replay.Reserved, authz.MarkNone},
		"in one phase, nobody can adopt": {nil, nobody, start, replay.Reserved, replay.Reserved, authz.MarkNone},
		"after an unknown outcome":       {unknown(n), replaytest.Claim(2, 2, replay.Taken), start, replay.Reserved, replay.Reserved, authz.MarkPossible},
		"the same, nobody can adopt":     {unknown(n), nobody, start, replay.Reserved, replay.Reserved, authz.MarkPossible},
		"by a permit":                    {permitted(n), replaytest.Claim(2, 2, replay.Taken), start, replay.Reserved, replay.Reserved, authz.MarkRedelivered},
		"by a permit, nobody can adopt":  {permitted(n), nobody, start, replay.Reserved, replay.Reserved, authz.MarkRedelivered},
		"adopted":                        {open(n), replaytest.Claim(1, 2, replay.Taken), start, replay.Reserved, replay.Pending, authz.MarkNone},
	} {
		for _, again := range []struct {
			claim replay.Claim
			want  replay.Outcome
		}{{c.claim, c.then}, {replaytest.Claim(77, 77, replay.Taken), c.other}} {
			m := roomFor(100)
			if c.before != nil {
				c.before(m)
			}
			nonces, pending, reserved := m.Stats().Nonces, m.Stats().Pending, m.Stats().Reserved
			a := m.ReserveNoted(n, c.claim, c.at, nil)
			if a.Outcome != replay.Reserved || a.Mark != c.mark {
				t.Fatalf("%s: %+v", name, a)
			}
			m.Undo(a, c.at)
			if s := m.Stats(); s.Nonces != nonces || s.Pending != pending || s.Reserved != reserved || s.Adopted != 0 {
				t.Errorf("%s: %d nonces, %d pending, %d counted as reserved, %d as adopted", name, s.Nonces, s.Pending, s.Reserved, s.Adopted)
			}
			if a := m.ReserveNoted(n, again.claim, c.at, nil); a.Outcome != again.want || a.Outcome == replay.Reserved && a.Mark != c.mark {
				t.Errorf("%s: then %+v", name, a)
			}
		}
	}
}

// What others did with it in the meantime stays.
func TestUndoTooLate(t *testing.T) {
	n := replaytest.Unsigned(1, start, time.Hour)
	m := roomFor(100)
	first := m.ReserveNoted(n, replaytest.Claim(1, 1, replay.Taken), start, nil)
	second := m.ReserveNoted(n, replaytest.Claim(1, 2, replay.Taken), start, nil)
	m.Undo(first, start)
	if a := m.ReserveNoted(n, replaytest.Claim(2, 3, replay.Taken), start, nil); a.Outcome != replay.Pending {
		t.Errorf("undone, though it was adopted: %+v", a)
	}
	m.Undo(second, start)
	if ok, _ := m.Release(context.Background(), first.Reservation, start); ok {
		t.Error("the first attempt owns what was undone")
	}
	if a := m.ReserveNoted(n, replaytest.Claim(2, 4, replay.Taken), start, nil); a.Outcome != replay.Reserved || a.Adopted {
		t.Errorf("after both were undone: %+v", a)
	}
}

func open(n replay.Nonce) func(*memory.Store) {
	return func(m *memory.Store) { m.ReserveNoted(n, replaytest.Claim(1, 1, replay.Taken), start, nil) }
}

func unknown(n replay.Nonce) func(*memory.Store) {
	return func(m *memory.Store) {
		a := m.ReserveNoted(n, replaytest.Claim(1, 1, replay.Taken), start, nil)
		m.SettleNoted(a.Reservation, replay.Unsure, start, nil)
	}
}

func permitted(n replay.Nonce) func(*memory.Store) {
	return func(m *memory.Store) {
		a := m.ReserveNoted(n, replaytest.Claim(1, 1, replay.Taken), start, nil)
		m.SettleNoted(a.Reservation, replay.Delivered, start, nil)
		if ok, _ := m.Permit(context.Background(), a.Reservation, start.Add(time.Hour), start); !ok {
			panic("not permitted")
		}
	}
}

// FuzzEntry: what is no entry is refused, and what is one is written as it was.
func FuzzEntry(f *testing.F) {
	m := roomFor(100)
	note := func(e *memory.Entry) { f.Add(e.AppendTo(nil)) }
	a := m.ReserveNoted(replaytest.Signed(1, start), replaytest.Claim(1, 1, replay.Unsure), start, note)
	m.SettleNoted(a.Reservation, replay.Delivered, start, note)
	liked := replaytest.Signed(3, start)
	liked.Likeness = 1 << 60
	m.ReserveNoted(liked, replaytest.Claim(3, 3, replay.Taken), start, note)
	for owner := range uint64(20) { // of one check: at first they are told apart
		m.ReserveNoted(replaytest.Signed(2, start), replaytest.Claim(2, owner, replay.Taken), start, note)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, rest, err := memory.ReadEntry(data)
		if err != nil {
			return
		}
		written := e.AppendTo(nil)
		again, none, err := memory.ReadEntry(written)
		if err != nil || len(none) != 0 || !bytes.Equal(again.AppendTo(nil), written) {
			t.Fatalf("%x is written as %x: %v", data[:len(data)-len(rest)], written, err)
		}
		e.Webhook = "a"
		m := roomFor(100)
		m.Restore(&e, start)
		m.Restored(start, start)
		if err := m.Walk(start, func(*memory.Entry) {}, func() {}, func() error { return nil }); err != nil {
			t.Fatal(err)
		}
		m.SweepAll(start.Add(time.Hour))
	})
}
