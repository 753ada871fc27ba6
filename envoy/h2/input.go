package h2

import (
	"io"
	"sync/atomic"
)

const (
	// blockSize takes several frames, so that many small calls need one system
	// call.
	blockSize = 64 << 10
	// minRead is the room that is left for a read. With less, a new block is taken.
	minRead = maxFrame
)

// block is memory that was read into. Large messages are not copied out of it:
// they hold it until they have been served.
type block struct {
	bytes  *[]byte
	refs   atomic.Int32 // the reader and calls
	pinned bool         // a call has held it
}

// newBlock returns a block that the reader holds.
func (s *Server) newBlock() *block {
	b := &block{bytes: s.config.Pool.Get(blockSize)}
	b.refs.Store(1)
	return b
}

// letGo gives a reference back, and the memory with the last one.
func (s *Server) letGo(b *block) {
	if b.refs.Add(-1) > 0 {
		return
	}
	if b.pinned {
		s.pinned.Add(-blockSize)
	}
	s.config.Pool.Put(b.bytes)
}

// input is what has been read of a connection. It is the reader's alone.
type input struct {
	conn  *conn
	block *block
	// What is read and not yet taken.
	from, to int
}

var _ io.Reader = (*input)(nil)

func (in *input) buffered() int { return in.to - in.from }

// fill reads more. What is there is moved if there is no room behind it.
func (in *input) fill() error {
	if in.block == nil {
		in.block = in.conn.server.newBlock()
	}
	space := *in.block.bytes
	shared := in.block.refs.Load() > 1
	switch {
	case in.from == in.to && !shared:
		in.from, in.to = 0, 0
	case len(space)-in.to >= minRead:
	case !shared:
		in.to = copy(space, space[in.from:in.to])
		in.from = 0
	default:
		next := in.conn.server.newBlock()
		in.to = copy(*next.bytes, space[in.from:in.to])
		in.from = 0
		in.drop()
		in.block, space = next, *next.bytes
	}
	n, err := socket{in.conn}.Read(space[in.to:])
	in.to += n
	return err
}

// drop lets the block go.
func (in *input) drop() {
	if in.block != nil {
		in.conn.server.letGo(in.block)
		in.block = nil
	}
}

// Read takes at most len(p) bytes.
func (in *input) Read(p []byte) (int, error) {
	if in.buffered() == 0 {
		if err := in.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, (*in.block.bytes)[in.from:in.to])
	in.from += n
	return n, nil
}

// skip takes n bytes and throws them away.
func (in *input) skip(n int) error {
	for n > 0 {
		if in.buffered() == 0 {
			if err := in.fill(); err != nil {
				return err
			}
		}
		m := min(n, in.buffered())
		in.from += m
		n -= m
	}
	return nil
}

// lend takes at most n bytes as a view of the block, which the call then
// holds. It returns none if calls hold too many blocks.
func (in *input) lend(call *Call, n int) ([]byte, error) {
	if in.buffered() == 0 {
		if err := in.fill(); err != nil {
			return nil, err
		}
	}
	s := in.conn.server
	if len(call.blocks) == 0 || call.blocks[len(call.blocks)-1] != in.block {
		if !in.block.pinned {
			if s.pinned.Add(blockSize) > s.config.Bytes/4 {
				s.pinned.Add(-blockSize)
				return nil, nil
			}
			in.block.pinned = true
		}
		in.block.refs.Add(1)
		call.blocks = append(call.blocks, in.block)
	}
	n = min(n, in.buffered())
	view := (*in.block.bytes)[in.from : in.from+n : in.from+n]
	in.from += n
	return view, nil
}
