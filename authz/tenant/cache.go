package tenant

import (
	"context"
	"slices"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/files"
	"github.com/hookbastion/hookbastion/authz/secret"
)

// Cache holds the secrets of the tenants of one table. It is safe for concurrent
// use.
type Cache struct{ *cache }

type cache struct {
	loader  *Loader
	known   *lru.Cache[name, *entry]
	unknown *lru.Cache[name, miss]

	mu      sync.Mutex
	flights map[name]*flight
}

// name is a tenant of a webhook.
type name struct {
	source *Source
	tenant string
}

// entry is what a tenant holds. It is immutable.
type entry struct {
	held    secret.Held
	stamps  []files.Stamp // of the files; zero for one that is not there
	errs    []error       // why a file or use is not as its file says
	checked time.Time
}

// miss is a tenant of which there is nothing to keep.
type miss struct {
	reason authz.Reason
	until  time.Time
	errs   []error // of the keys
}

// flight is one look for the files of a tenant.
type flight struct {
	done   chan struct{}
	held   secret.Held
	reason authz.Reason
}

// NewCache returns the cache of a table.
func (l *Loader) NewCache() *Cache {
	known, err := lru.New[name, *entry](l.config.Entries)
	unknown, err2 := lru.New[name, miss](UnknownEntries)
	if err != nil || err2 != nil {
		panic("tenant: a cache needs a size") // NewLoader has seen to it
	}
	return &Cache{&cache{loader: l, known: known, unknown: unknown, flights: map[name]*flight{}}}
}

// NewSource returns the source of a webhook with these keys. The number of a use
// is that of its cell.
func (c *Cache) NewSource(uses []Use) *Source {
	s := &Source{cache: c.cache}
	numbers := map[file]int{}
	for _, u := range uses {
		f := parse(u.File)
		n, ok := numbers[f]
		if !ok {
			n = len(s.files)
			numbers[f] = n
			s.files = append(s.files, f)
		}
		kind := slices.Index(s.kinds, u.Kind)
		if kind < 0 {
			kind = len(s.kinds)
			s.kinds = append(s.kinds, u.Kind)
		}
		s.kind = append(s.kind, kind)
		s.uses = append(s.uses, u.Use)
		s.of = append(s.of, n)
	}
	return s
}

// Len returns how many tenants are in memory, and how many names that have no
// usable file. Each counts once for every webhook.
func (c *Cache) Len() (known, unknown int) { return c.known.Len(), c.unknown.Len() }

// get returns what the tenant holds.
func (s *Source) get(ctx context.Context, tenant authz.View, now time.Time) (secret.Held, authz.Reason) {
	// A name of its own, which need not be allocated.
	old, ok := s.cache.known.Get(name{s, string(tenant)})
	if ok && now.Sub(old.checked) < freshTime {
		return old.held, authz.OK
	}
	return s.find(ctx, string(tenant), old, now)
}

// find looks for what the tenant holds, and waits for files only if it must. old
// is nil if the tenant is not in memory.
func (s *Source) find(ctx context.Context, tenant string, old *entry, now time.Time) (secret.Held, authz.Reason) {
	c, n, ok := s.cache, name{s, tenant}, old != nil
	if !ok {
		if m, ok := c.unknown.Get(n); ok && now.Before(m.until) {
			return nil, m.reason
		}
	}
	f := c.flight(n, old, now)
	if f == nil {
		c.loader.stats.refused.Add(1)
		return nil, authz.KeysUnavailable
	}
	if ok && now.Sub(old.checked) < staleTime {
		return old.held, authz.OK
	}
	timeout := time.NewTimer(c.loader.config.Timeout)
	defer timeout.Stop()
	select {
	case <-f.done:
		return f.held, f.reason
	case <-ctx.Done():
	case <-timeout.C:
	}
	if ok { // the file system hangs
		return old.held, authz.OK
	}
	return nil, authz.KeysUnavailable
}

// flight returns the look that is under way, or begins one. It is nil if too
// many names were unknown.
func (c *cache) flight(n name, old *entry, now time.Time) *flight {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.flights[n]; f != nil {
		return f
	}
	if f := c.landed(n, old, now); f != nil {
		return f
	}
	if old == nil && !c.loader.misses.take(now) {
		return nil
	}
	f := &flight{done: make(chan struct{}), reason: authz.KeysUnavailable}
	c.flights[n] = f
	go c.fly(f, n, old, now)
	return f
}

// landed returns a look that has ended since the caller found nothing.
func (c *cache) landed(n name, old *entry, now time.Time) *flight {
	f := &flight{done: landing}
	if e, ok := c.known.Peek(n); ok && e != old {
		f.held, f.reason = e.held, authz.OK
		return f
	}
	if m, ok := c.unknown.Peek(n); ok && now.Before(m.until) && old == nil {
		f.reason = m.reason
		return f
	}
	return nil
}

// landing is closed.
var landing = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

func (c *cache) fly(f *flight, n name, old *entry, now time.Time) {
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.flights, n)
		close(f.done)
	}()
	timeout := time.NewTimer(c.loader.config.Timeout)
	defer timeout.Stop()
	select {
	case c.loader.loads <- struct{}{}:
		defer func() { <-c.loader.loads }()
	case <-timeout.C:
		return // so many files hang
	}
	f.held, f.reason = c.load(n, old, now)
}

// load looks at the files and keeps the result.
func (c *cache) load(n name, old *entry, now time.Time) (secret.Held, authz.Reason) {
	l, wasKnown := c.loader, old != nil
	if old == nil {
		if m, ok := c.unknown.Get(n); ok && len(m.errs) > 0 {
			old = &entry{held: make(secret.Held, len(m.errs)), errs: m.errs}
		}
	}
	next, reason := n.source.read(l, n.tenant, old, now)
	switch reason {
	case authz.OK:
		l.stats.loaded.Add(1)
		c.known.Add(n, next)
		c.unknown.Remove(n)
		if !wasKnown {
			l.misses.giveBack()
		}
		return next.held, authz.OK
	case authz.TenantUnknown:
		l.stats.unknown.Add(1)
		c.known.Remove(n)
		c.unknown.Add(n, miss{reason: reason, until: now.Add(unknownTime)})
	default:
		l.stats.failed.Add(1)
		c.known.Remove(n) // what it had is gone
		c.unknown.Add(n, miss{reason, now.Add(failedTime), next.errs})
	}
	return nil, reason
}
