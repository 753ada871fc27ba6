package redis_test

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/redis/redistest"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
)

// BytesPerNonce are what docs/replay.md says: of one that is done, and of one
// whose outcome is open.
const bytesDone, bytesOpen = 200, 330

func TestBytesPerNonce(t *testing.T) {
	const n = 20_000
	server := redistest.Start(t, redistest.Options{Args: []string{"--maxmemory", "1gb"}}) // so that partitions are counted
	s := open(t, config(server))
	before := usedMemory(t, server)
	reservations := make([]replay.Answer, n)
	inParallel(n, func(i int) {
		reservations[i] = reserve(t, s, replaytest.Signed(uint64(i), start), replaytest.Claim(uint64(i+1), uint64(i)<<40+1, replay.Taken), start)
	})
	pending := float64(usedMemory(t, server)-before) / n
	inParallel(n, func(i int) {
		if ok, err := s.Settle(context.Background(), reservations[i].Reservation, replay.Delivered, start); !ok || err != nil {
			t.Error(ok, err)
		}
	})
	done := float64(usedMemory(t, server)-before) / n
	t.Logf("%.0f bytes of one that is done, %.0f of one that is open", done, pending)
	if done > bytesDone || pending > bytesOpen {
		t.Errorf("more than %d and %d", bytesDone, bytesOpen)
	}
}

func inParallel(n int, do func(i int)) {
	var all sync.WaitGroup
	const workers = 32
	for w := range workers {
		all.Go(func() {
			for i := w; i < n; i += workers {
				do(i)
			}
		})
	}
	all.Wait()
}

// usedMemory is what the server has allocated, its buffers for clients left out.
func usedMemory(t *testing.T, server *redistest.Server) int64 {
	t.Helper()
	var used, clients int64
	for line := range strings.Lines(server.Do("INFO", "memory")) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), ":")
		n, _ := strconv.ParseInt(text, 10, 64) // others are no numbers
		switch name {
		case "used_memory":
			used = n
		case "mem_clients_normal":
			clients = n
		}
	}
	if used == 0 {
		t.Fatal("INFO says nothing of memory")
	}
	return used - clients
}
