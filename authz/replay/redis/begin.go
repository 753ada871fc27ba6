package redis

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/hookbastion/hookbastion/authz/replay"
)

// check makes sure that the server of a shard is one that can be used and knows
// the shard's generation.
func (s *Store) check(ctx context.Context, client *connection, sh *shard, now time.Time) (what Happening, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	err = client.Dedicated(func(c rueidis.DedicatedClient) error {
		found, err := s.find(ctx, c, sh)
		if err != nil {
			return err
		}
		if what, err = s.follow(ctx, c, sh, found, now); err != nil {
			return err
		}
		if what == "" && s.keyList != "" && found.keyed != s.keyList {
			err = c.Do(ctx, c.B().Set().Key(sh.keyed).Value(s.keyList).Build()).Error()
			if err != nil && !isFull(err) { // then another probe does it
				return err
			}
		}
		if s.config.WaitReplicas > 0 && (client.cluster || sh == s.shards[0]) {
			err = s.wait(ctx, c, min(s.config.Budget, probeTime)/2)
			sh.left.Store(errors.Is(err, ErrReplicas))
			if err != nil && !sh.left.Load() { // what is taken already can be settled
				return err
			}
		}
		return nil
	})
	return what, err
}

// find asks the server of a shard for all that a probe must know.
func (s *Store) find(ctx context.Context, c rueidis.DedicatedClient, sh *shard) (f found, err error) {
	said := c.DoMulti(ctx,
		c.B().Get().Key(sh.epoch).Build(),
		c.B().Info().Section("server").Build(),
		c.B().Info().Section("memory", "replication", "stats", "keyspace").Build(),
		c.B().Eval().Script(tick).Numkeys(1).Key(sh.tick).Build(), // a replica would refuse it
		c.B().Exists().Key(sh.epoch, sh.prefix+"none").Build(),    // refused while the slot moves, whatever has moved
		c.B().Get().Key(sh.keyed).Build(),
	)
	for _, r := range said {
		sh.saw(r.Error())
	}
	text, err := said[0].ToString()
	if err != nil && !rueidis.IsRedisNil(err) {
		return f, err
	}
	server, err := said[1].ToString()
	if err != nil {
		return f, err
	}
	if version := infoField(server, "redis_version"); major(version) < leastMajor {
		return f, fmt.Errorf("Redis %q: it must be 7 or later, or Valkey", version) //nolint:staticcheck // it is a name
	}
	f.epoch = readEpoch(text)
	if f.info, err = said[2].ToString(); err != nil {
		return f, err
	}
	if f.ticks, err = said[3].AsInt64(); err != nil {
		return f, err
	}
	if err := said[4].Error(); err != nil {
		return f, err
	}
	if policy := infoField(f.info, "maxmemory_policy"); policy != "noeviction" {
		return f, fmt.Errorf("maxmemory-policy is %q: it must be noeviction, or nonces are forgotten", policy)
	}
	room := readRoom(server, f.info, s.config.Database)
	sh.room.Store(&room)
	if f.keyed, err = said[5].ToString(); err != nil && !rueidis.IsRedisNil(err) {
		return f, err
	}
	f.strange, err = s.isStrange(f.keyed)
	return f, err
}

// saw takes notice of an error that says that the slot is on its way to another master.
// Whether it arrives or stays, some of its keys may be where nobody looks.
func (sh *shard) saw(err error) {
	if re, ok := said(err); ok && (strings.HasPrefix(re.Error(), "TRYAGAIN") || strings.HasPrefix(re.Error(), "ASK ")) {
		sh.moves.Store(true)
	}
}

// leastMajor is the oldest version of Redis that can be used. Valkey says that it
// is Redis 7.2.
const leastMajor = 7

func major(version string) int {
	first, _, _ := strings.Cut(version, ".")
	n, _ := strconv.Atoi(first) // 0 is too old
	return n
}

// infoField returns a field of what INFO says.
func infoField(info, name string) string {
	for line := range strings.Lines(info) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && key == name {
			return value
		}
	}
	return ""
}

// epoch is what an epoch key says: the generation, since when everything is
// remembered, and by what to see that it still is: the name of the master's
// history, how many keys it has evicted, how much another master has fed it. Last
// comes when the generation began. Times are microseconds since 1970.
type epoch struct {
	text, id         string // id: empty if there is no epoch
	history, evicted string
	since, begun     int64
}

const (
	idLength    = 16
	epochFields = 6
)

func readEpoch(text string) epoch {
	e := epoch{text: text}
	f := strings.Fields(text)
	if len(f) > 0 {
		e.id = f[0]
	}
	if len(f) == epochFields {
		e.since, _ = strconv.ParseInt(f[1], 10, 64)
		e.history, e.evicted = f[2], f[3]
		e.begun, _ = strconv.ParseInt(f[5], 10, 64) // 0 is older than any
	}
	return e
}

// holds reports whether a server that says this of itself has remembered
// everything since. The scripts ask the same each time.
func (e epoch) holds(info string) bool {
	return e.history != "" && infoField(info, "role") == "master" &&
		infoField(info, "master_replid") == e.history && infoField(info, "evicted_keys") == e.evicted
}

// found is what a probe has found in a shard.
type found struct {
	epoch   epoch
	info    string // what its server says of itself
	keyed   string // the names of the keys of its nonces; empty: nobody has said
	strange bool   // its nonces lie under keys that this process does not have
	ticks   int64  // how many probes there have been, this one included
}

// isBack reports whether the server holds an earlier state than this process has seen,
// although it is the one that it was: somebody has set it back, with its memory.
func (f *found) isBack(sh *shard) bool {
	g := sh.generation.Load()
	return g != nil && g.id == f.epoch.id && f.epoch.holds(f.info) && f.ticks <= sh.ticks
}

