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
)

// Event is something that happened to the store.
type Event struct {
	What Happening
	// Err is why the store is down.
	Err error
	// Shards are how many of the 16 it happened to.
	Shards int
}

// Happening is a kind of event.
type Happening string

// The kinds of events.
const (
	// WentDown: calls are refused. CameUp: they are made again.
	WentDown, CameUp Happening = "down", "up"
	// BeganNew: an empty server was taken for a new one, by SetupUntil. BeganLost: a
	// server was empty, and what was delivered before may come again: it is
	// refused as uncertain. BeganRestarted: the same for a server process that was
	// not known.
	BeganNew, BeganLost, BeganRestarted Happening = "new", "lost", "restarted"
)

const (
	// probeTime bounds what a probe does with one shard.
	probeTime = time.Second
	// whenDown and whenUp are the times between probes, and whenWoken the least:
	// calls that fail all at once must not make a flood of probes.
	whenDown  = 250 * time.Millisecond
	whenUp    = 5 * time.Second
	whenWoken = 50 * time.Millisecond
)

// Wake has Run probe soon.
func (s *Store) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run looks after the store until the context ends: every 5 s, every 250 ms
// while it is down, and when a call has found something.
func (s *Store) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-timer.C:
		}
		rest, next := whenWoken, whenUp-whenWoken
		if s.Probe(ctx, time.Now()) != nil {
			rest, next = whenDown, 0
		}
		timer.Reset(rest)
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		timer.Reset(next)
	}
}

// Err returns why the store is down, wholly or in a shard, or nil.
func (s *Store) Err() error {
	client := s.client.Load()
	for _, sh := range s.shards {
		if err := s.circuit(sh, client).err(); err != nil {
			return err
		}
	}
	return nil
}

// Probe connects if need be, makes sure that each shard can be used, opens or
// closes the circuit, and does what was left undone.
func (s *Store) Probe(ctx context.Context, now time.Time) error {
	s.probing.Lock()
	defer s.probing.Unlock()
	happened := map[Happening]int{}
	client, err := s.connect()
	if err == nil {
		if err = s.share(ctx, client); err != nil && client.cluster && s.keys != nil {
			err = nil // one node is away, and the keys are known
		}
	}
	if err != nil {
		s.disconnectIf(err)
		for _, sh := range s.shards {
			sh.circuit.open(err)
		}
	} else {
		s.checkAll(ctx, client, happened, now)
	}
	for _, what := range []Happening{BeganNew, BeganLost, BeganRestarted} {
		if n := happened[what]; n > 0 {
			s.config.OnEvent(Event{What: what, Shards: n})
		}
	}
	err = s.Err()
	switch text := reason(err); {
	case text == s.told:
	case err == nil:
		s.config.OnEvent(Event{What: CameUp})
	default:
		s.config.OnEvent(Event{What: WentDown, Err: err})
	}
	s.told = reason(err)
	s.catchUp(ctx, now)
	return err
}

// reason is an error's text without numbers: those of ports differ each time.
func reason(err error) string {
	if err == nil {
		return ""
	}
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, err.Error())
}

// checkAll checks the shards. Where one server has them all, one circuit stands
// for them, and the first that fails is enough.
func (s *Store) checkAll(ctx context.Context, client *connection, happened map[Happening]int, now time.Time) {
	for _, sh := range s.shards {
		what, err := s.check(ctx, client, sh, now)
		if _, answered := said(err); err != nil && !answered && ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
			what, err = s.check(ctx, client, sh, now) // the connection may have been an old one
		}
		if what != "" {
			happened[what]++
		}
		switch {
		case err != nil:
			s.circuit(sh, client).open(err)
			if !client.cluster {
				s.disconnectIf(err)
				return
			}
		case client.cluster:
			sh.circuit.close()
		}
	}
	if !client.cluster {
		s.shards[0].circuit.close()
	}
}

