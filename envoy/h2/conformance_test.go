package h2

import (
	"bytes"
	"errors"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/authztest/fetched"
	"github.com/hookbastion/hookbastion/authz/authztest/leak"
)

func TestMain(m *testing.M) {
	fetched.Need(func() error { _, err := h2spec(); return err })
	leak.Main(m)
}

// h2spec is the suite that make h2spec fetches.
func h2spec() (string, error) {
	tools, err := filepath.Glob("../../.cache/h2spec-*/h2spec")
	if err != nil || len(tools) == 0 {
		return "", errors.New("no h2spec: run `make h2spec`")
	}
	return tools[0], nil
}

// plainPool makes new buffers.
type plainPool struct{}

func (plainPool) Get(n int) *[]byte {
	b := make([]byte, n)
	return &b
}

func (plainPool) Put(*[]byte) {}

// testConfig bounds little.
func testConfig() Config {
	return Config{
		MaxMessage: 1 << 20, Streams: 100, InFlight: 100, Bytes: 64 << 20, Copies: 2, Overhead: 16 << 10, Window: 64 << 10, Connections: 100,
		Pool: plainPool{}, MaxAge: time.Hour, Grace: time.Hour, Idle: time.Hour, Answer: time.Hour,
	}
}

// listen serves until the end of the test, and returns the address.
func listen(t *testing.T, s *Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		s.Wait()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if bytes, calls := s.Held(); bytes != 0 || calls != 0 {
			t.Errorf("%d bytes and %d calls are still held", bytes, calls)
		}
	})
	return l.Addr().String()
}

// The suite asks for pages, as a browser does, which a gRPC server has none of.
func TestConformance(t *testing.T) {
	tool, err := h2spec()
	if err != nil {
		t.Fatal(err)
	}
	for _, unary := range []bool{true, false} {
		config := testConfig()
		config.InFlight *= 10 // one connection may have all streams that it is told
		s := New(config)
		s.anything = &Method{Unary: unary, Serve: func(c *Call) {
			if !unary {
				for {
					if _, err := c.Receive(1 << 20); err != nil {
						break
					}
				}
			}
			c.Answer([]byte("hello"))
		}}
		_, port, err := net.SplitHostPort(listen(t, s))
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), tool, "-h", "127.0.0.1", "-p", port, "-o", strconv.Itoa(5)).CombinedOutput()
		if at := bytes.Index(out, []byte("Failures:")); err != nil || at >= 0 {
			t.Errorf("unary %v: %v\n%s", unary, err, out[max(at, 0):])
		}
		if !bytes.Contains(out, []byte("145 tests, ")) {
			t.Errorf("unary %v: not all were run\n%s", unary, out[max(len(out)-200, 0):])
		}
	}
}
