package wire_test

import (
	"bytes"
	"embed"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookbastion/hookbastion/envoy/wire"
)

// captured are messages of a real Envoy, with different settings.
//
//go:embed testdata/envoy
var captured embed.FS

const extension = "hookbastion.webhook"

// facts are what both decoders say, as text that can be compared.
type facts struct {
	http, hasTime                                   bool
	id, method, path, host, scheme, source, webhook string
	principal, certificate, serverName              string
	port                                            uint32
	size, seconds                                   int64
	nanos                                           int32
	text, body                                      string
	headers                                         []string
}

func (f facts) asText() string {
	slices.Sort(f.headers)
	return fmt.Sprintf("%#v", f)
}

func read(c *wire.Check) string {
	f := facts{
		http: c.HTTP, hasTime: c.HasTime, id: string(c.ID), method: string(c.Method), path: string(c.Path), host: string(c.Host),
		scheme: string(c.Scheme), source: string(c.Source), webhook: string(c.Extension(extension)), port: c.SourcePort,
		principal: string(c.Principal), certificate: string(c.Certificate), serverName: string(c.ServerName),
		size: c.Size, seconds: c.Seconds, nanos: c.Nanos, text: string(bytes.Join(c.Text, nil)), body: string(bytes.Join(c.Body, nil)),
	}
	for _, h := range c.Headers {
		f.headers = append(f.headers, string(h.Name)+"\x00"+string(h.Value))
	}
	return f.asText()
}

// decoded is what the generated code finds.
func decoded(m *authv3.CheckRequest) string {
	a := m.GetAttributes()
	http, socket := a.GetRequest().GetHttp(), a.GetSource().GetAddress().GetSocketAddress()
	f := facts{
		http: http != nil, hasTime: a.GetRequest().GetTime() != nil, id: http.GetId(), method: http.GetMethod(), path: http.GetPath(), host: http.GetHost(),
		scheme: http.GetScheme(), source: socket.GetAddress(), webhook: a.GetContextExtensions()[extension], port: socket.GetPortValue(),
		principal: a.GetSource().GetPrincipal(), certificate: a.GetSource().GetCertificate(), serverName: a.GetTlsSession().GetSni(),
		size: http.GetSize(), seconds: a.GetRequest().GetTime().GetSeconds(), nanos: a.GetRequest().GetTime().GetNanos(),
		text: http.GetBody(), body: string(http.GetRawBody()),
	}
	for _, h := range http.GetHeaderMap().GetHeaders() {
		value := string(h.GetRawValue())
		if value == "" {
			value = h.GetValue()
		}
		f.headers = append(f.headers, h.GetKey()+"\x00"+value)
	}
	if len(f.headers) == 0 {
		for name, value := range http.GetHeaders() {
			f.headers = append(f.headers, name+"\x00"+value)
		}
	}
	return f.asText()
}

// compare reads a message with both decoders, cut into chunks: each byte of
// cuts is the length of one, and they are used in turn.
func compare(t *testing.T, c *wire.Check, message, cuts []byte) {
	t.Helper()
	var chunks [][]byte
	for rest, i := message, 0; len(rest) > 0; i++ {
		n := len(rest)
		if len(cuts) > 0 && i < 1<<16 {
			n = min(int(cuts[i%len(cuts)]), n)
		}
		chunks = append(chunks, rest[:n:n])
		rest = rest[n:]
	}
	var want authv3.CheckRequest
	wantErr, err := proto.Unmarshal(message, &want), c.Read(chunks)
	if (wantErr == nil) != (err == nil) {
		t.Fatalf("the generated decoder says %v, ours %v\n%x cut at %v", wantErr, err, message, cuts)
	}
	if err != nil {
		return
	}
	if got, want := read(c), decoded(&want); got != want {
		t.Fatalf("read\n%s\nwant\n%s\n%x cut at %v", got, want, message, cuts)
	}
}

// FuzzRead compares the reader with the generated decoder.
func FuzzRead(f *testing.F) {
	for name, message := range messages(f) {
		f.Add(message, []byte{})
		if len(message) < 4<<10 && !strings.HasPrefix(name, "deep") {
			f.Add(message, []byte{1})
			f.Add(message, []byte{7, 0, 64})
		}
	}
	f.Fuzz(func(t *testing.T, message, cuts []byte) {
		var c wire.Check
		compare(t, &c, message, cuts)
	})
}

