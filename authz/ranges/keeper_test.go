package ranges_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookbastion/hookbastion/authz/fetch"
	"github.com/hookbastion/hookbastion/authz/ranges"
)

// server is a provider's.
type server struct {
	mu   sync.Mutex
	body string
	err  error
}

func (s *server) get(_ context.Context, r *fetch.Request) (*fetch.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || r.ETag == "e:"+s.body {
		return &fetch.Response{NotModified: true}, s.err
	}
	return &fetch.Response{Body: []byte(s.body), ETag: "e:" + s.body}, nil
}

func (s *server) say(body string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.body, s.err = body, err
}

const documentURL = "https://hooks.example.com/ips.txt"

var ten = lines(10)

// lines are n addresses.
func lines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "34.74.%d.1\n", i)
	}
	return b.String()
}

// world is a fetcher, a keeper and one list, as a service has them.
type world struct {
	server  *server
	list    *ranges.List
	fetcher *fetch.Fetcher
	stop    context.CancelFunc
}

// begin starts a service in a bubble. document may be changed before.
func begin(t *testing.T, s *server, directory string, d *ranges.Document) *world {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &world{server: s, stop: cancel, fetcher: fetch.New(fetch.Config{Get: s.get, Directory: directory})}
	keeper := ranges.NewKeeper(ranges.Config{Every: time.Hour, Directory: directory})
	use := w.fetcher.NewUse()
	var err error
	if w.list, err = keeper.List(use, "example", d, ""); err != nil {
		t.Fatal(err)
	}
	w.fetcher.Serve(use)
	go w.fetcher.Run(ctx)
	synctest.Wait()
	return w
}

func document() *ranges.Document {
	return &ranges.Document{Name: "example", URL: documentURL, Kind: ranges.Lines, Services: make([]ranges.Service, 1)}
}

// in reports whether the n-th address is in the list.
func (w *world) in(n int) bool {
	in, _ := w.list.Contains(netip.MustParseAddr(fmt.Sprintf("34.74.%d.1", n)), time.Now())
	return in
}

func (w *world) state(t *testing.T, what string, want ranges.State, detail string) {
	t.Helper()
	synctest.Wait()
	if s := w.list.Status(time.Now()); s.State != want || !strings.Contains(s.Detail, detail) || want == ranges.ChangeHeld && s.Held == nil {
		t.Errorf("%s: %+v", what, s)
	}
}

// Whatever becomes of a document, the last good one counts, and it is said what is wrong.
func TestLastGoodStays(t *testing.T) {
	for name, c := range map[string]struct {
		body   string
		err    error
		state  ranges.State
		detail string
	}{
		"shrinks":   {lines(4), nil, ranges.ChangeHeld, "loses more than half: 6 of 10 networks; held since "},
		"grows":     {lines(21), nil, ranges.ChangeHeld, "grows beyond double: 11 networks are new, beside 10; held since "},
		"moves":     {"", &fetch.Error{Failure: fetch.Redirect, Detail: "hooks.example.com answered 301"}, ranges.Failing, "redirect: hooks.example.com answered 301"},
		"HTML":      {"<html>", nil, ranges.Failing, "content: the document is not a list of lines"},
		"the world": {"0.0.0.0/0\n" + ten, nil, ranges.Failing, "content: the document names a network wider than"},
		"malformed": {ten + "34.74.x\n", nil, ranges.Failing, "content: the document has an item that is no address"},
		"nothing":   {"\n", nil, ranges.Failing, "content: the document names no network"},
		"away":      {"", &fetch.Error{Failure: fetch.Connect, Detail: "no connection to hooks.example.com"}, ranges.Failing, "connect: "},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := begin(t, &server{body: ten}, "", document())
				defer w.stop()
				w.state(t, "at first", ranges.Current, "")
				w.server.say(c.body, c.err)
				time.Sleep(90 * time.Minute)
				w.state(t, "then", c.state, c.detail)
				if !w.in(0) || !w.in(9) || w.in(10) || w.list.Set(time.Now()).Len() != 10 {
					t.Errorf("in force: %v", w.list.Set(time.Now()).Networks())
				}
				w.server.say(ten, nil)
				time.Sleep(90 * time.Minute)
				w.state(t, "mended", ranges.Current, "")
				if c.state == ranges.Failing {
					w.server.say("", c.err)
					time.Sleep(8 * 24 * time.Hour)
					w.state(t, "for a week", ranges.Stale, "")
					if !w.in(9) {
						t.Error("what was good last is gone")
					}
				}
			})
		})
	}
}

