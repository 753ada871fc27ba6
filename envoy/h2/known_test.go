package h2

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// headerReader is a connection that only reads headers.
func headerReader() *conn {
	c := &conn{}
	c.block = newHeaderBlock(func(f hpack.HeaderField) { c.request.add(f) })
	return c
}

// What is remembered of blocks is what they would say if it were not, whatever enters
// and leaves the table in between.
func TestKnownBlocks(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // no secret
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	remembers, forgets := headerReader(), headerReader()
	found := 0
	for id := uint32(1); id < 20_000; id += 2 {
		block.Reset()
		if random.IntN(200) == 0 {
			encoder.SetMaxDynamicTableSize(uint32(random.IntN(4096)))
		}
		fields := []hpack.HeaderField{
			{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: "/" + fmt.Sprint(random.IntN(3)), Sensitive: true},
			{Name: "content-type", Value: "application/grpc"}, {Name: "grpc-timeout", Value: fmt.Sprint(1+random.IntN(2), "S")},
			{Name: "x-duration", Value: fmt.Sprint(random.IntN(6))},
		}
		switch random.IntN(50) {
		case 0: // enters, and something else leaves
			fields = append(fields, hpack.HeaderField{Name: "traceparent", Value: fmt.Sprint(random.Uint64(), random.Uint64())})
		case 1: // empties the table
			fields = append(fields, hpack.HeaderField{Name: "long", Value: string(make([]byte, 5000))})
		case 2:
			fields = append(fields, hpack.HeaderField{Name: "secret", Value: fmt.Sprint(random.IntN(5)), Sensitive: true})
		}
		for _, f := range fields {
			if err := encoder.WriteField(f); err != nil {
				t.Fatal(err)
			}
		}
		h := http2.FrameHeader{StreamID: id, Flags: http2.FlagHeadersEndHeaders | http2.Flags(random.IntN(2))}
		forgets.known = knownBlocks{}
		if remembers.known.find(block.Bytes()) != nil {
			found++
		}
		got, err := remembers.wholeHeaders(h, block.Bytes())
		want, wantErr := forgets.wholeHeaders(h, block.Bytes())
		if err != nil || wantErr != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("call %d: %v %v\n%+v\n%+v", id, err, wantErr, got, want)
		}
		for _, f := range got.fields {
			if f.Name == "" {
				t.Fatalf("a field without a name: %v", got.fields)
			}
		}
	}
	if found < 1000 {
		t.Errorf("%d blocks were known", found)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = remembers.wholeHeaders(http2.FrameHeader{}, block.Bytes()) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// A block that is remembered is forgotten with what it rests on.
func TestKnownBlocksOfAnotherTable(t *testing.T) {
	c := headerReader()
	read := func(block string) string {
		r, err := c.wholeHeaders(http2.FrameHeader{StreamID: 1}, []byte(block))
		if err != nil {
			return err.Error()
		}
		return fmt.Sprint(r.fields)
	}
	enter := func(value string) string { return "\x40\x01a\x01" + value }
	read(enter("x"))
	first := read("\xbe") // the newest field
	if again := read("\xbe"); again != first {
		t.Errorf("%s, then %s", first, again)
	}
	read(enter("y"))
	if second := read("\xbe"); second == first {
		t.Errorf("still %s", second)
	}
	// Padded, or with a priority, it may do the same.
	var out bytes.Buffer
	framer := http2.NewFramer(&out, &out)
	if err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: []byte(enter("z")), EndHeaders: true, PadLength: 3}); err != nil {
		t.Fatal(err)
	}
	f, err := framer.ReadFrame()
	if err != nil {
		t.Fatal(err)
	}
	headers, _ := f.(*http2.HeadersFrame)
	before := read("\xbe")
	if _, err := c.readHeaders(headers); err != nil {
		t.Fatal(err)
	}
	if after := read("\xbe"); after == before {
		t.Errorf("still %s", after)
	}
	for block, want := range map[string]bool{
		"": false, "\xbe": true, "\xff\x00": true, "\xff": false, "\x00\x01a\x01b": true, "\x10\x01a\x01b": true, "\x04\x01/": true, "\x0f\x01\x01b": true,
		"\x04\x02/": false, "\x00\x01a": false, "\x04": false, "\x40\x01a\x01b": false, "\x20": false, "\xbe\x20": false, "\xbe\x44\x01/": false,
		"\x04\xff\xff\xff\xff\xff\x7f": false,
	} {
		if leavesTable([]byte(block)) != want {
			t.Errorf("%x leaves the table: %t", block, !want)
		}
	}
}
