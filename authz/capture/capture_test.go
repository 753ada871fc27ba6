package capture_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/capture"
)

func TestParse(t *testing.T) {
	const text = "POST /a%2Fb?x=1 HTTP/1.1\r\nHost: Hooks.Example.com:443\r\nX-Two: 1\r\nx-two:\t 2 \r\nContent-Length: 6\r\n\r\n\xff\r\n\r\n!"
	for _, data := range []string{text, strings.Replace(strings.Replace(text, "\r\n", "\n", 6), "6", "6", 1)} {
		req, err := capture.Parse([]byte(data))
		if err != nil {
			t.Fatal(err)
		}
		body := bytes.Join(req.Body.Segments, nil)
		if string(req.Method) != "POST" || string(req.Path) != "/a%2Fb?x=1" || string(req.Host) != "Hooks.Example.com:443" || string(body) != "\xff\r\n\r\n!" {
			t.Errorf("%+v", req)
		}
		if _, n := req.Headers.Lookup("x-two"); n != 2 || req.Body.State != authz.BodyWhole || string(req.Headers[2].Value) != "2" {
			t.Errorf("%q", req.Headers)
		}
	}
}

func TestParseOddities(t *testing.T) {
	for name, c := range map[string]struct {
		text      string
		state     authz.BodyState
		malformed bool
	}{
		"no length":       {"POST / HTTP/1.1\n\nbody", authz.BodyWhole, false},
		"too short":       {"POST / HTTP/1.1\nContent-Length: 5\n\nbody", authz.BodyCut, false},
		"too long":        {"POST / HTTP/1.1\nContent-Length: 3\n\nbody", authz.BodyCut, false},
		"no number":       {"POST / HTTP/1.1\nContent-Length: x\n\nbody", authz.BodyWhole, true},
		"negative":        {"POST / HTTP/1.1\nContent-Length: -4\n\nbody", authz.BodyWhole, true},
		"a sign":          {"POST / HTTP/1.1\nContent-Length: +4\n\nbody", authz.BodyWhole, true},
		"joined":          {"POST / HTTP/1.1\nContent-Length: 4,4\n\nbody", authz.BodyWhole, true},
		"too large":       {"POST / HTTP/1.1\nContent-Length: 9223372036854775808\n\nbody", authz.BodyWhole, true},
		"largest":         {"POST / HTTP/1.1\nContent-Length: 9223372036854775807\n\nbody", authz.BodyCut, false},
		"twice":           {"POST / HTTP/1.1\nContent-Length: 4\nContent-Length: 4\n\nbody", authz.BodyWhole, true},
		"no body":         {"POST / HTTP/1.1\n\n", authz.BodyWhole, false},
		"two hosts":       {"POST / HTTP/1.1\nHost: a\nHost: b\n\n", authz.BodyWhole, false},
		"empty header":    {"POST / HTTP/1.1\nX:\n\n", authz.BodyWhole, false},
		"colons in value": {"POST / HTTP/1.1\nX: a:b\n\n", authz.BodyWhole, false},
	} {
		req, err := capture.Parse([]byte(c.text))
		if err != nil || req.Body.State != c.state || req.Malformed != c.malformed {
			t.Errorf("%s: %v, %+v", name, err, req)
		}
		if name == "two hosts" && string(req.Host) != "a,b" {
			t.Errorf("host %q", req.Host)
		}
	}
	for text, want := range map[string]string{
		"":                              "line 1: there is no request line",
		"POST / HTTP/1.1":               "line 1: there is no request line",
		"POST /\n\n":                    "line 1: not a request line",
		"POST / a HTTP/1.1\n\n":         "line 1: not a request line",
		"POST  HTTP/1.1\n\n":            "line 1: not a request line",
		"POST / HTTP/1.1\nX\x00: y\n\n": "line 2: not a header line",
		"POST / HTTP/1.1\nA: b\nCoo\u212aie: y\n\n":             "line 3: not a header line",
		"POST / HTTP/1.1\n: y\n\n":                              "line 2: not a header line",
		"HTTP/1.1 200 OK\n\n":                                   "line 1: not a request line",
		"POST / HTTP/1.1\nX: y\n":                               "line 3: there is no empty line",
		"POST / HTTP/1.1\nX\n\n":                                "line 2: not a header line",
		"POST / HTTP/1.1\n X: y\n\n":                            "line 2: not a header line",
		"POST / HTTP/1.1\nA: b\nTransfer-Encoding: chunked\n\n": "line 3: a chunked body",
	} {
		if _, err := capture.Parse([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"))
	f.Fuzz(func(t *testing.T, data []byte) {
		req, err := capture.Parse(data)
		if err != nil {
			return
		}
		if body := bytes.Join(req.Body.Segments, nil); !bytes.HasSuffix(data, body) || len(req.Method) == 0 {
			t.Fatalf("%q: %+v", data, req)
		}
	})
}

// What Append writes, Parse reads back as it was, with the facts before it; what would not
// come back is not written.
func TestAppend(t *testing.T) {
	const text = "POST /a%2Fb?x=1 HTTP/1.1\r\nhost: Hooks.Example.com:443\r\nx-two: 1\r\nx-two: 2\r\ncontent-length: 6\r\n\r\n\xff\r\n\r\n!"
	req, err := capture.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	out, ok := capture.Append(nil, req)
	if !ok || string(out) != text {
		t.Errorf("%q", out)
	}
	facts := capture.Facts{Decision: "d", Reason: "replayed", Time: time.Unix(1_800_000_000, 5).UTC(), Source: netip.MustParseAddr("2001:db8::1"), Webhook: "w", Redacted: []string{"cookie", "?token"}}
	out, ok = capture.Append([]byte("before"), req, facts.Headers()...)
	again, err := capture.Parse(bytes.TrimPrefix(out, []byte("before")))
	if !ok || err != nil {
		t.Fatal(err)
	}
	got, found := capture.TakeFacts(again)
	if plain, _ := capture.Append(nil, again); !found || fmt.Sprint(got) != fmt.Sprint(facts) || string(plain) != text {
		t.Errorf("%+v\n%q", got, plain)
	}
	if _, found := capture.TakeFacts(again); found {
		t.Error("facts are taken twice")
	}
	for name, change := range map[string]func(*authz.Request){
		"a value of two lines": func(r *authz.Request) { r.Set("x", "a\r\nb: c") },
		"a name of two":        func(r *authz.Request) { r.Set("x: y\r\nz", "a") },
		"a name with a colon":  func(r *authz.Request) { r.Set(":path", "/") },
		"a path of two words":  func(r *authz.Request) { r.Path = authz.View("/a HTTP/1.1\r\nx: y") },
		"no method":            func(r *authz.Request) { r.Method = nil },
		"chunks":               func(r *authz.Request) { r.Set("transfer-encoding", "chunked") },
	} {
		req, err := capture.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		change(req)
		if out, ok := capture.Append(nil, req); ok || len(out) > 0 {
			t.Errorf("%s: %q", name, out)
		}
	}
}
