package telemetry

import (
	"strings"

	"go.opentelemetry.io/otel/trace"
)

// Metadata is what a call has as headers of its own.
type Metadata interface {
	// Values returns the values of a header, in lower case, in their order.
	Values(name string) []string
}

// parent is the span that a call belongs to. The zero value is none.
type parent struct {
	trace trace.TraceID
	span  trace.SpanID
	flags trace.TraceFlags
	// w3c says that it came as W3C Trace Context, which has a state, too.
	w3c bool
}

func (p *parent) valid() bool { return p.trace.IsValid() && p.span.IsValid() }

// parentOf reads the parent from the metadata of the call, which Envoy writes:
// W3C Trace Context, or else B3 in one header or in several. The headers of the
// request that is checked are a stranger's and are not looked at.
func parentOf(m Metadata) parent {
	if m == nil {
		return parent{}
	}
	if values := m.Values("traceparent"); len(values) == 1 {
		if p := parseTraceparent(values[0]); p.valid() {
			p.w3c = true
			return p
		}
	}
	if values := m.Values("b3"); len(values) == 1 {
		return parseB3(values[0])
	}
	id := m.Values("x-b3-traceid")
	span := m.Values("x-b3-spanid")
	if len(id) != 1 || len(span) != 1 {
		return parent{}
	}
	sampled := strings.Join(m.Values("x-b3-sampled"), ",")
	if debug := m.Values("x-b3-flags"); len(debug) == 1 && debug[0] == "1" {
		sampled = "d"
	}
	return b3(id[0], span[0], sampled)
}

// parseTraceparent reads W3C Trace Context, section 3.2. Later versions than 00
// may have more fields at the end. The result is invalid if the text is.
func parseTraceparent(text string) parent {
	const size = len("00-00000000000000000000000000000000-0000000000000000-00")
	if len(text) < size || text[2] != '-' || text[35] != '-' || text[52] != '-' {
		return parent{}
	}
	version, ok := hexByte(text[:2])
	flags, ok2 := hexByte(text[53:size])
	const knownFlags = trace.FlagsSampled | trace.FlagsRandom
	switch {
	case !ok, !ok2, version == 0xff:
		return parent{}
	case version == 0 && (len(text) != size || flags&^byte(knownFlags) != 0):
		return parent{}
	case len(text) > size && text[size] != '-':
		return parent{}
	}
	return ids(text[3:35], text[36:52], trace.TraceFlags(flags)&knownFlags)
}

// parseB3 reads {trace}-{span}, {trace}-{span}-{sampled} or
// {trace}-{span}-{sampled}-{parent}. A sampling state alone names no parent.
func parseB3(text string) parent {
	fields := strings.Split(text, "-")
	switch len(fields) {
	case 2:
		return b3(fields[0], fields[1], "")
	case 3, 4:
		return b3(fields[0], fields[1], fields[2])
	default:
		return parent{}
	}
}

// b3 makes a parent. No sampling state, which leaves the decision to us, counts
// as not sampled, as with OpenTelemetry's own propagator.
func b3(id, span, sampled string) parent {
	if len(id) == 16 {
		id = "0000000000000000" + id
	}
	var flags trace.TraceFlags
	switch sampled {
	case "1", "d", "true":
		flags = trace.FlagsSampled
	case "", "0", "false":
	default:
		return parent{}
	}
	return ids(id, span, flags)
}

func ids(id, span string, flags trace.TraceFlags) parent {
	traceID, err := trace.TraceIDFromHex(id)
	if err != nil {
		return parent{}
	}
	spanID, err := trace.SpanIDFromHex(span)
	if err != nil {
		return parent{}
	}
	return parent{trace: traceID, span: spanID, flags: flags}
}

// hexByte reads two digits in lower case.
func hexByte(text string) (value byte, ok bool) {
	for i := range 2 {
		c := text[i]
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		default:
			return 0, false
		}
		value = value<<4 | c
	}
	return value, true
}