// A change that is held counts after it has stood there for a day, all the time.
func TestHeldForADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, &server{body: ten}, "", document())
		defer w.stop()
		w.server.say(lines(4), nil)
		time.Sleep(20 * time.Hour)
		w.state(t, "after 20 hours", ranges.ChangeHeld, "")
		w.server.say(lines(3), nil) // another one: it begins anew
		time.Sleep(20 * time.Hour)
		w.state(t, "another one", ranges.ChangeHeld, "loses more than half: 7 of 10")
		w.server.say(ten, nil) // the old one is back
		time.Sleep(2 * time.Hour)
		w.state(t, "the old one", ranges.Current, "")
		w.server.say(lines(3), nil)
		time.Sleep(20 * time.Hour)
		w.state(t, "the other one again", ranges.ChangeHeld, "")
		if !w.in(9) {
			t.Error("it counts although it has not stood there for a day")
		}
		time.Sleep(6 * time.Hour)
		w.state(t, "after a day", ranges.Current, "")
		if w.in(9) || !w.in(2) {
			t.Error("it does not count after a day")
		}
		w.server.say(lines(5), nil) // no more than double
		time.Sleep(90 * time.Minute)
		w.state(t, "a small change", ranges.Current, "")
		if !w.in(4) {
			t.Error("a small change does not count at once")
		}
	})
}

func TestAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, &server{body: ten}, "", document())
		defer w.stop()
		if err := w.list.Accept("", time.Now()); !errors.Is(err, ranges.ErrNotHeld) {
			t.Errorf("nothing is held: %v", err)
		}
		w.server.say(lines(4), nil)
		time.Sleep(90 * time.Minute)
		held := w.list.Status(time.Now()).Held
		if held == nil || held.Change.Lost != 6 || held.Set.Len() != 4 || held.Until.Sub(held.Since) != ranges.HoldTime {
			t.Fatalf("%+v", held)
		}
		w.server.say(lines(3), nil) // what the operator has seen is gone
		time.Sleep(90 * time.Minute)
		if err := w.list.Accept(held.Digest, time.Now()); !errors.Is(err, ranges.ErrNotHeld) {
			t.Errorf("another one is held: %v", err)
		}
		if err := w.list.Accept(w.list.Status(time.Now()).Held.Digest, time.Now()); err != nil {
			t.Error(err)
		}
		w.state(t, "accepted", ranges.Current, "")
		if w.in(3) || !w.in(2) {
			t.Error("what was accepted does not count")
		}
	})
}

// A change waits over a restart, and one that was accepted by another replica counts.
func TestHeldOnDisk(t *testing.T) {
	directory := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := &server{body: ten}
		w := begin(t, s, directory, document())
		s.say(lines(4), nil)
		time.Sleep(20 * time.Hour)
		w.state(t, "before", ranges.ChangeHeld, "")
		w.stop()
		synctest.Wait()

		s.say("", &fetch.Error{Failure: fetch.Connect})
		w = begin(t, s, directory, document())
		w.state(t, "after a restart, and the server is away", ranges.ChangeHeld, "")
		if !w.in(9) {
			t.Error("what was good last is gone")
		}
		s.say(lines(4), nil)
		time.Sleep(7 * time.Hour)
		w.state(t, "the day is over", ranges.Current, "")
		if w.in(9) || !w.in(3) {
			t.Error("the hours before the restart do not count")
		}
		if names, err := filepath.Glob(filepath.Join(directory, "*.held")); len(names) != 0 || err != nil {
			t.Errorf("%v, %v", names, err)
		}

		s.say(lines(1), nil)
		time.Sleep(90 * time.Minute)
		other := begin(t, s, directory, document()) // which shares the directory
		defer other.stop()
		other.state(t, "another replica", ranges.ChangeHeld, "")
		if err := other.list.Accept(other.list.Status(time.Now()).Held.Digest, time.Now()); err != nil {
			t.Error(err)
		}
		other.state(t, "another replica has accepted", ranges.Current, "")
		w.stop()
	})
}

