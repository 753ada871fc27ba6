package h2

import (
	"errors"
	"os"
	"time"

	"golang.org/x/net/http2"
)

// socket is what the reader reads from.
type socket struct{ *conn }

// Read writes what is to be sent before it waits, so that what was answered in
// one go is written in one go. A silent peer is asked once whether it is there.
func (s socket) Read(p []byte) (int, error) {
	c := s.conn
	c.mu.Lock()
	c.flush()
	c.watch()
	c.mu.Unlock()
	for {
		c.arm()
		n, err := c.net.Read(p)
		if n > 0 {
			if c.pinged {
				c.pinged, c.readUntil = false, time.Time{}
			}
			return n, nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || c.closed.Load() {
			return 0, errors.Join(errGone, err)
		}
		if !c.gotSettings {
			c.server.met[Protocol].Add(1)
			return 0, errGone
		}
		if c.pinged {
			c.server.met[Silent].Add(1)
			return 0, errGone
		}
		c.pinged = true
		c.mu.Lock()
		c.out = appendPing(c.out, false, alive)
		c.flush()
		c.mu.Unlock()
	}
}

// arm sets the time for the next read. It is set anew only now and then.
func (c *conn) arm() {
	now := time.Now()
	config := &c.server.config
	switch {
	case c.lingering:
	case c.closed.Load():
		c.lingering = true
		_ = c.net.SetReadDeadline(now.Add(lingerTime))
	case !c.gotSettings: // the preface's time goes on
	case c.pinged:
		_ = c.net.SetReadDeadline(now.Add(config.Answer))
	case now.Add(config.Idle - min(deadlineStep, config.Idle/4)).After(c.readUntil):
		c.readUntil = now.Add(config.Idle)
		_ = c.net.SetReadDeadline(c.readUntil)
	}
	if c.closed.Load() && !c.lingering { // closed meanwhile
		c.lingering = true
		_ = c.net.SetReadDeadline(now.Add(lingerTime))
	}
}

// watch sees to it that somebody looks after calls that do not go on, with mu
// held. It costs nothing while there are none when the reader waits.
func (c *conn) watch() {
	if c.sweeping || len(c.calls) == 0 || c.dead {
		return
	}
	c.sweeping = true
	if c.sweeper == nil {
		c.sweeper = time.AfterFunc(sweepStep, c.sweep)
	} else {
		c.sweeper.Reset(sweepStep)
	}
}

// sweep ends unary calls whose message has not come in time, or whose answer
// the peer does not take.
func (c *conn) sweep() {
	now := time.Now()
	var late []*Call
	c.mu.Lock()
	c.sweeping = false
	for _, call := range c.calls {
		switch {
		case call.queue != nil || now.Before(call.until):
		case call.finishing:
			c.resetLocked(call.id, http2.ErrCodeCancel)
		default:
			late = append(late, call)
		}
	}
	c.watch()
	c.flush()
	c.mu.Unlock()
	for _, call := range late {
		call.expire()
	}
}
