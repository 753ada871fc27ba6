package fetch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fake is what stands at URLs.
type fake struct {
	mu     sync.Mutex
	bodies map[string]string
	err    error
	good   time.Duration
	block  chan struct{} // until it is closed no answer comes
	calls  []call
}

type call struct {
	url, etag string
	at        time.Time
	request   *Request
}

func (f *fake) get(ctx context.Context, r *Request) (*Response, error) {
	f.mu.Lock()
	f.calls = append(f.calls, call{r.URL, r.ETag, time.Now(), r})
	body, there := f.bodies[r.URL]
	err, good, block := f.err, f.good, f.block
	f.mu.Unlock()
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			return nil, fail(Timeout, "ended")
		}
	}
	switch {
	case err != nil:
		return nil, err
	case !there:
		return nil, fail(NotFound, "none")
	case r.ETag == "e:"+body:
		return &Response{NotModified: true, Good: good}, nil
	}
	return &Response{Body: []byte(body), ETag: "e:" + body, Good: good}, nil
}

func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// all are the requests so far.
func (f *fake) all() []call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// notes are written by fetches and read by a test.
type notes struct {
	mu    sync.Mutex
	lines []string
}

func (n *notes) add(line string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, line)
}

func (n *notes) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.lines)
}

func (f *fake) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.calls)
}

func text(body []byte, _ time.Time) (any, error) {
	if strings.Contains(string(body), "bad") {
		return nil, errors.New("not good")
	}
	if strings.Contains(string(body), "panic") {
		panic("a parser's mistake")
	}
	return string(body), nil
}

const keysURL = "https://keys.example/jwks"

// running is a fetcher that runs in a bubble.
func running(t *testing.T, f *fake, config Config) *Fetcher {
	t.Helper()
	config.Get = f.get
	fetcher := New(config)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); fetcher.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return fetcher
}

func value(d *Document) any {
	if v := d.Load(time.Now()); v != nil {
		return v.Value
	}
	return nil
}

func TestDocumentIsKeptFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events notes
		f := &fake{bodies: map[string]string{keysURL: "one"}, good: 2 * time.Hour}
		fetcher := running(t, f, Config{OnEvent: func(e Event) { events.add(fmt.Sprint(e.Err, " ", e.Held)) }})
		use := fetcher.NewUse()
		d := use.Document(Source{URL: keysURL, Parse: text})
		if use.Document(Source{URL: keysURL, Parse: text}) != d {
			t.Error("one source has one document")
		}
		synctest.Wait()
		if value(d) != nil || f.count() != 0 {
			t.Error("what does not serve is not fetched")
		}
		fetcher.Serve(use)
		synctest.Wait()
		if value(d) != "one" || f.count() != 1 {
			t.Fatalf("%v after %d fetches", value(d), f.count())
		}
		time.Sleep(2*time.Hour - 13*time.Minute) // less the jitter
		if f.count() != 1 {
			t.Errorf("%d fetches before the time", f.count())
		}
		time.Sleep(14 * time.Minute)
		if f.count() != 2 || f.all()[1].etag != "e:one" {
			t.Errorf("%d fetches, the second asked for %v", f.count(), f.all()[1:])
		}

		// The server dies: what was good stays, is asked for less and less, and one day
		// counts no more.
		f.set(func() { f.err = fail(Connect, "dead") })
		time.Sleep(24 * time.Hour)
		if value(d) != "one" {
			t.Error("the last good one is gone")
		}
		if n := f.count(); n > 2+24*4+20 {
			t.Errorf("%d fetches in a day of failures", n)
		}
		s := fetcher.Stats(time.Now())
		if len(s.Sources) != 1 || s.Sources[0].Failure != Connect || s.Sources[0].Failures < 10 || !s.Sources[0].Counts || s.Sources[0].Age(time.Now()) < 24*time.Hour {
			t.Errorf("%+v", s)
		}
		time.Sleep(DefaultMaxStale)
		if value(d) != nil || fetcher.Stats(time.Now()).Sources[0].Counts {
			t.Error("it counts for ever")
		}
		f.set(func() { f.err, f.bodies[keysURL] = nil, "two" })
		time.Sleep(maxRetry)
		if value(d) != "two" {
			t.Error("it does not come back")
		}
		if got := strings.Join(events.all(), ", "); got != "<nil> true, connect: dead true, <nil> true" {
			t.Errorf("events: %s", got)
		}
		results := fetcher.Stats(time.Now()).Results[keysURL]
		if results[""] != 3 || results["connect"] != int64(f.count())-3 {
			t.Errorf("results: %v", results)
		}

		// Rubbish changes nothing.
		for _, rubbish := range []string{"bad", "panic"} {
			f.set(func() { f.bodies[keysURL] = rubbish })
			time.Sleep(3 * time.Hour)
			if value(d) != "two" || fetcher.Stats(time.Now()).Sources[0].Failure != Content {
				t.Errorf("after %q: %v", rubbish, value(d))
			}
		}

		// Nobody needs it any more.
		fetcher.Serve(nil)
		n := f.count()
		time.Sleep(48 * time.Hour)
		if f.count() != n {
			t.Error("what does not serve any more is still fetched")
		}
	})
}