// Files of a stranger, or half of one, are none; one that cannot be written is said.
func TestBadFiles(t *testing.T) {
	for name, text := range map[string]string{
		"half":     `{"digest":"ab","sin`,
		"empty":    "",
		"nothing":  "{}",
		"large":    `{"digest":"ab","since":"2000-01-01T00:00:00Z"` + strings.Repeat(" ", 5000) + "}",
		"another":  `{"digest":"ab","since":"1999-01-01T00:00:00Z","accepted":true}`,
		"a list":   `[1]`,
		"no since": `{"digest":"ab","accepted":true}`,
	} {
		directory := t.TempDir()
		if err := os.WriteFile(filepath.Join(directory, "example.held"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) {
			w := begin(t, &server{body: ten}, directory, document())
			defer w.stop()
			w.state(t, name, ranges.Current, "")
			w.server.say(lines(4), nil)
			time.Sleep(90 * time.Minute)
			w.state(t, name+", then a change", ranges.ChangeHeld, "6 of 10")
		})
	}
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		w := begin(t, &server{body: ten}, file, document())
		defer w.stop()
		w.server.say(lines(4), nil)
		time.Sleep(90 * time.Minute)
		w.state(t, "no directory", ranges.ChangeHeld, "6 of 10")
		if detail := w.fetcher.Stats(time.Now()).Sources[0].Detail; !strings.Contains(detail, "a restart forgets since when") {
			t.Errorf("%s", detail)
		}
	})
}

// A snapshot counts until something newer was fetched, and is what the first document is
// compared with.
func TestSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := document()
		d.Read = time.Now().Add(-time.Hour)
		d.Services[0].Snapshot = setOf(t, ten)
		directory := t.TempDir()
		s := &server{err: &fetch.Error{Failure: fetch.DNS}}
		w := begin(t, s, directory, d)
		w.state(t, "no answer yet", ranges.Failing, "dns")
		if !w.in(9) || !w.fetcher.Stats(time.Now()).Sources[0].Counts {
			t.Error("the snapshot does not count")
		}
		s.say(lines(4), nil)
		time.Sleep(90 * time.Minute)
		w.state(t, "less than half of it", ranges.ChangeHeld, "")
		s.say(lines(12), nil)
		time.Sleep(90 * time.Minute)
		w.state(t, "a little more", ranges.Current, "")
		if !w.in(11) {
			t.Error("what was fetched does not count")
		}
		w.stop()
		synctest.Wait()

		// A newer program brings a newer snapshot.
		s.say("", &fetch.Error{Failure: fetch.DNS})
		newer := document()
		newer.Read = time.Now().Add(time.Minute)
		newer.Services[0].Snapshot = setOf(t, lines(13))
		w = begin(t, s, directory, newer)
		defer w.stop()
		if !w.in(12) {
			t.Error("the disk counts more than the newer program")
		}
	})
}

