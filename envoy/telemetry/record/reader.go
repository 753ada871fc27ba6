package record

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// maxLine is in bytes. No record is as long: its texts are cut.
const maxLine = 64 << 10

// Fault is what makes a line no record.
type Fault struct {
	File         string
	Line, Column int
	// Path is the field; empty for the line as a whole.
	Path    string
	Message string
}

func (f *Fault) Error() string {
	if f.Path == "" {
		return fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, f.Message)
	}
	return fmt.Sprintf("%s:%d:%d: %s: %s", f.File, f.Line, f.Column, f.Path, f.Message)
}

// Reader reads records, one a line. It is strict about what it knows and passes over
// fields that it does not know, which a later version may write. It is not safe for
// concurrent use.
type Reader struct {
	in     *bufio.Reader
	name   string
	line   int
	long   []byte // a line that is longer than the buffer, or that is not whole yet
	record Record
	last   []byte
	texts  texts
}

// NewReader returns a reader; the name stands in its faults.
func NewReader(in io.Reader, name string) *Reader {
	return &Reader{in: bufio.NewReaderSize(in, maxLine), name: name, texts: texts{}}
}

// Next returns the next record, which is valid until the next call. A [*Fault] is a
// line that is no record; the one after it may be one. At the end comes [io.EOF]; if
// the input has grown by then, Next goes on where it was, also in the midst of a line.
// Empty lines are passed over.
func (r *Reader) Next() (*Record, error) {
	for {
		line, err := r.next()
		if err != nil {
			return nil, err
		}
		if len(line) == 0 {
			continue
		}
		r.last = line
		if f := r.parse(line); f != nil {
			f.File, f.Line = r.name, r.line
			return nil, f
		}
		return &r.record, nil
	}
}

// next returns the next line without its end. Of one that is too long, the beginning.
func (r *Reader) next() ([]byte, error) {
	for {
		part, err := r.in.ReadSlice('\n')
		if err == nil && len(r.long) == 0 {
			r.line++
			return trimmed(part), nil
		}
		if len(r.long) <= maxLine {
			r.long = append(r.long, part...)
		}
		switch {
		case err == nil:
			r.line++
			line := trimmed(r.long)
			r.long = r.long[:0]
			return line, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

// Rest is what the input ended with after its last line end, as one line: a file may
// lack the last one. It returns [io.EOF] if there is nothing.
func (r *Reader) Rest() (*Record, error) {
	line := trimmed(r.long)
	r.long = nil
	if len(line) == 0 {
		return nil, io.EOF
	}
	r.line++
	r.last = line
	if f := r.parse(line); f != nil {
		f.File, f.Line = r.name, r.line
		f.Message += "; the line has no end and may not be whole"
		return nil, f
	}
	return &r.record, nil
}

// Line is the line of the last record, as it was read, without its end. It is valid
// until the next call.
func (r *Reader) Line() []byte { return r.last }

func trimmed(line []byte) []byte {
	for n := len(line); n > 0 && (line[n-1] == '\n' || line[n-1] == '\r'); n = len(line) {
		line = line[:n-1]
	}
	return line
}
