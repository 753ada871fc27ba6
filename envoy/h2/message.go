package h2

import (
	"encoding/binary"
	"errors"
	"io"
	"time"
)

const (
	// firstRead is how much memory a message gets in advance.
	firstRead = 4 << 10
	// messageTime is how long a message of a call that is not unary may take, from
	// its prefix on.
	messageTime = 10 * time.Second
)

var (
	errCompressed = errors.New("compressed message")
	errLate       = errors.New("half a message")
)

// Receive returns the next message of a call that is not unary, which is valid
// until the next one is asked for. The error is io.EOF after the last one, and
// ErrLeaving once where a lasting call is to end. What is longer than the limit in
// bytes, or finds no room beside the messages of other such calls, which have a
// quarter of the byte budget, is thrown away: ErrTooLarge.
func (c *Call) Receive(limit int) ([]byte, error) {
	c.letGo()
	var prefix [prefixSize]byte
	if c.method.Lasting {
		if err := c.await(); err != nil {
			return nil, err
		}
	}
	if _, err := io.ReadFull(c.queue, prefix[:]); err != nil {
		return nil, err
	}
	if prefix[0] != 0 {
		return nil, errCompressed
	}
	c.queue.begin()
	defer c.queue.over()
	size := int64(binary.BigEndian.Uint32(prefix[1:]))
	if size > int64(limit) {
		return nil, c.throwAway(size)
	}
	// Memory is taken for what has come, not for what is announced.
	var message []byte
	for int64(len(message)) < size {
		if len(message) == cap(message) {
			more := min(size-int64(len(message)), max(int64(len(message)), firstRead))
			if !c.hold(more) {
				return nil, c.throwAway(size - int64(len(message)))
			}
			message = append(make([]byte, 0, int64(len(message))+more), message...) // no more than that
		}
		n, err := c.queue.Read(message[len(message):min(int64(cap(message)), size)])
		if message = message[:len(message)+n]; errors.Is(err, io.EOF) {
			return nil, io.ErrUnexpectedEOF
		} else if err != nil {
			return nil, err
		}
	}
	return message, nil
}

// throwAway takes the rest of a message.
func (c *Call) throwAway(n int64) error {
	c.conn.server.met[StreamMessage].Add(1)
	c.letGo()
	if _, err := io.CopyN(io.Discard, c.queue, n); err != nil {
		return err
	}
	return ErrTooLarge
}

// hold counts memory for a message, if there is room.
func (c *Call) hold(n int64) bool {
	s := c.conn.server
	if s.lasting.Add(n) > s.config.Bytes/4 {
		s.lasting.Add(-n)
		return false
	}
	s.budget.give(-n)
	c.holding += n
	return true
}

// letGo gives back what the last message held.
func (c *Call) letGo() {
	c.conn.server.lasting.Add(-c.holding)
	c.conn.server.budget.give(c.holding)
	c.holding = 0
}

// begin notes that a message has begun, which must come in its time.
func (q *queue) begin() { q.within = true }

// over notes that it is there.
func (q *queue) over() {
	q.within = false
	if q.late != nil {
		q.late.Stop()
		q.late = nil
	}
}