// Whatever a server says of how long its answer is good, it is asked within bounds.
func TestRefreshHasBounds(t *testing.T) {
	for good, want := range map[time.Duration]time.Duration{
		0: usualRefresh, time.Nanosecond: minRefresh, time.Minute: minRefresh, 3 * time.Hour: 3 * time.Hour, 999 * time.Hour: maxRefresh,
	} {
		for range 100 {
			if got := refreshAfter(good); got > want || got < want-want/10-1 {
				t.Errorf("%v: %v", good, got)
			}
		}
	}
	for failures, want := range map[int]time.Duration{1: minRetry, 2: time.Minute, 5: 8 * time.Minute, 6: maxRetry, 1000: maxRetry} {
		if got := retryAfter(failures); got > want || got < want-want/10-1 {
			t.Errorf("after %d failures: %v", failures, got)
		}
	}
}

// A flood of unknown key ids makes one fetch in AskInterval, whatever the server
// does, and each request is answered at once.
func TestFloodOfUnknownIDs(t *testing.T) {
	for _, tt := range []struct {
		name  string
		err   error
		after State // when the fetch has ended
	}{{"the server answers", nil, Missing}, {"the server is away", fail(Connect, "dead"), Due}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{bodies: map[string]string{keysURL: "one"}, good: 24 * time.Hour}
				fetcher := running(t, f, Config{})
				use := fetcher.NewUse()
				d := use.Document(Source{URL: keysURL, Parse: text})
				fetcher.Serve(use)
				synctest.Wait()
				if got := d.Wanted(time.Now()); got != Missing {
					t.Errorf("right after a fetch: %v", got)
				}
				time.Sleep(AskInterval)
				f.set(func() { f.err, f.block = tt.err, make(chan struct{}) })
				for range 1000 { // none of them waits: the bubble would be deadlocked
					if got := d.Wanted(time.Now()); got != Due {
						t.Fatalf("while a refresh is due: %v", got)
					}
				}
				synctest.Wait()
				if got := d.Wanted(time.Now()); got != Due || f.count() != 2 {
					t.Fatalf("while it runs: %v, %d fetches", got, f.count())
				}
				f.set(func() { close(f.block); f.block = nil })
				synctest.Wait()
				if got := d.Wanted(time.Now()); got != tt.after {
					t.Errorf("after it: %v, want %v", got, tt.after)
				}
				began := f.count()
				for range 6000 { // ten minutes
					time.Sleep(100 * time.Millisecond)
					d.Wanted(time.Now())
				}
				if n := f.count() - began; n > 20 || n < 15 {
					t.Errorf("%d fetches in ten minutes", n)
				}
				calls := f.all()
				for i := range calls[1:] {
					if gap := calls[i+1].at.Sub(calls[i].at); gap < AskInterval-AskInterval/10 {
						t.Fatalf("two fetches within %v", gap)
					}
				}
			})
		})
	}
}

