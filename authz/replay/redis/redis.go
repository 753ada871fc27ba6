// Package redis is the nonce store of several replicas, on Redis or Valkey:
// one server, a master with sentinels, or a cluster.
//
// Each operation is one Lua script, so that it is one atomic step over all
// replicas. A nonce is one key; its value says what became of the delivery and,
// while it is held, by whom, so that any replica settles, adopts or gives back.
// What a key says is judged by the clock of the replica that asks; its time to
// live is longer by the skew that clocks may have.
//
// # Never accept a copy
//
// Nonces lie in 16 shards, by their fingerprint, each in one hash slot. A shard
// has an epoch key: a random generation, since when everything has been
// remembered, and how the server is told from one that may not have. Every
// script compares the generation before it does anything, so a flushed or
// replaced server admits nothing. The scripts themselves have the generation in
// their text and are loaded before the epoch key names it: a server process that
// was restarted or promoted does not know them, even if it has the key, and the
// replica that meets this looks at what the server is. What lets a delivery
// through asks the server that, too, in the same step: it must be a master, the
// name of its history of replication must be that of the epoch, which a restart, a
// demotion and a promotion change, and it must have evicted nothing since. Where
// that holds and scripts are missing, another version of the service has begun the
// generation; ours are loaded, and it goes on.
// And a generation that began before one that this process has followed is that
// of a server which was away in between; one that began while this process still went by
// another is that of a server which does not know what that has accepted. Where the count of
// probes goes back, the server was set back. In all these
// cases a new generation begins, by one script again, and "since" becomes now. From then on
// an unknown nonce is new only if it could not have come before: signed times
// up to since + [replay.Skew] + how far the policy lets them be ahead are
// uncertain, and what has no signed time is, for a recovery time. After that it is
// marked as possible, until its window has ended.
//
// # Never wait for long
//
// A call takes at most its budget, a bounded number of calls is on its way, and
// when three in a row have failed the circuit opens: calls are refused at once.
// One goroutine ([Store.Run]) looks after connections, generations, and what
// was left undone, and closes the circuit when all is well. A reservation whose
// answer did not come in time is given back later, by its owner's number.
//
// # What it does not protect against
//
// Replication is asynchronous. With TrustRestart, what a master had not
// replicated when it died is forgotten; [Config.WaitReplicas] makes that less
// likely. While two servers are masters at once, replicas at the one do not know
// what those at the other accept. A Redis whose clock jumps ahead forgets early,
// which goes unnoticed. Who can write to the Redis can
// let any copy through; who can read it can settle others' reservations, if the
// keys are there, too.
package redis

import (
	"crypto/tls"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
)

// Config configures a store.
type Config struct {
	// Addresses are those of the server, of nodes of a cluster, or of sentinels.
	// With Unix, the one address is a path.
	Addresses []string
	Unix      bool
	// Database is 0 in a cluster.
	Database int
	// Master is the sentinels' name of the master; empty if there are none.
	Master string
	// Credentials returns user and password for a connection; nil: none. It is
	// called for each, so that a password may change.
	Credentials func() (user, password string, err error)
	// SentinelCredentials are the same for connections to sentinels.
	SentinelCredentials func() (user, password string, err error)
	// TLS returns what to show and whom to believe; nil: plaintext. It is called
	// for each connection, so that certificates may change. Without a ServerName,
	// a server's certificate must have the host of its address.
	TLS func() *tls.Config
	// Prefix begins each key; DefaultPrefix if empty.
	Prefix string
	// Budget is the longest that a call may take; DefaultBudget if 0.
	Budget time.Duration
	// InFlight is the number of calls at once; DefaultInFlight if 0.
	InFlight int
	// WaitReplicas is how many replicas of Redis must have a reservation before
	// it counts.
	WaitReplicas int
	// Recovery is how long deliveries without a signed time are uncertain after
	// a loss.
	Recovery time.Duration
	// TrustRestart takes a restarted or promoted server at its word if it has
	// the epoch key.
	TrustRestart bool
	// SetupUntil is until when an empty server is taken for a new one, unless
	// this process has seen it before.
	SetupUntil time.Time
	// NearEntries bounds the near cache; DefaultNear if 0.
	NearEntries int
	// OnKeys is given the keys that replicas share, as they are in Redis, before
	// the first call and when they change; nil if they come from elsewhere. It
	// must not block.
	OnKeys func([]replay.Key)
	// OnEvent is told what happens to the store. It must not block.
	OnEvent func(Event)
}

// Defaults.
const (
	DefaultPrefix   = "hookbastion:"
	DefaultBudget   = 50 * time.Millisecond
	DefaultInFlight = 256
	DefaultRecovery = 5 * time.Minute
	DefaultNear     = 1 << 14
)

