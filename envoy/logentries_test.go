package envoy

import (
	"bytes"
	"runtime"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	alsv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

func field(number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), value)
}

func sealed(seal string) *accesslogv3.HTTPAccessLogEntry {
	return &accesslogv3.HTTPAccessLogEntry{CommonProperties: &accesslogv3.AccessLogCommon{Metadata: &corev3.Metadata{
		FilterMetadata: map[string]*structpb.Struct{metadataNamespace: {Fields: map[string]*structpb.Value{
			metadataSettle: structpb.NewStringValue(seal),
		}}},
	}}}
}

func encode(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Entries are found as the generated decoder finds them.
func TestEntriesOfAMessage(t *testing.T) {
	message := &alsv3.StreamAccessLogsMessage{
		Identifier: &alsv3.StreamAccessLogsMessage_Identifier{LogName: "log"},
		LogEntries: &alsv3.StreamAccessLogsMessage_HttpLogs{HttpLogs: &alsv3.StreamAccessLogsMessage_HTTPAccessLogEntries{
			LogEntry: []*accesslogv3.HTTPAccessLogEntry{sealed("a"), {}, sealed("b"), {ProtocolVersion: accesslogv3.HTTPAccessLogEntry_HTTP2}},
		}},
	}
	encoded := append(encode(t, message), protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 7)...)
	want := message.GetHttpLogs().GetLogEntry()
	var got [][]byte
	if !eachEntry(encoded, func(entry []byte) { got = append(got, entry) }) || len(got) != len(want) {
		t.Fatalf("%d entries", len(got))
	}
	for i, entry := range got {
		var decoded accesslogv3.HTTPAccessLogEntry
		if err := proto.Unmarshal(entry, &decoded); err != nil || !proto.Equal(&decoded, want[i]) {
			t.Errorf("entry %d: %v", i, err)
		}
		if mayHaveSeal(entry) != (sealOf(decoded.GetCommonProperties().GetMetadata()) != "") {
			t.Errorf("entry %d: a seal is found or not", i)
		}
	}
	for i := 1; i < len(encoded); i++ { // no cut makes an entry that was not there
		n := 0
		if whole := eachEntry(encoded[:i], func([]byte) { n++ }); n > len(want) || whole && proto.Unmarshal(encoded[:i], &alsv3.StreamAccessLogsMessage{}) != nil {
			t.Errorf("the first %d bytes: %d entries, whole: %t", i, n, whole)
		}
	}
}

// A message takes little more memory than its own size, whatever is in it.
func TestMessagesThatGrowWhenDecoded(t *testing.T) {
	s := &Service{}
	values := field(6, bytes.Repeat(field(1, nil), 60<<10)) // a list of empty values
	seal := encode(t, sealed("x"))
	for name, c := range map[string]struct {
		entry []byte
		most  uint64 // bytes of memory
	}{
		"empty entries":              {nil, 1 << 20},
		"entries of empty parts":     {append(append(field(1, nil), field(3, nil)...), field(4, nil)...), 1 << 20},
		"lists without a seal":       {field(1, field(5, field(1, append(field(1, []byte("other")), field(2, field(1, append(field(1, []byte("k")), field(2, values)...)))...)))), 1 << 20},
		"a list in an entry of ours": {append(field(1, field(5, field(1, append(field(1, []byte("other")), field(2, field(1, append(field(1, []byte("k")), field(2, values)...)))...)))), seal...), 64 << 20},
		"an entry that is too large": {append(append([]byte(nil), seal...), field(1, bytes.Repeat(field(16, nil), 300<<10))...), 1 << 20},
	} {
		one := field(fieldLogEntry, c.entry)
		message := field(fieldHTTPLogs, bytes.Repeat(one, max(1, (1<<20-100)/len(one))))
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		n := 0
		whole := eachEntry(message, func(entry []byte) {
			n++
			if mayHaveSeal(entry) {
				s.settleEncoded(entry)
				runtime.GC() // what one entry takes is not kept for the next
			}
		})
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; !whole || n == 0 || took > c.most {
			t.Errorf("%s: %d entries, whole: %t, %d bytes", name, n, whole, took)
		}
	}
}
