package fetch

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Limits of a family.
const (
	// maxKnown is how many members are kept.
	maxKnown = 64
	// maxCandidates is how many unknown ids of a webhook wait for a fetch.
	maxCandidates = 64
	// maxNothing is how many ids without anything behind them are remembered.
	maxNothing = 1024
)

// FamilySource says what a family is.
type FamilySource struct {
	// Patterns are the URLs that members may have.
	Patterns []Pattern
	// Named says what a key id is to them.
	Named Named
	Ask   Ask
	// Kind and Parse are those of each member.
	Kind  string
	Parse func(body []byte, at time.Time) (any, error)
	// MaxStale is as for a Source.
	MaxStale time.Duration
}

func (s *FamilySource) identity() string {
	var patterns []string
	for _, p := range s.Patterns {
		patterns = append(patterns, p.String())
	}
	return fmt.Sprintf("%s %d %s %s", s.Kind, s.Named, strings.Join(patterns, " "), s.Ask.identity())
}

// Family is many URLs of one form, which requests name by a key id. It is safe for
// concurrent use.
type Family struct {
	fetcher  *Fetcher
	source   FamilySource
	identity string
	// known are members by their places. It is replaced, never changed, so that a
	// request needs no lock.
	known atomic.Pointer[map[place]*Document]

	// The rest is guarded by the fetcher's lock.
	served   bool
	nothing  map[place]time.Time // without anything behind them, until when
	inFlight map[place]bool      // those that are asked for
	askers   map[string]*Asker   // by webhook
	asking   map[string]*Asker   // those with candidates
}

// place tells a member from the others.
func (d *Document) place() place { return place{d.source.URL, d.id} }

// Asker is a family as one webhook uses it, so that what strangers do to one
// webhook does not hold up another. It is safe for concurrent use.
type Asker struct {
	family  *Family
	webhook string

	// Guarded by the fetcher's lock.
	last       time.Time // of the last fetch that it caused
	candidates []candidate
	seen       int // since the last one was drawn
}

type candidate struct {
	place
	at time.Time // when it was asked for last
}

// Family returns the family of a source as a webhook uses it.
func (u *Use) Family(s FamilySource, webhook string) *Asker {
	f := u.fetcher
	f.mu.Lock()
	defer f.mu.Unlock()
	identity := s.identity()
	family := f.families[identity]
	if family == nil {
		family = f.newFamily(s, identity)
		f.families[identity] = family
	}
	if !slices.Contains(u.families, family) {
		u.families = append(u.families, family)
	}
	a := family.askers[webhook] // which knows what it has asked for
	if a == nil {
		a = &Asker{family: family, webhook: webhook}
		family.askers[webhook] = a
	}
	u.askers[a] = true
	return a
}

func (f *Fetcher) newFamily(s FamilySource, identity string) *Family {
	family := &Family{
		fetcher: f, source: s, identity: identity, nothing: map[place]time.Time{}, inFlight: map[place]bool{},
		askers: map[string]*Asker{}, asking: map[string]*Asker{},
	}
	known := map[place]*Document{}
	for _, k := range f.store.readAll(identity) {
		if p, err := s.Named.place(s.Patterns, k.ID); err == nil && len(known) < maxKnown {
			if d := family.member(p); d.restore(k) {
				known[p] = d
			}
		}
	}
	family.known.Store(&known)
	return family
}

func (fam *Family) member(p place) *Document {
	s := &fam.source
	d := fam.fetcher.newDocument(Source{URL: p.url, Ask: s.Ask, Kind: s.Kind, Parse: s.Parse, MaxStale: s.MaxStale}, fam.identity, p.id)
	d.served = true
	d.family = fam
	return d
}

// Look returns what is known of a key id, and has an unknown one fetched if it has
// the form of the family's: it never waits. The error says of which form it is
// not; such an id has no URL and costs nothing.
func (a *Asker) Look(id []byte, now time.Time) (*Version, State, error) {
	fam := a.family
	p, err := fam.source.Named.place(fam.source.Patterns, string(id))
	if err != nil {
		return nil, Missing, err
	}
	if d := (*fam.known.Load())[p]; d != nil {
		if v := d.Load(now); v != nil {
			return v, Ready, nil
		}
		return nil, Due, nil // it is looked after, and its server is away for long
	}
	return nil, a.ask(p, now), nil
}

func (a *Asker) ask(p place, now time.Time) State {
	fam, f := a.family, a.family.fetcher
	f.mu.Lock()
	defer f.mu.Unlock()
	if until, ok := fam.nothing[p]; ok {
		if now.Before(until) {
			return Missing
		}
		delete(fam.nothing, p)
	}
	if !fam.served || fam.inFlight[p] {
		return Due
	}
	if !a.note(candidate{p, now}) {
		return Due
	}
	if fam.asking[a.webhook] == nil {
		fam.asking[a.webhook] = a
		f.awake() // later it knows when to look
	}
	return Due
}

