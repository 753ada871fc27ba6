package h2_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/hookbastion/hookbastion/envoy/h2"
)

// fuzzConfig bounds so little that few frames reach every bound.
func fuzzConfig() h2.Config {
	c := testConfig()
	c.MaxMessage, c.Streams, c.InFlight, c.Bytes, c.Copies, c.Overhead, c.Window = 100<<10, 6, 4, 400<<10, 1, 100, 64
	return c
}

// lateTime is more than any time of a server that has no peer.
const lateTime = time.Minute

// feed sends bytes to a server and hangs up. The server must end, and serve
// looks that it has let everything go.
func feed(t *testing.T, data []byte, chunk int) {
	late := time.AfterFunc(lateTime, func() { panic("the server does not end") })
	defer late.Stop()
	s := serve(t, fuzzConfig())
	conn, err := s.pipes.dial(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		_, _ = io.Copy(io.Discard, conn)
	}()
	for data = append([]byte(http2.ClientPreface), data...); len(data) > 0; data = data[min(chunk, len(data)):] {
		if _, err := conn.Write(data[:min(chunk, len(data))]); err != nil {
			break // it has hung up
		}
	}
	conn.Close()
	<-heard
	s.Drain()
	s.Wait()
}

// FuzzBytes says anything after the preface.
func FuzzBytes(f *testing.F) {
	var b bytes.Buffer
	fr := http2.NewFramer(&b, nil)
	_ = fr.WriteSettings()
	_ = fr.WritePing(false, [8]byte{})
	f.Add(b.Bytes(), uint8(0))
	_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(unaryPath), EndHeaders: true})
	_ = fr.WriteData(1, true, []byte{0, 0, 0, 0, 1, 2})
	f.Add(b.Bytes(), uint8(1))
	_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: block(echoPath)[:5]})
	_ = fr.WriteContinuation(3, true, block(echoPath)[5:])
	_ = fr.WriteDataPadded(3, true, []byte{0, 0, 0, 0, 1, 2}, []byte{0, 0})
	f.Add(b.Bytes(), uint8(7))
	f.Fuzz(func(t *testing.T, data []byte, chunk uint8) { feed(t, data, int(chunk)*50+1) })
}

// block is the headers of a call.
func block(path string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	e.SetMaxDynamicTableSize(0)
	for _, h := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", path}, {"content-type", "application/grpc"}} {
		_ = e.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]})
	}
	return b.Bytes()
}

// FuzzFrames sends frames in an order that the input tells: four bytes for
// each.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x03\x00\x01\x09"), uint8(9))
	f.Add([]byte("\x02\x00\x00\x00\x03\x00\x00\x09\x04\x00\x01\x09\x05\x00\x00\x00"), uint8(9))
	f.Add([]byte("\x01\x00\x00\x00\x04\x00\x00\x40\x03\x00\x01\x09"), uint8(200))
	f.Add([]byte("\x00\x00\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x03\x00\x00\xf0\x03\x01\x00\xf0\x03\x02\x00\xf0\x05\x00\x00\x00\x0d\x02\x01\x40"), uint8(1))
	f.Add([]byte("\x00\x00\x00\x00\x08\x00\x00\x00\x03\x00\x01\x01\x07\x00\x00\x05\x08\x00\x00\xff\x0b\x00\x00\x00"), uint8(1))
	f.Fuzz(func(t *testing.T, ops []byte, chunk uint8) {
		var b bytes.Buffer
		fr := http2.NewFramer(&b, nil)
		fr.AllowIllegalWrites = true
		_ = fr.WriteSettings()
		for ; len(ops) >= 4 && b.Len() < 1<<18; ops = ops[4:] {
			id, end, n := uint32(ops[1]%16)*2+1, ops[2]&1 != 0, int(ops[3])
			if ops[2]&0x80 != 0 {
				id--
			}
			writeFrame(fr, ops[0], id, http2.Flags(ops[2]), end, n)
		}
		feed(t, b.Bytes(), int(chunk)*50+1)
	})
}

func writeFrame(fr *http2.Framer, kind byte, id uint32, flags http2.Flags, end bool, n int) {
	filler := make([]byte, 64*n)
	switch kind % 16 {
	case 0, 1, 2:
		path := []string{unaryPath, echoPath, waitPath}[kind%16]
		_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block(path), EndHeaders: true, EndStream: end})
	case 3: // a prefix, and what the first window lets through
		prefix := binary.BigEndian.AppendUint32([]byte{0}, uint32(n*257))
		_ = fr.WriteData(id, end, append(prefix, filler[:min(n*64, 59)]...))
	case 4:
		_ = fr.WriteData(id, end, filler)
	case 5:
		_ = fr.WriteRSTStream(id, http2.ErrCodeCancel)
	case 6:
		_ = fr.WritePing(end, [8]byte{byte(n)})
	case 7:
		_ = fr.WriteWindowUpdate(id&^uint32(n&1), uint32(n)<<(flags&31))
	case 8:
		_ = fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(n)}, http2.Setting{ID: http2.SettingID(flags), Val: uint32(n)})
	case 9: // trailers
		_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte("\x00\x01a\x01b"), EndHeaders: true, EndStream: true})
	case 10:
		_ = fr.WriteRawFrame(http2.FrameType(n), flags, id, filler[:min(n, len(filler))])
	case 11:
		_ = fr.WriteGoAway(id, http2.ErrCode(n), nil)
	case 12:
		_ = fr.WriteSettingsAck()
	case 13:
		_ = fr.WriteDataPadded(id, end, filler[:n%64], make([]byte, n))
	case 14:
		_ = fr.WritePriority(id, http2.PriorityParam{StreamDep: uint32(n)})
	case 15: // the headers of a call in two frames
		all := block(unaryPath)
		_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: all[:n%len(all)], EndStream: end})
		_ = fr.WriteContinuation(id, true, all[n%len(all):])
	}
}
