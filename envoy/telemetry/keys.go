package telemetry

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// maxKeys is how many key ids of one webhook are shown. Beyond it, the one that
// matched longest ago makes room: a rotation needs two.
const maxKeys = 16

// keys remembers when each key id of a webhook last verified a delivery. It is
// safe for concurrent use.
type keys struct {
	mu   sync.Mutex // held while the list is replaced
	list atomic.Pointer[[]*keyMatch]
}

type keyMatch struct {
	id string
	// first and last are Unix times.
	first, last, count atomic.Int64
}

// KeyMatch says when a key verified deliveries that were allowed, since the
// start.
type KeyMatch struct {
	Webhook string `json:"webhook"`
	KeyID   string `json:"key_id"`
	KeyStat
}

// KeyStat is how often, and when.
type KeyStat struct {
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	Count int64     `json:"count"`
}

// KeyMatches lists the keys that have matched. It is not complete if there are so
// many webhooks that some are counted together; of those it has none.
func (r *Recorder) KeyMatches() (matches []KeyMatch, complete bool) {
	complete = true
	if r == nil {
		return nil, complete
	}
	r.metrics.webhooks.Range(func(name, value any) bool {
		webhook, _ := name.(string)
		s, ok := value.(*series)
		if webhook == otherWebhooks || !ok || s.label == otherWebhooks {
			complete = false
			return true
		}
		for _, k := range s.keys.all() {
			matches = append(matches, KeyMatch{
				Webhook: webhook, KeyID: k.id, KeyStat: KeyStat{
					First: time.Unix(k.first.Load(), 0).UTC(), Last: time.Unix(k.last.Load(), 0).UTC(), Count: k.count.Load(),
				},
			})
		}
		return true
	})
	slices.SortFunc(matches, func(a, b KeyMatch) int {
		return cmp.Or(strings.Compare(a.Webhook, b.Webhook), strings.Compare(a.KeyID, b.KeyID))
	})
	return matches, complete
}

func (k *keys) all() []*keyMatch {
	if list := k.list.Load(); list != nil {
		return *list
	}
	return nil
}

func (k *keys) find(id string) *keyMatch {
	for _, m := range k.all() {
		if m.id == id {
			return m
		}
	}
	return nil
}

// matched notes that the key verified a delivery.
func (k *keys) matched(id string, now time.Time) {
	m := k.find(id)
	if m == nil {
		m = k.add(id, now)
	}
	if second := now.Unix(); m.last.Load() < second { // many deliveries come in one second
		m.last.Store(second)
	}
	m.count.Add(1)
}

func (k *keys) add(id string, now time.Time) *keyMatch {
	k.mu.Lock()
	defer k.mu.Unlock()
	if m := k.find(id); m != nil {
		return m
	}
	m := &keyMatch{id: id}
	m.first.Store(now.Unix())
	list := append([]*keyMatch{}, k.all()...)
	if len(list) < maxKeys {
		list = append(list, m)
	} else {
		oldest := 0
		for i := range list {
			if list[i].last.Load() < list[oldest].last.Load() {
				oldest = i
			}
		}
		list[oldest] = m
	}
	k.list.Store(&list)
	return m
}
