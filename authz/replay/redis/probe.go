package redis

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
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
	// WentDown: calls are refused, or, with ErrReplicas, what would let a delivery through.
	// CameUp: they are made again.
	WentDown, CameUp Happening = "down", "up"
	// BeganNew: an empty server was taken for a new one, by SetupUntil. BeganLost: a
	// server was empty, and what was delivered before may come again: it is
	// refused as uncertain. BeganRestarted: the same for a server process that was
	// not known, or has not been the master all the time. BeganEvicted: the same
	// for a server that has evicted something.
	BeganNew, BeganLost, BeganRestarted, BeganEvicted Happening = "new", "lost", "restarted", "evicted"
	// Elsewhere: while this replica is alone, the access log has told it of a
	// delivery that another took alone. It is sent once in an outage.
	Elsewhere Happening = "elsewhere"
)

const (
	// probeTime bounds what a probe does with one shard.
	probeTime = time.Second
	// whenDown and whenUp are the times between probes, and whenWoken the least:
	// calls that fail all at once must not make a flood of probes.
	whenDown  = 250 * time.Millisecond
	whenUp    = 5 * time.Second
	whenWoken = 50 * time.Millisecond
	// finishTime is how long the end may take.
	finishTime = 2 * time.Second
)

// Wake has Run probe soon.
func (s *Store) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run looks after the store until the context ends: every 5 s, every 250 ms
// while it is down, and when a call has found something. Then it does what was left
// undone, if it can within two seconds: nobody else knows of it.
func (s *Store) Run(ctx context.Context) {
	defer s.finish()
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
		} else if s.fallback != nil && s.fallback.elsewhere.waits() {
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

// finish tries for a while to do what was left undone.
func (s *Store) finish() {
	ctx, cancel := context.WithTimeout(context.Background(), finishTime)
	defer cancel()
	for s.leaves() {
		rest := whenWoken
		if s.Probe(ctx, time.Now()) != nil {
			rest = whenDown
		}
		select {
		case <-time.After(rest):
		case <-ctx.Done():
			return
		}
	}
}

// leaves reports whether there is something that was left undone.
func (s *Store) leaves() bool {
	return s.later.waits() || s.fallback != nil && s.fallback.elsewhere.tells()
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
	for _, what := range []Happening{BeganNew, BeganLost, BeganRestarted, BeganEvicted} {
		if n := happened[what]; n > 0 {
			s.config.OnEvent(Event{What: what, Shards: n})
		}
	}
	s.tell()
	err = s.Err()
	if s.fallback != nil {
		s.fallback.looked(err, now)
	}
	s.catchUp(ctx, now)
	if s.fallback != nil && client != nil {
		s.fallback.exchange(ctx, client, now)
	}
	return err
}

// tell says whether the store is there, if that has changed.
func (s *Store) tell() {
	err := s.refuses()
	switch text := reason(err); {
	case text == s.told:
	case err == nil:
		s.config.OnEvent(Event{What: CameUp})
	default:
		s.config.OnEvent(Event{What: WentDown, Err: err})
	}
	s.told = reason(err)
}

// refuses returns why no deliveries pass, wholly or in a shard, or nil.
func (s *Store) refuses() error {
	err := s.Err()
	if err == nil && slices.ContainsFunc(s.shards[:], func(sh *shard) bool { return sh.left.Load() }) {
		err = ErrReplicas
	}
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
	defer s.shareSlots()
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
