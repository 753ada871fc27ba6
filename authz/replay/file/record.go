package file

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"slices"
)

// A segment is a row of records in the form of LevelDB's log, as Prometheus'
// package wlog has it, which wrote the first versions of this one. It is cut into
// pages of 32 KiB. A record that crosses the end of a page is cut in parts:
//
//	kind 1 | length 2 | CRC-32C 4 | bytes
//
// Zeros fill what is left of a page that has no room for another part. Nothing
// crosses the end of a segment.
const (
	pageSize   = 32 << 10
	recordHead = 1 + 2 + 4
)

// The kinds of parts. Others, such as wlog's compressed ones, were never written.
const (
	partNone = iota // fills a page
	partWhole
	partFirst
	partMiddle
	partLast
)

// appendRecord appends a record in parts, as it stands at that offset of a
// segment.
func appendRecord(b, record []byte, offset int64) []byte {
	begin := len(b)
	for first := true; first || len(record) > 0; first = false {
		room := pageSize - int((offset+int64(len(b)-begin))%pageSize) - recordHead
		if room < 0 {
			b = append(b, make([]byte, room+recordHead)...)
			room = pageSize - recordHead
		}
		part := record[:min(room, len(record))]
		record = record[len(part):]
		kind := byte(partMiddle)
		switch last := len(record) == 0; {
		case first && last:
			kind = partWhole
		case first:
			kind = partFirst
		case last:
			kind = partLast
		}
		b = append(b, kind)
		b = binary.BigEndian.AppendUint16(b, uint16(len(part))) //nolint:gosec // at most a page
		b = binary.BigEndian.AppendUint32(b, crc32.Checksum(part, crcTable))
		b = append(b, part...)
	}
	return b
}

var (
	// errTorn: the segment ends within a record, as where its writer was killed.
	errTorn   = errors.New("the last record is torn")
	errRecord = errors.New("a damaged record")
)

// records reads the records of a segment.
type records struct {
	from   io.Reader
	page   []byte // what it holds of the current one
	at     int    // in it
	before int64  // bytes of the pages before
	record []byte
}

func newRecords(from io.Reader) *records {
	return &records{from: bufio.NewReaderSize(from, 1<<20), page: make([]byte, 0, pageSize)}
}

// offset is that behind the last record.
func (r *records) offset() int64 { return r.before + int64(r.at) }

// next returns the next record, which is good until the next call. It ends with
// io.EOF, errTorn, errRecord or an error of the reader, and is not called again.
func (r *records) next() ([]byte, error) {
	r.record = r.record[:0]
	for first := true; ; first = false {
		kind, part, err := r.part()
		if errors.Is(err, io.EOF) && !first {
			err = errTorn
		}
		if err != nil {
			return nil, err
		}
		if begins := kind == partWhole || kind == partFirst; begins != first {
			return nil, errRecord
		}
		r.record = append(r.record, part...)
		if kind == partWhole || kind == partLast {
			return r.record, nil
		}
	}
}

// part returns the next part, which none crosses the end of a page.
func (r *records) part() (kind byte, part []byte, err error) {
	for {
		rest := r.page[r.at:]
		if len(rest) == 0 {
			if err := r.turn(); err != nil {
				return 0, nil, err
			}
			continue
		}
		if rest[0] == partNone {
			if slices.ContainsFunc(rest, func(b byte) bool { return b != 0 }) {
				return 0, nil, errRecord
			}
			if len(r.page) < pageSize {
				return 0, nil, errTorn
			}
			r.at = len(r.page)
			continue
		}
		if rest[0] > partLast {
			return 0, nil, errRecord
		}
		if len(rest) < recordHead {
			return 0, nil, r.ends()
		}
		length := int(binary.BigEndian.Uint16(rest[1:]))
		if len(rest)-recordHead < length {
			return 0, nil, r.ends()
		}
		part = rest[recordHead:][:length]
		if crc32.Checksum(part, crcTable) != binary.BigEndian.Uint32(rest[3:]) {
			return 0, nil, errRecord
		}
		r.at += recordHead + length
		return rest[0], part, nil
	}
}

// ends is what a part means that goes beyond what there is of the page.
func (r *records) ends() error {
	if len(r.page) < pageSize {
		return errTorn
	}
	return errRecord
}

// turn goes on to the next page.
func (r *records) turn() error {
	if len(r.page) > 0 && len(r.page) < pageSize {
		return io.EOF // there was no more
	}
	r.before, r.at = r.before+int64(len(r.page)), 0
	n, err := io.ReadFull(r.from, r.page[:pageSize])
	r.page = r.page[:n]
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
