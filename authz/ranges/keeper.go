package ranges

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hookbastion/hookbastion/authz/fetch"
)

// Errors of List and Accept.
var (
	// ErrService: the document has no such service, or needs one to be named.
	ErrService = errors.New("no such service")
	// ErrRefresh: nothing is known without a fetch, and nothing is fetched.
	ErrRefresh = errors.New("its networks are not in the program, and nothing is fetched")
	// ErrURL: it is at another place for each customer, and nobody has said where.
	ErrURL = errors.New("nobody has said where it is")
	// ErrNotHeld: there is no change that waits, or it is another one by now.
	ErrNotHeld = errors.New("no such change is held")
)

// Config says what is fetched.
type Config struct {
	// Every is the time between two fetches of a document; 0: none is fetched.
	Every time.Duration
	// URLs are places by the names of documents, in place of the catalogue's.
	URLs map[string]string
	// Directory keeps what is known of changes that are held, over restarts and for
	// replicas that share it; empty: memory alone does.
	Directory string
}

// Keeper makes lists, and judges what is fetched for them. It outlives every table. A nil
// one fetches nothing. It is safe for concurrent use.
type Keeper struct {
	config Config

	mu    sync.Mutex
	holds map[string]*hold // by List.key
}

// NewKeeper returns a keeper.
func NewKeeper(c Config) *Keeper { return &Keeper{config: c, holds: map[string]*hold{}} }

// hold is a change that waits, as it is kept on disk.
type hold struct {
	Digest   string    `json:"digest"`
	Since    time.Time `json:"since"`
	Accepted bool      `json:"accepted,omitempty"`

	set    *Set // nil after a restart, until it is fetched again
	change Change
}

// Held is a change that waits.
type Held struct {
	// Digest names what the document says now.
	Digest string
	// Since is when it was seen first, Until when it counts by itself if it stays so.
	Since, Until time.Time
	Accepted     bool
	// Change is what it would change; empty after a restart, until it was fetched again.
	Change Change
	// Set is what it says; nil as well.
	Set *Set
}

// String says what waits, until when, and what an operator can do.
func (h *Held) String() string {
	why := h.Change.Why
	if why == "" {
		why = "a change that was too much when it was seen"
	}
	return fmt.Sprintf("%s; held since %s, until it has stood there for %s or is accepted", why, h.Since.UTC().Format(time.RFC3339), HoldTime)
}

// List returns what a policy calls name: a service of a document, or with an empty name of
// the service the one that counts by default. Use is that of the table. The error is
// ErrService, ErrRefresh or ErrURL.
func (k *Keeper) List(use *fetch.Use, name string, d *Document, service string) (*List, error) {
	l := &List{Name: name, of: d, service: d.Find(service), keeper: k}
	if l.service == nil {
		return nil, ErrService
	}
	url := d.URL
	if k != nil && k.config.URLs[d.Name] != "" {
		url = k.config.URLs[d.Name]
	}
	frozen := l.service.Snapshot != nil
	switch fetches := k != nil && k.config.Every > 0 && d.Kind != ""; {
	case frozen && (!fetches || url == ""):
		return l, nil
	case !fetches:
		return nil, ErrRefresh
	case url == "":
		return nil, ErrURL
	}
	l.fetched = use.Document(fetch.Source{
		URL: url, Ask: fetch.Ask{MaxBytes: MaxBytes}, Kind: "ranges " + l.key(),
		Parse: func(body []byte, _ time.Time) (any, error) { return l.service.Parse(d.Kind, body) },
		Judge: func(last *fetch.Version, value any, now time.Time) error { return k.judge(l, last, value, now) },
		Every: k.config.Every, Fallback: frozen, MaxStale: -1,
	})
	return l, nil
}

// key names the list among others, whatever the policy calls it.
func (l *List) key() string {
	if l.service.Name == "" {
		return l.of.Name
	}
	return l.of.Name + "." + l.service.Name
}

