package replay

import (
	"encoding/hex"
	"sync"

	"github.com/hookbastion/hookbastion/authz"
)

// refusals remembers the last refused copies of each webhook, so that those of
// one do not push out those of another.
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
	next int
}

type refusal struct {
	id [16]byte
	r  authz.Reservation
}

func (f *refusals) add(decisionID, webhook string, r authz.Reservation) {
	id, ok := parseID(decisionID)
	if !ok {
		return
	}
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
	ring.last[ring.next] = refusal{id, r}
	ring.next = (ring.next + 1) % refusalsKept
}

// find returns what a decision refused.
func (f *refusals) find(decisionID string) (webhook string, r authz.Reservation, ok bool) {
	f.look(decisionID, func(name string, found *refusal) { webhook, r, ok = name, found.r, true })
	return webhook, r, ok
}

// forget makes a second find fail.
func (f *refusals) forget(decisionID string) {
	f.look(decisionID, func(_ string, found *refusal) { *found = refusal{} })
}

func (f *refusals) look(decisionID string, at func(webhook string, found *refusal)) {
	id, ok := parseID(decisionID)
	if !ok {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for webhook, ring := range f.webhooks {
		for i := range ring.last {
			if ring.last[i].id == id && !ring.last[i].r.Fingerprint.IsZero() {
				at(webhook, &ring.last[i])
				return
			}
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
