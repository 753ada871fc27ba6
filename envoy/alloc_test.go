//go:build !race

package envoy_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/envoy"
)

// The race detector allocates where the program does not.

// With records, metrics and a trace that is not sampled: the decision id, and
// the list of the trace's parents.
const maxAllocations = 2

func TestAllocationsFromBytesToBytes(t *testing.T) {
	table := policies(t)
	s := service(table)
	s.Telemetry = observed(t)
	ctx, out := tracedCalls()(1), make([]byte, 0, 4<<10)
	for _, webhook := range []string{"github", "stripe", "gitlab"} {
		for _, message := range fresh(t, table, webhook, 200, 2000) { // the nonce store grows, too
			out, _ = s.AnswerChunks(ctx, message, out[:0])
		}
		for _, size := range []int{1 << 10, 1 << 20} {
			const runs = 50
			messages, next := fresh(t, table, webhook, size, runs+1), 0
			n := testing.AllocsPerRun(runs, func() {
				out, _ = s.AnswerChunks(ctx, messages[next], out[:0])
				next++
			})
			if a := decode(t, out); !a.allowed {
				t.Fatalf("%s, %d bytes: denied with status %d", webhook, size, a.status)
			}
			if n > maxAllocations {
				t.Errorf("%s, %d bytes: %v allocations", webhook, size, n)
			}
		}
	}
	copied := fresh(t, table, "github", 1<<10, 1)[0]
	if n := testing.AllocsPerRun(100, func() { out, _ = s.AnswerChunks(ctx, copied, out[:0]) }); n > maxAllocations || decode(t, out).status != 409 {
		t.Errorf("a denial: %v allocations, status %d", n, decode(t, out).status)
	}
	if n := testing.AllocsPerRun(100, func() { out = s.Refuse(ctx, authz.Overloaded, out[:0]) }); n > maxAllocations {
		t.Errorf("a refusal: %v allocations", n)
	}
}

// A tenant whose secret is in memory costs nothing more. The store's share of
// each tenant is counted by its own test.
func TestAllocationsWithTenants(t *testing.T) {
	const runs, count = 200, 20
	all := newTenants(t, count)
	s := service(all.table(t, count))
	s.Telemetry = observed(t)
	ctx, out := tracedCalls()(1), make([]byte, 0, 4<<10)
	for i := range 2000 { // the nonce store grows, too
		out, _ = s.AnswerChunks(ctx, [][]byte{all.message(t, i%count)}, out[:0])
	}
	var messages [runs + 1][][]byte
	for i := range messages {
		messages[i] = [][]byte{all.message(t, i%count)}
	}
	next := 0
	n := testing.AllocsPerRun(runs, func() {
		out, _ = s.AnswerChunks(ctx, messages[next], out[:0])
		next++
	})
	if a := decode(t, out); !a.allowed || n > maxAllocations {
		t.Errorf("%v allocations, status %d", n, a.status)
	}
}

// TestAllocationsOfTheProcess counts what HTTP/2 allocates, too, most of it for
// headers. The client is another process.
func TestAllocationsOfTheProcess(t *testing.T) {
	s := service(policies(t))
	s.Telemetry = observed(t)
	server := envoy.NewServer(s, envoy.Limits{
		MaxRequestBytes: 8 << 20, InFlight: 64, BytesInFlight: 256 << 20, Connections: 4, Shutdown: time.Second,
	}, nil)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	defer func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	for _, c := range []struct{ size, n, objects, bytes int }{
		{1 << 10, 3000, 17, 2400},
		{1 << 20, 300, 45, 12 << 10},
	} {
		var before, after runtime.MemStats
		callFromOutside(t, listener.Addr().String(), c.size, c.n) // pools and the nonce store grow
		runtime.ReadMemStats(&before)
		callFromOutside(t, listener.Addr().String(), c.size, c.n)
		runtime.ReadMemStats(&after)
		objects, size := int(after.Mallocs-before.Mallocs)/c.n, int(after.TotalAlloc-before.TotalAlloc)/c.n
		if objects > c.objects || size > c.bytes {
			t.Errorf("bodies of %d bytes: %d objects, %d bytes for each check", c.size, objects, size)
		}
	}
}

func callFromOutside(t *testing.T, address string, size, n int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	client := exec.CommandContext(t.Context(), self)
	client.Env = append(os.Environ(), clientVariable+"="+address, fmt.Sprintf("%s=%d,%d", clientLoad, size, n))
	if out, err := client.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
