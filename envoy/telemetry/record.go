package telemetry

import (
	"encoding/hex"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/hookbastion/hookbastion/authz"
)

// appendRecord appends the record as one line of JSON.
func appendRecord(b []byte, e *Event, policyDigest, replica string) []byte {
	d, req := e.Decision, e.Request
	b = append(b, `{"time":"`...)
	b = appendTime(b, e.Time)
	b = append(b, '"')
	b = appendText(b, "decision_id", e.DecisionID)
	b = append(b, `,"trace_id":"`...)
	b = append(e.Trace.appendID(b), '"')
	b = appendText(b, "request_id", req.RequestID)
	if id, signed := d.EventID(req); len(id) > 0 {
		b = appendText(b, "event_id", id)
		if !signed {
			b = append(b, `,"event_id_unsigned":true`...)
		}
	}
	name, provider, mode := webhookOf(d)
	b = appendText(b, "webhook", name)
	b = appendText(b, "tenant", d.Tenant)
	b = appendText(b, "provider", provider)
	b = appendText(b, "mode", mode)
	b = appendText(b, "verdict", d.Verdict.String())
	b = appendText(b, "reason", d.Reason.String())
	b = appendNumber(b, "status", int64(statusOf(d)))
	b = appendText(b, "key_id", d.KeyID)
	if mark := d.Mark.String(); mark != "" {
		b = appendText(b, "replay", mark)
	}
	if d.Reason == authz.Unprotected && d.Webhook != nil {
		b = appendText(b, "unverified", d.Webhook.Unverified)
	}
	if d.Handshake != "" {
		b = appendText(b, "handshake", d.Handshake)
	}
	if told := d.Told(); told != "" {
		b = append(b, `,"told":"`...)
		for len(told) > maxText { // an address is of no use that is cut
			b, told = appendEscaped(b, told[:maxText]), told[maxText:]
		}
		b = append(appendEscaped(b, told), '"')
	}
	var buf [64]byte
	source := buf[:0]
	if req.Source.IsValid() {
		source = req.Source.AppendTo(source)
	}
	b = appendText(b, "source", source)
	b = appendText(b, "method", req.Method)
	b = appendText(b, "path", req.PathOnly())
	b = appendNumber(b, "body_bytes", int64(req.Body.Len()))
	if !d.SignedTime.IsZero() {
		b = appendNumber(b, "skew_ms", e.Time.Sub(d.SignedTime).Milliseconds())
	}
	b = appendChecks(b, d.Checks())
	if e.Redeliver != "" {
		b = appendText(b, "redeliver", e.Redeliver)
	}
	b = appendNumber(b, "duration_us", e.Duration.Microseconds())
	b = appendText(b, "policy_digest", policyDigest)
	b = appendText(b, "replica", replica)
	return append(b, '}', '\n')
}

// appendTime appends a time in RFC 3339, always with microseconds.
func appendTime(b []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z07:00")
}

func appendChecks(b []byte, checks []authz.Outcome) []byte {
	b = append(b, `,"checks":[`...)
	for i, c := range checks {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"check":"`...)
		b = append(b, c.Stage.String()...)
		b = append(b, `","reason":"`...)
		b = append(b, c.Reason.String()...)
		b = append(b, `"}`...)
	}
	return append(b, ']')
}

func appendText[T ~string | ~[]byte](b []byte, name string, value T) []byte {
	b = append(b, `,"`...)
	b = append(b, name...)
	b = append(b, `":"`...)
	return append(appendEscaped(b, value), '"')
}

func appendNumber(b []byte, name string, n int64) []byte {
	b = append(b, `,"`...)
	b = append(b, name...)
	b = append(b, `":`...)
	return strconv.AppendInt(b, n, 10)
}

// appendEscaped writes text as the inside of a JSON string in ASCII. Control
// characters, quotes and everything beyond ASCII are escaped, since people and
// terminals will read it; invalid UTF-8 becomes U+FFFD.
func appendEscaped[T ~string | ~[]byte](b []byte, text T) []byte {
	s := []byte(text)
	if len(s) > maxText {
		s = s[:maxText]
	}
	for len(s) > 0 {
		n := 0
		for n < len(s) && asIs[s[n]] {
			n++
		}
		b, s = append(b, s[:n]...), s[n:]
		switch {
		case len(s) == 0:
		case s[0] == '"' || s[0] == '\\':
			b, s = append(b, '\\', s[0]), s[1:]
		default:
			r, size := utf8.DecodeRune(s)
			b, s = appendRune(b, r), s[size:]
		}
	}
	return b
}

// asIs are the bytes that a record has as they are.
var asIs = func() (all [256]bool) {
	for c := ' '; c < 0x7f; c++ {
		all[c] = !strings.ContainsRune(`"\<>&`, c)
	}
	return all
}()

func appendRune(b []byte, r rune) []byte {
	if r > 0xffff {
		r -= 0x10000
		b = appendRune(b, 0xd800+r>>10)
		r = 0xdc00 + r&0x3ff
	}
	return hex.AppendEncode(append(b, '\\', 'u'), []byte{byte(r >> 8), byte(r)})
}

// late is how far back the time of an event may lie behind that of another. A
// clock that jumps further back has been set.
const late = 60

// limiter lets a number of events through in each second. Events of an earlier
// second, from calls that took long, count for the current one.
type limiter struct {
	perSecond int64
	second    atomic.Int64
	used      atomic.Int64
}

func (l *limiter) allow(now time.Time) bool {
	s, current := now.Unix(), l.second.Load()
	if (s > current || s < current-late) && l.second.CompareAndSwap(current, s) {
		l.used.Store(0)
	}
	return l.used.Add(1) <= l.perSecond
}
