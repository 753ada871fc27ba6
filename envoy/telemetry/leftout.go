package telemetry

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"

	"github.com/hookbastion/hookbastion/authz"
)

// leftOutEvent is the name of the log record that says what was left out.
const leftOutEvent = "hookbastion.records.left_out"

// sayAfter is how long decisions without a record are counted before a line says so.
const sayAfter = 10 * time.Second

// maxLeftOut is how many lines one such time may cause. What has no place among them
// is one line together.
const maxLeftOut = 16

// Why a decision has no record.
const (
	becauseLimit  = "limit"
	becauseFilter = "filter"
	becauseSlow   = "slow"
)

// leftOut counts decisions that are not written down one by one, so that the records
// say themselves what is missing among them. It is safe for concurrent use.
type leftOut struct {
	// say is called once for all that were counted within sayAfter.
	say      func()
	mu       sync.Mutex
	counts   map[leftOutKey]int64
	rest     int64
	from, to time.Time
	timer    *time.Timer // set while anything is counted
	closed   bool
}

type leftOutKey struct {
	webhook, because string
	reason           authz.Reason
	shadow           bool
}

// add counts a decision.
func (l *leftOut) add(at time.Time, key leftOutKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.from.IsZero() {
		l.from, l.to = at, at
		if !l.closed {
			l.timer = time.AfterFunc(sayAfter, l.say)
		}
	}
	if at.Before(l.from) {
		l.from = at
	}
	if at.After(l.to) {
		l.to = at
	}
	if l.counts[key] == 0 && len(l.counts) >= maxLeftOut {
		l.rest++
		return
	}
	if l.counts == nil {
		l.counts = map[leftOutKey]int64{}
	}
	l.counts[key]++
}

// leftOutLine is what one line says.
type leftOutLine struct {
	leftOutKey
	count    int64
	from, to time.Time
	rest     bool // of several webhooks or reasons
}

// take returns what there is to say, in order, and begins anew.
func (l *leftOut) take(closing bool) (lines []leftOutLine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = l.closed || closing
	if l.timer != nil {
		l.timer.Stop()
	}
	for key, n := range l.counts {
		lines = append(lines, leftOutLine{leftOutKey: key, count: n, from: l.from, to: l.to})
	}
	slices.SortFunc(lines, func(a, b leftOutLine) int {
		return cmp.Or(cmp.Compare(a.webhook, b.webhook), cmp.Compare(a.reason, b.reason), cmp.Compare(a.because, b.because), cmp.Compare(a.mode(), b.mode()))
	})
	if l.rest > 0 {
		lines = append(lines, leftOutLine{count: l.rest, from: l.from, to: l.to, rest: true})
	}
	clear(l.counts)
	l.rest, l.from, l.to, l.timer = 0, time.Time{}, time.Time{}, nil
	return lines
}

func (k *leftOutKey) mode() string {
	if k.shadow {
		return "SHADOW"
	}
	return "ENFORCE"
}

// words are what the line says of its decisions; of the rest they differ, and are empty.
func (l *leftOutLine) words() (mode, verdict, reason string) {
	if l.rest {
		return "", "", ""
	}
	verdict = authz.Deny.String()
	if l.reason.Allows() {
		verdict = authz.Allow.String()
	}
	return l.mode(), verdict, l.reason.String()
}

// leaveOut counts a decision that gets no record.
func (r *Recorder) leaveOut(e *Event, because string) {
	if because == becauseFilter {
		r.metrics.recordsFiltered.Add(1)
	} else {
		r.metrics.recordsLimited.Add(1)
	}
	key := leftOutKey{because: because, reason: e.Decision.Reason}
	if w := e.Decision.Webhook; w != nil {
		key.webhook, key.shadow = w.Name, w.Shadow
	}
	r.leftOut.add(e.Time, key)
}

// sayLeftOut writes what is missing among the records.
func (r *Recorder) sayLeftOut(closing bool) {
	for _, l := range r.leftOut.take(closing) {
		if r.config.Records != nil {
			r.config.Records.write(l.append(nil, r.config.Replica))
		}
		if r.config.Logger != nil {
			r.emitLeftOut(&l)
		}
	}
}

// Close says what is missing among the records by now. It comes before the end of the
// writer and of the logger. Later events are recorded, but what they leave out is not
// said.
func (r *Recorder) Close() {
	if r != nil {
		r.sayLeftOut(true)
	}
}

// beforeCount and its neighbour are what stands before the count of a line that says
// what was left out: a time has always the same length.
const (
	beforeTime  = `{"time":"`
	beforeCount = `","left_out":`
	timeSize    = len("2006-01-02T15:04:05.000000Z")
)

// saidBy is how many decisions a line says are left out; 0 if it is one's record.
func saidBy(line []byte) int64 {
	const at = len(beforeTime) + timeSize
	if len(line) < at || !bytes.HasPrefix(line[at:], []byte(beforeCount)) {
		return 0
	}
	digits, _, _ := bytes.Cut(line[at+len(beforeCount):], []byte{','})
	n, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// append appends the line.
func (l *leftOutLine) append(b []byte, replica string) []byte {
	mode, verdict, reason := l.words()
	b = appendTime(append(b, beforeTime...), l.to)
	b = strconv.AppendInt(append(b, beforeCount...), l.count, 10)
	b = append(appendTime(append(b, `,"from":"`...), l.from), '"')
	b = appendText(b, "webhook", l.webhook)
	b = appendText(b, "mode", mode)
	b = appendText(b, "verdict", verdict)
	b = appendText(b, "reason", reason)
	b = appendText(b, "because", l.because)
	b = appendText(b, "replica", replica)
	return append(b, '}', '\n')
}

// emitLeftOut writes it as a log record of OpenTelemetry.
func (r *Recorder) emitLeftOut(l *leftOutLine) {
	mode, verdict, reason := l.words()
	var record log.Record
	record.SetEventName(leftOutEvent)
	record.SetTimestamp(l.to)
	record.SetSeverity(log.SeverityInfo)
	record.SetSeverityText(log.SeverityInfo.String())
	record.SetBody(attribute.StringValue("decisions without a record of their own"))
	record.AddAttributes(keyLeftOut.Int64(l.count), keyFrom.String(string(appendTime(nil, l.from))))
	for _, a := range []attribute.KeyValue{
		keyWebhook.String(l.webhook), keyMode.String(mode), keyVerdict.String(verdict), keyReason.String(reason), keyBecause.String(l.because),
	} {
		if a.Value.AsString() != "" {
			record.AddAttributes(a)
		}
	}
	r.config.Logger.Emit(context.Background(), record)
}
