package fetch

import (
	"sync/atomic"
	"time"
)

// Source says what a document is.
type Source struct {
	// URL is where it is.
	URL string
	Ask Ask
	// Kind names the parser, so that two that read one URL in two ways have two
	// documents.
	Kind string
	// Parse makes something of an answer that came at a time. What it returns is not
	// changed after.
	// Its errors hold nothing of the answer that is not printable and short.
	Parse func(body []byte, at time.Time) (any, error)
	// Judge, if it is not nil, says why a new value must not take the place of the
	// last good one yet, which is nil at first. It is asked again at each fetch until it
	// has nothing to say, or the old value is back.
	Judge func(last *Version, value any, now time.Time) error
	// MaxStale is how long the last good one counts after it was confirmed; 0: as
	// the fetcher's configuration says; negative: for ever.
	MaxStale time.Duration
	// Every is the time between two fetches, whatever the server says of how long its
	// answer is good; 0: as it says.
	Every time.Duration
	// Fallback: something else counts until there is a good answer, so that nothing is
	// missing without one.
	Fallback bool
}

// identity tells sources apart.
func (s *Source) identity() string { return s.Kind + " " + s.URL + " " + s.Ask.identity() }

// Version is what stood at a URL at some time. It is immutable.
type Version struct {
	Value any
	// Confirmed is when the server was last asked and said that it is so, Changed
	// when it was first seen.
	Confirmed, Changed time.Time

	body           []byte
	etag, modified string
}

// Document is one URL whose content is kept. It is safe for concurrent use.
type Document struct {
	fetcher *Fetcher
	source  Source
	id      string  // of a family
	family  *Family // nil if it stands alone
	kept    string  // identity in the store
	current atomic.Pointer[Version]
	proven  atomic.Int64 // when its key verified something last, in Unix seconds

	// The rest is guarded by the fetcher's lock.
	served   bool      // it is looked after
	busy     bool      // a fetch is running
	due      time.Time // of the next fetch
	tried    time.Time // when the last one began
	failures int       // since the last good one
	failure  error     // of the last one
}

// Load returns what was good last; nil if there is nothing, or it is too old.
func (d *Document) Load(now time.Time) *Version {
	v := d.current.Load()
	if v == nil || d.stale(v, now) {
		return nil
	}
	return v
}

func (d *Document) stale(v *Version, now time.Time) bool {
	most := d.source.MaxStale
	if most == 0 {
		most = d.fetcher.config.MaxStale
	}
	return most > 0 && now.Sub(v.Confirmed) > most
}

// Again has the document fetched at once, for an operator. A fetch that is running may
// be the one.
func (d *Document) Again(now time.Time) {
	d.fetcher.mu.Lock()
	defer d.fetcher.mu.Unlock()
	d.due = now
	d.fetcher.awake()
}

// Status says what is known of it at a time.
func (d *Document) Status(now time.Time) Status {
	d.fetcher.mu.Lock()
	defer d.fetcher.mu.Unlock()
	return d.status(now)
}

// URL is where it is.
func (d *Document) URL() string { return d.source.URL }

// Wanted says what it means that something is not in the document that is there.
// It has the document fetched again if that may tell: once in AskInterval at most.
// While that is due it may be there; after that it is not.
func (d *Document) Wanted(now time.Time) State {
	f := d.fetcher
	f.mu.Lock()
	defer f.mu.Unlock()
	v := d.current.Load()
	switch {
	case d.busy || !d.served:
		return Due
	case v != nil && d.failures == 0 && now.Sub(d.tried) < AskInterval:
		return Missing
	case now.Sub(d.tried) < AskInterval:
		return Due // the last try failed, and the next one is to come
	}
	if d.due.After(now) {
		d.due = now
		f.awake()
	}
	return Due
}

// took notes a good answer.
func (d *Document) took(v *Version, good time.Duration, now time.Time) {
	d.current.Store(v)
	d.failures, d.failure = 0, nil
	d.due = now.Add(refreshAfter(good))
	if d.source.Every > 0 {
		d.due = now.Add(jitter(d.source.Every))
	}
}

// missed notes a failure. What was good stays.
func (d *Document) missed(err error, now time.Time) {
	d.failures++
	d.failure = err
	d.due = now.Add(retryAfter(d.failures))
	if every := d.source.Every; every > 0 && FailureOf(err) == Held {
		d.due = now.Add(jitter(min(every, usualRefresh))) // the server answers, and need not be asked often
	}
}

// restore takes what an earlier process has kept. It is looked after like any
// other, and asked for at once.
func (d *Document) restore(k kept) bool {
	if k.URL != d.source.URL {
		return false
	}
	value, err := d.source.parse(k.Body, k.Confirmed)
	if err != nil {
		return false
	}
	d.current.Store(&Version{Value: value, Confirmed: k.Confirmed, Changed: k.Changed, body: k.Body, etag: k.ETag, modified: k.Modified})
	return true
}
