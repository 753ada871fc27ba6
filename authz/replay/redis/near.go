package redis

import (
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
)

// nearTime is how long a copy is known without asking. An operator's permit is
// seen by all replicas after it.
const nearTime = 2 * time.Second

// near remembers nonces that are done or taken and that nobody holds, and no
// others: that alone cannot change, except by a permit. It spares Redis a flood of
// copies.
type near struct {
	done *lru.Cache[authz.Fingerprint, copied]
}

// copied is what a copy gets, until then.
type copied struct {
	until   int64 // in microseconds since 1970
	outcome replay.Outcome
	like    authz.Likeness // of what was delivered
}

func newNear(entries int) *near {
	done, err := lru.New[authz.Fingerprint, copied](entries)
	if err != nil {
		panic(err) // the number is positive
	}
	return &near{done}
}

// get returns what is known of a copy, if it is known to be one.
func (n *near) get(f authz.Fingerprint, now time.Time) (copied, bool) {
	c, ok := n.done.Get(f)
	if !ok {
		return c, false
	}
	at := now.UnixMicro()
	// A clock that went back must not make it live longer.
	return c, at < c.until && at >= c.until-nearTime.Microseconds()
}

// add remembers it for a while, at most until its nonce expires. What expires at
// 0 is not remembered.
func (n *near) add(f authz.Fingerprint, c copied, now time.Time) {
	c.until = min(c.until, now.Add(nearTime).UnixMicro())
	n.done.Add(f, c)
}

func (n *near) remove(f authz.Fingerprint) { n.done.Remove(f) }
