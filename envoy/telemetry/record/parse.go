package record

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"time"
)

// Parse reads one line. The fault, if there is one, has no file and no line.
func Parse(line []byte) (*Record, *Fault) {
	r := &Reader{texts: texts{}}
	if f := r.parse(trimmed(line)); f != nil {
		return nil, f
	}
	return &r.record, nil
}

// parse reads a line into the reader's record.
func (r *Reader) parse(line []byte) *Fault {
	if r.record.Checks == nil {
		r.record.Checks = []Check{} // as JSON has it: no null
	}
	r.record = Record{Checks: r.record.Checks[:0]}
	s := &scanner{data: line, texts: r.texts, record: &r.record}
	if len(line) > maxLine {
		s.fault(0, "", "is longer than a record can be")
	}
	s.object("", s.field)
	if s.peek(); !s.failed && s.pos != len(line) {
		s.fault(s.pos, "", "something follows the record")
	}
	if !s.failed {
		s.check()
	}
	if s.failed {
		return &s.first
	}
	return nil
}

// scanner reads one line of JSON (RFC 8259) from left to right. After the first fault
// it reads nothing more.
type scanner struct {
	data   []byte
	pos    int
	depth  int
	texts  texts
	record *Record
	seen   uint64 // fields of the record
	failed bool
	first  Fault
}

// texts are those that are seen again and again, so that each is kept once.
type texts map[string]string

// maxTexts bounds them.
const maxTexts = 1 << 12

func (t texts) of(raw []byte) string {
	if known, ok := t[string(raw)]; ok {
		return known
	}
	if len(t) >= maxTexts {
		clear(t)
	}
	text := string(raw)
	t[text] = text
	return text
}

func (s *scanner) fault(pos int, path, message string) {
	if !s.failed {
		s.failed, s.first = true, Fault{Column: pos + 1, Path: path, Message: message}
	}
}

// field reads one field of a record.
func (s *scanner) field(name []byte) {
	r := s.record
	switch string(name) {
	case "time":
		r.Time = s.time(0, "time")
	case "decision_id":
		r.DecisionID = s.text(1, "decision_id")
	case "trace_id":
		r.TraceID = s.text(2, "trace_id")
	case "request_id":
		r.RequestID = s.text(3, "request_id")
	case "webhook":
		r.Webhook = s.word(4, "webhook")
	case "tenant":
		r.Tenant = s.word(5, "tenant")
	case "provider":
		r.Provider = s.word(6, "provider")
	case "mode":
		r.Mode = s.word(7, "mode")
	case "verdict":
		r.Verdict = s.word(8, "verdict")
	case "reason":
		r.Reason = s.word(9, "reason")
	case "status":
		r.Status = int(s.number(10, "status", 0, 999))
	case "key_id":
		r.KeyID = s.word(11, "key_id")
	case "replay":
		r.Replay = s.word(12, "replay")
	case "unverified":
		r.Unverified = s.word(13, "unverified")
	case "source":
		r.Source = s.text(14, "source")
	case "method":
		r.Method = s.word(15, "method")
	case "path":
		r.Path = s.text(16, "path")
	case "body_bytes":
		r.BodyBytes = s.number(17, "body_bytes", 0, math.MaxInt64)
	case "skew_ms":
		skew := s.number(18, "skew_ms", math.MinInt64, math.MaxInt64)
		r.SkewMS = &skew
	case "checks":
		s.once(19, "checks")
		s.array("checks", s.checkItem)
	case "redeliver":
		r.Redeliver = s.text(20, "redeliver")
	case "duration_us":
		r.DurationUS = s.number(21, "duration_us", math.MinInt64, math.MaxInt64)
	case "policy_digest":
		r.PolicyDigest = s.word(22, "policy_digest")
	case "replica":
		r.Replica = s.word(23, "replica")
	case "left_out":
		r.LeftOut = s.number(24, "left_out", 1, math.MaxInt64)
	case "from":
		from := s.time(25, "from")
		r.From = &from
	case "because":
		r.Because = s.word(26, "because")
	case "event_id":
		r.EventID = s.text(27, "event_id")
	case "event_id_unsigned":
		r.EventIDUnsigned = s.truth(28, "event_id_unsigned")
	case "handshake":
		r.Handshake = s.word(29, "handshake")
	case "told":
		r.Told = s.text(30, "told")
	default: // of a later version
		s.skip()
	}
}

// check says what a record lacks.
func (s *scanner) check() {
	r := s.record
	switch {
	case r.Time.IsZero():
		s.fault(0, "time", "is missing: this is no decision record")
	case r.LeftOut > 0:
	case r.DecisionID == "":
		s.fault(0, "decision_id", "is missing: this is no decision record")
	case r.Verdict != "allow" && r.Verdict != "deny":
		s.fault(0, "verdict", "must be allow or deny, not "+strconv.Quote(r.Verdict))
	case r.Reason == "":
		s.fault(0, "reason", "is missing: this is no decision record")
	}
}

func (s *scanner) checkItem() {
	var c Check
	s.object("checks", func(name []byte) {
		switch string(name) {
		case "check":
			c.Check = s.texts.of(s.plain("checks.check"))
		case "reason":
			c.Reason = s.texts.of(s.plain("checks.reason"))
		default:
			s.skip()
		}
	})
	s.record.Checks = append(s.record.Checks, c)
}

