package telemetry_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	sdklog "go.opentelemetry.io/otel/sdk/log"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
	"github.com/hookbastion/hookbastion/envoy/telemetry/record"
)

// book is what records say: those of decisions, and the decisions left out by "webhook
// reason because".
type book struct {
	records int
	leftOut map[string]int64
	lines   int
	all     int64
}

func read(t *testing.T, text string) book {
	t.Helper()
	b := book{leftOut: map[string]int64{}}
	for r := record.NewReader(strings.NewReader(text), "records"); ; {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			return b
		}
		if err != nil {
			t.Fatal(err)
		}
		if rec.LeftOut == 0 {
			b.records++
			b.all++
			continue
		}
		if rec.From == nil || rec.From.After(rec.Time) || rec.Replica != "replica-1" {
			t.Errorf("%+v", rec)
		}
		b.lines++
		b.all += rec.LeftOut
		b.leftOut[fmt.Sprintf("%s %s %s", rec.Webhook, rec.Reason, rec.Because)] += rec.LeftOut
	}
}

// One attacker causes 100,000 denials in ten seconds. The records stay small, and they
// and the metric say how many there were, to the last one.
func TestAFloodOfDenialsIsBoundedAndCounted(t *testing.T) {
	var out bytes.Buffer
	w := telemetry.NewWriter(&out)
	r, reader := recording(t, telemetry.Config{Records: w, DenialsPerSecond: 100, Replica: "replica-1"})
	const all = 100_000
	webhooks := []*telemetry.Event{event(authz.SignatureInvalid), event(authz.NoWebhook), event(authz.TimestampTooOld)}
	webhooks[1].Decision.Webhook = nil
	var senders sync.WaitGroup
	for s := range 4 {
		senders.Go(func() {
			for i := range all / 4 {
				e := *webhooks[(i+s)%3]
				e.Time = now.Add(time.Duration(i) * 10 * time.Second / (all / 4))
				r.Record(&e)
			}
		})
	}
	senders.Wait()
	r.Close()
	w.Close()
	b := read(t, out.String())
	if b.records < 900 || b.records > 1200 || b.lines > 20 || out.Len() > 2<<20 {
		t.Errorf("%d records, %d lines of what was left out, %d bytes", b.records, b.lines, out.Len())
	}
	counted := counters(t, reader)
	if n := counted["hookbastion.records.dropped reason=limit"]; b.all != all || n != int64(all-b.records) {
		t.Errorf("%d of %d decisions are told of; %d counted as left out", b.all, all, n)
	}
	var decisions int64
	for name, n := range counted {
		if strings.HasPrefix(name, "hookbastion.decisions ") {
			decisions += n
		}
	}
	if decisions != all {
		t.Errorf("the metric says %d", decisions)
	}
	t.Logf("%d denials: %d records, %d lines of what was left out, %d kB", all, b.records, b.lines, out.Len()>>10)
}

// What is left out is said by itself after ten seconds, also when nothing comes any more.
func TestLeftOutIsSaidInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out locked
		w := telemetry.NewWriter(&out)
		logs := &logBook{}
		r, reader := recording(t, telemetry.Config{
			Records: w, DenialsPerSecond: 1, Replica: "replica-1", LeaveOut: []authz.Reason{authz.OK},
			Logger: sdklog.NewLoggerProvider(sdklog.WithProcessor(sdklog.NewSimpleProcessor(logs))).Logger("test"),
		})
		shadow := event(authz.SignatureInvalid)
		shadow.Decision.Webhook.Shadow = true
		for range 5 {
			r.Record(event(authz.SignatureInvalid))
			r.Record(event(authz.OK))
			r.Record(shadow)
		}
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if b := read(t, out.String()); b.lines != 0 || b.records != 1 {
			t.Errorf("too soon: %+v", b)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		b := read(t, out.String())
		if b.lines != 3 || b.all != 15 || b.leftOut["hook signature_invalid limit"] != 9 || b.leftOut["hook ok filter"] != 5 {
			t.Errorf("%+v\n%s", b, out.String())
		}
		if n := counters(t, reader)["hookbastion.records.dropped reason=filter"]; n != 5 {
			t.Errorf("%d counted as filtered", n)
		}
		said := 0
		for _, l := range logs.records {
			if l.EventName() == "hookbastion.records.left_out" {
				said++
			}
		}
		if said != 3 {
			t.Errorf("%d log records say it", said)
		}
		r.Record(event(authz.OK)) // and once more
		r.Close()
		w.Close()
		if b := read(t, out.String()); b.all != 16 {
			t.Errorf("at the end: %+v", b)
		}
	})
}

