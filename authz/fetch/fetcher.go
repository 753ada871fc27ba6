package fetch

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hookbastion/hookbastion/authz/secret"
)

// DefaultMaxStale is how long what was good last counts while its server is away.
const DefaultMaxStale = 7 * 24 * time.Hour

// Config says how a fetcher works.
type Config struct {
	// Get fetches; nil: nothing is fetched, and what was kept counts.
	Get Get
	// Directory keeps what was good last; empty: memory alone does.
	Directory string
	// MaxStale is how long that counts; 0: DefaultMaxStale.
	MaxStale time.Duration
	// OnEvent is told what began to fail and what is good again, on the goroutine
	// of the fetch; nil: nobody.
	OnEvent func(Event)
}

// Event is a change of what is known of a URL.
type Event struct {
	URL string
	// Err is why the fetch failed; nil if it is good again, or new.
	Err error
	// Held: there is a last good one, which counts.
	Held bool
	// Asked: a request named it, and nothing says that it exists.
	Asked bool
}

// Fetcher fetches documents and the members of families. It outlives every table.
// It is safe for concurrent use.
type Fetcher struct {
	config Config
	store  store
	wake   chan struct{}

	mu        sync.Mutex
	documents map[string]*Document
	families  map[string]*Family
	running   int // fetches of documents
	asking    int // fetches that requests caused
	counts    map[string]*[failureCount]int64
	unasked   int64 // see Stats
}

// New returns a fetcher. Nothing is fetched until Run.
func New(config Config) *Fetcher {
	if config.MaxStale <= 0 {
		config.MaxStale = DefaultMaxStale
	}
	if config.OnEvent == nil {
		config.OnEvent = func(Event) {}
	}
	return &Fetcher{
		config: config, store: store{config.Directory}, wake: make(chan struct{}, 1),
		documents: map[string]*Document{}, families: map[string]*Family{}, counts: map[string]*[failureCount]int64{},
	}
}

// Use is what one table of policies needs of a fetcher. A table that never serves
// leaves nothing behind but what is in memory already.
type Use struct {
	fetcher   *Fetcher
	documents []*Document
	families  []*Family
	askers    map[*Asker]bool
}

// NewUse returns a use without anything.
func (f *Fetcher) NewUse() *Use { return &Use{fetcher: f, askers: map[*Asker]bool{}} }

// Document returns the document of a source: the one that is there already, if
// there is one.
func (u *Use) Document(s Source) *Document {
	f := u.fetcher
	f.mu.Lock()
	defer f.mu.Unlock()
	identity := s.identity()
	d := f.documents[identity]
	if d == nil {
		d = f.newDocument(s, identity, "")
		if k, ok := f.store.read(identity, ""); ok {
			d.restore(k)
		}
		f.documents[identity] = d
	}
	if !slices.Contains(u.documents, d) {
		u.documents = append(u.documents, d)
	}
	return d
}

func (f *Fetcher) newDocument(s Source, identity, id string) *Document {
	return &Document{fetcher: f, source: s, kept: identity, id: id}
}

// Serve looks after what a table uses, and no longer after anything else. A nil
// use needs nothing.
func (f *Fetcher) Serve(u *Use) {
	f.mu.Lock()
	defer f.mu.Unlock()
	documents, families := f.documents, f.families
	f.documents, f.families = map[string]*Document{}, map[string]*Family{}
	for _, d := range documents {
		d.served = false
	}
	for _, family := range families {
		family.served = false
	}
	if u != nil {
		for _, d := range u.documents {
			d.served = true
			f.documents[d.kept] = d
		}
		for _, family := range u.families {
			family.served = true
			f.families[family.identity] = family
			maps.DeleteFunc(family.askers, func(webhook string, a *Asker) bool {
				if !u.askers[a] {
					delete(family.asking, webhook)
				}
				return !u.askers[a]
			})
		}
	}
	f.awake()
}

func (f *Fetcher) awake() {
	select {
	case f.wake <- struct{}{}:
	default: // it is awake already
	}
}

