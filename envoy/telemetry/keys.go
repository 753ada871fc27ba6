package telemetry

import (
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
	id   string
	last atomic.Int64 // Unix time
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
		m = k.add(id)
	}
	if second := now.Unix(); m.last.Load() < second { // many deliveries come in one second
		m.last.Store(second)
	}
}

func (k *keys) add(id string) *keyMatch {
	k.mu.Lock()
	defer k.mu.Unlock()
	if m := k.find(id); m != nil {
		return m
	}
	m := &keyMatch{id: id}
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
