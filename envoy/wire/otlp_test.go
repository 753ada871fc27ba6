package wire_test

import (
	"bytes"
	"testing"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	logsv1 "go.opentelemetry.io/proto/otlp/logs/v1"
	resourcev1 "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/hookbastion/hookbastion/envoy/wire"
)

func textValue(s string) *commonv1.AnyValue {
	return &commonv1.AnyValue{Value: &commonv1.AnyValue_StringValue{StringValue: s}}
}

// exported is a batch as Envoy sends it.
func exported(bodies ...*commonv1.AnyValue) *collectorv1.ExportLogsServiceRequest {
	scope := &logsv1.ScopeLogs{}
	for i, body := range bodies {
		scope.LogRecords = append(scope.LogRecords, &logsv1.LogRecord{TimeUnixNano: 1_700_000_000_000_000_005 + uint64(i), TraceId: make([]byte, 16), Body: body})
	}
	return &collectorv1.ExportLogsServiceRequest{ResourceLogs: []*logsv1.ResourceLogs{{
		Resource: &resourcev1.Resource{Attributes: []*commonv1.KeyValue{
			{Key: "log_name", Value: textValue("hookbastion")}, {Key: "node_name", Value: textValue("edge-7")},
		}},
		ScopeLogs: []*logsv1.ScopeLogs{scope},
	}}}
}

// sameRecords compares what is read with what the generated decoder finds.
func sameRecords(t *testing.T, encoded []byte) {
	t.Helper()
	var got []wire.Record
	read := wire.EachRecord(encoded, func(r wire.Record) { got = append(got, r) })
	node := string(wire.NodeName(encoded))
	var decoded collectorv1.ExportLogsServiceRequest
	if (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(encoded, &decoded) != nil {
		return
	}
	if !read {
		t.Fatalf("%x: refused", encoded)
	}
	i := 0
	for _, resource := range decoded.GetResourceLogs() {
		for _, scope := range resource.GetScopeLogs() {
			for _, want := range scope.GetLogRecords() {
				if i >= len(got) || got[i].Time != want.GetTimeUnixNano() || string(got[i].Body) != want.GetBody().GetStringValue() {
					t.Fatalf("%x: record %d of %d: %v", encoded, i, len(got), want)
				}
				i++
			}
		}
	}
	if i != len(got) {
		t.Fatalf("%x: %d records, want %d", encoded, len(got), i)
	}
	// Of a batch with parts of the same kind, which Envoy does not send, the last one counts.
	if all := decoded.GetResourceLogs(); len(all) == 1 && plainResource(encoded) {
		want := ""
		for _, a := range all[0].GetResource().GetAttributes() {
			if a.GetKey() == "node_name" {
				want = a.GetValue().GetStringValue()
			}
		}
		if node != want {
			t.Fatalf("%x: node %q, want %q", encoded, node, want)
		}
	}
}

// plainResource reports whether the generated decoder writes a message again as it is.
func plainResource(encoded []byte) bool {
	var decoded collectorv1.ExportLogsServiceRequest
	if proto.Unmarshal(encoded, &decoded) != nil {
		return false
	}
	again, err := proto.MarshalOptions{Deterministic: true}.Marshal(&decoded)
	return err == nil && bytes.Equal(again, encoded)
}

func recordSeeds(tb testing.TB) [][]byte {
	tb.Helper()
	encode := func(m proto.Message) []byte {
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			tb.Fatal(err)
		}
		return b
	}
	field := func(number protowire.Number, parts ...[]byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), bytes.Join(parts, nil))
	}
	record := func(parts ...[]byte) []byte { return field(1, field(2, field(2, parts...))) }
	text, number := encode(textValue("text")), encode(&commonv1.AnyValue{Value: &commonv1.AnyValue_IntValue{IntValue: 7}})
	list := encode(&commonv1.AnyValue{Value: &commonv1.AnyValue_ArrayValue{ArrayValue: &commonv1.ArrayValue{Values: []*commonv1.AnyValue{textValue("x")}}}})
	whole := encode(exported(textValue(lineOf("a-seal")), textValue(""), nil, &commonv1.AnyValue{}))
	return [][]byte{
		nil, whole, bytes.Repeat(whole, 2), record(), record(field(5, text), field(5, number)), record(field(5, number), field(5, text)),
		record(field(5, text), field(5)), record(field(5, text, number)), record(field(5, list)), record(field(5, text, list)),
		record(field(5, text, []byte{8 << 3, 1})), record(field(5, text, []byte{7<<3 | 2, 0})), record([]byte{1<<3 | 1, 1, 2, 3, 4, 5, 6, 7, 8}),
		field(1, field(1, field(1, field(1, []byte("node_name")), field(2, text)))),
		field(1, field(1, field(1, field(1, []byte("node_name")), field(2, number)))), {0xff}, {0x0a, 0x7f}, {0x0b, 0x0c},
	}
}