// TestReadsWhatTheGeneratedDecoderReads cuts each message in two at every place
// and into chunks of every short length, and damages each byte.
func TestReadsWhatTheGeneratedDecoderReads(t *testing.T) {
	var c wire.Check // one for all: nothing of a message may be seen in the next
	for name, message := range messages(t) {
		t.Run(name, func(t *testing.T) {
			compare(t, &c, message, nil)
			if len(message) > 4<<10 {
				compare(t, &c, message, []byte{255})
				return
			}
			for n := 1; n < 12; n++ {
				compare(t, &c, message, []byte{byte(n)})
				compare(t, &c, message, []byte{0, byte(n), 0, 1})
			}
			for i := range message {
				compare(t, &c, message[:i], nil)
				damaged := bytes.Clone(message)
				for _, bit := range []byte{1, 4, 0x80, 0xff} {
					damaged[i] = message[i] ^ bit
					compare(t, &c, damaged, []byte{13})
				}
			}
		})
	}
}

// messages are those of Envoy and some that it never sends.
func messages(t testing.TB) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	files, err := captured.ReadDir("testdata/envoy")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	for _, file := range files {
		if all[file.Name()], err = captured.ReadFile("testdata/envoy/" + file.Name()); err != nil {
			t.Fatal(err)
		}
	}
	everything, err := proto.Marshal(full(t))
	if err != nil {
		t.Fatal(err)
	}
	all["every field"] = everything
	all["every field twice"] = append(bytes.Clone(everything), everything...)
	for name, m := range oddities() {
		all[name] = m
	}
	return all
}

// full has something in every field.
func full(t testing.TB) *authv3.CheckRequest {
	tree, err := structpb.NewStruct(map[string]any{
		"null": nil, "number": 1.5, "text": "é", "bool": true, "list": []any{1.0, "x", nil, map[string]any{"a": []any{}}}, "tree": map[string]any{"k": "v"},
	})
	if err != nil {
		t.Fatal(err)
	}
	peer := func(a *corev3.Address) *authv3.AttributeContext_Peer {
		return &authv3.AttributeContext_Peer{Address: a, Service: "s", Labels: map[string]string{"a": "b", "c": "d"}, Principal: "spiffe://p", Certificate: "PEM"}
	}
	metadata := &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{"a": tree, "b": {}},
		TypedFilterMetadata: map[string]*anypb.Any{"c": {TypeUrl: "type.googleapis.com/x", Value: []byte{0xff}}}}
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source: peer(&corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Protocol: corev3.SocketAddress_UDP, Address: "198.51.100.7", ResolverName: "r", Ipv4Compat: true,
			PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 5555}, NetworkNamespaceFilepath: "/n",
		}}}),
		Destination: peer(&corev3.Address{Address: &corev3.Address_EnvoyInternalAddress{EnvoyInternalAddress: &corev3.EnvoyInternalAddress{
			AddressNameSpecifier: &corev3.EnvoyInternalAddress_ServerListenerName{ServerListenerName: "l"}, EndpointId: "e",
		}}}),
		Request: &authv3.AttributeContext_Request{Time: timestamppb.New(timestamppb.Now().AsTime()), Http: &authv3.AttributeContext_HttpRequest{
			Id: "1", Method: "POST", Headers: map[string]string{"x-a": "1", "x-b": "2"}, Path: "/p?q", Host: "h", Scheme: "https", Query: "q", Fragment: "f",
			Size: -1, Protocol: "HTTP/2", Body: "text é", RawBody: []byte("raw\xff"),
			HeaderMap: &corev3.HeaderMap{Headers: []*corev3.HeaderValue{{Key: "x-a", RawValue: []byte("\xff")}, {Key: "x-a", Value: "é"}, {}, {Key: "x-c", Value: "v", RawValue: []byte("r")}}},
		}},
		ContextExtensions:    map[string]string{extension: "hook", "other": "x"},
		MetadataContext:      metadata,
		RouteMetadataContext: metadata,
		TlsSession:           &authv3.AttributeContext_TLSSession{Sni: "sni"},
	}}
}

// field appends a field that has its length before it.
func field(number protowire.Number, parts ...[]byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), bytes.Join(parts, nil))
}

func textField(number protowire.Number, s string) []byte { return field(number, []byte(s)) }

// http is a message with these bytes in its HTTP request.
func http(parts ...[]byte) []byte { return field(1, field(4, field(2, parts...))) }

func tag(number protowire.Number, t protowire.Type) []byte {
	return protowire.AppendTag(nil, number, t)
}

