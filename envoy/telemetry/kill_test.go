//go:build unix

package telemetry_test

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
)

// A record that comes alone waits for nothing, and of many none for more than a
// millisecond.
func TestRecordsAreWrittenSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		w := telemetry.NewWriter(&out)
		defer w.Close()
		r, _ := measured(t, w, 10)
		r.Record(event(authz.OK))
		synctest.Wait()
		if n := strings.Count(out.String(), "\n"); n != 1 {
			t.Fatalf("%d records, and no time has passed", n)
		}
		for range 20 {
			r.Record(event(authz.OK))
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if n := strings.Count(out.String(), "\n"); n != 21 {
			t.Fatalf("%d records after a millisecond", n)
		}
		time.Sleep(time.Hour)
		r.Record(event(authz.SignatureInvalid))
		synctest.Wait()
		if n := strings.Count(out.String(), "\n"); n != 22 {
			t.Fatalf("%d records after a pause", n)
		}
	})
}

// Whenever records come, and whatever the disk takes, the writer does not sleep while one waits.
func TestTheWriterOversleepsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		disk := &slowDisk{out: &out}
		w := telemetry.NewWriter(disk)
		r, _ := measured(t, w, 10)
		// Some come at the very moments at which the writer looks.
		after := func() time.Duration { return time.Duration(rand.IntN(9)) * time.Millisecond / 4 }
		const together = 4
		for round := range 3000 {
			disk.takes = after()
			var all sync.WaitGroup
			for range together {
				all.Go(func() {
					time.Sleep(after())
					r.Record(event(authz.OK))
				})
			}
			all.Wait()
			time.Sleep(10 * time.Millisecond) // two writes and the pauses between
			synctest.Wait()
			if n := bytes.Count(out.Bytes(), []byte{'\n'}); n != together {
				t.Fatalf("round %d: %d of %d records are written", round, n, together)
			}
			out.Reset()
		}
		disk.takes = 0
		w.Close()
	})
}

// slowDisk takes so long for each write.
type slowDisk struct {
	out   *bytes.Buffer
	takes time.Duration
}

func (d *slowDisk) Write(lines []byte) (int, error) {
	time.Sleep(d.takes)
	return d.out.Write(lines)
}

// recordsVariable names the file of the process that TestRecordsOfAKilledProcess kills.
const recordsVariable = "HOOKBASTION_TEST_RECORDS"

// A process that is killed has written down what it decided, but for the last moment: a
// millisecond and what the system takes to give the writer a processor, for which a
// quarter of a second is much.
func TestRecordsOfAKilledProcess(t *testing.T) {
	const moment = 250 * time.Millisecond
	if name := os.Getenv(recordsVariable); name != "" {
		decideForEver(t, name)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, answers := range []int{20_000, 40_000, 70_000} {
		file := filepath.Join(t.TempDir(), "records")
		child := exec.CommandContext(t.Context(), self, "-test.run=^TestRecordsOfAKilledProcess$") //nolint:gosec // this binary
		child.Env = append(os.Environ(), recordsVariable+"="+file)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		var when []time.Duration // each was answered, by the child's clock
		for lines.Scan() {
			at, err := time.ParseDuration(lines.Text())
			if err != nil {
				t.Fatalf("the child says %q", lines.Text())
			}
			if when = append(when, at); len(when) == answers {
				if err := child.Process.Kill(); err != nil { // what it has said already is read to the end
					t.Fatal(err)
				}
			}
		}
		_ = child.Wait() // it was killed
		if len(when) < answers {
			t.Fatalf("it ended by itself, after %d", len(when))
		}
		records, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		written := map[string]bool{}
		for line := range bytes.Lines(records) {
			if _, id, ok := strings.Cut(string(line), `"decision_id":"`); ok {
				id, _, _ = strings.Cut(id, `"`)
				written[id] = true
			}
		}
		last, missing := when[len(when)-1], 0
		for n, at := range when {
			if written[strconv.Itoa(n)] {
				continue
			}
			if missing++; last-at > moment {
				t.Errorf("decision %d has no record, %v before the end", n, last-at)
				break
			}
		}
		t.Logf("%d of %d decisions have no record", missing, len(when))
	}
}

// decideForEver records decisions, each every other a denial, and says so after each.
func decideForEver(t *testing.T, name string) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // the parent's
	if err != nil {
		t.Fatal(err)
	}
	r, _ := measured(t, telemetry.NewWriter(file), 1<<30)
	reasons := []authz.Reason{authz.OK, authz.SignatureInvalid}
	events := []*telemetry.Event{event(reasons[0]), event(reasons[1])}
	out := bufio.NewWriterSize(os.Stdout, 0)
	began := time.Now()
	for n := 0; ; n++ {
		e := events[n%2]
		e.DecisionID, e.Time = strconv.Itoa(n), time.Now()
		r.Record(e)
		fmt.Fprintln(out, time.Since(began))
		if err := out.Flush(); err != nil {
			os.Exit(1) // the parent has gone
		}
	}
}
