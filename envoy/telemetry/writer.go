package telemetry

import (
	"bytes"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// maxPending is how many bytes of records may wait to be written. Beyond it
// they are dropped and counted: a slow disk must not slow down decisions.
const maxPending = 4 << 20

// gather is the least time from one write to the next, so that a busy service writes its
// records by tens. With the time that a write takes it is what a crash can lose of them:
// one that comes alone is handed to the system at once.
const gather = time.Millisecond

// Writer gathers records in memory and writes them in one goroutine, which no decision
// waits for. What is written is the system's, so that the end of the process takes
// nothing of it. It is safe for concurrent use.
type Writer struct {
	out     io.Writer
	mu      sync.Mutex
	pending []byte
	spare   []byte
	wake    chan struct{}
	awake   bool // the writer looks again by itself
	closing chan struct{}
	done    chan struct{}
	closed  bool
	dropped atomic.Int64 // records
	cut     bool         // the last line that was written has no end
	// unsaid are the decisions that these were of, or that they told of, of which
	// nothing is written yet. The first was lost at lostFrom.
	unsaid   int64
	lostFrom time.Time
	say      func(lost int64, from time.Time) []byte
}

// NewWriter returns a writer to out. Close ends it.
func NewWriter(out io.Writer) *Writer {
	w := &Writer{out: out, wake: make(chan struct{}, 1), closing: make(chan struct{}), done: make(chan struct{})}
	go w.run()
	return w
}

// write appends one record.
func (w *Writer) write(record []byte) {
	w.mu.Lock()
	defer w.mu.Unlock() // Close must not come before the wake
	if w.closed || len(w.pending) > maxPending {
		w.lose(record)
		return
	}
	w.pending = append(w.pending, record...)
	if !w.awake {
		w.awake = true
		w.wake <- struct{}{} // there is room for one, and it is taken before the next
	}
}

// run writes at once what comes after a pause, and then again and again what has gathered,
// until nothing has.
func (w *Writer) run() {
	defer close(w.done)
	wait := time.NewTimer(gather)
	defer wait.Stop()
	for range w.wake {
		for w.flush() {
			wait.Reset(gather)
			select {
			case <-wait.C:
			case <-w.closing:
			}
		}
	}
	w.flush()
}

// flush writes what has gathered. If that is nothing, it reports so, and the next record
// wakes the writer.
func (w *Writer) flush() bool {
	w.mu.Lock()
	batch := w.pending
	w.awake = len(batch) > 0
	if !w.awake {
		w.mu.Unlock()
		return false
	}
	w.pending, w.spare = w.spare[:0], nil
	w.mu.Unlock()
	if line := w.written(batch, w.put(batch)); line != nil {
		if lost := w.put(line); len(lost) > 0 {
			w.mu.Lock()
			w.lose(lost)
			w.mu.Unlock()
		}
	}
	return true
}

// put writes lines and returns those that are not written as a whole. A disk that is full
// takes a part; the line that it has cut is ended before the next one.
func (w *Writer) put(lines []byte) (lost []byte) {
	if len(lines) == 0 {
		return nil
	}
	if w.cut {
		if _, err := w.out.Write([]byte{'\n'}); err != nil {
			return lines
		}
		w.cut = false
	}
	n, err := w.out.Write(lines)
	if err == nil {
		return nil
	}
	n = max(0, min(n, len(lines)))
	whole := bytes.LastIndexByte(lines[:n], '\n') + 1
	w.cut = whole < n
	return lines[whole:]
}

// written notes what was lost of a batch, and returns the line that tells of what was
// lost before, where it can now be written.
func (w *Writer) written(batch, lost []byte) (line []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.spare = batch[:0]
	if len(lost) > 0 {
		w.lose(lost)
		return nil
	}
	if w.unsaid == 0 || w.say == nil {
		return nil
	}
	line = w.say(w.unsaid, w.lostFrom)
	w.unsaid, w.lostFrom = 0, time.Time{}
	return line
}

// lose counts lines that are not written. The lock is held.
func (w *Writer) lose(lines []byte) {
	for line := range bytes.Lines(lines) {
		if n := saidBy(line); n > 0 {
			w.unsaid += n
			continue
		}
		w.unsaid++
		w.dropped.Add(1)
	}
	if w.lostFrom.IsZero() {
		w.lostFrom = time.Now()
	}
}

// saying sets what makes the line that tells of lost decisions.
func (w *Writer) saying(say func(lost int64, from time.Time) []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.say = say
}

// Close writes what is pending and ends the writer.
func (w *Writer) Close() {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.wake)
		close(w.closing)
	}
	w.mu.Unlock()
	<-w.done
}
