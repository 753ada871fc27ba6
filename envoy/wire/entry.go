package wire

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/hookbastion/hookbastion/authz"
)

// Entry is what an HTTPAccessLogEntry says, as far as the service asks for it. The
// zero value is an empty entry. Its views alias the bytes that were read.
type Entry struct {
	// Seal is a text in the metadata that Envoy's filter has put there; empty if
	// there is none.
	Seal authz.View
	// Type is the AccessLogType, and Intermediate what an Envoy before that says of
	// an entry that is not the last one of its request.
	Type         int32
	Intermediate bool
	// Attempts is how often the upstream was tried.
	Attempts uint32
	// Code is the status that the sender got, Details are Envoy's word for it.
	Code    uint32
	Details authz.View
	Flags   Flags
	// Start is when the request came, Duration how long it took, where HasTimes.
	HasTimes              bool
	StartSeconds, Seconds int64
	StartNanos, Nanos     int32
	hasStart, hasDuration bool
}

// Flags are Envoy's response flags that are set, each at the place of its number in
// ResponseFlags.
type Flags uint32

// The flags that somebody asks for.
const (
	NoHealthyUpstream             Flags = 1 << 2
	UpstreamRequestTimeout        Flags = 1 << 3
	LocalReset                    Flags = 1 << 4
	UpstreamRemoteReset           Flags = 1 << 5
	UpstreamConnectionFailure     Flags = 1 << 6
	UpstreamConnectionTermination Flags = 1 << 7
	UpstreamOverflow              Flags = 1 << 8
	NoRouteFound                  Flags = 1 << 9
	FaultInjected                 Flags = 1 << 11
	RateLimited                   Flags = 1 << 12
	RateLimitServiceError         Flags = 1 << 14
	DownstreamTermination         Flags = 1 << 15
	UpstreamRetryLimitExceeded    Flags = 1 << 16
	StreamIdleTimeout             Flags = 1 << 17
	UpstreamMaxDuration           Flags = 1 << 20
	DurationTimeout               Flags = 1 << 23
	UpstreamProtocolError         Flags = 1 << 24
	NoClusterFound                Flags = 1 << 25
	DNSResolutionFailure          Flags = 1 << 27
	DownstreamRemoteReset         Flags = 1 << 28

	// messageFlag is the number of the one that is a message.
	messageFlag = 13
)

// Any reports whether one of the others is set.
func (f Flags) Any(others Flags) bool { return f&others != 0 }

// Numbers of fields, as in envoy/data/accesslog/v3, envoy/config/core/v3 and
// google/protobuf. Of an entry of a map the key is 1, and the value 2.
const (
	entryCommon, entryResponse = 1, 4

	commonStart, commonFlags, commonMetadata                       = 5, 16, 17
	commonDuration, commonAttempts, commonIntermediate, commonType = 23, 24, 27, 33

	responseCode, responseDetails = 1, 6

	metadataFilter, structFields = 1, 1
	valueLast, valueString       = 6, 3
	pairKey, pairValue           = 1, 2
)

// SealPlace says where in an entry's metadata the seal is.
type SealPlace struct{ Namespace, Key string }

// Read reads an encoded entry. It reports whether it could: what it does not ask for
// it walks over without a look inside, so that it takes some entries that the
// generated decoder refuses; of those that this takes it finds the same.
func (e *Entry) Read(encoded []byte, place SealPlace) bool {
	*e = Entry{}
	f := fields{rest: encoded}
	for f.next() {
		switch {
		case f.is(entryCommon, protowire.BytesType):
			f.bad = !e.common(f.bytes, place)
		case f.is(entryResponse, protowire.BytesType):
			f.bad = !e.response(f.bytes)
		}
	}
	e.HasTimes = e.hasStart && e.hasDuration
	return !f.bad
}

func (e *Entry) common(b []byte, place SealPlace) bool {
	f := fields{rest: b}
	for f.next() {
		switch {
		case f.is(commonStart, protowire.BytesType):
			e.hasStart = true
			f.bad = !readTime(f.bytes, &e.StartSeconds, &e.StartNanos)
		case f.is(commonDuration, protowire.BytesType):
			e.hasDuration = true
			f.bad = !readTime(f.bytes, &e.Seconds, &e.Nanos)
		case f.is(commonFlags, protowire.BytesType):
			f.bad = !e.flags(f.bytes)
		case f.is(commonMetadata, protowire.BytesType):
			f.bad = !e.metadata(f.bytes, place)
		case f.is(commonAttempts, protowire.VarintType):
			e.Attempts = uint32(f.varint)
		case f.is(commonIntermediate, protowire.VarintType):
			e.Intermediate = f.varint != 0
		case f.is(commonType, protowire.VarintType):
			e.Type = int32(f.varint)
		}
	}
	return !f.bad
}

func readTime(b []byte, seconds *int64, nanos *int32) bool {
	f := fields{rest: b}
	for f.next() {
		switch {
		case f.is(1, protowire.VarintType):
			*seconds = int64(f.varint)
		case f.is(2, protowire.VarintType):
			*nanos = int32(f.varint)
		}
	}
	return !f.bad
}

func (e *Entry) flags(b []byte) bool {
	f := fields{rest: b}
	for f.next() {
		if f.kind == protowire.VarintType && f.number < 32 && f.number != messageFlag {
			bit := Flags(1) << f.number
			e.Flags &^= bit
			if f.varint != 0 {
				e.Flags |= bit
			}
		}
	}
	return !f.bad
}