// Without a keeper, or where it fetches nothing, a snapshot counts, and what has none is
// an error and no empty list.
func TestNothingIsFetched(t *testing.T) {
	frozen := &ranges.Document{
		Name: "frozen", URL: documentURL, Kind: ranges.JSON, Default: "hooks", Read: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC),
		Services: []ranges.Service{{Name: "hooks", Takes: []ranges.Take{{List: "hooks"}}, Snapshot: setOf(t, "34.74.0.0/24")}, {Name: "web", Takes: []ranges.Take{{List: "web"}}}},
	}
	page := &ranges.Document{Name: "page", Services: []ranges.Service{{Snapshot: setOf(t, "34.74.0.0/24")}}}
	elsewhere := &ranges.Document{Name: "elsewhere", Kind: ranges.Lines, Services: make([]ranges.Service, 1)}
	on := ranges.NewKeeper(ranges.Config{Every: time.Hour})
	said := ranges.NewKeeper(ranges.Config{Every: time.Hour, URLs: map[string]string{"elsewhere": documentURL}})
	use := fetch.New(fetch.Config{}).NewUse()
	for name, c := range map[string]struct {
		keeper  *ranges.Keeper
		of      *ranges.Document
		service string
		want    error
	}{
		"no keeper":                            {nil, frozen, "", nil},
		"off":                                  {ranges.NewKeeper(ranges.Config{}), frozen, "hooks", nil},
		"no snapshot, no keeper":               {nil, document(), "", ranges.ErrRefresh},
		"no snapshot, off":                     {ranges.NewKeeper(ranges.Config{}), frozen, "web", ranges.ErrRefresh},
		"no snapshot, on":                      {on, frozen, "web", nil},
		"no such service":                      {on, frozen, "api", ranges.ErrService},
		"a service of what has none":           {on, document(), "api", ranges.ErrService},
		"a page":                               {on, page, "", nil},
		"nobody has said where":                {on, elsewhere, "", ranges.ErrURL},
		"somebody has":                         {said, elsewhere, "", nil},
		"somebody has, and nothing is fetched": {nil, elsewhere, "", ranges.ErrRefresh},
	} {
		list, err := c.keeper.List(use, name, c.of, c.service)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) || (list == nil) != (err != nil) {
			t.Errorf("%s: %v, %v", name, list, err)
		}
	}
	list, err := on.List(use, "web", frozen, "web")
	if err != nil {
		t.Fatal(err)
	}
	if in, known := list.Contains(netip.MustParseAddr("34.74.0.1"), time.Now()); in || known {
		t.Error("a list that was never fetched says something")
	}
	if s := list.Status(time.Now()); s.State != ranges.Missing || s.Healthy() {
		t.Errorf("%+v", s)
	}
	old, _ := (*ranges.Keeper)(nil).List(use, "frozen", frozen, "")
	for age, want := range map[time.Duration]ranges.State{80 * 24 * time.Hour: ranges.Snapshot, 91 * 24 * time.Hour: ranges.Stale} {
		if s := old.Status(frozen.Read.Add(age)); s.State != want || s.Age(frozen.Read.Add(age)) != age {
			t.Errorf("after %s: %+v", age, s)
		}
	}
}

// Requests, fetches, operators and tables go on together.
func TestConcurrentUse(t *testing.T) {
	s := &server{body: ten}
	fetcher := fetch.New(fetch.Config{Get: s.get, Directory: t.TempDir()})
	keeper := ranges.NewKeeper(ranges.Config{Every: time.Hour, Directory: t.TempDir()})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go fetcher.Run(ctx)
	var work sync.WaitGroup
	for n := range 4 {
		work.Go(func() {
			for i := range 50 {
				use := fetcher.NewUse()
				list, err := keeper.List(use, "example", document(), "")
				if err != nil {
					t.Error(err)
					return
				}
				fetcher.Serve(use)
				s.say(lines(1+(n*7+i*3)%30), nil)
				list.Contains(netip.MustParseAddr("34.74.0.1"), time.Now())
				if held := list.Status(time.Now()).Held; held != nil {
					_ = list.Accept(held.Digest, time.Now()) // another one may be held by now
				}
			}
		})
	}
	work.Wait()
}
