package monitor

import "math"

// maxKeys is how many keys of a webhook are followed.
const maxKeys = 6

// maxKeyID is how many bytes of a key's id are told apart.
const maxKeyID = 64

// key is a key that has signed deliveries.
type key struct {
	ID          string
	First, Last int64 // slots of its use, before it was retired
	N           uint32
	// From and To are how many deliveries the webhook had at First and Last.
	From, To uint32
	// Newer is how many deliveries younger keys signed since Last.
	Newer uint32
	// Back is how often it was used after it was retired, since slot Since, in so many
	// slots, up to slot Until.
	Back         uint32
	Slots        uint32
	Since, Until int64
	// Refused: it was not valid, by the policy.
	Refused bool
}

// keys are those of a webhook.
type keys struct {
	List       []key
	Deliveries uint32
}

func (ks *keys) find(id string) *key {
	id = id[:min(len(id), maxKeyID)]
	for i := range ks.List {
		if ks.List[i].ID == id {
			return &ks.List[i]
		}
	}
	return nil
}

// add begins to follow a key; the one whose last use was first has to go.
func (ks *keys) add(id string, slot int64) *key {
	id = string(append([]byte(nil), id[:min(len(id), maxKeyID)]...))
	if len(ks.List) < maxKeys {
		ks.List = append(ks.List, key{})
	}
	at := 0
	for i := range ks.List {
		if max(ks.List[i].Last, ks.List[i].Until) < max(ks.List[at].Last, ks.List[at].Until) {
			at = i
		}
	}
	ks.List[at] = key{ID: id, First: slot, Last: slot, From: ks.Deliveries}
	return &ks.List[at]
}

// used notes so many deliveries that were allowed.
func (ks *keys) used(id string, slot int64, n uint32) {
	if id == "" {
		return
	}
	ks.Deliveries += n
	k := ks.find(id)
	if k == nil {
		k = ks.add(id, slot)
		k.From -= n
	}
	if k.Newer > 0 && k.retired(slot) {
		k.back(slot, n, false)
		return
	}
	k.N, k.Last, k.To, k.Newer = k.N+n, slot, ks.Deliveries, 0
	for i := range ks.List {
		if o := &ks.List[i]; o.First < k.First {
			o.Newer += n
		}
	}
}

// replaced is how much rarer the absence of a key must be than its share allows, as a
// logarithm.
const replaced = 9

// retired reports whether younger keys have taken its place.
func (k *key) retired(slot int64) bool {
	life := max(float64(k.To)-float64(k.From), 1)
	share := min(float64(k.N)/life, 0.9)
	return slot-k.Last >= 12*slotsAnHour && k.N >= 5 && float64(k.Newer)*-math.Log(1-share) >= replaced
}

// refused notes a delivery whose signature holds with a key that is not valid now.
func (ks *keys) refused(id string, slot int64) {
	if id == "" {
		return
	}
	k := ks.find(id)
	if k == nil {
		k = ks.add(id, slot)
	}
	k.back(slot, 1, true)
}

func (k *key) back(slot int64, n uint32, refused bool) {
	if k.Back == 0 {
		k.Since, k.Until, k.Slots = slot, -1, 0
	}
	if k.Until != slot {
		k.Slots++
	}
	k.Back, k.Until, k.Refused = k.Back+n, slot, refused
}

// raised returns a key that was used too often for a key that is retired. Of a webhook
// with few deliveries each counts.
func (ks *keys) raised(daily float64) *key {
	for i := range ks.List {
		k := &ks.List[i]
		long := k.N == 0 || k.Since-k.Last >= 24*slotsAnHour
		switch {
		case k.Back == 0:
		case daily < 30 && (long || !k.Refused), k.Back >= 3 && k.Slots >= 2, k.Back >= 2 && long:
			return k
		}
	}
	return nil
}

// spoke reports whether one was used in the slot.
func (ks *keys) spoke(slot int64) bool {
	for i := range ks.List {
		if ks.List[i].Back > 0 && ks.List[i].Until == slot {
			return true
		}
	}
	return false
}

func (ks *keys) reset() {
	for i := range ks.List {
		ks.List[i].Back = 0
	}
}

// accept takes those that are back for keys in use.
func (ks *keys) accept(slot int64) {
	for i := range ks.List {
		if k := &ks.List[i]; k.Back > 0 && !k.Refused {
			k.Last, k.Newer, k.Back = slot, 0, 0
		}
	}
}
