package main

import (
	"io"
	"net"
	"time"
)

// storeDelay is how long the slow store takes.
const storeDelay = 20 * time.Millisecond

// delay listens on a Unix socket and passes on to another what comes, and back what is
// answered after that time. What comes together is not held up by each other.
func delay(to, socket string, by time.Duration) (string, error) {
	l, err := net.Listen("unix", socket)
	if err != nil {
		return "", err
	}
	go func() { // ends with the program
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			store, err := net.Dial("unix", to)
			if err != nil {
				_ = from.Close()
				continue
			}
			go pass(store, from, 0)
			go pass(from, store, by)
		}
	}()
	return socket, nil
}

// pass copies, each piece so long after it came, until either ends, and closes both.
func pass(to, from net.Conn, by time.Duration) {
	type piece struct {
		bytes []byte
		due   time.Time
	}
	pieces := make(chan piece, 1<<16)
	go func() {
		defer close(pieces)
		for {
			b := make([]byte, 16<<10)
			n, err := from.Read(b)
			pieces <- piece{b[:n], time.Now().Add(by)}
			if err != nil {
				return
			}
		}
	}()
	defer func() { _, _ = to.Close(), from.Close() }()
	for p := range pieces {
		time.Sleep(time.Until(p.due))
		if _, err := to.Write(p.bytes); err != nil {
			_ = from.Close()
			_, _ = io.Copy(io.Discard, from)
		}
	}
}
