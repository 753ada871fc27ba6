package file_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/authztest/leak"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/file"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
)

// childDir makes the test binary serve reservations of the store in that
// directory, over its standard input and output, until it is killed.
const childDir = "HOOKBASTION_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := serve(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	leak.Main(m)
}

// A request is the number of a content. An answer is that number, what the
// store said, and whether a settlement was taken.
const (
	requestSize = 8
	answerSize  = 8 + 1 + 1
)

// What becomes of a content by its number.
const (
	onePhase = iota
	leftOpen
	delivered
	undelivered
	kinds
)

func nonceOf(n uint64) replay.Nonce {
	if n%3 == 0 {
		return replaytest.Unsigned(n, start, time.Hour)
	}
	return replaytest.Signed(n, start)
}

func serve(dir string) error {
	c := config(dir)
	c.Sync = time.Millisecond
	s, err := file.Open(c, start)
	if err != nil {
		return err
	}
	if r := s.Recovery(); r.PowerLoss || r.Lossy || r.ClockBack > 0 {
		return fmt.Errorf("recovered as %+v", r)
	}
	compact := make(chan struct{}, 1)
	go func() {
		for range compact {
			if err := s.Compact(start); err != nil {
				panic(err)
			}
		}
	}()
	var writing sync.Mutex
	places := make(chan struct{}, 64)
	in := bufio.NewReader(os.Stdin)
	for n := 1; ; n++ {
		if n%128 == 0 {
			select {
			case compact <- struct{}{}:
			default:
			}
		}
		var request [requestSize]byte
		if _, err := io.ReadFull(in, request[:]); err != nil {
			return err
		}
		places <- struct{}{}
		go func() {
			answer := answer(s, binary.LittleEndian.Uint64(request[:]))
			writing.Lock()
			_, _ = os.Stdout.Write(answer)
			writing.Unlock()
			<-places
		}()
	}
}

func answer(s *file.Store, n uint64) []byte {
	claim := replaytest.Claim(n, rand.Uint64()|1, replay.Taken)
	claim.Check.Stream = rand.Uint64() // another delivery each time
	if n%kinds == onePhase {
		claim.Lease = 0
	}
	b := binary.LittleEndian.AppendUint64(nil, n)
	a, err := s.Reserve(context.Background(), nonceOf(n), claim, start)
	if err != nil {
		a.Outcome = replay.Failed
	}
	settled := false
	if fate := []replay.Fate{replay.Undecided, replay.Undecided, replay.Delivered, replay.Undelivered}[n%kinds]; fate != replay.Undecided && a.Outcome == replay.Reserved {
		settled, err = s.Settle(context.Background(), a.Reservation, fate, start)
		settled = settled && err == nil
	}
	return append(b, byte(a.Outcome), map[bool]byte{true: 1}[settled])
}

// seen is what the parent knows of a content.
type seen struct{ reserved, settled bool }

// TestKilled kills a process that reserves and compacts, again and again. What
// it had answered must be known by the next one.
func TestKilled(t *testing.T) {
	const kills = 100
	most := 600
	if raceDetector {
		most = 200
	}
	dir := directory(t)
	if err := opened(t, config(dir), before).Close(); err != nil {
		t.Fatal(err)
	}
	known := map[uint64]*seen{}
	var numbers []uint64
	again, accepted := 0, 0
	for round := range kills + 1 {
		child := exec.Command(os.Args[0]) //nolint:gosec // this test binary
		child.Env = append(os.Environ(), childDir+"="+dir)
		child.Stderr = os.Stderr
		in, err := child.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		answers := rand.IntN(most)
		ask := make([]uint64, 0, 2*most)
		if round == kills {
			ask, answers = append(ask, numbers...), len(numbers)
		}
		for len(ask) < cap(ask) {
			if len(numbers) > 0 && rand.IntN(2) == 0 {
				ask = append(ask, numbers[rand.IntN(len(numbers))])
				continue
			}
			n := rand.Uint64()
			ask = append(ask, n, n) // both at once
		}
		go func() {
			w := bufio.NewWriter(in)
			for _, n := range ask {
				_ = binary.Write(w, binary.LittleEndian, n) // until it is killed
			}
			_ = w.Flush()
		}()
		r := bufio.NewReader(out)
		for got := 0; ; got++ {
			if got == answers {
				if err := child.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			var a [answerSize]byte
			if _, err := io.ReadFull(r, a[:]); err != nil {
				break
			}
			n := binary.LittleEndian.Uint64(a[:])
			k := known[n]
			if k == nil {
				k = &seen{}
				known[n] = k
				numbers = append(numbers, n)
			}
			switch replay.Outcome(a[8]) {
			case replay.Reserved:
				if k.reserved && n%kinds != undelivered {
					t.Fatalf("round %d: nonce %d was accepted twice", round, n)
				}
				k.reserved, k.settled = true, a[9] == 1
				accepted++
			case replay.Copy, replay.CopyUnknown, replay.Pending:
				again++
			default:
				t.Fatalf("round %d: nonce %d: outcome %d", round, n, a[8])
			}
		}
		_ = child.Wait() // it was killed
	}
	t.Logf("%d accepted, %d copies refused", accepted, again)
	if accepted < 1000 || again < 1000 {
		t.Error("that shows little")
	}
}
