package h2_test

import (
	"encoding/hex"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/hookbastion/hookbastion/envoy/h2"
)

// Who wants a smaller table for headers is told at the beginning of the next
// ones that it is smaller: first the least size that was wanted, then the last.
func TestTableSizes(t *testing.T) {
	for name, c := range map[string]struct {
		wanted []uint32
		want   string
	}{
		"nothing":              {},
		"the default":          {[]uint32{4096}, ""},
		"more":                 {[]uint32{65536}, ""},
		"none":                 {[]uint32{0}, "20"},
		"little":               {[]uint32{30}, "3e"},
		"31":                   {[]uint32{31}, "3f00"},
		"1337":                 {[]uint32{1337}, "3f9a0a"},
		"one less":             {[]uint32{4095}, "3fe01f"},
		"less, then more":      {[]uint32{0, 4096}, "203fe11f"},
		"less, then some more": {[]uint32{100, 200}, "3f453fa901"},
		"less, then too much":  {[]uint32{100, 1 << 30}, "3f453fe11f"},
		"more, then less":      {[]uint32{1 << 30, 100}, "3f45"},
		"less, more, less":     {[]uint32{200, 4096, 100}, "3f45"},
		"twice the same":       {[]uint32{100, 100}, "3f45"},
	} {
		if got := hex.EncodeToString(h2.TableSizes(c.wanted)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	if got := hex.EncodeToString(h2.TableSizes([]uint32{100}, nil, []uint32{4096}, []uint32{200}, []uint32{50})); got != "3f453f13" {
		t.Errorf("over several headers: %s", got)
	}
}

// A strict peer takes our headers whatever size it wants, also where one
// changes between two calls, and in any kind of answer.
func TestTableSizesOfAStrictPeer(t *testing.T) {
	whole, _ := message(10)
	s := serve(t, testConfig())
	p := s.mute(t)
	p.ReadMetaHeaders = nil
	sizes := []uint32{0, 4096, 100, 50, 2000, 4096, 0}
	heard := make(chan string)
	go func() {
		defer close(heard)
		decoder := hpack.NewDecoder(4096, nil)
		acks, wanted, told := 0, uint32(4096), uint32(4096)
		for {
			f, err := p.ReadFrame()
			if err != nil {
				return
			}
			switch f := f.(type) {
			case *http2.SettingsFrame:
				if f.IsAck() {
					if acks++; acks > 1 {
						size := sizes[acks-2]
						decoder.SetAllowedMaxDynamicTableSize(size) // an update beyond it is an error
						wanted = size
						heard <- "wanted"
					}
				}
			case *http2.HeadersFrame:
				if wanted < told && f.HeaderBlockFragment()[0]&0xe0 != 0x20 {
					heard <- "no size was told"
					continue
				}
				told = min(told, wanted)
				fields, err := decoder.DecodeFull(f.HeaderBlockFragment())
				if err != nil {
					heard <- err.Error()
				} else if f.StreamEnded() {
					heard <- fields[len(fields)-1].Name + "=" + fields[len(fields)-1].Value
				}
			}
		}
	}()
	p.greet()
	id := uint32(1)
	for _, size := range sizes {
		p.must(p.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: size}))
		if got := <-heard; got != "wanted" {
			t.Fatal(got)
		}
		for _, c := range []struct{ path, kind, want string }{
			{unaryPath, "application/grpc", "grpc-status=0"}, {"/x", "application/grpc", "grpc-message=unknown method"}, {unaryPath, "text/plain", ":status=415"},
		} {
			p.rude = true
			p.headers(id, false, ":method", "POST", ":scheme", "http", ":path", c.path, "content-type", c.kind)
			if c.want == "grpc-status=0" {
				p.data(id, true, whole, 100)
			}
			if got := <-heard; got != c.want {
				t.Errorf("size %d, %s: %s", size, c.path, got)
			}
			id += 2
		}
	}
	p.Conn.Close()
	for range heard {
	}
}
