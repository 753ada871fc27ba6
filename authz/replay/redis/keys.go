package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
)

var sharedKeys = read("keys")

// KeysName returns the name of the list that holds the shared keys: the first
// is current, a second one is accepted, too.
func (s *Store) KeysName() string { return s.shards[0].prefix + "keys" }

// share takes and puts what replicas share besides nonces.
func (s *Store) share(ctx context.Context, client *connection) error {
	if err := s.shareKeys(ctx, client); err != nil {
		return err
	}
	return s.keep(ctx, client)
}

// shareKeys takes the keys that all replicas have from Redis, or puts there
// those of this replica, or new ones, if there are none.
func (s *Store) shareKeys(ctx context.Context, client *connection) error {
	if s.config.OnKeys == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	s.listed = false
	offer := s.keys
	if offer == nil {
		offer = []replay.Key{replay.NewKey()}
	}
	var texts []string
	for _, k := range offer {
		texts = append(texts, k.Text())
	}
	list, err := client.Do(ctx, client.B().Eval().Script(sharedKeys).Numkeys(1).Key(s.KeysName()).Arg(texts...).Build()).AsStrSlice()
	if err != nil {
		return err
	}
	text := strings.Join(list, "\n")
	if text == s.keyText {
		s.listed = true
		return nil
	}
	keys, err := replay.ParseKeys([]byte(text))
	if err != nil {
		return fmt.Errorf("the list %s: %w", s.KeysName(), err)
	}
	names := keyNames(keys)
	if s.keys != nil && !shareName(names, s.keyList) {
		for _, sh := range s.shards {
			sh.circuit.open(errKeyed) // until each has begun again
		}
	}
	s.keys, s.keyText, s.keyList, s.listed = keys, text, names, true
	s.config.OnKeys(keys)
	return nil
}

// errKeyed: the nonces lie under keys of which this replica has none.
var errKeyed = errors.New("the shared keys are others than those of the nonces")

func keyNames(keys []replay.Key) string {
	var names []string
	for _, k := range keys {
		names = append(names, k.Name())
	}
	return strings.Join(names, " ")
}

// shareName reports whether two lists of keys have one in common.
func shareName(a, b string) bool {
	names := strings.Fields(b)
	return slices.ContainsFunc(strings.Fields(a), func(name string) bool { return slices.Contains(names, name) })
}

// isStrange reports whether the nonces of a shard lie under keys that this process does not
// have: somebody has lost the list and made another, or put others into it. Without a list that
// was read just now, that may be this process, and it is an error.
func (s *Store) isStrange(keyed string) (bool, error) {
	if keyed == "" || s.keyList == "" || shareName(keyed, s.keyList) {
		return false, nil // what an earlier version has begun has no names
	}
	if !s.listed {
		return false, errKeyed
	}
	return true, nil
}

// Keep has the text kept for replicas that start later: at once if Redis is
// there, or else before the first call.
func (s *Store) Keep(text []byte) {
	s.toKeep.Store(&kept{text: string(text)})
	s.Wake()
}

// kept is a text that Keep was given, and whether Redis has it.
type kept struct {
	text string
	has  atomic.Bool
}

// Kept returns what a replica has last kept; nil if none has. It fails where the store
// is down, but not because another part of a cluster is away, or because this one moves:
// whichever master has the text is the only one that answers.
func (s *Store) Kept(ctx context.Context) ([]byte, error) {
	client := s.client.Load()
	if client == nil {
		return nil, ErrDown
	}
	if err := s.circuit(s.shards[0], client).err(); err != nil && !client.cluster {
		return nil, fmt.Errorf("%w: %w", ErrDown, err)
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	text, err := client.Do(ctx, client.B().Get().Key(s.keptName()).Build()).AsBytes()
	if rueidis.IsRedisNil(err) {
		return nil, nil
	}
	return text, err
}

func (s *Store) keptName() string { return s.shards[0].prefix + "kept" }

// keep writes what is to be kept, once, and again if it was lost.
func (s *Store) keep(ctx context.Context, client *connection) error {
	k := s.toKeep.Load()
	if k == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	words := []string{s.keptName(), k.text}
	if k.has.Load() {
		words = append(words, "NX")
	}
	err := client.Do(ctx, client.B().Arbitrary("SET").Keys(words[0]).Args(words[1:]...).Build()).Error()
	if err != nil && !rueidis.IsRedisNil(err) && !isFull(err) {
		return err
	}
	k.has.Store(true)
	return nil
}

// awaited reports an alternate fingerprint that must be looked at, too.
func awaited(nonce *replay.Nonce) bool {
	return !nonce.Alternate.IsZero() && nonce.Alternate != nonce.Fingerprint
}

// reserveBoth is a reservation while keys are changed: other replicas may know
// the content by its alternate fingerprint. All reserve what is first for them
// and then look at the other, so that of two at once at most one goes on.
func (s *Store) reserveBoth(ctx context.Context, nonce replay.Nonce, claim replay.Claim, now time.Time) (replay.Answer, error) {
	answer, err := s.reserve(ctx, nonce, claim, now)
	if err != nil || answer.Outcome != replay.Reserved || answer.Adopted {
		return answer, err
	}
	reply, err := s.call(ctx, opLook, nonce.Alternate, now)
	var known bool
	if err == nil {
		known, err = s.changed(reply)
	}
	if err == nil && !known {
		return answer, nil
	}
	if _, e := s.Release(ctx, answer.Reservation, now); e != nil || err != nil {
		return replay.Answer{}, ErrAlternate
	}
	nonce.Fingerprint, nonce.Likeness = nonce.Alternate, nonce.AlternateLikeness
	answer, err = s.reserve(ctx, nonce, claim, now)
	if err == nil && answer.Outcome == replay.Reserved && answer.New {
		// It has gone in the meantime. Others look at it first or last, so that
		// to take it now would be one look too few: let it be tried again.
		if _, err = s.Release(ctx, answer.Reservation, now); err != nil {
			return replay.Answer{}, ErrAlternate
		}
		answer = replay.Answer{Outcome: replay.Pending, Reservation: authz.Reservation{Fingerprint: nonce.Fingerprint}, Proven: answer.Proven}
	}
	return answer, err
}
