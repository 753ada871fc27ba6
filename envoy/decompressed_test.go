package envoy_test

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

// decompressor puts Envoy's gzip decompressor before the filter.
func decompressor(c envoytest.Config) {
	first := map[string]any{"name": "envoy.filters.http.decompressor", "typed_config": map[string]any{
		"@type": "type.googleapis.com/envoy.extensions.filters.http.decompressor.v3.Decompressor",
		"decompressor_library": map[string]any{"name": "gzip", "typed_config": map[string]any{
			"@type": "type.googleapis.com/envoy.extensions.compression.gzip.decompressor.v3.Gzip",
		}},
	}}
	c.Manager()["http_filters"] = append([]any{first}, c.Manager()["http_filters"].([]any)...)
}

func gzipped(t testing.TB, body []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// compressible is text of that length that gzip makes about a tenth of.
func compressible(name string, n int) []byte {
	var b bytes.Buffer
	b.WriteString(name)
	for b.Len() < n {
		some := make([]byte, 3)
		_, _ = rand.Read(some)
		fmt.Fprintf(&b, `{"event":"a push that is sent to many devices","id":"%x"},`, some)
	}
	return b.Bytes()[:n]
}

// ways are the framings of a body.
var ways = []string{"HTTP/1.1 with a length", "HTTP/1.1 in chunks", "HTTP/2 with a length", "HTTP/2 without one"}

// sendWay sends a request whose body is not what its signature was made over.
func (g *gateway) sendWay(t testing.TB, way string, req *http.Request, body []byte) answer {
	t.Helper()
	switch way {
	case "HTTP/1.1 with a length", "HTTP/2 with a length":
		setBody(req, string(body))
	default:
		req.Body, req.ContentLength, req.GetBody = io.NopCloser(bytes.NewReader(body)), -1, nil
	}
	if way[:6] == "HTTP/2" {
		return g.send(t, g.HTTP2, req)
	}
	return g.send(t, g.HTTP1, req)
}

// TestCompressedDeliveries: what is signed is what came or what it was before,
// and Envoy's configuration and the setting say which.
func TestCompressedDeliveries(t *testing.T) {
	random := make([]byte, 300)
	_, _ = rand.Read(random)
	bodies := map[string][]byte{"7 bytes": []byte("1234567"), "300 random bytes": random, "200 KiB of text": compressible("", 200<<10)}
	for _, c := range []struct {
		name                   string
		decompressor, setting  bool
		before, after, uncoded string // reasons
	}{
		{"a decompressor and the setting", true, true, "ok", "signature_invalid", "ok"},
		{"a decompressor alone", true, false, "body_truncated", "body_truncated", "ok"},
		{"the setting alone", false, true, "signature_invalid", "ok", "ok"},
		{"neither", false, false, "signature_invalid", "ok", "ok"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var edit func(envoytest.Config)
			if c.decompressor {
				edit = decompressor
			}
			g := start(t, envoytest.Options{Mapping: envoy.Mapping{Decompressed: c.setting}, Edit: edit})
			check := func(name string, a answer, want string, body []byte) {
				t.Helper()
				got := g.Upstream.Take()
				if a.reason != want || (len(got) == 1) != (want == "ok") || len(got) == 1 && !bytes.Equal(got[0].Body, body) {
					t.Errorf("%s: status %d, reason %s, %d upstream; want %s", name, a.status, a.reason, len(got), want)
				}
			}
			for name, body := range bodies {
				for _, way := range ways {
					body := append([]byte(way+c.name), body...)
					coded := gzipped(t, body)
					after := coded
					if c.decompressor {
						after = body
					}
					req := g.signed(t, "github", body)
					req.Header.Set("Content-Encoding", "gzip")
					check(name+" signed before, "+way, g.sendWay(t, way, req, coded), c.before, body)
					req = g.signed(t, "github", coded)
					req.Header.Set("Content-Encoding", "gzip")
					check(name+" signed after, "+way, g.sendWay(t, way, req, coded), c.after, after)
					plain := append([]byte("plain"), body...)
					check(name+" plain, "+way, g.sendWay(t, way, g.signed(t, "github", plain), plain), c.uncoded, plain)
				}
			}
		})
	}
}

// TestDecompressedBodiesThatAreNotWhole: Envoy hands on the beginning of what it
// does not like to decompress. The upstream never gets other bytes than were
// judged, and nothing that was cut.
func TestDecompressedBodiesThatAreNotWhole(t *testing.T) {
	const limit = 64 << 10
	for _, partial := range []bool{false, true} {
		t.Run(fmt.Sprintf("partial %v", partial), func(t *testing.T) {
			g := start(t, envoytest.Options{Mapping: envoy.Mapping{MaxRequestBytes: limit, Decompressed: true}, Edit: func(c envoytest.Config) {
				c.WithRequestBody()["allow_partial_message"] = partial
				decompressor(c)
			}})
			refused := func(name string, a answer) {
				t.Helper()
				if got := g.Upstream.Take(); a.status < 400 || len(got) != 0 {
					t.Errorf("%s: status %d, reason %s, %d upstream", name, a.status, a.reason, len(got))
				}
			}
			for _, way := range ways {
				coded := func(signed, body []byte) answer {
					req := g.signed(t, "github", signed)
					req.Header.Set("Content-Encoding", "gzip")
					return g.sendWay(t, way, req, body)
				}
				long := compressible(way, 10*limit)
				refused("over the limit, "+way, coded(long, gzipped(t, long)))
				refused("over the limit, the beginning signed, "+way, coded(long[:limit], gzipped(t, long)))
				refused("exactly full, "+way, coded(long[:limit], gzipped(t, long[:limit])))
				bomb := append([]byte(way), bytes.Repeat([]byte("a"), limit-100)...)
				refused("more than Envoy inflates, "+way, coded(bomb, gzipped(t, bomb)))
				short := compressible("short "+way, 5000)
				cut := gzipped(t, short)
				refused("cut, "+way, coded(short, cut[:len(cut)/2]))
				refused("no gzip, "+way, coded([]byte("hello"), []byte("hello")))
				refused("plain and longer than signed, "+way, g.sendWay(t, way, g.signed(t, "github", short), append(short[:5000:5000], "more"...)))
				refused("plain and exactly full, "+way, func() answer {
					full := compressible("full"+way, limit)
					if way == ways[0] || way == ways[2] { // its length tells that it is whole
						full = append(full, 'x')
					}
					return g.sendWay(t, way, g.signed(t, "github", full), full)
				}())
			}
		})
	}
}