func oddities() map[string][]byte {
	source := func(parts ...[]byte) []byte { return field(1, field(1, parts...)) }
	socket := field(1, field(1, textField(2, "192.0.2.1")))
	pipe := field(1, field(2, textField(1, "/p")))
	long := bytes.Repeat([]byte{0x80}, 9)
	group := func(n int) []byte {
		return append(bytes.Repeat(tag(9, protowire.StartGroupType), n), bytes.Repeat(tag(9, protowire.EndGroupType), n)...)
	}
	nested := func(n int) []byte { // a list in a list in a list
		var inner []byte
		for range n {
			inner = field(1, field(6, inner))
		}
		return field(1, field(11, field(1, textField(1, "k"), field(2, field(1, textField(1, "k"), field(2, field(6, inner)))))))
	}
	return map[string][]byte{
		"empty":                    {},
		"last scalar":              http(textField(2, "GET"), textField(2, "POST"), textField(4, "/a"), textField(4, "")),
		"last size":                http(tag(9, 0), []byte{5}, tag(9, 0), []byte{7}),
		"last body":                http(textField(12, "first"), textField(12, "second"), textField(11, "a"), textField(11, "")),
		"merged":                   append(http(textField(2, "POST"), field(13, field(1, textField(1, "a")))), http(textField(4, "/"), field(13, field(1, textField(1, "b"))))...),
		"last of a header":         http(field(13, field(1, textField(1, "a"), textField(2, "v"), textField(3, "r"), textField(1, "b"), textField(3, "")))),
		"no headers in the list":   http(field(13), field(3, textField(1, "a"), textField(2, "1"))),
		"a name twice in the map":  http(field(3, textField(1, "a"), textField(2, "1")), field(3, textField(1, "b")), field(3, textField(2, "9"), textField(1, "a"), textField(2, "2"))),
		"many names in the map":    http(bytes.Repeat(bytes.Join([][]byte{field(3, textField(1, "b")), field(3, textField(1, "a")), field(3, textField(1, "a"), textField(2, "2"))}, nil), 40)),
		"an extension twice":       field(1, field(10, textField(1, extension), textField(2, "a")), field(10, textField(1, extension), textField(2, "b")), field(10)),
		"socket, then pipe":        append(source(socket), source(pipe)...),
		"a pipe between":           field(1, socket, pipe, field(1, field(1))),
		"two sockets":              field(1, field(1, field(1, textField(2, "192.0.2.1"))), field(1, field(1, tag(3, 0), []byte{9}))),
		"other address of a peer":  field(1, field(1, field(1, field(1, textField(2, "192.0.2.1")), field(1, tag(1, 0), []byte{1})))),
		"a principal twice":        field(1, field(1, textField(4, "a"), textField(5, "b")), field(1, textField(4, ""), textField(5, "c")), field(2, textField(4, "d"), textField(5, "e"))),
		"two sessions":             field(1, field(12, textField(1, "a")), field(12), field(12, textField(1, "b"))),
		"no UTF-8 in a session":    field(1, field(12, textField(1, "\xff"))),
		"no UTF-8 in a principal":  source(textField(4, "\xff")),
		"kinds in one address":     field(1, field(1, field(1, field(1, textField(2, "192.0.2.1")), field(3, textField(1, "l")), field(1, textField(4, "p"))))),
		"a port, then its name":    source(field(1, field(1, tag(3, 0), []byte{9}, textField(4, "p")))),
		"a port of many bits":      source(field(1, field(1, tag(3, 0), bytes.Repeat([]byte{0xff}, 9), []byte{1}))),
		"a name, then a pipe":      field(1, field(1, field(1, field(1, tag(3, 0), []byte{9}), field(2), field(1)))),
		"two times":                field(1, field(4, field(1, tag(1, 0), []byte{9}, tag(2, 0), bytes.Repeat([]byte{0xff}, 9), []byte{1})), field(4, field(1, tag(1, 0), []byte{7}))),
		"an empty time":            field(1, field(4, field(1))),
		"wrong wire types":         http(tag(2, 0), []byte{1}, tag(9, 2), []byte{1, 'x'}, tag(12, 5), []byte("1234"), tag(13, 1), []byte("12345678"), tag(3, 0), []byte{1}),
		"a pipe of another type":   field(1, field(1, field(1, field(1, textField(2, "192.0.2.1")), tag(2, 0), []byte{1}))),
		"unknown fields":           http(tag(99, 0), []byte{1}, textField(1000, "\xff"), tag(1<<29-1, 5), []byte("1234"), tag(14, 1), []byte("12345678")),
		"a group":                  http(tag(77, 3), tag(5, 0), []byte{1}, textField(6, "\xff"), tag(8, 3), tag(8, 4), tag(77, 4), textField(2, "POST")),
		"a group as a known field": http(tag(2, 3), tag(2, 4), textField(2, "POST")),
		"a group's end alone":      http(tag(77, 4)),
		"another group's end":      http(tag(77, 3), tag(78, 4)),
		"an open group":            http(tag(77, 3)),
		"a large number in one":    http(tag(77, 3), protowire.AppendVarint(nil, (1<<31-1)<<3), []byte{1}, tag(77, 4)),
		"a larger number in one":   http(tag(77, 3), protowire.AppendVarint(nil, 1<<31<<3), []byte{1}, tag(77, 4)),
		"number 0":                 http([]byte{0, 1}),
		"a number too large":       http(protowire.AppendVarint(nil, 1<<29<<3), []byte{1}),
		"no wire type":             http([]byte{9<<3 | 6}),
		"a long number":            http(tag(9, 0), long, []byte{1}),
		"a number too long":        http(tag(9, 0), long, []byte{2}),
		"eleven bytes":             http(tag(9, 0), long, []byte{0x80, 0}),
		"a long tag":               http([]byte{0x92, 0x80, 0x80, 0x80, 0}, []byte{4}, []byte("POST")),
		"a long length":            http(tag(2, 2), []byte{0x84, 0x80, 0}, []byte("POST")),
		"a length beyond the end":  http(tag(2, 2), []byte{5}, []byte("POST")),
		"a huge length":            http(tag(2, 2), bytes.Repeat([]byte{0xff}, 9), []byte{1}),
		"beyond its message":       field(1, field(4, tag(2, 2), []byte{9}), textField(99, "0123456789")),
		"no UTF-8 in a method":     http(textField(2, "PO\xff")),
		"no UTF-8 in a text":       http(textField(11, "ab\xe2\x82")),
		"no UTF-8 in an id":        http(textField(1, "\xc3(")),
		"no UTF-8 in a name":       http(field(13, field(1, textField(1, "\xff")))),
		"no UTF-8 in a raw value":  http(field(13, field(1, textField(3, "\xff")))),
		"no UTF-8 in a map":        http(field(3, textField(2, "\xff"))),
		"no UTF-8 in a label":      source(textField(4, "x"), field(3, textField(1, "\xff"))),
		"characters of all sizes":  http(textField(11, "aé€😀!é€😀"), textField(1, "é€😀"), textField(2, "é€😀")),
		"surrogates":               http(textField(11, "\xed\xa0\x80")),
		"no UTF-8 in a struct":     field(1, field(11, field(1, field(2, field(1, field(2, textField(3, "\xff"))))))),
		"deep groups":              http(group(10001)),
		"deeper groups":            http(group(10002)),
		"deep lists":               nested(4995),
		"deeper lists":             nested(4996),
		"deepest lists":            nested(4997),
		"lists beyond":             nested(4998),
		"large body":               http(textField(2, "POST"), field(12, bytes.Repeat([]byte("0123456789abcdef"), 4<<10)), field(13, field(1, textField(1, "x-last"), textField(3, "v")))),
	}
}