// check makes sure that the server of a shard is one that can be used and knows
// the shard's generation.
func (s *Store) check(ctx context.Context, client *connection, sh *shard, now time.Time) (what Happening, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	err = client.Dedicated(func(c rueidis.DedicatedClient) error {
		first := c.DoMulti(ctx,
			c.B().Get().Key(sh.epoch).Build(),
			c.B().Info().Section("server").Build(),
			c.B().Info().Section("memory").Build(),
			c.B().Set().Key(sh.prefix+"probe").Value("1").PxMilliseconds(10_000).Build(), // a replica would refuse it
		)
		epoch, err := first[0].ToString()
		if err != nil && !rueidis.IsRedisNil(err) {
			return err
		}
		for _, r := range first[1:] {
			if err := r.Error(); err != nil && !isFull(err) {
				return err
			}
		}
		if err := fit(first[1], first[2]); err != nil {
			return err
		}
		what, err = s.follow(ctx, c, sh, epoch, now)
		return err
	})
	return what, err
}

// fit refuses servers that forget or that are too old.
func fit(server, memory rueidis.RedisResult) error {
	about, err := server.ToString()
	if err != nil {
		return err
	}
	version := infoField(about, "redis_version")
	if major, err := strconv.Atoi(strings.SplitN(version, ".", 2)[0]); err != nil || major < 7 {
		return fmt.Errorf("Redis %q: it must be 7 or later, or Valkey", version) //nolint:staticcheck // it is a name
	}
	about, err = memory.ToString()
	if err != nil {
		return err
	}
	if policy := infoField(about, "maxmemory_policy"); policy != "noeviction" {
		return fmt.Errorf("maxmemory-policy is %q: it must be noeviction, or nonces are forgotten", policy)
	}
	return nil
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

const (
	idLength = 16
	// beginTries bounds how often it is tried while other replicas begin, too.
	beginTries = 4
)

// follow takes over the generation that the epoch key names, if the server
// process knows its scripts, or else begins a new one.
func (s *Store) follow(ctx context.Context, c rueidis.DedicatedClient, sh *shard, epoch string, now time.Time) (Happening, error) {
	for range beginTries {
		if epoch != "" {
			if len(epoch) <= idLength {
				return "", fmt.Errorf("the key %s is not ours", sh.epoch)
			}
			g := newGeneration(epoch[:idLength])
			known, err := c.Do(ctx, c.B().ScriptExists().Sha1(g.hashes[:]...).Build()).AsIntSlice()
			if err != nil {
				return "", err
			}
			if len(known) == operations && !slices.Contains(known, 0) {
				sh.generation.Store(g)
				sh.seen = true
				return "", nil
			}
		}
		var what string
		var err error
		if epoch, what, err = s.begin(ctx, c, sh, epoch, now); err != nil {
			return "", err
		}
		if what == "known" {
			continue
		}
		sh.generation.Store(newGeneration(epoch[:idLength]))
		sh.seen = true
		switch what {
		case "lost":
			s.counters.lost.Add(1)
			return BeganLost, nil
		case "restarted":
			s.counters.restarted.Add(1)
			return BeganRestarted, nil
		}
		return BeganNew, nil
	}
	return "", errors.New("other replicas begin generations all the time")
}

// begin loads the scripts of a new generation and then, in one step, makes the
// epoch key name it, unless another replica was faster. It returns what the key
// says then.
func (s *Store) begin(ctx context.Context, c rueidis.DedicatedClient, sh *shard, epoch string, now time.Time) (is, what string, err error) {
	var random [idLength / 2]byte
	_, _ = rand.Read(random[:]) // never fails
	g := newGeneration(hex.EncodeToString(random[:]))
	lacks := epoch[:min(idLength, len(epoch))]
	var commands []rueidis.Completed
	for op := range operations {
		commands = append(commands, c.B().ScriptLoad().Script(g.script(op)).Build())
	}
	commands = append(commands, c.B().Eval().Script(begin).Numkeys(1).Key(sh.epoch).
		Arg(lacks, g.id, micro(now), flag(now.Before(s.config.SetupUntil) && !sh.seen), flag(s.config.TrustRestart)).Build())
	replies := c.DoMulti(ctx, commands...)
	for _, r := range replies[:operations] {
		if err := r.Error(); err != nil {
			return "", "", err
		}
	}
	said, err := replies[operations].AsStrSlice()
	if err != nil {
		return "", "", err
	}
	if len(said) != 2 || len(said[0]) <= idLength {
		return "", "", errors.New("a reply that is too short")
	}
	return said[0], said[1], nil
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}
