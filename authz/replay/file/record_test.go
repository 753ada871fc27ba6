package file

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"testing"
)

// someRecords have all lengths around the end of a page and of two.
func someRecords(round int) (records [][]byte) {
	for n, length := range []int{0, 1, 6, 7, 8, 100, pageSize - 8, pageSize - 7, pageSize - 6, pageSize, 2*pageSize - 14, 2*pageSize - 13, 3 * pageSize} {
		r := make([]byte, length+round)
		for i := range r {
			r[i] = byte(i*7 + n + 13*round + 1)
		}
		records = append(records, r)
	}
	return records
}

// A segment has byte for byte the form that Prometheus' wlog gives it, which wrote
// the first versions: the digest is that of what its v0.315.1 made of these records.
func TestSegmentIsWlogs(t *testing.T) {
	const wlogs = "5497ed1ec23d70c5da90ecf530a2edebc8382d725e4a422d3bf6c2ae946bc85a"
	var segment []byte
	for round := range 40 {
		for _, r := range someRecords(round) {
			segment = appendRecord(segment, r, int64(len(segment)))
		}
	}
	if sum := sha256.Sum256(segment); hex.EncodeToString(sum[:]) != wlogs {
		t.Errorf("%d bytes with the digest %x", len(segment), sum)
	}
}

// Of a segment that is cut short, all whole records are read, and then that it
// ends, or that it is torn.
func TestSegmentThatIsCut(t *testing.T) {
	for round := range 9 {
		written := someRecords(round)
		var segment []byte
		var begins, ends []int
		for _, r := range written {
			begins = append(begins, len(segment))
			segment = appendRecord(segment, r, int64(len(segment)))
			ends = append(ends, len(segment))
		}
		for i := range written {
			for _, cut := range []int{begins[i], begins[i] + 1, begins[i] + recordHead - 1, (begins[i] + ends[i]) / 2, ends[i] - 1, ends[i]} {
				whole, want := i, errTorn
				switch {
				case cut == ends[i]:
					whole, want = i+1, io.EOF
				case cut == begins[i]:
					want = io.EOF
				}
				r := newRecords(bytes.NewReader(segment[:cut]))
				for n := range whole {
					if got, err := r.next(); err != nil || !bytes.Equal(got, written[n]) || r.offset() != int64(ends[n]) {
						t.Fatalf("round %d, record %d: %d bytes up to %d, want %d up to %d: %v", round, n, len(got), r.offset(), len(written[n]), ends[n], err)
					}
				}
				if got, err := r.next(); got != nil || !errors.Is(err, want) {
					t.Errorf("round %d, record %d of %d bytes, %d of them there: %v, want %v", round, i, ends[i]-begins[i], cut-begins[i], err, want)
				}
			}
		}
	}
}