// judge says why what was fetched must not count yet.
func (k *Keeper) judge(l *List, last *fetch.Version, value any, now time.Time) error {
	next, ok := value.(*Set)
	if !ok {
		return ErrNothing
	}
	base, _ := l.newest(last)
	if base == nil {
		return nil // nothing to compare it with
	}
	change := Compare(base, next) // of long lists it takes a while
	k.mu.Lock()
	defer k.mu.Unlock()
	h := k.known(l, last, next.Digest(), now)
	if h == nil || h.Digest != next.Digest() {
		h = &hold{Digest: next.Digest(), Since: now}
	}
	if change.Why == "" || h.Accepted || now.Sub(h.Since) >= HoldTime {
		k.forget(l.key())
		return nil
	}
	h.set, h.change = next, change
	k.holds[l.key()] = h
	held := h.held()
	if err := k.write(l.key(), h); err != nil {
		return fmt.Errorf("%s; a restart forgets since when: %w", held, err)
	}
	return errors.New(held.String())
}

func (h *hold) held() *Held {
	return &Held{Digest: h.Digest, Since: h.Since, Until: h.Since.Add(HoldTime), Accepted: h.Accepted, Change: h.change, Set: h.set}
}

// known is the change of a list that waits. One that was seen before the old document
// was confirmed again has not stood there all the time, and is none; a confirmation of a time
// to come is of a clock that was wrong, and says nothing. What another replica has noted
// counts as well, if it is the change that was asked for, or nothing is known here: one that
// reads another document, or an older copy, must not keep this one from its day.
func (k *Keeper) known(l *List, last *fetch.Version, digest string, now time.Time) *hold {
	h := k.holds[l.key()]
	if kept := k.read(l.key()); kept != nil {
		switch {
		case h == nil || h.Digest != kept.Digest && kept.Digest == digest:
			h = kept
		case h.Digest == kept.Digest && (kept.Accepted || kept.Since.Before(h.Since)):
			h.Accepted, h.Since = h.Accepted || kept.Accepted, kept.Since
		}
	}
	if h == nil || last != nil && last.Confirmed.After(h.Since) && !last.Confirmed.After(now) {
		return nil
	}
	if h.Since.After(now) {
		h.Since = now
	}
	return h
}

func (k *Keeper) held(l *List, last *fetch.Version, now time.Time) *Held {
	k.mu.Lock()
	defer k.mu.Unlock()
	h := k.known(l, last, "", now)
	if h == nil {
		return nil
	}
	return h.held()
}

// accept notes that a change may count.
func (k *Keeper) accept(l *List, digest string, last *fetch.Version, now time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	h := k.known(l, last, digest, now)
	if h == nil || h.Digest != digest {
		return ErrNotHeld
	}
	h.Accepted = true
	k.holds[l.key()] = h
	return k.write(l.key(), h)
}

// forget is called where nothing waits any more.
func (k *Keeper) forget(name string) {
	delete(k.holds, name)
	if k.config.Directory != "" {
		_ = os.Remove(k.file(name)) // or it is not there; one that stays is too old to count
	}
}

// file is where a change is noted. Names are the catalogue's, of letters, digits, - and _.
func (k *Keeper) file(name string) string { return filepath.Join(k.config.Directory, name+".held") }

// maxHold is the size of the largest file, in bytes.
const maxHold = 4 << 10

func (k *Keeper) read(name string) *hold {
	if k.config.Directory == "" {
		return nil
	}
	info, err := os.Stat(k.file(name))
	if err != nil || info.Size() > maxHold {
		return nil
	}
	text, err := os.ReadFile(k.file(name))
	h := &hold{}
	if err != nil || json.Unmarshal(text, h) != nil || h.Digest == "" || h.Since.IsZero() {
		return nil
	}
	return h
}

// write puts the file in the place of the one before, in one step.
func (k *Keeper) write(name string, h *hold) (err error) {
	if k.config.Directory == "" {
		return nil
	}
	if err := os.MkdirAll(k.config.Directory, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(k.config.Directory, "new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name()) // the first error counts
		}
	}()
	err = json.NewEncoder(file).Encode(h)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), k.file(name))
}