func (e *Entry) response(b []byte) bool {
	f := fields{rest: b}
	for f.next() {
		switch {
		case f.is(responseCode, protowire.BytesType):
			code := fields{rest: f.bytes}
			for code.next() {
				if code.is(1, protowire.VarintType) {
					e.Code = uint32(code.varint)
				}
			}
			f.bad = code.bad
		case f.is(responseDetails, protowire.BytesType):
			e.Details = f.bytes
		}
	}
	return !f.bad
}

// metadata looks for the seal. The last entry of a key counts; parts of a value in
// one entry are merged.
func (e *Entry) metadata(b []byte, place SealPlace) bool {
	f := fields{rest: b}
	for f.next() {
		if !f.is(metadataFilter, protowire.BytesType) {
			continue
		}
		named, ok := keyIs(f.bytes, place.Namespace)
		if f.bad = !ok; !named || !ok {
			continue
		}
		e.Seal = nil
		value := fields{rest: f.bytes}
		for value.next() {
			value.bad = value.is(pairValue, protowire.BytesType) && !e.structure(value.bytes, place.Key)
		}
		f.bad = value.bad
	}
	return !f.bad
}

// structure looks for the seal in a google.protobuf.Struct.
func (e *Entry) structure(b []byte, key string) bool {
	f := fields{rest: b}
	for f.next() {
		if !f.is(structFields, protowire.BytesType) {
			continue
		}
		named, ok := keyIs(f.bytes, key)
		if f.bad = !ok; !named || !ok {
			continue
		}
		e.Seal = nil
		value := fields{rest: f.bytes}
		for value.next() {
			value.bad = value.is(pairValue, protowire.BytesType) && !e.value(value.bytes)
		}
		f.bad = value.bad
	}
	return !f.bad
}

// value takes a text, and forgets one that something else comes after.
func (e *Entry) value(b []byte) bool {
	f := fields{rest: b}
	for f.next() {
		switch {
		case f.is(valueString, protowire.BytesType):
			e.Seal = f.bytes
		case f.number <= valueLast && f.kind == valueKinds[f.number]:
			e.Seal = nil
		}
	}
	return !f.bad
}

// valueKinds are how the kinds of a google.protobuf.Value are written.
var valueKinds = [valueLast + 1]protowire.Type{
	0: -1, 1: protowire.VarintType, 2: protowire.Fixed64Type, 3: protowire.BytesType,
	4: protowire.VarintType, 5: protowire.BytesType, 6: protowire.BytesType,
}

// keyIs reports whether the last key in an entry of a map is that one, and whether
// the entry can be read.
func keyIs(b []byte, want string) (is, ok bool) {
	f := fields{rest: b}
	is = want == ""
	for f.next() {
		if f.is(pairKey, protowire.BytesType) {
			is = string(f.bytes) == want
		}
	}
	return is, !f.bad
}

// fields walks over the fields of a message as they are written.
type fields struct {
	rest []byte
	bad  bool // it cannot be read on

	number protowire.Number
	kind   protowire.Type
	varint uint64 // of a varint, or of 64 bits
	bytes  []byte // of what has its length before it
}

func (f *fields) is(number protowire.Number, kind protowire.Type) bool {
	return f.number == number && f.kind == kind
}

// next takes the next field, and reports whether there is one.
func (f *fields) next() bool {
	if f.bad || len(f.rest) == 0 {
		return false
	}
	var n int
	if f.number, f.kind, n = protowire.ConsumeTag(f.rest); n < 0 {
		f.bad = true
		return false
	}
	f.rest = f.rest[n:]
	switch f.kind {
	case protowire.VarintType:
		f.varint, n = protowire.ConsumeVarint(f.rest)
	case protowire.BytesType:
		f.bytes, n = protowire.ConsumeBytes(f.rest)
	case protowire.Fixed64Type:
		f.varint, n = protowire.ConsumeFixed64(f.rest)
	default:
		n = protowire.ConsumeFieldValue(f.number, f.kind, f.rest)
	}
	if n < 0 {
		f.bad = true
		return false
	}
	f.rest = f.rest[n:]
	return true
}

// Numbers of fields on the way from a StreamAccessLogsMessage to its entries.
const (
	messageIdentifier, messageHTTPLogs = 1, 2
	logsEntry                          = 1
	identifierNode, nodeID             = 1, 1
)

// NodeID returns what Envoy calls itself in an encoded StreamAccessLogsMessage, which is in
// the first one of a stream alone; empty if it is not there or cannot be read.
func NodeID(message []byte) authz.View {
	return last(last(last(message, messageIdentifier), identifierNode), nodeID)
}

// last returns the last field of that number that has its length before it.
func last(message []byte, number protowire.Number) (found []byte) {
	f := fields{rest: message}
	for f.next() {
		if f.is(number, protowire.BytesType) {
			found = f.bytes
		}
	}
	if f.bad {
		return nil
	}
	return found
}

// EachEntry calls take with each encoded entry for HTTP of an encoded
// StreamAccessLogsMessage, up to what cannot be read, and reports whether there is
// nothing of that kind. A message is never decoded whole: of a megabyte of empty
// entries that would make eighty.
func EachEntry(message []byte, take func(entry []byte)) bool {
	f := fields{rest: message}
	for f.next() {
		if !f.is(messageHTTPLogs, protowire.BytesType) {
			continue
		}
		logs := fields{rest: f.bytes}
		for logs.next() {
			if logs.is(logsEntry, protowire.BytesType) {
				take(logs.bytes)
			}
		}
		f.bad = logs.bad
	}
	return !f.bad
}