func TestRecords(t *testing.T) {
	for _, seed := range recordSeeds(t) {
		for end := range len(seed) + 1 {
			sameRecords(t, seed[:end])
		}
	}
	encoded := recordSeeds(t)[1]
	if got := string(wire.NodeName(encoded)); got != "edge-7" {
		t.Errorf("node %q", got)
	}
	var e wire.Entry
	n := 0
	take := func(r wire.Record) {
		if e.ReadLine(r) {
			n++
		}
	}
	if n := testing.AllocsPerRun(100, func() { wire.EachRecord(encoded, take) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if n == 0 {
		t.Error("no line was read")
	}
}

// FuzzRecords compares the reader with the generated decoder.
func FuzzRecords(f *testing.F) {
	for _, seed := range recordSeeds(f) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, encoded []byte) { sameRecords(t, encoded) })
}

func lineOf(seal string) string {
	return "hookbastion " + seal + " DownstreamEnd 503 UC,DR 2 1500 upstream_reset"
}

func TestLines(t *testing.T) {
	const end, other = 6, 1
	for _, row := range []struct {
		line string
		want wire.Entry
	}{
		{lineOf("a-seal"), wire.Entry{Seal: []byte("a-seal"), Type: end, Code: 503, Attempts: 2, Flags: wire.UpstreamConnectionTermination | wire.DownstreamRemoteReset, Details: []byte("upstream_reset"), Seconds: 1, Nanos: 500e6, HasTimes: true}},
		{"hookbastion - DownstreamEnd 200 - 1 0 via_upstream", wire.Entry{Type: end, Code: 200, Attempts: 1, Details: []byte("via_upstream"), HasTimes: true}},
		{"hookbastion s UpstreamEnd 0 - 0 - -", wire.Entry{Seal: []byte("s"), Type: other}},
		{"hookbastion s NotSet - - - - -", wire.Entry{Seal: []byte("s"), Type: other}},
		{"hookbastion s DownstreamEnd 404 NR,UNHEARD,OF 0 0 route_not_found", wire.Entry{Seal: []byte("s"), Type: end, Code: 404, Flags: wire.NoRouteFound, Details: []byte("route_not_found"), HasTimes: true}},
		{"hookbastion s DownstreamEnd 4294967289 - 0 0 x", wire.Entry{Seal: []byte("s"), Type: end, Code: 1<<32 - 7, Details: []byte("x"), HasTimes: true}},
	} {
		var got wire.Entry
		if !got.ReadLine(wire.Record{Time: 1_700_000_000_000_000_005, Body: []byte(row.line)}) {
			t.Errorf("%q: refused", row.line)
			continue
		}
		if row.want.HasTimes {
			row.want.StartSeconds, row.want.StartNanos = 1_700_000_000, 5
		}
		if !sameFacts(&got, &row.want) {
			t.Errorf("%q: %+v, want %+v", row.line, got, row.want)
		}
	}
	var got wire.Entry
	if !got.ReadLine(wire.Record{Body: []byte(lineOf("s"))}) || got.HasTimes {
		t.Errorf("without a time: %+v", got)
	}
	for _, bad := range []string{
		"", "hookbastion", "other s DownstreamEnd 200 - 1 0 via_upstream", "hookbastion s DownstreamEnd 200 - 1 0", "hookbastion s DownstreamEnd 200 - 1 0 ",
		"hookbastion s DownstreamEnd 2x0 - 1 0 via_upstream", "hookbastion s DownstreamEnd 200 - 1 -5 via_upstream", "hookbastion s DownstreamEnd 200 - 99999999999 0 via_upstream",
		"hookbastion s DownstreamEnd 200 - 1 0 via_upstream and more", " hookbastion s DownstreamEnd 200 - 1 0 via_upstream", "hookbastion s DownstreamEnd 42949672960 - 1 0 via_upstream",
	} {
		if got.ReadLine(wire.Record{Body: []byte(bad)}) {
			t.Errorf("%q: %+v", bad, got)
		}
	}
}

func sameFacts(a, b *wire.Entry) bool {
	return bytes.Equal(a.Seal, b.Seal) && bytes.Equal(a.Details, b.Details) && a.Type == b.Type && a.Code == b.Code && a.Attempts == b.Attempts &&
		a.Flags == b.Flags && a.HasTimes == b.HasTimes && a.StartSeconds == b.StartSeconds && a.StartNanos == b.StartNanos && a.Seconds == b.Seconds && a.Nanos == b.Nanos
}

func BenchmarkRecord(b *testing.B) {
	encoded := recordSeeds(b)[1]
	var e wire.Entry
	b.ReportAllocs()
	for b.Loop() {
		if !wire.EachRecord(encoded, func(r wire.Record) { e.ReadLine(r) }) {
			b.Fatal("refused")
		}
	}
}
