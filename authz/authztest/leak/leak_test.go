package leak

import (
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) { Main(m) }

func TestDescriptorsThatAreLeft(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc to see them in")
	}
	before := descriptors()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if left := awaitClosed(before, 20*time.Millisecond); len(left) != 1 || !strings.Contains(left[0], "socket:") {
		t.Errorf("a listener is left, and seen is %q", left)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if left := awaitClosed(before, time.Minute); len(left) > 0 {
		t.Errorf("what is closed is still seen: %q", left)
	}
}
