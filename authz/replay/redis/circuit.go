package redis

import "sync/atomic"

// tolerated is how many calls in a row may fail before the circuit opens.
const tolerated = 3

// circuit keeps calls from a server that does not answer. Calls open it; only a
// probe closes it. The zero value is closed.
type circuit struct {
	failures atomic.Int32
	reason   atomic.Pointer[error] // nil: closed
}

// err returns why the circuit is open, or nil.
func (c *circuit) err() error {
	if reason := c.reason.Load(); reason != nil {
		return *reason
	}
	return nil
}

// open reports whether it was closed.
func (c *circuit) open(reason error) bool { return c.reason.Swap(&reason) == nil }

// failed counts a failure and reports whether that opened the circuit.
func (c *circuit) failed(reason error) bool {
	return c.failures.Add(1) >= tolerated && c.open(reason)
}

func (c *circuit) succeeded() {
	if c.failures.Load() != 0 {
		c.failures.Store(0)
	}
}

// close reports whether it was open.
func (c *circuit) close() bool {
	c.failures.Store(0)
	return c.reason.Swap(nil) != nil
}