// Errors of calls. They say that nothing is known of the nonce.
var (
	// ErrDown: the circuit is open. It is wrapped with the reason.
	ErrDown = errors.New("the nonce store is away")
	// ErrBusy: too many calls are on their way.
	ErrBusy = errors.New("too many calls of the nonce store at once")
	// ErrReplicas: fewer replicas of Redis than WaitReplicas have it.
	ErrReplicas = errors.New("too few replicas of Redis have the reservation")
	// ErrAlternate: while keys are changed, the other fingerprint could not be
	// looked up.
	ErrAlternate = errors.New("the alternate fingerprint could not be looked up")

	errBegun    = errors.New("a server process or generation that is not known")
	errNoClient = errors.New("not connected yet")
)

// Store is a nonce store. It is safe for concurrent use. Nothing is connected
// before Run or Probe.
type Store struct {
	config   Config
	shards   [len(tags)]*shard
	client   atomic.Pointer[connection]
	inFlight chan struct{}
	near     *near
	later    later
	counters counters
	wake     chan struct{}
	toKeep   atomic.Pointer[kept]
	fallback *Fallback // nil: none

	probing sync.Mutex // one probe at a time; of what follows
	told    string     // why the store was down after the last one
	keys    []replay.Key
	keyText string
	keyList string // the names of keys; empty if they come from elsewhere
	listed  bool   // this probe has read the list
}

// connection is a client and what is known of the other side.
type connection struct {
	rueidis.Client
	cluster bool
}

var _ replay.Store = (*Store)(nil)

// New returns a store that is away until it was probed.
func New(config Config) *Store {
	if config.Prefix == "" {
		config.Prefix = DefaultPrefix
	}
	if config.Budget <= 0 {
		config.Budget = DefaultBudget
	}
	if config.InFlight <= 0 {
		config.InFlight = DefaultInFlight
	}
	if config.NearEntries <= 0 {
		config.NearEntries = DefaultNear
	}
	if config.OnEvent == nil {
		config.OnEvent = func(Event) {}
	}
	s := &Store{config: config, inFlight: make(chan struct{}, config.InFlight), near: newNear(config.NearEntries), wake: make(chan struct{}, 1), told: reason(errNoClient)}
	for i, tag := range tags {
		s.shards[i] = newShard(config.Prefix, tag)
	}
	return s
}

// tags are hash tags whose slots lie in the middle of each sixteenth of all
// slots, so that a cluster of any size shares the shards evenly.
var tags = [16]string{"u0", "qp", "dj", "wz", "d2", "pv", "uh", "iy", "ly", "h9", "uv", "q6", "9s", "qn", "dt", "ha"}

// shard is the part of the nonces that lies in one hash slot.
type shard struct {
	prefix     string // of its keys, the tag included
	epoch, log string
	tick       string // counts the probes of all, and never goes back
	keyed      string // names the shared keys under which its nonces lie
	alone      string // see elsewhere
	generation atomic.Pointer[generation]
	circuit    circuit
	room       atomic.Pointer[room]
	neighbours atomic.Int32 // shards on its server, itself included
	moves      atomic.Bool  // its slot was seen on its way to another master
	left       atomic.Bool  // its server has fewer replicas than WaitReplicas
	settled    settled
	// seen: this process has known a generation, so an empty server is no new
	// one. begun is when the latest generation began that it has followed.
	seen  bool  // guarded by Store.probing
	begun int64 // guarded by Store.probing
	ticks int64 // at the last probe; guarded by Store.probing
	// last is when this process last went by its generation, in microseconds since 1970.
	last atomic.Int64
}

func newShard(prefix, tag string) *shard {
	p := prefix + "{" + tag + "}"
	sh := &shard{prefix: p, epoch: p + "epoch", log: p + "log", tick: p + "tick", keyed: p + "keyed", alone: p + "alone"}
	sh.circuit.open(errNoClient)
	return sh
}

// shard returns the shard of a fingerprint, by bits that are the same whatever
// else is looked up.
func (s *Store) shard(f authz.Fingerprint) *shard { return s.shards[f[14]&0x0f] }

// circuit returns the circuit that a shard's calls go through: that of all
// shards, where one server has them all.
func (s *Store) circuit(sh *shard, c *connection) *circuit {
	if c == nil || !c.cluster {
		return &s.shards[0].circuit
	}
	return &sh.circuit
}

// keys returns the keys of an operation: epoch, nonce, permit, log, alone.
func (sh *shard) keys(f authz.Fingerprint) [5]string {
	var b [64]byte
	k := append(b[:0], sh.prefix...)
	k = keyEncoding.AppendEncode(k, f[:15])
	nonce := string(k)
	return [5]string{sh.epoch, nonce, nonce + ":permit", sh.log, sh.alone}
}

// Close ends all connections. Calls fail from then on.
func (s *Store) Close() {
	s.probing.Lock()
	defer s.probing.Unlock()
	for _, sh := range s.shards {
		sh.circuit.open(rueidis.ErrClosing)
	}
	if c := s.client.Swap(nil); c != nil {
		c.Close()
	}
}
