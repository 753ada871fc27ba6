package h2

import (
	"encoding/binary"

	"golang.org/x/net/http2"
)

const (
	// maxID is the highest id that a call can have.
	maxID = 1<<31 - 1
	// frameHeader is the size of that of a frame.
	frameHeader = 9
)

// What our pings say.
var (
	alive      = [8]byte{'a', 'l', 'i', 'v', 'e', '?'}
	goAwayPing = [8]byte{'g', 'o', ' ', 'a', 'w', 'a', 'y', '?'}
)

// appendFrame appends the header of a frame (RFC 9113, section 4.1).
func appendFrame(b []byte, length int, kind http2.FrameType, flags http2.Flags, id uint32) []byte {
	b = append(b, byte(length>>16), byte(length>>8), byte(length), byte(kind), byte(flags))
	return binary.BigEndian.AppendUint32(b, id)
}

func appendSettings(b []byte, streams, window uint32) []byte {
	settings := []http2.Setting{
		{ID: http2.SettingMaxConcurrentStreams, Val: streams},
		{ID: http2.SettingInitialWindowSize, Val: window},
		{ID: http2.SettingMaxHeaderListSize, Val: maxHeaders},
	}
	b = appendFrame(b, len(settings)*6, http2.FrameSettings, 0, 0)
	for _, s := range settings {
		b = binary.BigEndian.AppendUint16(b, uint16(s.ID))
		b = binary.BigEndian.AppendUint32(b, s.Val)
	}
	return b
}

func appendSettingsAck(b []byte) []byte {
	return appendFrame(b, 0, http2.FrameSettings, http2.FlagSettingsAck, 0)
}

func appendWindowUpdate(b []byte, id, n uint32) []byte {
	return binary.BigEndian.AppendUint32(appendFrame(b, 4, http2.FrameWindowUpdate, 0, id), n)
}

func appendReset(b []byte, id uint32, code http2.ErrCode) []byte {
	return binary.BigEndian.AppendUint32(appendFrame(b, 4, http2.FrameRSTStream, 0, id), uint32(code))
}

func appendGoAway(b []byte, last uint32, code http2.ErrCode) []byte {
	b = appendFrame(b, 8, http2.FrameGoAway, 0, 0)
	b = binary.BigEndian.AppendUint32(b, last)
	return binary.BigEndian.AppendUint32(b, uint32(code))
}

func appendPing(b []byte, ack bool, data [8]byte) []byte {
	flags := http2.Flags(0)
	if ack {
		flags = http2.FlagPingAck
	}
	return append(appendFrame(b, 8, http2.FramePing, flags, 0), data[:]...)
}

// Header blocks are prepared: what is indexed is from the static table, and
// nothing enters the dynamic one (RFC 7541, sections 6.1 and 6.2.2).
const (
	status200    = "\x88"
	statusOther  = "\x08\x03"         // and three digits
	contentType  = "\x0f\x10\x10"     // and 16 bytes
	grpcType     = "application/grpc" //
	grpcStatus   = "\x00\x0bgrpc-status"
	grpcMessage  = "\x00\x0cgrpc-message"
	headersBlock = status200 + contentType + grpcType
	okTrailers   = grpcStatus + "\x010"
)

// Status is how a call ends. The zero value is OK.
type Status struct {
	// Code is of gRPC, below 100.
	Code uint8
	// Message is at most 126 bytes of printable ASCII without %.
	Message string
}

// append appends the status as headers.
func (s Status) append(b []byte) []byte {
	if s.Code == 0 {
		return append(b, okTrailers...)
	}
	b = append(b, grpcStatus...)
	if s.Code >= 10 {
		b = append(b, 2, '0'+s.Code/10, '0'+s.Code%10)
	} else {
		b = append(b, 1, '0'+s.Code)
	}
	if s.Message != "" {
		b = append(b, grpcMessage...)
		b = append(b, byte(len(s.Message)))
		b = append(b, s.Message...)
	}
	return b
}

// appendHeaders begins an answer.
func appendHeaders(b []byte, t *tableSize, id uint32) []byte {
	at := len(b)
	b = t.append(appendFrame(b, 0, http2.FrameHeaders, http2.FlagHeadersEndHeaders, id))
	return closeFrame(append(b, headersBlock...), at)
}

// appendTrailers ends a call. Without headers before it, it has these, too.
func appendTrailers(b []byte, t *tableSize, id uint32, began bool, s Status) []byte {
	at := len(b)
	b = t.append(appendFrame(b, 0, http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, id))
	if !began {
		b = append(b, headersBlock...)
	}
	return closeFrame(s.append(b), at)
}

// appendHTTPError answers what is no gRPC, with a status of HTTP.
func appendHTTPError(b []byte, t *tableSize, id uint32, status string) []byte {
	at := len(b)
	b = t.append(appendFrame(b, 0, http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, id))
	return closeFrame(append(append(b, statusOther...), status...), at)
}

// closeFrame writes the length of the frame that begins there and ends here.
func closeFrame(b []byte, at int) []byte {
	length := len(b) - at - frameHeader
	b[at], b[at+1], b[at+2] = byte(length>>16), byte(length>>8), byte(length)
	return b
}
