package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/hookbastion/hookbastion/envoy/telemetry/record"
)

// maxFaults is how many faults of one file are printed; the others are counted.
const maxFaults = 10

// ReadRecords reads the decision records of files, - being standard input, and gives
// each to use, which must not keep it. Of several files, which may be those of replicas
// or of days, the earliest record comes next. Lines that are no records are printed to
// w and passed over; the result is then [Invalid]. A file that cannot be read is an
// error before anything is used.
func ReadRecords(stdin io.Reader, w io.Writer, files []string, use func(*record.Record) error) error {
	return ReadRecordLines(stdin, w, files, func(r *record.Record, _ []byte) error { return use(r) })
}

// ReadRecordLines is ReadRecords that gives the line, too, as it was read.
func ReadRecordLines(stdin io.Reader, w io.Writer, files []string, use func(r *record.Record, line []byte) error) error {
	sources := make([]*recordSource, 0, len(files))
	defer func() {
		for _, s := range sources {
			s.close()
		}
	}()
	for _, name := range files {
		s, err := openRecords(stdin, w, name)
		if err != nil {
			return err
		}
		sources = append(sources, s)
	}
	for _, s := range sources {
		if err := s.next(); err != nil {
			return err
		}
	}
	for {
		s := earliest(sources)
		if s == nil {
			break
		}
		if err := use(s.record, s.reader.Line()); err != nil {
			return err
		}
		if err := s.next(); err != nil {
			return err
		}
	}
	code := Good
	for _, s := range sources {
		if s.faults > maxFaults {
			fmt.Fprintf(w, "%s: and %d more lines that are no records\n", s.name, s.faults-maxFaults)
		}
		if s.faults > 0 {
			code = Invalid
		}
	}
	if code != Good {
		return code
	}
	return nil
}

// recordSource is one file of records.
type recordSource struct {
	name   string
	reader *record.Reader
	close  func()
	w      io.Writer
	record *record.Record // the next one; nil at the end
	faults int
}

func openRecords(stdin io.Reader, w io.Writer, name string) (*recordSource, error) {
	s := &recordSource{name: name, w: w, close: func() {}}
	if name == "-" {
		s.name, s.reader = "standard input", record.NewReader(stdin, "standard input")
		return s, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	s.reader, s.close = record.NewReader(f, name), func() { _ = f.Close() } // only read
	return s, nil
}

// next reads the next record, past what is none.
func (s *recordSource) next() error {
	s.record = nil
	read := s.reader.Next
	for ended := false; ; {
		next, err := read()
		var fault *record.Fault
		switch {
		case err == nil:
			s.record = next
			return nil
		case errors.As(err, &fault):
			if s.faults++; s.faults <= maxFaults {
				fmt.Fprintln(s.w, fault)
			}
		case !errors.Is(err, io.EOF):
			return err
		case ended:
			return nil
		default: // the last line may lack its end
			ended, read = true, s.reader.Rest
		}
	}
}

func earliest(sources []*recordSource) (first *recordSource) {
	for _, s := range sources {
		if s.record != nil && (first == nil || s.record.Time.Before(first.record.Time)) {
			first = s
		}
	}
	return first
}
