package monitor

import (
	"bufio"
	"crypto/sha256"
	"encoding/gob"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/hookbastion/hookbastion/authz/secret"
)

// magic begins a file with what a monitor has learned, and has the version of its form.
// Another form is not read: a monitor learns again.
const magic = "hookbastion monitor 1\n"

// maxState bounds such a file, in bytes.
const maxState = 256 << 20

// head is what a file has beside the series and the networks.
type head struct {
	Slot, Stranger int64
	Seed           [2]uint64
	Cells          int
	Series         int
	Current, Past  []Alarm
	Raised         [kindCount]int64
}

// saved is a series.
type saved struct {
	Name string
	Past past
}

// cellsAtOnce is how many places of the table of networks are written together.
const cellsAtOnce = 1 << 12

// someCells are places of the table of networks, and what stands there. The last ones are
// none.
type someCells struct {
	At []uint32
	Is []uint64
}

// Save writes what was learned to a file, which is there as a whole or not at all. The
// file has names of webhooks, ids of keys and networks in alarms, and no more than
// hashes of other networks. It can run beside decisions.
func (m *Monitor) Save(name string) (err error) {
	m.judging.Lock() // between two slots
	defer m.judging.Unlock()
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if err := errors.Join(m.write(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// write writes the magic, the state, and the digest of both.
func (m *Monitor) write(w io.Writer) error {
	sum := sha256.New()
	out := bufio.NewWriterSize(io.MultiWriter(w, sum), 1<<16)
	_, _ = out.WriteString(magic) // Flush reports it
	if err := m.encode(gob.NewEncoder(out)); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	_, err := w.Write(sum.Sum(nil))
	return err
}

func (m *Monitor) encode(to *gob.Encoder) error {
	m.mu.RLock()
	all := m.all
	m.mu.RUnlock()
	h := head{Slot: m.slot, Stranger: m.stranger, Seed: m.networks.seed, Cells: len(m.networks.cells), Series: len(all)}
	h.Current, h.Past = m.Alarms()
	h.Raised = m.Stats().Raised
	if err := errors.Join(to.Encode(&h), m.networks.encode(to)); err != nil {
		return err
	}
	for _, s := range all {
		s.mu.Lock()
		one := saved{s.name, *s.past}
		one.Past.Keys.List = append([]key(nil), s.Keys.List...)
		s.mu.Unlock()
		if err := to.Encode(&one); err != nil {
			return err
		}
	}
	return nil
}

// Load reads what was saved, for a monitor that has seen nothing yet. The time until now
// was not seen, and counts for nothing. A file that is not whole, or of another form or
// of the future, is an error, and the monitor is as new. os.ErrNotExist says that there
// is none.
func (m *Monitor) Load(name string, now time.Time) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() > maxState || info.Size() < int64(len(magic)+sha256.Size) {
		return fmt.Errorf("%s: is not a monitor's file: it has %d bytes", name, info.Size())
	}
	size := info.Size() - sha256.Size
	sum := sha256.New()
	if err := whole(io.NewSectionReader(f, 0, size), io.NewSectionReader(f, size, sha256.Size), sum); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	fresh := New(m.config)
	from := gob.NewDecoder(bufio.NewReaderSize(io.NewSectionReader(f, int64(len(magic)), size-int64(len(magic))), 1<<16))
	if err := fresh.decode(from, slotOf(now)); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	m.networks, m.all, m.slot, m.stranger, m.alarms = fresh.networks, fresh.all, fresh.slot, fresh.stranger, fresh.alarms
	m.index.used = fresh.index.used
	m.index.places.Store(fresh.index.places.Load())
	return nil
}

// whole reports whether a file begins with the magic and has the digest that stands at
// its end.
func whole(text, digest io.Reader, sum hash.Hash) error {
	begin := make([]byte, len(magic))
	if _, err := io.ReadFull(text, begin); err != nil || string(begin) != magic {
		return errors.New("is not a monitor's file, or of another version")
	}
	_, _ = sum.Write(begin) // a hash takes all
	if _, err := io.Copy(sum, text); err != nil {
		return err
	}
	want, err := io.ReadAll(digest)
	if err != nil {
		return err
	}
	if !secret.Equal(want, sum.Sum(nil)) {
		return errors.New("is not whole: its digest is another one")
	}
	return nil
}

func (m *Monitor) decode(from *gob.Decoder, now int64) error {
	var h head
	if err := from.Decode(&h); err != nil {
		return err
	}
	if h.Slot > now+1 {
		return fmt.Errorf("was written at %s, which is still to come", timeOf(h.Slot).Format(time.RFC3339))
	}
	same := h.Cells == len(m.networks.cells)
	m.networks.seed = h.Seed
	if err := m.networks.decode(from, same); err != nil {
		return err
	}
	for range min(h.Series, MaxWebhooks) {
		var one saved
		if err := from.Decode(&one); err != nil {
			return err
		}
		s := newSeries(one.Name, h.Seed)
		*s.past = one.Past
		s.open, s.nowhere = s.Open, s.Nowhere
		s.begin(now)
		s.resume(now)
		if !same { // all networks are new again
			s.Born, s.born, s.Sources = now, now/slotsAnHour, share{}
		}
		m.index.add(s)
		m.all = append(m.all, s)
	}
	m.slot, m.stranger = now, h.Stranger
	m.alarms = alarms{current: h.Current, past: h.Past, raised: h.Raised}
	return nil
}

// encode writes the places that are in use.
func (n *networks) encode(to *gob.Encoder) error {
	var some someCells
	for i := range n.cells {
		if is := n.cells[i].Load(); is != 0 {
			some.At, some.Is = append(some.At, uint32(i)), append(some.Is, is)
		}
		if len(some.At) == cellsAtOnce {
			if err := to.Encode(&some); err != nil {
				return err
			}
			some.At, some.Is = some.At[:0], some.Is[:0]
		}
	}
	if len(some.At) > 0 {
		if err := to.Encode(&some); err != nil {
			return err
		}
	}
	return to.Encode(&someCells{})
}

// decode reads them, into a table of the same size.
func (n *networks) decode(from *gob.Decoder, same bool) error {
	for {
		var some someCells
		if err := from.Decode(&some); err != nil {
			return err
		}
		if len(some.At) == 0 || len(some.At) != len(some.Is) {
			return nil
		}
		for i, at := range some.At {
			if same && int(at) < len(n.cells) {
				n.cells[at].Store(some.Is[i])
			}
		}
	}
}

// resume begins again after a time that was not seen: no pause goes on through it.
func (s *series) resume(now int64) {
	r := &s.Rhythm
	r.Owed, r.Last, r.Whole = 0, now, false
	for i := range r.Expected {
		r.Expected[i] = -1
	}
	if r.NowHour == now/slotsAnHour { // what is expected of it is made again
		r.now = r.Hours.expect(r.NowHour, s.scratch)
	}
}
