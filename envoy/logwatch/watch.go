// Package logwatch notices that Envoy's access log does not come, while deliveries do.
//
// Without its entries nobody learns what became of deliveries: those that the application
// failed are refused when they come again. Envoy does not tell: its counters take entries
// that were lost with a stream for written.
//
// Of each Envoy some of the deliveries that it was allowed are watched, four in a second at
// most. An entry is due [Due] after the decision, and later by as much as the application
// took lately. The access log of an Envoy is lost when its latest three had none, or none of its
// latest, which are those of the last ten seconds and two at least; or when a fifth of
// fifteen or more of them had none: Envoy has a stream for each of its workers, and one alone may
// fail. One delivery is enough where the Envoy has no stream at all and has sent no batch in a
// call of its own, or has sent nothing since. It is back when the
// latest had theirs, but for one in twenty.
//
// Where only failures are logged, silence is good news. There the answer of a delivery that
// is watched asks for its entry: two in a second at most, and Envoy's filter lets these pass
// whatever became of them.
//
// An Envoy is known by the address that it calls from: several behind one address, or on one
// machine, are one, and a loss of one of them is one in part. An Envoy that has gone takes its
// entries with it, and is not told of: it is judged only while it is connected. Where
// replicas share a store, entries may come to another, so that the store is asked before a
// delivery counts as missing.
//
// Bounds: 256 Envoys, the others together as one; 64 KiB each. A watch costs a decision an
// atomic load, and a lock for what is watched. It does not protect against entries that
// somebody else than Envoy withholds one by one, and says nothing of Envoys that are
// allowed nothing.
package logwatch

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookbastion/hookbastion/authz"
)

const (
	// Due is when the entry of a delivery that the application answered at once must have
	// come: Envoy's batches wait for a second if nobody says otherwise.
	Due = 5 * time.Second
	// maxSlow bounds how much later it may be due, slowStep is how long a slow answer
	// counts at least.
	maxSlow  = time.Minute
	slowStep = 5 * time.Minute

	// everything and failures are how often a delivery of an Envoy is watched.
	everything = 250 * time.Millisecond
	failures   = 500 * time.Millisecond
	// maxWaiting bounds the deliveries of an Envoy that are watched at once.
	maxWaiting = 512

	// maxNodes bounds the Envoys that are told apart.
	maxNodes = 256
	// Others is what the rest is called.
	Others = "other"
	// maxID bounds what an Envoy calls itself.
	maxID = 128
	// forget is how long an Envoy without a connection is remembered.
	forget = time.Hour
)

// Config configures a watch.
type Config struct {
	// OnlyFailures: entries of deliveries that succeeded come only where the answer asks.
	OnlyFailures bool
	// Open asks whether the outcome of a reservation is open still, in a store that
	// others settle in, too. nil: what came here is all that there is.
	Open func(ctx context.Context, r authz.Reservation, now time.Time) (bool, error)
	// Peers returns how many connections there are by address; nil: Envoys are judged
	// whether they are connected or not.
	Peers func() map[string]int
	// OnChange is told that an access log is lost, and that it is back. It is called by
	// Sweep and must not call the watch.
	OnChange func(Node)
}

// Node is an Envoy, as far as its access log goes.
type Node struct {
	// Address is where it calls from, without the port: "unix" for a Unix socket.
	Address string
	// ID is what it calls itself in its access log; empty if it has not.
	ID string
	// Expected counts the deliveries of which an entry was to come, Entries those that
	// came, Missing the watched ones whose entry was not there when it was due.
	Expected, Entries, Missing int64
	// Streams is how many streams of its access log are open here.
	Streams int
	// Judged: enough is known to say whether it is Lost.
	Judged, Lost bool
	// Since is the time of the first delivery that was missing, of Of watched ones
	// Absent; all are zero unless it is lost.
	Since      time.Time
	Absent, Of int
}

// Watch watches. Its methods are safe for concurrent use, and those of a nil Watch do
// nothing.
type Watch struct {
	config Config
	every  time.Duration
	nodes  sync.Map // address → *node
	slow   slowest

	mu      sync.Mutex // held to add to nodes, and for waiting
	count   int
	waiting map[key]*delivery
}

type key struct {
	f  authz.Fingerprint
	id uint64
}

// delivery is one that is watched. What becomes of it is noted with the lock of the watch.
type delivery struct {
	r    authz.Reservation
	at   time.Time
	came bool
	gone bool // nobody waits for it any more, or nobody knows
}

// New returns a watch of nobody.
func New(config Config) *Watch {
	w := &Watch{config: config, every: everything, waiting: map[key]*delivery{}}
	if config.OnlyFailures {
		w.every = failures
	}
	return w
}

