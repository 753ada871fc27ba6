package logwatch

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"
)

const (
	// recent is how far back from the latest delivery that was due others count, and
	// atLeast how many do, however far back.
	recent  = 10 * time.Second
	atLeast = 2
	// inRow is how many in a row are a loss.
	inRow = 3
	// enough deliveries, of which one in partly has no entry, are a loss in part; one in
	// few is none.
	enough, partly, few = 15, 5, 20
	// ahead is how far ahead of the clock a decision is that was made by another one.
	ahead = time.Minute
	// questions is how many deliveries the store is asked for in one sweep.
	questions = 16
)

// errNotAsked is of deliveries for which the store would be asked too often.
var errNotAsked = errors.New("too many questions at once")

// node is an Envoy.
type node struct {
	address                    string
	id                         atomic.Pointer[string]
	expected, entries, missing atomic.Int64
	streams                    atomic.Int64
	batches                    atomic.Bool  // its access log has come without a stream
	heard                      atomic.Int64 // when it has sent something last, in Unix nanoseconds
	next                       atomic.Int64 // when the next delivery is watched, in Unix nanoseconds

	// What follows is there with the lock of the watch. Deliveries go from the queue, where
	// their entries are not due yet, to the results.
	queue, results []*delivery
	judged, lost   bool
	tally          tally     // while it is lost
	since          time.Time // it is lost
	seen           time.Time // connected
}

// Sweep judges each Envoy by the deliveries whose entries are due by now. It is to be called
// each second, by one at a time.
func (w *Watch) Sweep(ctx context.Context, now time.Time) {
	if w == nil {
		return
	}
	var peers map[string]int
	if w.config.Peers != nil {
		peers = w.config.Peers()
	}
	asked := 0
	w.nodes.Range(func(_, value any) bool {
		n := value.(*node) //nolint:forcetypeassert // nothing else is stored
		connected := peers == nil || peers[n.address] > 0 || n.address == Others
		due := w.due(n, now)
		if w.config.Open != nil && connected {
			asked += w.ask(ctx, due, questions-asked, now)
		}
		if changed, ok := w.judge(n, due, connected, now); ok && w.config.OnChange != nil {
			w.config.OnChange(changed)
		}
		return true
	})
}

// due takes the deliveries of an Envoy whose entries are due.
func (w *Watch) due(n *node, now time.Time) []*delivery {
	w.mu.Lock()
	defer w.mu.Unlock()
	i, after := 0, now.Add(-Due-w.slow.get(now))
	for i < len(n.queue) && !n.queue[i].at.After(after) {
		i++
	}
	for i < len(n.queue) && n.queue[i].at.After(now.Add(ahead)) { // the clock was set back
		n.queue[i].gone = true
		i++
	}
	due := slices.Clone(n.queue[:i])
	n.queue = slices.Delete(n.queue, 0, i)
	return due
}

// ask asks the store for those that have not come here, at most that many, and returns for
// how many it did. Of those that it does not know nobody knows.
func (w *Watch) ask(ctx context.Context, due []*delivery, atMost int, now time.Time) (asked int) {
	for _, d := range due {
		w.mu.Lock()
		known := d.came || d.gone
		w.mu.Unlock()
		if known {
			continue
		}
		open, err := false, errNotAsked
		if asked < atMost {
			asked++
			open, err = w.config.Open(ctx, d.r, now)
		}
		w.mu.Lock()
		d.came = d.came || err == nil && !open
		d.gone = err != nil
		w.mu.Unlock()
	}
	return asked
}

// judge takes what has become of the deliveries into account, and reports whether the
// Envoy's access log was lost or came back by it. An Envoy that has been away for long is
// forgotten.
func (w *Watch) judge(n *node, due []*delivery, connected bool, now time.Time) (changed Node, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if connected || n.seen.IsZero() {
		n.seen = now
	} else if now.Sub(n.seen) > forget && len(n.queue) == 0 {
		for _, d := range n.results {
			delete(w.waiting, keyOf(d.r))
		}
		w.nodes.Delete(n.address)
		w.count--
		return changed, false
	}
	for _, d := range due {
		switch {
		case d.gone, !connected: // what it has not sent went with it
			delete(w.waiting, keyOf(d.r))
			continue
		case !d.came:
			n.missing.Add(1)
		}
		n.results = append(n.results, d)
	}
	if len(n.results) == 0 || !connected {
		return changed, false
	}
	w.trim(n)
	was := n.lost
	n.decide()
	n.judged = true
	return n.state(), n.lost != was
}

// trim forgets results that do not count any more.
func (w *Watch) trim(n *node) {
	after := n.results[len(n.results)-1].at.Add(-recent)
	i := 0
	for i < len(n.results)-atLeast && n.results[i].at.Before(after) {
		delete(w.waiting, keyOf(n.results[i].r))
		i++
	}
	n.results = slices.Delete(n.results, 0, i)
}

// decide says whether the access log is lost.
func (n *node) decide() {
	latest := n.results[len(n.results)-1]
	all, lately, row := tally{}, tally{}, tally{}
	for _, d := range n.results {
		all.add(d)
		if !d.at.Before(latest.at.Add(-recent)) {
			lately.add(d)
		}
		if row.add(d); d.came {
			row = tally{}
		}
	}
	silent := row.absent > 0 && n.heard.Load() < row.since.UnixNano()
	whole := row.absent >= inRow || silent || row == all && (all.of >= atLeast || n.streams.Load() == 0 && !n.batches.Load())
	part := all.of >= enough && all.absent*partly >= all.of
	switch {
	case n.lost && (!latest.came || lately.absent*few > lately.of):
		n.tally = all
	case n.lost:
		n.lost, n.tally = false, tally{}
	case whole:
		n.lost, n.tally = true, row
	case part:
		n.lost, n.tally = true, all
	}
	if n.lost && !n.since.IsZero() {
		n.tally.since = n.since // the first time counts
	}
	n.since = n.tally.since
}

// tally is how many of some deliveries have no entry, and when the first of these was.
type tally struct {
	absent, of int
	since      time.Time
}

func (t *tally) add(d *delivery) {
	if t.of++; !d.came {
		if t.absent++; t.since.IsZero() {
			t.since = d.at
		}
	}
}

// state is what is known of it, with the lock of the watch held.
func (n *node) state() Node {
	s := Node{
		Address: n.address, Expected: n.expected.Load(), Entries: n.entries.Load(), Missing: n.missing.Load(),
		Streams: int(n.streams.Load()), Judged: n.judged, Lost: n.lost, Since: n.tally.since, Absent: n.tally.absent, Of: n.tally.of,
	}
	if id := n.id.Load(); id != nil {
		s.ID = *id
	}
	return s
}

// Nodes returns what is known of each Envoy, by address.
func (w *Watch) Nodes() []Node {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []Node
	w.nodes.Range(func(_, value any) bool {
		all = append(all, value.(*node).state()) //nolint:forcetypeassert // nothing else is stored
		return true
	})
	slices.SortFunc(all, func(a, b Node) int { return cmp.Compare(a.Address, b.Address) })
	return all
}