// What lies in one chunk is not copied, and a body never is.
func TestViewsAliasThePieces(t *testing.T) {
	message := http(textField(4, "/path"), field(12, bytes.Repeat([]byte("b"), 1<<20)), field(13, field(1, textField(1, "name"), textField(3, "value"))))
	var c wire.Check
	if err := c.Read([][]byte{message[:1<<19], message[1<<19:]}); err != nil {
		t.Fatal(err)
	}
	for i := range message {
		message[i] = '#'
	}
	if string(c.Path) != "#####" || string(c.Headers[0].Name) != "####" || string(c.Headers[0].Value) != "#####" {
		t.Errorf("copied: %s %s", c.Path, c.Headers)
	}
	if len(c.Body) != 2 || c.Body[0][0] != '#' || c.Body[1][0] != '#' {
		t.Errorf("the body is in %d chunks", len(c.Body))
	}
}

func TestReadingAllocatesNothing(t *testing.T) {
	message, err := proto.Marshal(full(t))
	if err != nil {
		t.Fatal(err)
	}
	var chunks [][]byte
	for len(message) > 0 {
		n := min(100, len(message))
		chunks, message = append(chunks, message[:n]), message[n:]
	}
	var c wire.Check
	if n := testing.AllocsPerRun(100, func() {
		if err := c.Read(chunks); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	c.Reset()
	if c.HTTP || len(c.Headers)+len(c.Body)+len(c.Text)+len(c.Source)+len(c.Extension(extension)) > 0 {
		t.Errorf("left over: %+v", c)
	}
}

// BenchmarkRead is with a message of Envoy, and the generated decoder for scale.
func BenchmarkRead(b *testing.B) {
	message := messages(b)["raw"]
	chunks := [][]byte{message}
	b.Run("in place", func(b *testing.B) {
		b.ReportAllocs()
		var c wire.Check
		for b.Loop() {
			if c.Read(chunks) != nil {
				b.Fatal("malformed")
			}
		}
	})
	b.Run("generated", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var m authv3.CheckRequest
			if proto.Unmarshal(message, &m) != nil {
				b.Fatal("malformed")
			}
		}
	})
}
