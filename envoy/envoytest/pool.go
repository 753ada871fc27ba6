package envoytest

import (
	"fmt"
	"sync"
)

// PoisonPool is a buffer pool for the server that overwrites what is given back,
// so that a view that outlives its call shows, and that counts what is out. It
// is safe for concurrent use.
type PoisonPool struct {
	mu    sync.Mutex
	out   map[*[]byte]int
	bytes int
	peak  int
	fault string
}

const poison = 0xdb

// Get returns a new buffer.
func (p *PoisonPool) Get(length int) *[]byte {
	buffer := make([]byte, length)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out == nil {
		p.out = map[*[]byte]int{}
	}
	p.out[&buffer] = length
	p.bytes += length
	p.peak = max(p.peak, p.bytes)
	return &buffer
}

// Put overwrites the buffer. Giving back what is not out is a fault.
func (p *PoisonPool) Put(buffer *[]byte) {
	whole := (*buffer)[:cap(*buffer)]
	for i := range whole {
		whole[i] = poison
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	n, ok := p.out[buffer]
	if !ok {
		p.fault = fmt.Sprintf("a buffer of %d bytes was given back that is not out", len(whole))
		return
	}
	delete(p.out, buffer)
	p.bytes -= n
}

// Outstanding returns the bytes that are out, the most that ever were, and
// what went wrong, if anything.
func (p *PoisonPool) Outstanding() (now, peak int, fault string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bytes, p.peak, p.fault
}
