package replay

import (
	"encoding/hex"
	"sync"

	"github.com/hookbastion/hookbastion/authz"
)

// refusals remembers the contents of which copies were refused, for each webhook,
// so that those of one do not push out those of another. A content stands there
// once, however many copies come, and is found by the id of each decision that
// refused one: the id tells it.
type refusals struct {
	mu       sync.Mutex
	webhooks map[string]*refusalRing
}

const (
	// refusalsKept is for each webhook.
	refusalsKept = 128
	// maxRefusalRings bounds the webhooks; names come from policies.
	maxRefusalRings = 4096
)

type refusalRing struct {
	last [refusalsKept]refusal
	time uint64 // counts refusals
}

type refusal struct {
	r authz.Reservation
	// id is that of the last decision, and at when that was.
	id [16]byte
	at uint64
}

func (f *refusals) add(id [16]byte, webhook string, r authz.Reservation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ring := f.webhooks[webhook]
	if ring == nil {
		if f.webhooks == nil || len(f.webhooks) >= maxRefusalRings {
			f.webhooks = map[string]*refusalRing{}
		}
		ring = &refusalRing{}
		f.webhooks[webhook] = ring
	}
	ring.time++
	oldest := &ring.last[0]
	for i := range ring.last {
		at := &ring.last[i]
		if at.r.Fingerprint == r.Fingerprint {
			oldest = at
			break
		}
		if at.at < oldest.at {
			oldest = at
		}
	}
	*oldest = refusal{r: r, id: id, at: ring.time}
}

// find returns the content of which a decision refused a copy.
func (f *refusals) find(id [16]byte, s *sealer) (webhook string, r authz.Reservation, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for webhook, ring := range f.webhooks {
		for i := range ring.last {
			if at := &ring.last[i]; at.at != 0 && (at.id == id || s.names(id, at.r.Fingerprint)) {
				return webhook, at.r, true
			}
		}
	}
	return "", r, false
}

// forget makes a second find fail, until another copy is refused.
func (f *refusals) forget(webhook string, r authz.Reservation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ring := f.webhooks[webhook]
	if ring == nil {
		return
	}
	for i := range ring.last {
		if ring.last[i].r.Fingerprint == r.Fingerprint {
			ring.last[i] = refusal{}
		}
	}
}

// parseID reads 32 hexadecimal digits.
func parseID(text string) (id [16]byte, ok bool) {
	if len(text) != hex.EncodedLen(len(id)) {
		return id, false
	}
	_, err := hex.Decode(id[:], []byte(text))
	return id, err == nil
}
