package fetch

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Status is what is known of one URL that is looked after.
type Status struct {
	// Name is the URL, or a family's pattern: what metrics call it.
	Name string
	URL  string
	// Confirmed is when the server said last that it is so; zero: never.
	Confirmed, Changed time.Time
	// Counts: what is there may be used, or something else in its place.
	Counts bool
	// Failing since the last good answer: that many times, for this reason.
	Failures int
	Failure  Failure
	Detail   string
}

// Age is how old what counts is; 0 where there is nothing.
func (s *Status) Age(now time.Time) time.Duration {
	if s.Confirmed.IsZero() {
		return 0
	}
	return max(0, now.Sub(s.Confirmed))
}

// Stats are what a fetcher says of itself.
type Stats struct {
	// Sources are all that is looked after, by URL.
	Sources []Status
	// Results are the fetches since the start by the name of what was fetched and
	// by their failure; at "", those that were good.
	Results map[string]map[string]int64
	// Unasked counts ids of keys for which one more had no room among the 64 of its webhook
	// that wait for a fetch: one of them is forgotten, and asked for again if it comes again.
	Unasked int64
}

// name is what metrics call it: no text of a stranger.
func (d *Document) name() string {
	if d.family != nil {
		return d.family.source.Patterns[0].String()
	}
	return d.source.URL
}

// maxNames bounds the names that are counted: policies come and go.
const maxNames = 500

func (f *Fetcher) count(name string, result Failure) {
	c := f.counts[name]
	if c == nil {
		if len(f.counts) >= maxNames {
			name = "other"
		}
		if c = f.counts[name]; c == nil {
			c = new([failureCount]int64)
			f.counts[name] = c
		}
	}
	c[result]++
}

// Stats returns what is known at a time.
func (f *Fetcher) Stats(now time.Time) Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := Stats{Results: map[string]map[string]int64{}, Unasked: f.unasked}
	for _, d := range f.documents {
		s.Sources = append(s.Sources, d.status(now))
	}
	for _, family := range f.families {
		for _, d := range *family.known.Load() {
			s.Sources = append(s.Sources, d.status(now))
		}
	}
	slices.SortFunc(s.Sources, func(a, b Status) int { return cmp.Or(strings.Compare(a.URL, b.URL), strings.Compare(a.Name, b.Name)) })
	for name, counts := range f.counts {
		s.Results[name] = map[string]int64{}
		for failure, n := range counts {
			if n > 0 {
				s.Results[name][Failure(failure).String()] = n
			}
		}
	}
	return s
}

func (d *Document) status(now time.Time) Status {
	s := Status{Name: d.name(), URL: d.source.URL, Counts: d.source.Fallback || d.Load(now) != nil, Failures: d.failures, Failure: FailureOf(d.failure)}
	if v := d.current.Load(); v != nil {
		s.Confirmed, s.Changed = v.Confirmed, v.Changed
	}
	if d.failure != nil {
		s.Detail = d.failure.Error()
	}
	return s
}
