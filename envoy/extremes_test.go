package envoy_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/envoy"
)

// What is as large, as many or as empty as it can be is judged as anything else is, and
// answered.
func TestExtremeRequests(t *testing.T) {
	table := policies(t)
	s := service(table)
	const limit = 8 << 20
	signed := func(body []byte) *authv3.CheckRequest {
		return checkRequest(signedAt(t, table, "github", "https://h", body, time.Now()), body, nil)
	}
	http := func(c *authv3.CheckRequest) *authv3.AttributeContext_HttpRequest { return c.Attributes.Request.Http }
	add := func(c *authv3.CheckRequest, n int, key, value string) *authv3.CheckRequest {
		for i := range n {
			http(c).HeaderMap.Headers = append(http(c).HeaderMap.Headers, &corev3.HeaderValue{Key: strings.ReplaceAll(key, "#", fmt.Sprint(i)), RawValue: []byte(value)})
		}
		return c
	}
	path := func(c *authv3.CheckRequest, path string) *authv3.CheckRequest {
		http(c).Path = path
		return c
	}
	for name, row := range map[string]struct {
		check  *authv3.CheckRequest
		status int // 0: it is allowed
	}{
		"no byte":                      {signed(nil), 0},
		"one byte":                     {signed([]byte{0}), 0},
		"as large as can be":           {signed(bytes.Repeat([]byte{0xff}, limit)), 0},
		"one byte more":                {signed(bytes.Repeat([]byte{'x'}, limit+1)), 413},
		"a hundred more headers":       {add(signed([]byte("a")), 100, "x-#", "1"), 0},
		"ten thousand more":            {add(signed([]byte("b")), 10_000, "x-#", "1"), 400},
		"100,000 of one name":          {add(signed([]byte("c")), 100_000, "x", ""), 400},
		"100,000 signatures":           {add(signed([]byte("d")), 100_000, "x-hub-signature-256", "sha256=0"), 400},
		"a value of a megabyte":        {add(signed([]byte("e")), 1, "x-long", strings.Repeat("v", 1<<20)), 400},
		"a name of a megabyte":         {add(signed([]byte("f")), 1, strings.Repeat("n", 1<<20), "v"), 400},
		"a signature of a megabyte":    {add(path(signed([]byte("g")), "/stripe"), 1, "stripe-signature", strings.Repeat("t=1,v1=0,", 1<<17)), 400},
		"a query of a megabyte":        {path(signed([]byte("h")), "/github?"+strings.Repeat("a=1&", 1<<18)), 400},
		"a path of a million segments": {path(signed([]byte("i")), strings.Repeat("/a", 1_000_000)), 404},
		"a path of a million dots":     {path(signed([]byte("j")), "/"+strings.Repeat("../", 1<<18)+"github"), 404},
	} {
		a := decode(t, s.Answer(context.Background(), marshal(t, row.check), nil))
		if a.allowed != (row.status == 0) || !a.allowed && a.status != row.status {
			t.Errorf("%s: allowed %v, status %d, want %d", name, a.allowed, a.status, row.status)
		}
	}
}

// Messages that no protobuf library writes are denied, whatever stands in them.
func TestMalformedMessages(t *testing.T) {
	table := policies(t)
	s := service(table)
	whole := marshal(t, checkRequest(signedAt(t, table, "github", "https://h", []byte("x"), time.Now()), []byte("x"), nil))
	nested := func(n int) []byte {
		var b []byte
		for range n {
			b = append(protowire.AppendTag(nil, 1, protowire.BytesType), protowire.AppendBytes(nil, b)...)
		}
		return b
	}
	for name, message := range map[string][]byte{
		"a tag that does not end":        append(slices.Clone(whole), bytes.Repeat([]byte{0x80}, 11)...),
		"a length beyond the end":        append(slices.Clone(whole), 0x0a, 0xff, 0x7f),
		"a length of 2^63":               append(slices.Clone(whole), 0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f),
		"a group that does not end":      append(slices.Clone(whole), 0x0b),
		"the end of a group":             append(slices.Clone(whole), 0x0c),
		"100,000 groups in one another":  append(slices.Clone(whole), bytes.Repeat([]byte{0x7b}, 100_000)...),
		"field 0":                        append(slices.Clone(whole), 0x02, 0x00),
		"a wire type that there is not":  append(slices.Clone(whole), 0x0f),
		"10,000 messages in one another": nested(10_000),
		"attributes that are a number":   {0x08, 0x01},
	} {
		if a := decode(t, s.Answer(context.Background(), message, nil)); a.allowed {
			t.Errorf("%s: allowed", name)
		}
	}
	for n := range whole { // what is cut off is not what was sent
		if a := decode(t, s.Answer(context.Background(), whole[:n], nil)); a.allowed {
			t.Errorf("the first %d bytes of %d are allowed", n, len(whole))
		}
	}
}

// FuzzExtremes: any number of headers of any length, with a body of any size, leaves the
// service able to answer, and what it allows is signed and within its limits.
func FuzzExtremes(f *testing.F) {
	table := policies(f)
	s := service(table)
	f.Add(uint16(0), uint16(0), uint32(0), byte(0), false)
	f.Add(uint16(1000), uint16(10), uint32(8<<20), byte(1), true)
	f.Add(uint16(3), uint16(65535), uint32(1), byte(2), true)
	f.Fuzz(func(t *testing.T, headers, length uint16, size uint32, kind byte, sign bool) {
		body := bytes.Repeat([]byte{kind}, int(size%(9<<20)))
		now := time.Now()
		req := signedAt(t, table, "github", "https://h", body, now)
		if !sign {
			req.Header.Del("X-Hub-Signature-256")
		}
		check := checkRequest(req, body, nil)
		http := check.Attributes.Request.Http
		names := []string{"x-other", "X-Hub-Signature-256", "content-length", "x-hookbastion-verified", "x_hookbastion_tenant", "content-type", ":path"}
		total := 0
		for range headers % 2048 {
			h := &corev3.HeaderValue{Key: names[int(kind)%len(names)], RawValue: bytes.Repeat([]byte{'v'}, int(length)%4096)}
			total += len(h.Key) + len(h.RawValue)
			http.HeaderMap.Headers = append(http.HeaderMap.Headers, h)
		}
		a := decode(t, s.Answer(context.Background(), marshal(t, check), nil))
		if a.allowed && (!sign || len(body) > 8<<20 || total > 1<<20) {
			t.Fatalf("allowed: signed %v, a body of %d, headers of %d bytes", sign, len(body), total)
		}
		if a.allowed && a.set[envoy.HeaderVerified] != authz.ProofSignature.String() {
			t.Fatalf("allowed without a proof: %v", a.set)
		}
	})
}
