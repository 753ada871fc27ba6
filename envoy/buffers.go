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
	pools [maxBufferBits - minBufferBits + 1]sync.Pool
}

// class is which pool has buffers of a length.
func class(length int) int {
	return max(bits.Len(uint(max(length-bufferRoom, 1)-1))-minBufferBits, 0)
}

// Get returns a buffer of that length with old content.
func (b *buffers) Get(length int) *[]byte {
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
	if i := class(cap(*buffer)); i < len(b.pools) && cap(*buffer) == 1<<(i+minBufferBits)+bufferRoom {
		b.pools[i].Put(buffer)
	}
}