func TestJudge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{bodies: map[string]string{keysURL: "three"}}
		fetcher := running(t, f, Config{})
		use := fetcher.NewUse()
		d := use.Document(Source{URL: keysURL, Parse: text, Judge: func(last *Version, value any, _ time.Time) error {
			if last != nil && len(value.(string)) < len(last.Value.(string)) {
				return errors.New("it has shrunk")
			}
			return nil
		}})
		fetcher.Serve(use)
		synctest.Wait()
		f.set(func() { f.bodies[keysURL] = "two" })
		d.Again(time.Now())
		synctest.Wait()
		if s := fetcher.Stats(time.Now()).Sources[0]; value(d) != "three" || s.Failure != Held || s.Detail != "held: it has shrunk" || f.count() != 2 {
			t.Errorf("%v, %+v", value(d), s)
		}
		time.Sleep(2 * time.Hour)
		f.set(func() { f.bodies[keysURL] = "three" })
		d.Again(time.Now())
		synctest.Wait()
		if s := fetcher.Stats(time.Now()).Sources[0]; value(d) != "three" || s.Failure != None || s.Failures != 0 {
			t.Errorf("the old one is back: %+v", s)
		}
	})
}

// Requests, reloads, fetches and scrapes go on together.
func TestConcurrentUse(t *testing.T) {
	f := &fake{bodies: map[string]string{keysURL: "one", keyURL + "a": "key"}}
	fetcher := New(Config{Get: f.get, Directory: t.TempDir()})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); fetcher.Run(ctx) }()
	pattern, err := ParsePattern(keyURL + "{id}")
	if err != nil {
		t.Fatal(err)
	}
	use := func() (*Use, *Document, *Asker) {
		u := fetcher.NewUse()
		return u, u.Document(Source{URL: keysURL, Parse: text}), u.Family(FamilySource{Patterns: []Pattern{pattern}, Parse: text}, "webhook")
	}
	u, document, asker := use()
	fetcher.Serve(u)
	var work sync.WaitGroup
	for n := range 4 {
		work.Go(func() {
			for i := range 2000 {
				now := time.Now()
				document.Load(now)
				document.Wanted(now)
				for _, id := range []string{"a", fmt.Sprint(n, "-", i)} {
					if v, state, err := asker.Look([]byte(id), now); err != nil || (v != nil) != (state == Ready) {
						t.Errorf("%v %v %v", v, state, err)
					}
				}
				asker.Proved([]byte("a"), now)
			}
		})
	}
	work.Go(func() {
		for i := range 200 {
			next, _, _ := use()
			if i%10 == 0 {
				fetcher.Serve(nil)
			}
			fetcher.Serve(next)
			fetcher.Stats(time.Now())
		}
	})
	work.Wait()
	cancel()
	<-done
	for _, call := range f.all() {
		if call.url != keysURL && !strings.HasPrefix(call.url, keyURL) {
			t.Errorf("asked for %s", call.url)
		}
	}
}

// A source that says how often it is asked is asked as often, whatever its server says, and
// one that waits for its judge once an hour at most. With a fallback nothing is missing.
func TestEvery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{bodies: map[string]string{keysURL: "one"}, good: 24 * time.Hour}
		fetcher := running(t, f, Config{})
		use := fetcher.NewUse()
		d := use.Document(Source{URL: keysURL, Parse: text, Every: 2 * time.Hour, Fallback: true, MaxStale: -1, Judge: func(last *Version, _ any, _ time.Time) error {
			if last != nil {
				return errors.New("it waits")
			}
			return nil
		}})
		if s := d.Status(time.Now()); !s.Counts || s.URL != keysURL {
			t.Errorf("%+v", s)
		}
		fetcher.Serve(use)
		time.Sleep(11 * time.Hour)
		if n := f.count(); n < 6 || n > 7 {
			t.Errorf("%d fetches in 11 hours", n)
		}
		f.set(func() { f.bodies[keysURL] = "two"; f.calls = nil })
		time.Sleep(11 * time.Hour)
		if n, s := f.count(), d.Status(time.Now()); n < 9 || n > 13 || s.Failure != Held {
			t.Errorf("%d fetches of what waits in 11 hours, %+v", n, s)
		}
		f.set(func() { f.err = fail(Connect, "away") })
		time.Sleep(1000 * time.Hour)
		if value(d) != "one" {
			t.Error("what is good for ever is gone")
		}
	})
}
