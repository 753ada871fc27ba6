package replay

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// greed is how many times as many calls as are left free one webhook may have under way.
// One alone gets 8 of 9, and of fewer than that all but one. It is half of what a connection
// may have of all checks, so that a webhook that takes all it can get leaves places on the
// connection that it shares.
const greed = 8

// Shares is a store, elsewhere and perhaps slow, whose calls are bounded: it keeps one webhook
// from having all of them, and all places of checks with them. Who has more than its share is
// answered Busy at once. It is safe for concurrent use.
type Shares struct {
	Store
	calls    int64
	underWay atomic.Int64
	webhooks sync.Map // name → *atomic.Int64
	refused  atomic.Int64
}

// NewShares returns a store of which so many reservations may be under way at once.
func NewShares(store Store, calls int) *Shares { return &Shares{Store: store, calls: int64(calls)} }

// Refused is how often a reservation was refused.
func (s *Shares) Refused() int64 {
	if s == nil {
		return 0
	}
	return s.refused.Load()
}

// Reserve reserves, if the webhook has not more than its share.
func (s *Shares) Reserve(ctx context.Context, nonce Nonce, claim Claim, now time.Time) (Answer, error) {
	own := s.of(nonce.Webhook)
	all, mine := s.underWay.Add(1), own.Add(1)
	defer func() { s.underWay.Add(-1); own.Add(-1) }()
	if mine > min(greed*(s.calls-all+1), max(s.calls-1, 1)) {
		s.refused.Add(1)
		return Answer{Outcome: Busy}, nil
	}
	return s.Store.Reserve(ctx, nonce, claim, now)
}

func (s *Shares) of(webhook string) *atomic.Int64 {
	if own, ok := s.webhooks.Load(webhook); ok {
		return own.(*atomic.Int64) //nolint:forcetypeassert // nothing else is stored
	}
	own, _ := s.webhooks.LoadOrStore(webhook, new(atomic.Int64))
	return own.(*atomic.Int64) //nolint:forcetypeassert // nothing else is stored
}
