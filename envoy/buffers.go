package envoy

import (
	"sync"

	"google.golang.org/grpc/mem"
)

// bufferSizes are those of frames and messages, each a pool of its own.
var bufferSizes = [...]int{256, 2 << 10, 4 << 10, 16 << 10, 32 << 10, 1 << 20}

// buffers is a pool for grpc-go. Its own default clears every buffer before it
// is filled, which is a tenth of the cost of a large body; here, as there,
// buffers are written before they are read. It is safe for concurrent use.
type buffers struct {
	pools [len(bufferSizes)]sync.Pool
}

var _ mem.BufferPool = (*buffers)(nil)

// Get returns a buffer of that length with old content.
func (b *buffers) Get(length int) *[]byte {
	for i, size := range bufferSizes {
		if length > size {
			continue
		}
		if buffer, ok := b.pools[i].Get().(*[]byte); ok {
			*buffer = (*buffer)[:length]
			return buffer
		}
		buffer := make([]byte, length, size)
		return &buffer
	}
	buffer := make([]byte, length)
	return &buffer
}

// Put takes a buffer back. It keeps those of the sizes that it makes.
func (b *buffers) Put(buffer *[]byte) {
	for i, size := range bufferSizes {
		if cap(*buffer) == size {
			b.pools[i].Put(buffer)
			return
		}
	}
}