// However many webhooks and reasons there are, the lines are few.
func TestLinesOfWhatIsLeftOutAreBounded(t *testing.T) {
	var out bytes.Buffer
	w := telemetry.NewWriter(&out)
	r, _ := recording(t, telemetry.Config{Records: w, Replica: "replica-1"})
	for i := range 5000 {
		e := named(fmt.Sprintf("hook-%d", i%500))
		e.Decision.Verdict, e.Decision.Reason = authz.Deny, authz.SignatureInvalid
		r.Record(e)
	}
	r.Close()
	w.Close()
	for line := range strings.Lines(out.String()) {
		at := 0
		for _, name := range telemetry.LeftOutFields() {
			next := strings.Index(line, `"`+name+`":`)
			if next <= at {
				t.Errorf("%s stands at %d: %s", name, next, line)
			}
			at = next
		}
		if n := strings.Count(line, `":`); n != len(telemetry.LeftOutFields()) {
			t.Errorf("%d fields: %s", n, line)
		}
	}
	if b := read(t, out.String()); b.lines != 17 || b.all != 5000 || b.leftOut["  "] != 5000-160 {
		t.Errorf("%+v", b)
	}
}

// What a slow or full disk has lost is said once it can be said.
func TestLostRecordsAreSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &filling{full: true}
		w := telemetry.NewWriter(disk)
		r, reader := recording(t, telemetry.Config{Records: w, DenialsPerSecond: 1, Replica: "replica-1"})
		for range 20 {
			r.Record(event(authz.OK))
			r.Record(event(authz.SignatureInvalid))
		}
		time.Sleep(11 * time.Second) // what was left out cannot be said either
		synctest.Wait()
		disk.set(false)
		r.Record(event(authz.OK))
		time.Sleep(time.Second)
		synctest.Wait()
		b := read(t, disk.String())
		if b.records != 1 || b.all != 41 || b.leftOut["  slow"] != 40 {
			t.Errorf("%+v\n%s", b, disk.String())
		}
		counted := counters(t, reader)
		if counted["hookbastion.records.dropped reason=slow"] != 21 || counted["hookbastion.records.dropped reason=limit"] != 19 {
			t.Errorf("%v", counted)
		}
		r.Close()
		w.Close()
		if after := read(t, disk.String()); after.all != 41 {
			t.Errorf("said twice: %+v", after)
		}
	})
}

// locked is a buffer that can be read while it is written.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// filling is a disk that may be full.
type filling struct {
	locked
	full bool
}

func (f *filling) set(full bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.full = full
}

func (f *filling) Write(p []byte) (int, error) {
	f.mu.Lock()
	full := f.full
	f.mu.Unlock()
	if full {
		return 0, errors.New("no space left on device")
	}
	return f.locked.Write(p)
}

// cutting is a disk that becomes full in the midst of a line.
type cutting struct {
	bytes.Buffer
	room int
}

func (c *cutting) Write(p []byte) (int, error) {
	n := min(len(p), c.room)
	c.room -= n
	_, _ = c.Buffer.Write(p[:n]) // memory
	if n < len(p) {
		return n, errors.New("no space left on device")
	}
	return n, nil
}

// A line that a full disk has cut spoils none of those after it, and what was written
// before it is not counted as lost.
func TestDiskFullWithinALine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &cutting{room: 1 << 20}
		w := telemetry.NewWriter(disk)
		r, reader := measured(t, w, 1000)
		r.Record(event(authz.OK))
		time.Sleep(time.Second)
		synctest.Wait() // it is written
		disk.room = disk.Len() + disk.Len()/2
		for range 3 {
			r.Record(event(authz.OK))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		disk.room = 1 << 20
		r.Record(event(authz.OK))
		time.Sleep(time.Second)
		r.Close()
		w.Close()
		whole, leftOut, broken := 0, int64(0), 0
		for line := range bytes.Lines(disk.Bytes()) {
			switch one, fault := record.Parse(line); {
			case fault != nil:
				broken++
			case one.LeftOut > 0:
				leftOut += one.LeftOut
			default:
				whole++
			}
		}
		if whole != 3 || leftOut != 2 || broken != 1 {
			t.Errorf("%d records, %d left out, %d broken lines:\n%s", whole, leftOut, broken, disk.Bytes())
		}
		if n := counters(t, reader)["hookbastion.records.dropped reason=slow"]; n != 2 {
			t.Errorf("%d are dropped", n)
		}
	})
}
