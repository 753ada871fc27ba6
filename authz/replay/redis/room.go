package redis

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz/replay"
)

const (
	// timesFree is how many times what is left free a webhook may take, reserve
	// which part of the room is for those that have less than the least part of
	// it: so many webhooks find some when all else is taken.
	timesFree, reserve, least = 4, 16, 256
	// bytesPerNonce is what one takes whose outcome is open, and tableBytes what
	// Redis takes at once for each key when its two tables have become too small
	// and are doubled.
	bytesPerNonce, tableBytes = 330, 32
	// ages is in how many parts of the longest life the nonces of a webhook are
	// counted: one leaves its partition that much later than Redis.
	ages = 8
)

// room is what a shard's server has said of itself.
type room struct {
	server string // its run_id
	// keys is how many keys it has room for, those that it has included; 0 if it
	// has no limit.
	keys int64
}

// readRoom reads what INFO says of the server, its memory and its keys.
func readRoom(server, info string, database int) room {
	r := room{server: infoField(server, "run_id")}
	limit := infoNumber(info, "maxmemory")
	if limit == 0 {
		return r
	}
	used := infoNumber(info, "used_memory") - infoNumber(info, "mem_not_counted_for_evict")
	_, keys, _ := strings.Cut(infoField(info, "db"+strconv.Itoa(database)), "keys=")
	keys, _, _ = strings.Cut(keys, ",")
	has, _ := strconv.ParseInt(keys, 10, 64) // an empty database is not told
	r.keys = max(1, roomKeys(has, limit-used))
	return r
}

// roomKeys is how many keys there can be where there are some, and so many bytes
// are free.
func roomKeys(has, free int64) int64 {
	for size := int64(4); ; size *= 2 {
		if has > size {
			continue
		}
		if has+free/bytesPerNonce <= size {
			return has + free/bytesPerNonce
		}
		free -= (size-has)*bytesPerNonce + size*tableBytes
		if has = size; free <= 0 {
			return has
		}
	}
}

func infoNumber(info, name string) int64 {
	n, _ := strconv.ParseInt(infoField(info, name), 10, 64) // what is not told is 0
	return n
}

// shareSlots counts the shards that a server has: they have its room together.
// The caller holds probing.
func (s *Store) shareSlots() {
	on := map[string]int32{}
	for _, sh := range s.shards {
		if r := sh.room.Load(); r != nil {
			on[r.server]++
		}
	}
	for _, sh := range s.shards {
		if r := sh.room.Load(); r != nil {
			sh.neighbours.Store(on[r.server])
		}
	}
}

// roomFor is what a reservation says of the webhook's partition: whose it is, how many
// seconds are counted as one, the room in keys, and how many shards there are on
// the server.
func (s *Store) roomFor(nonce *replay.Nonce, sh *shard) [4]string {
	id := sha256.Sum256([]byte(nonce.Webhook))
	seconds := max(1, int64(nonce.Span/time.Second)/ages)
	keys, slots := int64(0), int64(len(s.shards))
	if r := sh.room.Load(); r != nil {
		keys = r.keys
	}
	if n := sh.neighbours.Load(); n > 0 {
		slots = int64(n)
	}
	return [...]string{
		hex.EncodeToString(id[:partitionID]), strconv.FormatInt(seconds, 10),
		strconv.FormatInt(keys, 10), strconv.FormatInt(slots, 10),
	}
}

// partitionID is in bytes: two webhooks seldom have one partition.
const partitionID = 5