// beginTries bounds how often it is tried while other replicas begin, too.
const beginTries = 4

// follow takes over the generation that the epoch key names, if the server is the
// one that it was, or else begins a new one. Where it does not know our scripts of
// the generation, another version of the service has begun that, or somebody has
// emptied the cache of scripts: nothing was forgotten.
// A generation that began before one that was followed is that of a server which
// was the master before: it does not know what another has accepted since. One that was
// there before a slot set out is not followed either: the move may have been broken off.
// Nor is one that began while this process went by another, see [shard.apart], or whose nonces
// lie under strange keys, or which is older than what was seen of it. None of these is a restart that might be trusted.
func (s *Store) follow(ctx context.Context, c rueidis.DedicatedClient, sh *shard, f found, now time.Time) (Happening, error) {
	e, info, gone := f.epoch, f.info, f.strange || f.isBack(sh)
	for range beginTries {
		known, trust := false, s.config.TrustRestart
		if e.text != "" {
			if len(e.id) != idLength {
				return "", fmt.Errorf("the key %s is not ours", sh.epoch)
			}
			g := newGeneration(e.id)
			are, err := c.Do(ctx, c.B().ScriptExists().Sha1(g.hashes[:]...).Build()).AsIntSlice()
			if err != nil {
				return "", err
			}
			holds := e.holds(info)
			latest := e.begun >= sh.begun && !sh.apart(e, trust, now) && !gone
			stays := !sh.moves.Load()
			known = latest && stays && len(are) == operations && !slices.Contains(are, 0)
			if latest && stays && holds {
				if !known {
					err = load(ctx, c, g)
				}
				if err == nil {
					s.take(sh, g, e, f.ticks, now)
				}
				return "", err
			}
			trust = trust && latest && !holds
		}
		var what string
		var err error
		if e, what, err = s.begin(ctx, c, sh, e, known, trust, now); err != nil {
			return "", err
		}
		switch what {
		case "known":
			if gone {
				return "", errBegun // before or after? The next probe knows
			}
			sh.moves.Store(false) // it was begun since the slot was seen at rest
			if info, err = c.Do(ctx, c.B().Info().Section("replication", "stats").Build()).ToString(); err != nil {
				return "", err
			}
			continue
		case "lost":
			s.counters.lost.Add(1)
		case "restarted":
			if gone {
				what = string(BeganLost)
				s.counters.lost.Add(1)
				break
			}
			s.counters.restarted.Add(1)
		case "evicted":
			s.counters.evicted.Add(1)
		case "kept":
			what = ""
		}
		s.take(sh, newGeneration(e.id), e, f.ticks, now)
		return Happening(what), nil
	}
	return "", errors.New("other replicas begin generations all the time")
}

// take goes by a generation. Where it is another than before, what was settled last may
// not be known to its server, and is settled again. With trust, nothing is released again:
// what came after that may be lost, too, and be taken for new. It works under probing.
func (s *Store) take(sh *shard, g *generation, e epoch, ticks int64, now time.Time) {
	if before := sh.generation.Swap(g); before != nil && before.id != g.id {
		for _, t := range sh.settled.open(now) {
			if t.fate != replay.Undelivered || !s.config.TrustRestart {
				s.later.add(t)
			}
		}
	}
	sh.seen, sh.begun, sh.ticks = true, max(sh.begun, e.begun), ticks
	sh.moves.Store(false)
	raise(&sh.last, now.UnixMicro())
}

// apart reports whether this process found another generation good for longer than what this
// one says to be uncertain: there were two masters at once, or somebody who had not seen the
// server before has taken it for a new one. With trust, what is older than the beginning is
// said to be there. A clock that was set back makes nothing last until later than now.
func (sh *shard) apart(e epoch, trust bool, now time.Time) bool {
	from := e.since
	if trust {
		from = e.begun
	}
	g := sh.generation.Load()
	return g != nil && g.id != e.id && min(sh.last.Load(), now.UnixMicro()) > from+replay.Skew.Microseconds()
}

// begin loads the scripts of a new generation and then, in one step, makes the
// epoch key name it, unless another replica was faster. It returns what the key
// says then.
func (s *Store) begin(ctx context.Context, c rueidis.DedicatedClient, sh *shard, e epoch, known, trust bool, now time.Time) (is epoch, what string, err error) {
	var random [idLength / 2]byte
	_, _ = rand.Read(random[:]) // never fails
	g := newGeneration(hex.EncodeToString(random[:]))
	if err := load(ctx, c, g); err != nil {
		return epoch{}, "", err
	}
	said, err := c.Do(ctx, c.B().Eval().Script(begin).Numkeys(2).Key(sh.epoch, sh.keyed).
		Arg(e.id, g.id, micro(now), flag(now.Before(s.config.SetupUntil) && !sh.seen), flag(trust), flag(known), strconv.FormatInt(max(now.UnixMicro(), sh.begun+1), 10), s.keyList).Build()).AsStrSlice()
	if err != nil {
		return epoch{}, "", err
	}
	if len(said) != 2 {
		return epoch{}, "", errors.New("a reply that is too short")
	}
	if is = readEpoch(said[0]); len(is.id) != idLength {
		return epoch{}, "", fmt.Errorf("the key %s is not ours", sh.epoch)
	}
	return is, said[1], nil
}

// load makes the server know the scripts of a generation.
func load(ctx context.Context, c rueidis.DedicatedClient, g *generation) error {
	commands := make([]rueidis.Completed, operations)
	for op := range commands {
		commands[op] = c.B().ScriptLoad().Script(g.script(op)).Build()
	}
	for _, r := range c.DoMulti(ctx, commands...) {
		if err := r.Error(); err != nil {
			return err
		}
	}
	return nil
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}
