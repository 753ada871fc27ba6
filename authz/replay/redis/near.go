package redis

import (
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/redis/rueidis"

	"github.com/hookbastion/hookbastion/authz"
)

// nearTime is how long a copy is known without asking. An operator's permit is
// seen by all replicas after it.
const nearTime = 2 * time.Second

// near remembers nonces that are done, and no others: that alone cannot change,
// except by a permit. It spares Redis a flood of copies.
type near struct {
	done *lru.Cache[authz.Fingerprint, int64]
}

func newNear(entries int) *near {
	done, err := lru.New[authz.Fingerprint, int64](entries)
	if err != nil {
		panic(err) // the number is positive
	}
	return &near{done}
}

// has reports whether it is known to be a copy.
func (n *near) has(f authz.Fingerprint, now time.Time) bool {
	until, ok := n.done.Get(f)
	if !ok {
		return false
	}
	at := now.UnixMicro()
	// A clock that went back must not make it live longer.
	return at < until && at >= until-nearTime.Microseconds()
}

// add remembers what a reply says is done; its expiry is in the reply.
func (n *near) add(f authz.Fingerprint, reply []rueidis.RedisMessage, now time.Time) {
	at := replyExpires
	if len(reply) < replyExpires {
		at = len(reply) - 1
	}
	expires, err := number(reply, at)
	if err != nil {
		return
	}
	n.done.Add(f, min(expires, now.Add(nearTime).UnixMicro()))
}

func (n *near) remove(f authz.Fingerprint) { n.done.Remove(f) }
