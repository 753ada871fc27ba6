package h2

import (
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// method returns the method of a call; or none, and the status of HTTP or the
// code for what is no call. Without any of these the method is unknown.
func (c *conn) method(f *http2.MetaHeadersFrame) (m *Method, status string, code http2.ErrCode) {
	var path string
	pseudo := 0
	for _, field := range f.PseudoFields() {
		switch field.Name {
		case ":method":
			pseudo |= 1
			if field.Value != "POST" {
				status = "405"
			}
		case ":scheme":
			pseudo |= 2
		case ":path":
			pseudo |= 4
			path = field.Value
		case ":authority":
		default:
			return nil, "", http2.ErrCodeProtocol
		}
	}
	if pseudo != 7 || path == "" || !allowed(f.RegularFields()) {
		return nil, "", http2.ErrCodeProtocol
	}
	kind := ""
	for _, field := range f.RegularFields() {
		if field.Name == "content-type" {
			kind = field.Value
		}
	}
	switch {
	case f.Truncated:
		return nil, "431", http2.ErrCodeNo
	case c.server.anything != nil:
		return c.server.anything, "", http2.ErrCodeNo
	case status != "":
		return nil, status, http2.ErrCodeNo
	case !strings.HasPrefix(kind, grpcType) || len(kind) > len(grpcType) && kind[len(grpcType)] != '+' && kind[len(grpcType)] != ';':
		return nil, "415", http2.ErrCodeNo
	default:
		return c.server.config.Methods[path], "", http2.ErrCodeNo
	}
}

// allowed looks for headers of HTTP/1.1's connections (RFC 9113, section 8.2.2).
func allowed(fields []hpack.HeaderField) bool {
	for i := range fields {
		switch fields[i].Name {
		case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
			return false
		case "te":
			if fields[i].Value != "trailers" {
				return false
			}
		}
	}
	return true
}

// deadline reads the time that is left of a call, and the time that Envoy gives
// a single attempt, which can be shorter. The zero time is none.
func deadline(call *Call, now time.Time) time.Time {
	left, ok := timeout(call.Only("grpc-timeout"))
	if text := call.Only("x-envoy-expected-rq-timeout-ms"); text != "" { // an error of strconv is memory
		if ms, err := strconv.ParseUint(text, 10, 31); err == nil && ms > 0 {
			if attempt := time.Duration(ms) * time.Millisecond; !ok || attempt < left {
				left, ok = attempt, true
			}
		}
	}
	if !ok {
		return time.Time{}
	}
	return now.Add(left)
}

// timeout reads grpc-timeout: at most eight digits and a unit.
func timeout(text string) (time.Duration, bool) {
	if len(text) < 2 || len(text) > 9 {
		return 0, false
	}
	n, err := strconv.ParseUint(text[:len(text)-1], 10, 31)
	if err != nil {
		return 0, false
	}
	var unit time.Duration
	switch text[len(text)-1] {
	case 'H':
		unit = time.Hour
	case 'M':
		unit = time.Minute
	case 'S':
		unit = time.Second
	case 'm':
		unit = time.Millisecond
	case 'u':
		unit = time.Microsecond
	case 'n':
		unit = time.Nanosecond
	default:
		return 0, false
	}
	// A number of hours may be more than a Duration has.
	const most = 1 << 53
	if n > most/uint64(unit) {
		return 0, false
	}
	return time.Duration(n) * unit, true
}