// node returns what is known of the Envoy with that address.
func (w *Watch) node(address string) *node {
	if n, ok := w.nodes.Load(address); ok {
		return n.(*node) //nolint:forcetypeassert // nothing else is stored
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if n, ok := w.nodes.Load(address); ok {
		return n.(*node) //nolint:forcetypeassert // nothing else is stored
	}
	if w.count >= maxNodes {
		address = Others
	}
	n, found := w.nodes.LoadOrStore(address, &node{address: address})
	if !found {
		w.count++
	}
	return n.(*node) //nolint:forcetypeassert // nothing else is stored
}

// Expect takes note that an Envoy was allowed a delivery with that reservation, and reports
// whether the answer must ask for its entry.
func (w *Watch) Expect(address string, r authz.Reservation, now time.Time) (ask bool) {
	if w == nil {
		return false
	}
	n := w.node(address)
	watched := false
	if w.turn(n, now) {
		w.mu.Lock()
		if w.turn(n, now) && len(n.queue) < maxWaiting && w.waiting[keyOf(r)] == nil {
			n.next.Store(now.Add(w.every).UnixNano())
			d := &delivery{r: r, at: now}
			w.waiting[keyOf(r)] = d
			n.queue = append(n.queue, d)
			watched = true
		}
		w.mu.Unlock()
	}
	ask = watched && w.config.OnlyFailures
	if ask || !w.config.OnlyFailures {
		n.expected.Add(1)
	}
	return ask
}

// turn reports whether a delivery of now is to be watched. A clock that was set back must
// not keep it from that.
func (w *Watch) turn(n *node, now time.Time) bool {
	ahead := n.next.Load() - now.UnixNano()
	return ahead <= 0 || ahead > int64(2*w.every)
}

// Withdraw takes back what Expect was told: the answer has not left.
func (w *Watch) Withdraw(address string, r authz.Reservation) {
	if w == nil {
		return
	}
	w.mu.Lock()
	d := w.waiting[keyOf(r)]
	if d != nil {
		d.gone = true
	}
	w.mu.Unlock()
	if d != nil || !w.config.OnlyFailures {
		w.node(address).expected.Add(-1)
	}
}

// Heard takes note that the entry of a reservation has come, from whichever Envoy.
func (w *Watch) Heard(r authz.Reservation) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if d := w.waiting[keyOf(r)]; d != nil {
		d.came = true // late or not
	}
}

// Entry counts an entry that an Envoy has sent of a delivery of ours, and how long the
// application took.
func (w *Watch) Entry(address string, took time.Duration, now time.Time) {
	if w == nil {
		return
	}
	w.node(address).entries.Add(1)
	w.slow.add(took, now)
}

// Stream takes note that an Envoy has opened a stream of its access log. The function that
// it returns says that the stream has ended.
func (w *Watch) Stream(address string) (end func()) {
	if w == nil {
		return func() {}
	}
	n := w.node(address)
	n.streams.Add(1)
	return func() { n.streams.Add(-1) }
}

// Message takes note that an Envoy has sent a message of its access log, whatever is in it,
// and of what it calls itself; empty if it does not say. What is not printable in that, and
// what is too long, is left out.
func (w *Watch) Message(address string, id []byte, now time.Time) {
	if w == nil {
		return
	}
	n := w.node(address)
	n.heard.Store(now.UnixNano())
	if len(id) == 0 {
		return
	}
	printable := make([]byte, 0, min(len(id), maxID))
	for _, c := range id {
		if c > ' ' && c <= '~' && c != '"' && len(printable) < maxID {
			printable = append(printable, c)
		}
	}
	name := string(printable)
	n.id.Store(&name)
}

// Batch is Message for what comes in calls of its own, and not on a stream: an Envoy that sends
// its access log so has none, and that says nothing.
func (w *Watch) Batch(address string, id []byte, now time.Time) {
	if w == nil {
		return
	}
	w.node(address).batches.Store(true)
	w.Message(address, id, now)
}

func keyOf(r authz.Reservation) key { return key{r.Fingerprint, r.ID} }

// slowest is the longest time that the application took lately. The zero value is none.
type slowest struct {
	latest, before, turned atomic.Int64
}

func (s *slowest) add(took time.Duration, now time.Time) {
	s.turn(now)
	for {
		was := s.latest.Load()
		if int64(took) <= was || s.latest.CompareAndSwap(was, int64(took)) {
			return
		}
	}
}

func (s *slowest) get(now time.Time) time.Duration {
	s.turn(now)
	return min(time.Duration(max(s.latest.Load(), s.before.Load())), maxSlow)
}

// turn forgets what is older than slowStep, or twice that.
func (s *slowest) turn(now time.Time) {
	if turned := s.turned.Load(); now.UnixNano()-turned >= int64(slowStep) && s.turned.CompareAndSwap(turned, now.UnixNano()) {
		s.before.Store(s.latest.Swap(0))
	}
}
