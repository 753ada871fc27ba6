package redis

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/hookbastion/hookbastion/authz"
)

var keyEncoding = base64.RawURLEncoding

// maybe wraps an error after which the script may have run all the same.
type maybe struct{ error }

func (m maybe) Unwrap() error { return m.error }

// call runs the script of an operation, whose first argument is the time, within the budget
// and the time that is left. An error that is [maybe] leaves open whether it has run.
func (s *Store) call(ctx context.Context, op int, f authz.Fingerprint, now time.Time, args ...string) ([]rueidis.RedisMessage, error) {
	sh, client := s.shard(f), s.client.Load()
	c := s.circuit(sh, client)
	if err := c.err(); err != nil {
		s.counters.refused.Add(1)
		return nil, fmt.Errorf("%w: %w", ErrDown, err)
	}
	generation := sh.generation.Load()
	if client == nil || generation == nil {
		return nil, fmt.Errorf("%w: %w", ErrDown, errNoClient)
	}
	select {
	case s.inFlight <- struct{}{}:
		defer func() { <-s.inFlight }()
	default:
		s.counters.busy.Add(1)
		return nil, ErrBusy
	}
	within, cancel := context.WithTimeout(ctx, s.config.Budget)
	defer cancel()
	keys := sh.keys(f)
	command := client.B().Evalsha().Sha1(generation.hashes[op]).Numkeys(int64(len(keys))).Key(keys[:]...).Arg(micro(now)).Arg(args...).Build()
	reply, err := s.do(within, client, command, op == opReserve)
	sh.saw(err)
	if err == nil {
		if n, e := number(reply, 0); e != nil || n < 0 {
			err = errBegun // by another replica, or the server is empty
		} else if op == opReserve {
			raise(&sh.last, now.UnixMicro())
		}
	}
	return reply, s.judge(ctx, c, err)
}

// do sends the command, and waits for replicas where the settings say so.
func (s *Store) do(ctx context.Context, client *connection, command rueidis.Completed, reserves bool) ([]rueidis.RedisMessage, error) {
	if s.config.WaitReplicas == 0 || !reserves {
		return client.Do(ctx, command).ToArray()
	}
	var reply []rueidis.RedisMessage
	err := client.Dedicated(func(c rueidis.DedicatedClient) error {
		var err error
		if reply, err = c.Do(ctx, command).ToArray(); err != nil {
			return err
		}
		if n, err := number(reply, 0); err != nil || n != reserved {
			return err
		}
		return s.wait(ctx, c, s.config.Budget/2)
	})
	return reply, err
}

// wait waits until enough replicas have what this connection has written.
func (s *Store) wait(ctx context.Context, c rueidis.DedicatedClient, atMost time.Duration) error {
	wait := c.B().Wait().Numreplicas(int64(s.config.WaitReplicas)).Timeout(max(1, atMost.Milliseconds())).Build()
	n, err := c.Do(ctx, wait).AsInt64()
	if err == nil && n < int64(s.config.WaitReplicas) {
		err = ErrReplicas
	}
	return err
}

// judge makes of a call's error what the circuit and the caller must know.
func (s *Store) judge(ctx context.Context, c *circuit, err error) error {
	var fromRedis *rueidis.RedisError
	switch {
	case err == nil || isFull(err):
		c.succeeded()
		return err
	case errors.Is(err, ErrReplicas):
		return maybe{err}
	case errors.Is(err, errBegun):
		s.opened(c, errBegun)
		return fmt.Errorf("%w: %w", ErrDown, err)
	case errors.As(err, &fromRedis):
		if fromRedis.IsNoScript() {
			s.opened(c, errBegun)
		} else if c.failed(err) {
			s.opened(c, err)
		}
		return err
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return maybe{err} // the caller has gone; that says nothing of Redis
	}
	if c.failed(err) {
		s.opened(c, err)
	}
	return maybe{err}
}

// opened opens the circuit and has it looked after.
func (s *Store) opened(c *circuit, reason error) {
	c.open(reason)
	s.counters.opened.Add(1)
	s.Wake()
}

// said returns the error that Redis answered with, if that is what it is.
func said(err error) (*rueidis.RedisError, bool) {
	var re *rueidis.RedisError
	ok := errors.As(err, &re) && !re.IsNil()
	return re, ok
}

// isFull reports whether Redis had no memory left for a write.
func isFull(err error) bool {
	re, ok := said(err)
	return ok && (strings.HasPrefix(re.Error(), "OOM") || strings.Contains(re.Error(), "-OOM "))
}

var errShort = errors.New("a reply that is too short")

func number(reply []rueidis.RedisMessage, i int) (int64, error) {
	if i >= len(reply) {
		return 0, errShort
	}
	return reply[i].AsInt64()
}

// micro writes a time as the scripts have it, rounded down.
func micro(t time.Time) string { return strconv.FormatInt(t.UnixMicro(), 10) }

// microUp rounds up: nothing ends early.
func microUp(t time.Time) int64 { return t.Add(time.Microsecond - 1).UnixMicro() }