// once notes that a field was seen. Two of a name would be read differently by others.
func (s *scanner) once(field int, path string) {
	if s.seen>>field&1 == 1 {
		s.fault(s.pos, path, "stands there twice")
	}
	s.seen |= 1 << field
}

func (s *scanner) text(field int, path string) string {
	s.once(field, path)
	return string(s.plain(path))
}

// word is a text of which there are few.
func (s *scanner) word(field int, path string) string {
	s.once(field, path)
	return s.texts.of(s.plain(path))
}

func (s *scanner) time(field int, path string) time.Time {
	s.once(field, path)
	at := s.pos
	text := s.plain(path)
	t, err := time.Parse(time.RFC3339Nano, string(text))
	if err != nil {
		s.fault(at, path, "must be a time in RFC 3339")
	}
	return t.UTC()
}

func (s *scanner) truth(field int, path string) bool {
	s.once(field, path)
	s.peek()
	for word, value := range map[string]bool{"true": true, "false": false} {
		if bytes.HasPrefix(s.data[s.pos:], []byte(word)) {
			s.pos += len(word)
			return value
		}
	}
	s.fault(s.pos, path, "must be true or false")
	return false
}

func (s *scanner) number(field int, path string, least, most int64) int64 {
	s.once(field, path)
	s.peek()
	at := s.pos
	raw := s.numeral()
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || !plainNumber(raw) || n < least || n > most {
		s.fault(at, path, "must be a whole number from "+strconv.FormatInt(least, 10)+" to "+strconv.FormatInt(most, 10))
	}
	return n
}

// plainNumber tells a whole number in JSON's form from what strconv takes as well: a
// plus, and zeros before it.
func plainNumber(raw []byte) bool {
	digits := bytes.TrimPrefix(raw, []byte("-"))
	return raw[0] != '+' && (len(digits) == 1 || digits[0] != '0')
}

// plain reads a string and returns its text, which is valid until the line is not.
func (s *scanner) plain(path string) []byte {
	s.peek()
	at := s.pos
	raw, simple := s.quoted(path)
	if s.failed || simple {
		return raw
	}
	var text string
	if json.Unmarshal(s.data[at:s.pos], &text) != nil {
		s.fault(at, path, "is no text")
	}
	return []byte(text)
}

// quoted reads a string and returns what is between its quotes. simple says that this
// is its text: it has no escapes, and nothing beyond ASCII.
func (s *scanner) quoted(path string) (raw []byte, simple bool) {
	if s.peek() != '"' {
		s.fault(s.pos, path, "expected text in double quotes")
		return nil, true
	}
	begin := s.pos + 1
	simple = true
	for i := begin; i < len(s.data); i++ {
		switch c := s.data[i]; {
		case c == '"':
			s.pos = i + 1
			return s.data[begin:i], simple
		case c == '\\':
			simple = false
			i++
		case c < ' ':
			s.fault(i, path, "a control character in a text")
			return nil, true
		case c >= 0x80:
			simple = false
		}
	}
	s.fault(begin-1, path, "the text has no end")
	return nil, true
}

// peek returns the next byte that is no white space, or 0 at the end or after a fault.
func (s *scanner) peek() byte {
	for ; !s.failed && s.pos < len(s.data); s.pos++ {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.pos++
	return true
}

// maxDepth bounds the nesting of what is passed over.
const maxDepth = 32

func (s *scanner) enter(open byte, path, what string) bool {
	if !s.take(open) {
		s.fault(s.pos, path, "expected "+what)
		return false
	}
	if s.depth++; s.depth > maxDepth {
		s.fault(s.pos, path, "is nested too deeply")
	}
	return !s.failed
}

// object reads an object. field reads the value of each name.
func (s *scanner) object(path string, field func(name []byte)) {
	if !s.enter('{', path, "a JSON object") {
		return
	}
	defer func() { s.depth-- }()
	for first := true; !s.take('}') && !s.failed; first = false {
		if !first && !s.take(',') {
			s.fault(s.pos, path, "expected a comma or }")
			return
		}
		name := s.plain(path)
		if !s.take(':') {
			s.fault(s.pos, path, "expected a colon")
			return
		}
		field(name)
	}
}

// array reads a list. item reads each of its values.
func (s *scanner) array(path string, item func()) {
	if !s.enter('[', path, "a list") {
		return
	}
	defer func() { s.depth-- }()
	for first := true; !s.take(']') && !s.failed; first = false {
		if !first && !s.take(',') {
			s.fault(s.pos, path, "expected a comma or ]")
			return
		}
		item()
	}
}

// skip passes over any value.
func (s *scanner) skip() {
	switch c := s.peek(); {
	case c == '{':
		s.object("", func([]byte) { s.skip() })
	case c == '[':
		s.array("", s.skip)
	case c == '"':
		s.plain("")
	case c == '-' || '0' <= c && c <= '9':
		if at := s.pos; !json.Valid(s.numeral()) {
			s.fault(at, "", "expected a number")
		}
	default:
		for _, word := range []string{"true", "false", "null"} {
			if bytes.HasPrefix(s.data[s.pos:], []byte(word)) {
				s.pos += len(word)
				return
			}
		}
		s.fault(s.pos, "", "expected a value")
	}
}

// numeral reads what may be a number.
func (s *scanner) numeral() []byte {
	begin := s.pos
	for s.pos < len(s.data) && bytes.IndexByte([]byte("+-.eE0123456789"), s.data[s.pos]) >= 0 {
		s.pos++
	}
	return s.data[begin:s.pos]
}
