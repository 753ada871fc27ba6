package records

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"os"
	"time"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/envoy/telemetry/record"
)

// How often is looked for more.
const (
	lookAtFile    = 200 * time.Millisecond
	lookAtService = time.Second
)

// followFile shows the records of a file and of those that take its place, until the
// context ends.
func (o *options) followFile(ctx context.Context, w io.Writer, out *printer, name string) error {
	t := &tail{name: name, w: w}
	if err := t.open(); err != nil {
		return err
	}
	defer t.close()
	tick := time.NewTicker(lookAtFile)
	defer tick.Stop()
	if o.last > 0 { // of what is there
		kept := &newest{most: o.last}
		if err := t.rest(o, kept.add, t.reader.Next); err != nil {
			return err
		}
		if err := kept.print(out); err != nil {
			return err
		}
	}
	for {
		if err := t.read(o, out.print); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if t.faults > 0 {
				return cli.Invalid
			}
			return nil
		}
	}
}

// show takes a record with its line.
type show func(r *record.Record, line []byte) error

// tail is a file that grows.
type tail struct {
	name   string
	w      io.Writer
	file   *os.File
	reader *record.Reader
	faults int
}

func (t *tail) open() (err error) {
	if t.file, err = os.Open(t.name); err == nil {
		t.reader = record.NewReader(t.file, t.name)
	}
	return err
}

func (t *tail) close() { _ = t.file.Close() } // only read

// read shows what has come. Where another file has the name, or the file was cut, it
// goes on with that, and what the old one ends with is a line.
func (t *tail) read(o *options, show show) error {
	replaced := t.replaced() // asked first: what came before that is read
	if err := t.rest(o, show, t.reader.Next); err != nil || !replaced {
		return err
	}
	if err := t.rest(o, show, t.reader.Rest); err != nil {
		return err
	}
	t.close()
	if err := t.open(); err != nil {
		return err
	}
	return t.rest(o, show, t.reader.Next)
}

// rest shows what there is to read now.
func (t *tail) rest(o *options, show show, next func() (*record.Record, error)) error {
	for {
		r, err := next()
		var fault *record.Fault
		switch {
		case err == nil && o.wants(r):
			if err := show(r, t.reader.Line()); err != nil {
				return err
			}
		case err == nil:
		case errors.As(err, &fault):
			t.faults++
			fmt.Fprintln(t.w, fault)
		case errors.Is(err, io.EOF):
			return nil
		default:
			return err
		}
	}
}

// replaced reports whether the name is that of another file, or of one that is shorter
// than what was read of it. Where there is none, one is awaited.
func (t *tail) replaced() bool {
	now, err := os.Stat(t.name)
	if err != nil {
		return false
	}
	ours, err := t.file.Stat()
	if err != nil {
		return false
	}
	at, err := t.file.Seek(0, io.SeekCurrent)
	return !os.SameFile(ours, now) || err == nil && now.Size() < at
}

// followService shows what is decided after the newest that was seen, until the context
// ends. A service that does not answer may be on its way back.
func (o *options) followService(ctx context.Context, w io.Writer, out *printer, query url.Values, newest string) error {
	tick := time.NewTicker(lookAtService)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		query.Set("after", newest)
		next, err := o.pages(ctx, out, query, math.MaxInt)
		switch {
		case err == nil:
			newest, failing = next, false
		case ctx.Err() != nil:
			return nil
		case !failing:
			failing = true
			fmt.Fprintf(w, "hookbastion: %v; trying again\n", err)
		}
	}
}
