package h2

import (
	"io"
	"sync/atomic"
	"time"
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
	s.unpin(b)
	s.config.Pool.Put(b.bytes)
}

// unpin no longer counts a block as held by calls.
func (s *Server) unpin(b *block) {
	if b.pinned {
		b.pinned = false
		s.pinned.Add(-blockSize)
	}
}

// input is what has been read of a connection. It is the reader's alone.
type input struct {
	conn  *conn
	block *block
	// What is read and not yet taken.
	from, to int
	backlog  backlog
}

var _ io.Reader = (*input)(nil)

func (in *input) buffered() int { return in.to - in.from }

// fill waits until something is there.
func (in *input) fill() error {
	if in.buffered() > 0 {
		return nil
	}
	s := in.conn.server
	switch {
	case in.block == nil:
		in.block = s.newBlock()
	case in.block.refs.Load() == 1: // nobody holds it any more
		s.unpin(in.block)
		in.from, in.to = 0, 0
	case len(*in.block.bytes)-in.to < minRead:
		in.drop()
		in.block = s.newBlock()
		in.from, in.to = 0, 0
	}
	room := (*in.block.bytes)[in.to:]
	began := time.Now()
	n, err := socket{in.conn}.Read(room)
	in.backlog.read(began, time.Now(), n, n < len(room))
	in.to += n
	return err
}

// next takes at most n bytes of what is there, which are valid until more is
// read.
func (in *input) next(n int) []byte {
	n = min(n, in.buffered())
	view := (*in.block.bytes)[in.from : in.from+n : in.from+n]
	in.from += n
	return view
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
	if err := in.fill(); err != nil {
		return 0, err
	}
	return copy(p, in.next(len(p))), nil
}

// skip takes n bytes and throws them away.
func (in *input) skip(n int) error {
	for n > 0 {
		if err := in.fill(); err != nil {
			return err
		}
		n -= len(in.next(n))
	}
	return nil
}

// lend takes at most n bytes of what is there as a view of the block, which the
// call then holds. It returns none if calls hold too many blocks.
func (in *input) lend(call *Call, n int) []byte {
	s := in.conn.server
	if len(call.blocks) == 0 || call.blocks[len(call.blocks)-1] != in.block {
		if !in.block.pinned {
			if s.pinned.Add(blockSize) > s.config.Bytes/4 {
				s.pinned.Add(-blockSize)
				return nil
			}
			in.block.pinned = true
		}
		in.block.refs.Add(1)
		call.blocks = append(call.blocks, in.block)
	}
	return in.next(n)
}
