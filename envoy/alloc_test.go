//go:build !race

package envoy_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
)

// The race detector allocates where the program does not.

// fresh returns new deliveries of a webhook, in pieces of 16 KiB, as they come
// over HTTP/2.
func fresh(t testing.TB, table *authz.Table, webhook string, size, n int) [][][]byte {
	t.Helper()
	all := make([][][]byte, n)
	for i := range all {
		body := make([]byte, size)
		copy(body, fmt.Sprintf("%s %d %d", webhook, size, i))
		message := marshal(t, checkRequest(signedAt(t, table, webhook, "https://h", body, time.Now()), body, nil))
		for len(message) > 0 {
			end := min(len(message), 16<<10)
			all[i], message = append(all[i], message[:end]), message[end:]
		}
	}
	return all
}

// With records, metrics and a trace that is not sampled: the decision id, and
// grpc-go's copy of the trace's parent.
const maxAllocations = 2

func TestAllocationsFromBytesToBytes(t *testing.T) {
	table := policies(t)
	s := service(table)
	s.Telemetry = observed(t)
	ctx, out := tracedCalls()(1), make([]byte, 0, 4<<10)
	for _, webhook := range []string{"github", "stripe", "gitlab"} {
		for _, message := range fresh(t, table, webhook, 200, 2000) { // the nonce store grows, too
			out = s.AnswerPieces(ctx, message, out[:0])
		}
		for _, size := range []int{1 << 10, 1 << 20} {
			const runs = 50
			messages, next := fresh(t, table, webhook, size, runs+1), 0
			n := testing.AllocsPerRun(runs, func() {
				out = s.AnswerPieces(ctx, messages[next], out[:0])
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
	if n := testing.AllocsPerRun(100, func() { out = s.AnswerPieces(ctx, copied, out[:0]) }); n > maxAllocations || decode(t, out).status != 409 {
		t.Errorf("a denial: %v allocations, status %d", n, decode(t, out).status)
	}
	if n := testing.AllocsPerRun(100, func() { out = s.Refuse(ctx, authz.Overloaded, out[:0]) }); n > maxAllocations {
		t.Errorf("a refusal: %v allocations", n)
	}
}