// Run fetches what is due until the context ends, and then waits for what it has
// begun.
func (f *Fetcher) Run(ctx context.Context) {
	if f.config.Get == nil {
		<-ctx.Done()
		return
	}
	var fetches sync.WaitGroup
	defer fetches.Wait()
	for {
		timer := time.NewTimer(f.begin(ctx, time.Now(), &fetches))
		select {
		case <-timer.C:
		case <-f.wake:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// begin starts what is due and returns how long nothing else is.
func (f *Fetcher) begin(ctx context.Context, now time.Time, fetches *sync.WaitGroup) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := now.Add(maxRefresh)
	each := func(d *Document) {
		switch {
		case !d.served || d.busy:
		case d.due.After(now):
			next = earlier(next, d.due)
		case f.running < maxFetches: // else it begins when another one ends
			f.running++
			d.busy, d.tried = true, now
			fetches.Go(func() {
				f.refresh(ctx, d)
				f.ended(&f.running)
			})
		}
	}
	for _, d := range f.documents {
		each(d)
	}
	for _, family := range f.families {
		for _, d := range *family.known.Load() {
			each(d)
		}
		for _, a := range family.asking {
			switch {
			case a.last.Add(AskInterval).After(now):
				next = earlier(next, a.last.Add(AskInterval))
			case f.asking < maxFetches:
				if p, ok := a.draw(now); ok {
					f.asking++
					fetches.Go(func() {
						family.explore(ctx, p)
						f.ended(&f.asking)
					})
				}
			}
		}
	}
	return next.Sub(now)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func (f *Fetcher) ended(count *int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	*count--
	f.awake()
}

// refresh fetches a document that is looked after.
func (f *Fetcher) refresh(ctx context.Context, d *Document) {
	v, good, err := f.fetch(ctx, d)
	if ctx.Err() != nil && err != nil {
		return // the service ends
	}
	now := time.Now()
	f.mu.Lock()
	before := d.failure
	d.busy = false
	if err == nil {
		d.took(v, good, now)
	} else {
		d.missed(err, now)
	}
	f.count(d.name(), FailureOf(err))
	gone := d.family != nil && d.failures > 1 && FailureOf(err) == NotFound
	f.mu.Unlock()
	if FailureOf(before) != FailureOf(err) || before == nil && err == nil && v.Changed.Equal(v.Confirmed) {
		f.config.OnEvent(Event{URL: d.source.URL, Err: err, Held: d.source.Fallback || d.Load(now) != nil})
	}
	if gone {
		d.forget()
	}
}

// fetch asks for a document and makes a version of the answer. A kept copy that
// cannot be written is an event, and no failure.
func (f *Fetcher) fetch(ctx context.Context, d *Document) (*Version, time.Duration, error) {
	last, began := d.current.Load(), time.Now()
	r, err := d.source.Ask.request(d.source.URL, d.id)
	if err != nil {
		return nil, 0, err
	}
	if last != nil {
		r.ETag, r.Modified = last.etag, last.modified
	}
	resp, err := f.config.Get(ctx, r)
	if err != nil {
		return nil, 0, err
	}
	next := &Version{Confirmed: began, Changed: began, etag: resp.ETag, modified: resp.Modified}
	switch {
	case resp.NotModified:
		*next = *last
		next.Confirmed = began
	case last != nil && secret.Equal(last.body, resp.Body):
		next.Value, next.Changed, next.body = last.Value, last.Changed, last.body
	default:
		next.body = resp.Body
		if next.Value, err = d.source.parse(resp.Body, began); err != nil {
			return nil, 0, err
		}
		if d.source.Judge != nil {
			if err := d.source.Judge(last, next.Value, began); err != nil {
				return nil, 0, &Error{Failure: Held, Detail: err.Error(), cause: err}
			}
		}
	}
	err = f.store.write(d.kept, kept{
		URL: d.source.URL, ID: d.id, Confirmed: next.Confirmed, Changed: next.Changed, ETag: next.etag, Modified: next.modified, Body: next.body,
	})
	if err != nil {
		f.config.OnEvent(Event{URL: d.source.URL, Err: err, Held: true})
	}
	return next, resp.Good, nil
}

// parse makes something of an answer. A parser that panics has met bytes that
// nobody has thought of, and must not end the service.
func (s *Source) parse(body []byte, at time.Time) (value any, err error) {
	defer func() {
		if recover() != nil {
			value, err = nil, fail(Content, "cannot be read")
		}
	}()
	if value, err = s.Parse(body, at); err != nil {
		return nil, &Error{Failure: Content, Detail: err.Error(), cause: err}
	}
	return value, nil
}

// Needs reports whether anything is fetched for the table.
func (u *Use) Needs() bool { return u != nil && len(u.documents)+len(u.families) > 0 }
