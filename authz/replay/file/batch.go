package file

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"

	"github.com/hookbastion/hookbastion/authz/replay/memory"
)

// A batch is what one write holds: one record of the log.
//
//	version 1 | length 4 | number 8 | synced 8 | base 8 | latest 8 | items | CRC-32C 4
//
// The log's own checksum covers neither the length nor the kind of a record,
// and says nothing of records that are missing. The first byte is also what
// keeps a record that a flipped bit declares compressed from being unpacked to
// more than a byte.
const (
	batchVersion = 1
	headerSize   = 1 + 4 + 8 + 8 + 8 + 8
	crcSize      = 4
)

// The kinds of items: a partition's name, and an entry.
const (
	itemPartition = 1
	itemTenant    = 2 // a tenant's partition, with its webhook's name
	itemEntry     = 3
)

var crcTable = crc32.MakeTable(crc32.Castagnoli)

// header is what a batch says of the log.
type header struct {
	// number counts batches without a gap.
	number uint64
	// synced is the last batch that was known to be on the disk.
	synced uint64
	// base is the first segment that is needed.
	base uint64
	// latest is the latest time that the store had been told.
	latest int64
}

// appendHeader makes room for the header.
func appendHeader(b []byte) []byte { return append(b, make([]byte, headerSize)...) }

// seal fills in the header and appends the checksum.
func seal(b []byte, h header) []byte {
	b[0] = batchVersion
	binary.LittleEndian.PutUint32(b[1:], uint32(len(b)+crcSize))
	binary.LittleEndian.PutUint64(b[5:], h.number)
	binary.LittleEndian.PutUint64(b[13:], h.synced)
	binary.LittleEndian.PutUint64(b[21:], h.base)
	binary.LittleEndian.PutUint64(b[29:], uint64(h.latest))
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, crcTable))
}

var errBatch = errors.New("a batch with a wrong checksum")

// open checks a batch and returns its items.
func open(b []byte) (h header, items []byte, err error) {
	if len(b) < headerSize+crcSize || b[0] != batchVersion || int(binary.LittleEndian.Uint32(b[1:])) != len(b) {
		return h, nil, errBatch
	}
	end := len(b) - crcSize
	if binary.LittleEndian.Uint32(b[end:]) != crc32.Checksum(b[:end], crcTable) {
		return h, nil, errBatch
	}
	h.number = binary.LittleEndian.Uint64(b[5:])
	h.synced = binary.LittleEndian.Uint64(b[13:])
	h.base = binary.LittleEndian.Uint64(b[21:])
	h.latest = int64(binary.LittleEndian.Uint64(b[29:]))
	return h, b[headerSize:end], nil
}

// appendPartition appends a partition's name.
func appendPartition(b []byte, e *memory.Entry) []byte {
	kind := byte(itemPartition)
	if e.Tenant {
		kind = itemTenant
	}
	b = append(b, kind)
	b = binary.LittleEndian.AppendUint64(b, e.Partition)
	b = binary.AppendUvarint(b, uint64(len(e.Webhook)))
	return append(b, e.Webhook...)
}

// appendEntry appends an entry, whose partition must be named before it.
func appendEntry(b []byte, e *memory.Entry) []byte { return e.AppendTo(append(b, itemEntry)) }

type partitionName struct {
	webhook string
	tenant  bool
}

// reader takes the items of batches in.
type reader struct {
	memory     *memory.Store
	now        time.Time
	partitions map[uint64]partitionName
	entries    int64
	settled    bool // a delivery is known to have been taken
}

var errItem = errors.New("a batch that cannot be read, from another version of the service?")

func (r *reader) take(items []byte) error {
	for len(items) > 0 {
		kind := items[0]
		items = items[1:]
		switch kind {
		case itemPartition, itemTenant:
			if len(items) < 8 {
				return errItem
			}
			id := binary.LittleEndian.Uint64(items)
			n, size := binary.Uvarint(items[8:])
			if size <= 0 || n > uint64(len(items)-8-size) {
				return errItem
			}
			name := items[8+size:][:n]
			r.partitions[id] = partitionName{string(name), kind == itemTenant}
			items = items[8+size+int(n):]
		case itemEntry:
			e, rest, err := memory.ReadEntry(items)
			if err != nil {
				return errItem
			}
			name, ok := r.partitions[e.Partition]
			if !ok {
				return errItem
			}
			e.Webhook, e.Tenant = name.webhook, name.tenant
			r.memory.Restore(&e, r.now)
			r.settled = r.settled || e.Delivered()
			r.entries++
			items = rest
		default:
			return errItem
		}
	}
	return nil
}

// holdsBatch looks for a batch anywhere in what lies behind damage, and returns
// the highest number that any of them says to be on the disk.
func holdsBatch(b []byte) (found bool, synced uint64) {
	for len(b) >= headerSize+crcSize {
		if b[0] == batchVersion {
			if n := binary.LittleEndian.Uint32(b[1:]); int64(n) <= int64(len(b)) {
				if h, _, err := open(b[:n]); err == nil {
					found, synced = true, max(synced, h.synced)
					b = b[n:]
					continue
				}
			}
		}
		b = b[1:]
	}
	return found, synced
}