// note makes an id one of the candidates. Where there are too many, each that has
// come since the last draw has the same chance to be among them (Vitter's
// reservoir). It returns whether it is a new one.
func (a *Asker) note(c candidate) bool {
	for i := range a.candidates {
		if a.candidates[i].place == c.place {
			a.candidates[i].at = c.at
			return false
		}
	}
	a.seen = max(a.seen, len(a.candidates)) + 1
	if len(a.candidates) < maxCandidates {
		a.candidates = append(a.candidates, c)
		return true
	}
	a.family.fetcher.unasked++
	if at := rand.N(a.seen); at < maxCandidates { //nolint:gosec // the generator is seeded by the system and cannot be guessed from outside
		a.candidates[at] = c
		return true
	}
	return false
}

// draw takes one candidate at random. Those that nobody has asked for lately are
// dropped, and those that somebody else has asked for meanwhile.
func (a *Asker) draw(now time.Time) (p place, ok bool) {
	fam := a.family
	known := *fam.known.Load()
	a.candidates = slices.DeleteFunc(a.candidates, func(c candidate) bool {
		_, nothing := fam.nothing[c.place]
		return known[c.place] != nil || nothing || fam.inFlight[c.place] || now.Sub(c.at) > forgetAfter
	})
	a.seen = 0
	if len(a.candidates) == 0 {
		delete(fam.asking, a.webhook)
		return place{}, false
	}
	at := rand.N(len(a.candidates)) //nolint:gosec // as above
	c := a.candidates[at]
	a.candidates = slices.Delete(a.candidates, at, at+1)
	a.last = now
	fam.inFlight[c.place] = true
	return c.place, true
}

// explore fetches what a request has named.
func (fam *Family) explore(ctx context.Context, p place) {
	f := fam.fetcher
	d := fam.member(p)
	v, good, err := f.fetch(ctx, d)
	now := time.Now()
	f.mu.Lock()
	delete(fam.inFlight, p)
	switch failure := FailureOf(err); {
	case err == nil:
		d.tried = v.Confirmed
		d.took(v, max(good, usualMember), now)
		fam.admit(d)
	case fam.isNothing(failure):
		fam.remember(p, now)
	}
	f.count(d.name(), FailureOf(err))
	f.mu.Unlock()
	if ctx.Err() == nil || err == nil {
		f.config.OnEvent(Event{URL: p.url, Err: err, Asked: true})
	}
}

// usualMember is how long a member is good at least: keys by id do not change.
const usualMember = 12 * time.Hour

// isNothing reports whether a failure says that nothing is behind an id. Object
// stores answer 403 for what is not there, where nobody has asked for credentials.
func (fam *Family) isNothing(f Failure) bool {
	return f.definite() || f == Credentials && len(fam.source.Ask.Credentials) == 0 || f == Redirect
}

func (fam *Family) remember(p place, now time.Time) {
	for other, until := range fam.nothing { // in random order
		if len(fam.nothing) < maxNothing && now.Before(until) {
			break
		}
		delete(fam.nothing, other)
	}
	fam.nothing[p] = now.Add(forgetAfter)
}

// admit makes a document a member. Of too many, the one that has proven something
// longest ago goes: a stranger can name members that exist, and none of them
// proves anything.
func (fam *Family) admit(d *Document) {
	known := maps.Clone(*fam.known.Load())
	known[d.place()] = d
	if len(known) > maxKnown {
		var oldest place
		for at, other := range known {
			if other != d && (oldest == place{} || other.proven.Load() < known[oldest].proven.Load()) {
				oldest = at
			}
		}
		known[oldest].served = false
		fam.fetcher.store.remove(fam.identity, known[oldest].id)
		delete(known, oldest)
	}
	fam.known.Store(&known)
}

// forget takes a member out that its server no longer has.
func (d *Document) forget() {
	fam, f := d.family, d.fetcher
	f.mu.Lock()
	defer f.mu.Unlock()
	known := maps.Clone(*fam.known.Load())
	if known[d.place()] == d {
		delete(known, d.place())
		d.served = false
		fam.known.Store(&known)
		f.store.remove(fam.identity, d.id)
	}
}

// Proved notes that a signature by a member's key held.
func (a *Asker) Proved(id []byte, now time.Time) {
	p, err := a.family.source.Named.place(a.family.source.Patterns, string(id))
	if err != nil {
		return
	}
	if d := (*a.family.known.Load())[p]; d != nil {
		if at := now.Unix(); d.proven.Load() < at {
			d.proven.Store(at)
		}
	}
}
