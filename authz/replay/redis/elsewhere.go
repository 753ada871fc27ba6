package redis

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
)

// ErrElsewhere says that another replica made the reservation alone, while Redis was
// away. It is told when Redis is back, if its lease has not ended by then.
var ErrElsewhere = errors.New("the reservation is another replica's, which is told when Redis is back")

// elsewhere is how replicas that went alone tell each other what the access log
// says: a reservation made alone can be settled only where it was made, and its
// entry may come to any replica. Redis hands it on, by a key for each that lives
// as long as the lease. Both lists are bounded by laterTasks.
type elsewhere struct {
	mu sync.Mutex
	// mine are those made alone here whose outcome is open.
	mine map[authz.Reservation]struct{}
	// theirs are outcomes that others wait for.
	theirs  []task
	dropped int64 // outcomes that found no room there
	// said: the event was sent in this outage.
	said bool
	// took: this replica has taken something without a signed time alone, which
	// others have not been told.
	took bool
}

// tookUntimed notes whether there is something of which others must be told that
// they cannot know it.
func (e *elsewhere) tookUntimed(took bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.took = took
}

// mustTell takes down an outcome that another replica waits for, and reports
// whether it is the first since Redis was there.
func (e *elsewhere) mustTell(r authz.Reservation, fate replay.Fate) (first bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.theirs) < laterTasks {
		e.theirs = append(e.theirs, task{r: r, fate: fate, until: time.Unix(0, r.Ends)})
	} else {
		e.dropped++
	}
	first, e.said = !e.said, true
	return first
}

// key is by what the reservation is known in every replica: what its seal has.
func (e *elsewhere) key(r authz.Reservation) authz.Reservation {
	return authz.Reservation{Fingerprint: r.Fingerprint, Partition: r.Partition, ID: r.ID, Ends: r.Ends}
}

func (e *elsewhere) await(r authz.Reservation) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r.Ends != 0 && len(e.mine) < laterTasks {
		if e.mine == nil {
			e.mine = map[authz.Reservation]struct{}{}
		}
		e.mine[e.key(r)] = struct{}{}
	}
}

func (e *elsewhere) forget(r authz.Reservation) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.mine, e.key(r))
}

// waits reports whether anything may still be told.
func (e *elsewhere) waits() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.took || len(e.mine)+len(e.theirs) > 0
}

// tells reports whether others wait for something.
func (e *elsewhere) tells() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.theirs) > 0
}

// open returns what is to be told, which it forgets, and what is waited for.
func (e *elsewhere) open(now time.Time) (theirs []task, mine []authz.Reservation, took bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	theirs, took = e.theirs, e.took
	e.theirs, e.took, e.said = nil, false, false
	for r := range e.mine {
		if now.UnixNano() >= r.Ends {
			delete(e.mine, r)
			continue
		}
		mine = append(mine, r)
	}
	return theirs, mine, took
}

// aloneKey is where the outcome of a reservation is told that was made alone.
func (s *Store) aloneKey(r authz.Reservation) string {
	return s.shard(r.Fingerprint).keys(r.Fingerprint)[1] + ":" + hexadecimal(r.Partition) + hexadecimal(r.ID)
}

// exchange tells others what they wait for, and asks for what this replica does.
// What cannot be told is kept until its lease ends.
func (f *Fallback) exchange(ctx context.Context, client *connection, now time.Time) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	theirs, mine, took := f.elsewhere.open(now)
	if took && !f.tellAll(ctx, client, now) {
		f.elsewhere.tookUntimed(true) // later
	}
	for _, t := range theirs {
		life := t.until.Sub(now)
		if life <= 0 {
			continue
		}
		set := client.B().Set().Key(f.aloneKey(t.r)).Value(fateName(t.fate, "")).PxMilliseconds((life + replay.Skew).Milliseconds()).Build()
		if client.Do(ctx, set).Error() != nil {
			f.elsewhere.mustTell(t.r, t.fate)
			continue
		}
		f.counters.told.Add(1)
	}
	if len(mine) == 0 {
		return
	}
	commands := make([]rueidis.Completed, len(mine))
	for i, r := range mine {
		commands[i] = client.B().Get().Key(f.aloneKey(r)).Build()
	}
	for i, answer := range client.DoMulti(ctx, commands...) {
		text, err := answer.ToString()
		if err != nil {
			continue // nobody has told it yet
		}
		if fate := fateOf(text); fate != replay.Undecided {
			_, _ = f.alone.Settle(ctx, mine[i], fate, now) // the memory never fails
		}
		f.elsewhere.forget(mine[i])
	}
}

// tellAll tells all replicas until when one went alone: what has no signed time may
// have been accepted there. It reports whether all parts of the store know it. What
// it writes is one key in each, and stays.
func (f *Fallback) tellAll(ctx context.Context, client *connection, now time.Time) bool {
	var commands []rueidis.Completed
	for _, sh := range f.shards {
		commands = append(commands, client.B().Set().Key(sh.alone).Value(micro(now)).Build())
	}
	for _, answer := range client.DoMulti(ctx, commands...) {
		if answer.Error() != nil {
			return false
		}
	}
	return true
}

// fateOf reads what fateName has written.
func fateOf(name string) replay.Fate {
	for _, fate := range []replay.Fate{replay.Delivered, replay.Taken, replay.Unsure, replay.Undelivered} {
		if fateName(fate, "") == name {
			return fate
		}
	}
	return replay.Undecided
}
