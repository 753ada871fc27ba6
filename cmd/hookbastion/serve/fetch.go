package serve

import (
	"crypto/x509"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/hookbastion/hookbastion/authz/fetch"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
)

// newFetcher makes what fetches keys and other documents, and the authorities that
// certificates among them are checked by; nil for those of the machine.
func newFetcher(s *settings.Fetch, log *slog.Logger) (*fetch.Fetcher, *x509.CertPool, error) {
	roots, err := s.Roots()
	if err != nil {
		return nil, nil, fmt.Errorf("fetch.ca: %w", err)
	}
	client := fetch.NewClient(fetch.ClientConfig{
		AllowPrivate: s.AllowPrivate, Roots: roots, Proxy: s.Proxy, Timeout: s.Timeout, UserAgent: "hookbastion/" + cli.Version,
	})
	l := newSecretLog(log)
	return fetch.New(fetch.Config{Get: client.Get, Directory: s.Directory, MaxStale: s.MaxStale, OnEvent: l.fetched}), roots, nil
}

// fetched says what began to fail, and what is good again. What a request named is
// no fault of ours, and a stranger's text.
func (l *secretLog) fetched(e fetch.Event) {
	if !l.allow(time.Now()) {
		return
	}
	switch {
	case e.Err == nil:
		l.log.Info("fetched", "url", e.URL)
	case e.Asked:
		l.log.Info("not fetched: a request named it as its key", "url", strconv.Quote(e.URL), "error", e.Err.Error())
	case e.Held && fetch.FailureOf(e.Err) == fetch.Held:
		l.log.Warn("a change of published addresses is held, what was good last stays; see hookbastion ranges diff and accept", "url", e.URL, "error", e.Err.Error())
	case e.Held:
		l.log.Warn("not fetched, what was good last stays", "url", e.URL, "error", e.Err.Error())
	default:
		l.log.Error("not fetched, and there is no last good one: deliveries that need it get 503", "url", e.URL, "error", e.Err.Error())
	}
}

// missing counts the documents of which nothing counts.
func missing(f *fetch.Fetcher) int {
	n := 0
	for _, s := range f.Stats(time.Now()).Sources {
		if !s.Counts {
			n++
		}
	}
	return n
}

// fetchedNow is what operators are told of the documents of providers.
func fetchedNow(f *fetch.Fetcher, now time.Time) []cli.Fetched {
	all := []cli.Fetched{}
	for _, s := range f.Stats(now).Sources {
		known := cli.Fetched{Source: s.Name, URL: s.URL, State: "current", Failure: s.Detail}
		switch {
		case !s.Counts:
			known.State = "missing"
		case s.Failures > 0:
			known.State = "failing"
		}
		if !s.Confirmed.IsZero() {
			confirmed, changed := s.Confirmed.UTC(), s.Changed.UTC()
			known.Confirmed, known.Changed = &confirmed, &changed
		}
		all = append(all, known)
	}
	return all
}
