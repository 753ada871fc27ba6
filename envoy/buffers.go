package envoy

import (
	"math/bits"
	"sync"
)

// Sizes of buffers: a power of two, and room for the headers beside a body of
// that size.
const (
	minBufferBits = 11
	maxBufferBits = 23
	bufferRoom    = 8 << 10
)

// buffers is a pool for received messages, which are written before they are
// read: buffers are not cleared. It is safe for concurrent use.
type buffers struct {
	pools  [maxBufferBits - minBufferBits + 1]sync.Pool
	blocks blocks
}

const (
	// blockBytes is the size of what connections read into.
	blockBytes = 64 << 10
	// arenaBytes is taken from the system at once, and maxArenas how often.
	arenaBytes = 8 << 20
	maxArenas  = 16
	hugePage   = 2 << 20
)

// blocks hands out blocks from large pages, so that to walk through many costs
// fewer look-ups of addresses. What was given back last is handed out first.
type blocks struct {
	mu     sync.Mutex
	free   []*[]byte
	arenas int
}

// get returns a block, or nil if there are enough.
func (b *blocks) get() *[]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.free) == 0 && b.arenas < maxArenas {
		b.arenas++
		for rest := pages(arenaBytes); len(rest) > 0; rest = rest[blockBytes:] {
			block := rest[:blockBytes:blockBytes]
			b.free = append(b.free, &block)
		}
	}
	if len(b.free) == 0 {
		return nil
	}
	block := b.free[len(b.free)-1]
	b.free = b.free[:len(b.free)-1]
	return block
}

func (b *blocks) put(block *[]byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free = append(b.free, block)
}

// class is which pool has buffers of a length.
func class(length int) int {
	return max(bits.Len(uint(max(length-bufferRoom, 1)-1))-minBufferBits, 0)
}

// Get returns a buffer of that length with old content.
func (b *buffers) Get(length int) *[]byte {
	if length == blockBytes {
		if block := b.blocks.get(); block != nil {
			return block
		}
	}
	i := class(length)
	if i >= len(b.pools) {
		buffer := make([]byte, length)
		return &buffer
	}
	if buffer, ok := b.pools[i].Get().(*[]byte); ok {
		*buffer = (*buffer)[:length]
		return buffer
	}
	buffer := make([]byte, length, 1<<(i+minBufferBits)+bufferRoom)
	return &buffer
}

// Put takes a buffer back, if Get has made it.
func (b *buffers) Put(buffer *[]byte) {
	if cap(*buffer) == blockBytes {
		b.blocks.put(buffer)
		return
	}
	if i := class(cap(*buffer)); i < len(b.pools) && cap(*buffer) == 1<<(i+minBufferBits)+bufferRoom {
		b.pools[i].Put(buffer)
	}
}
