package h2

import (
	"io"
	"time"

	"golang.org/x/net/http2"
)

// drain asks the peer to go: first a warning, and when that has come back, or
// soon, the number of the last call that is served.
func (c *conn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.draining || c.dead {
		return
	}
	c.draining = true
	if c.greeted {
		c.askToGo()
		return
	}
	// Our settings are to be the first that it gets.
	_ = c.net.SetReadDeadline(time.Now().Add(drainTime))
}

// askToGo sends the warning, with mu held.
func (c *conn) askToGo() {
	c.out = appendGoAway(c.out, maxID, http2.ErrCodeNo)
	c.out = appendPing(c.out, false, goAwayPing)
	c.flushApart()
	c.drained = time.AfterFunc(drainTime, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.sendLastGoAway()
	})
}

// sendLastGoAway sends the last GOAWAY, with mu held.
func (c *conn) sendLastGoAway() {
	if c.wentAway || c.dead {
		return
	}
	c.wentAway, c.last = true, c.latest
	c.out = appendGoAway(c.out, c.last, http2.ErrCodeNo)
	c.parting = time.AfterFunc(c.server.config.Linger, func() { close(c.leaving) })
	c.flush()
}

// closeIfIdle ends a connection that has sent its last GOAWAY and has no calls, with mu
// held. The reader ends when the peer closes, or soon.
func (c *conn) closeIfIdle() {
	if !c.wentAway || len(c.calls)+len(c.out) > 0 || c.closed.Load() {
		return
	}
	c.closed.Store(true)
	c.server.running.Add(1) // the connection counts still: its end closes it first
	go func() {             // with TLS this writes
		defer c.server.running.Done()
		c.halfClose()
		_ = c.net.SetReadDeadline(time.Now().Add(lingerTime))
	}()
}

// end sends a GOAWAY with a code and takes the connection down. Only the reader
// may call it, as its last deed.
func (c *conn) end(code http2.ErrCode) {
	c.closed.Store(true)
	c.mu.Lock()
	if code != http2.ErrCodeNo && !c.dead {
		c.out = appendGoAway(c.out, c.latest, code)
		c.flush()
	}
	c.mu.Unlock()
	if code != http2.ErrCodeNo {
		c.linger()
	}
	c.kill()
	c.mu.Lock()
	for c.flushing { // not for long: the connection is closed
		c.flushed.Wait()
	}
	for _, call := range c.unwritten { // and nobody writes any more
		if call.unsent != nil {
			c.giveUp(call)
		}
	}
	c.unwritten = nil
	calls := c.calls
	c.calls = nil
	if c.aged != nil {
		c.aged.Stop()
	}
	if c.drained != nil {
		c.drained.Stop()
	}
	if c.sweeper != nil {
		c.sweeper.Stop()
	}
	if c.parting != nil {
		c.parting.Stop()
	}
	c.mu.Unlock()
	for _, call := range calls {
		c.abandon(call)
	}
	c.input.drop()
	c.server.forget(c)
}

// linger lets the peer read what was sent: who closes a connection with unread
// data in it takes the sent data back.
func (c *conn) linger() {
	c.halfClose()
	_ = c.net.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.Copy(io.Discard, c.net)
}

func (c *conn) halfClose() {
	if half, ok := c.net.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // closed a moment later, whatever this says
	}
}

// abandon ends a call from the reader's side.
func (c *conn) abandon(call *Call) {
	call.cancel()
	if call.queue != nil {
		call.queue.end()
		return
	}
	call.receiving.Lock()
	if !call.running {
		call.release()
	}
	call.receiving.Unlock()
}

// kill closes the connection. The reader notices.
func (c *conn) kill() {
	c.mu.Lock()
	c.dead = true
	c.mu.Unlock()
	_ = c.net.Close()
}
