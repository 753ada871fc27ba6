package replay_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
)

// refusing is a check that has delivered some contents and refuses their copies.
type refusing struct {
	t       *testing.T
	check   *replay.Check
	settler *replay.Settler
	stream  uint64
}

func newRefusing(t *testing.T, m *memory.Store, key byte, contents uint64) *refusing {
	r := &refusing{t: t, settler: replay.NewSettler(m, 0, replay.SealKey{key}), stream: 1_000}
	r.check = &replay.Check{Store: m, Settler: r.settler, Window: time.Hour}
	for content := range contents {
		if got := r.check.Run(call(content, content+1, start)); got != authz.OK {
			t.Fatal(got)
		}
	}
	return r
}

// copied sends a copy and returns the decision that refused it, and its ticket.
func (r *refusing) copied(content uint64) (id, ticket string) {
	r.t.Helper()
	r.stream++
	c := call(content, r.stream, start.Add(time.Minute))
	if got := r.check.Run(c); got != authz.Replayed {
		r.t.Fatalf("a copy: %s", got)
	}
	id = r.settler.RefusalID(fmt.Sprintf("%016x%016x", r.stream*0x9e3779b97f4a7c15, r.stream), c.Reservation)
	return id, r.settler.Refused(id, "hook", c.Reservation)
}

// passes wants the next copy to pass, and the one after it not.
func (r *refusing) passes(content uint64) {
	r.t.Helper()
	r.stream++
	c := call(content, r.stream, start.Add(time.Minute))
	if got := r.check.Run(c); got != authz.OK || c.Mark != authz.MarkRedelivered {
		r.t.Errorf("the permitted copy: %s, mark %q", got, c.Mark)
	}
	r.copied(content)
}

// Copies without end, of the same delivery or of others, do not keep an operator
// from letting one through.
func TestFloodOfCopiesPutsNoRefusalOut(t *testing.T) {
	for name, flood := range map[string]uint64{"of another delivery": 1, "of the same": 0} {
		r := newRefusing(t, newStore(), 1, 2)
		pressed, _ := r.copied(0)
		for range 2_000 {
			r.copied(flood)
		}
		if webhook, err := r.settler.Redeliver(context.Background(), pressed, start); err != nil || webhook != "hook" {
			t.Errorf("%s: %q, %v", name, webhook, err)
		}
		r.passes(0)
	}
}

// Beyond what is remembered, the one that was refused longest ago goes, and its
// record still permits.
func TestRefusalsAreBounded(t *testing.T) {
	r := newRefusing(t, newStore(), 1, 200)
	first, ticket := r.copied(0)
	second, _ := r.copied(1)
	for content := uint64(2); content < 140; content++ {
		r.copied(1)
		r.copied(content)
	}
	if webhook, _ := r.settler.Redeliver(context.Background(), first, start); webhook != "" {
		t.Error("more are remembered than may be")
	}
	if webhook, _ := r.settler.Redeliver(context.Background(), second, start); webhook != "hook" {
		t.Error("what was refused all the time was put out")
	}
	if webhook, id, err := r.settler.RedeliverTicket(context.Background(), ticket, start); webhook != "hook" || id != first || err != nil {
		t.Errorf("by the ticket: %q, %q, %v", webhook, id, err)
	}
	r.passes(0)
}

// A ticket is good at any replica with the same key, and nowhere else, and for
// nothing else.
func TestTickets(t *testing.T) {
	m := newStore()
	r := newRefusing(t, m, 1, 3)
	id, ticket := r.copied(0)
	another := replay.NewSettler(m, replaytest.Lease, replay.SealKey{1})
	for name, s := range map[string]*replay.Settler{
		"another key": replay.NewSettler(m, replaytest.Lease, replay.SealKey{2}),
		"no nonces":   replay.NewSettler(newStore(), replaytest.Lease, replay.SealKey{1}),
	} {
		if webhook, _, err := s.RedeliverTicket(context.Background(), ticket, start); webhook != "" || err != nil {
			t.Errorf("%s: %q, %v", name, webhook, err)
		}
	}
	for i := range ticket {
		for _, c := range "AB_-=\n" {
			forged := ticket[:i] + string(c) + ticket[i+1:]
			if webhook, _, _ := another.RedeliverTicket(context.Background(), forged, start); webhook != "" && forged != ticket {
				t.Fatalf("%q at %d", c, i)
			}
		}
		if webhook, _, _ := another.RedeliverTicket(context.Background(), ticket[:i], start); webhook != "" {
			t.Fatalf("cut at %d", i)
		}
	}
	// It settles nothing, and what settles permits nothing.
	open := call(7, 7, start)
	two := &replay.Check{Store: m, Settler: another, Window: time.Hour}
	if got := two.Run(open); got != authz.OK {
		t.Fatal(got)
	}
	seal := another.Seal(open.Reservation)
	for _, text := range []string{ticket, ticket[:min(len(ticket), len(seal))], id} {
		if got := another.Settle(context.Background(), []byte(text), replay.ResultFailed, start); got != replay.Forged {
			t.Errorf("settled by %q: %s", text, got)
		}
	}
	if got := another.Settle(context.Background(), []byte(seal), replay.ResultDelivered, start); got != replay.Settled {
		t.Fatal(got)
	}
	for _, text := range []string{seal, "", strings.Repeat("A", 1000)} {
		if webhook, _, _ := another.RedeliverTicket(context.Background(), text, start); webhook != "" {
			t.Errorf("%q permits", text)
		}
	}
	// A webhook's name of the length that makes it as long as a seal.
	for length := range 40 {
		if _, ok := another.Open(r.settler.Refused(strings.Repeat("a", 32), strings.Repeat("w", length), authz.Reservation{Fingerprint: replaytest.Fingerprint(1)})); ok {
			t.Errorf("the ticket of a name of %d bytes opens as a seal", length)
		}
	}
	// After a change of the key, as long as the old one is accepted.
	another.SetKeys(replay.SealKey{3}, replay.SealKey{1})
	if webhook, decision, err := another.RedeliverTicket(context.Background(), ticket, start); webhook != "hook" || decision != id || err != nil {
		t.Errorf("%q, %q, %v", webhook, decision, err)
	}
	r.passes(0)
	r.settler.SetKeys(replay.SealKey{3}, replay.SealKey{1})
	if webhook, err := r.settler.Redeliver(context.Background(), id, start); webhook != "hook" || err != nil {
		t.Errorf("a decision from before the change: %q, %v", webhook, err)
	}
}
