package wire_test

import (
	"bytes"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	alsv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hookbastion/hookbastion/envoy/wire"
)

var sealPlace = wire.SealPlace{Namespace: "envoy.filters.http.ext_authz", Key: "settle"}

// logged is an entry with all that is asked for.
func logged(seal *structpb.Value) *accesslogv3.HTTPAccessLogEntry {
	return &accesslogv3.HTTPAccessLogEntry{
		CommonProperties: &accesslogv3.AccessLogCommon{
			StartTime:                   &timestamppb.Timestamp{Seconds: 1_700_000_000, Nanos: 5},
			Duration:                    durationpb.New(1_500_000_001),
			UpstreamRequestAttemptCount: 2,
			IntermediateLogEntry:        true, //nolint:staticcheck // older Envoys send it
			AccessLogType:               accesslogv3.AccessLogType_DownstreamEnd,
			UpstreamCluster:             "application",
			ResponseFlags: &accesslogv3.ResponseFlags{
				UpstreamRemoteReset: true, UnauthorizedDetails: &accesslogv3.ResponseFlags_Unauthorized{Reason: 1}, DownstreamRemoteReset: true,
			},
			Metadata: &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{
				sealPlace.Namespace: {Fields: map[string]*structpb.Value{sealPlace.Key: seal, "reason": structpb.NewStringValue("ok")}},
				"other":             {Fields: map[string]*structpb.Value{sealPlace.Key: structpb.NewStringValue("not ours")}},
			}},
		},
		Request:  &accesslogv3.HTTPRequestProperties{Path: "/hook"},
		Response: &accesslogv3.HTTPResponseProperties{ResponseCode: wrapperspb.UInt32(503), ResponseCodeDetails: "via_upstream"},
	}
}

// sameEntry compares what is read with what the generated decoder finds.
func sameEntry(t *testing.T, encoded []byte) {
	t.Helper()
	var got wire.Entry
	read := got.Read(encoded, sealPlace)
	var decoded accesslogv3.HTTPAccessLogEntry
	if (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(encoded, &decoded) != nil {
		return
	}
	if !read {
		t.Fatalf("%x: refused", encoded)
	}
	common := decoded.GetCommonProperties()
	start, duration := common.GetStartTime(), common.GetDuration()
	want := wire.Entry{
		Type: int32(common.GetAccessLogType()), Intermediate: common.GetIntermediateLogEntry(), //nolint:staticcheck // what is compared
		Attempts: common.GetUpstreamRequestAttemptCount(), Code: decoded.GetResponse().GetResponseCode().GetValue(),
		Flags: flagsOf(common.GetResponseFlags()), HasTimes: start != nil && duration != nil,
	}
	seal := common.GetMetadata().GetFilterMetadata()[sealPlace.Namespace].GetFields()[sealPlace.Key].GetStringValue()
	if string(got.Seal) != seal || string(got.Details) != decoded.GetResponse().GetResponseCodeDetails() {
		t.Fatalf("%x: seal %q, details %q", encoded, got.Seal, got.Details)
	}
	if got.Type != want.Type || got.Intermediate != want.Intermediate || got.Attempts != want.Attempts || got.Code != want.Code ||
		got.Flags != want.Flags || got.HasTimes != want.HasTimes {
		t.Fatalf("%x: %+v, want %+v", encoded, got, want)
	}
	if got.HasTimes && (got.StartSeconds != start.GetSeconds() || got.StartNanos != start.GetNanos() ||
		got.Seconds != duration.GetSeconds() || got.Nanos != duration.GetNanos()) {
		t.Fatalf("%x: times %+v, want %v and %v", encoded, got, start, duration)
	}
}

// flagsOf are the flags by the numbers of the descriptor.
func flagsOf(f *accesslogv3.ResponseFlags) (flags wire.Flags) {
	if f == nil {
		return 0
	}
	f.ProtoReflect().Range(func(d protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if d.Kind() == protoreflect.BoolKind && v.Bool() {
			flags |= 1 << d.Number()
		}
		return true
	})
	return flags
}

// Each flag has its name's number.
func TestFlagNumbers(t *testing.T) {
	for name, flag := range map[protoreflect.Name]wire.Flags{
		"no_healthy_upstream": wire.NoHealthyUpstream, "upstream_request_timeout": wire.UpstreamRequestTimeout, "local_reset": wire.LocalReset,
		"upstream_remote_reset": wire.UpstreamRemoteReset, "upstream_connection_failure": wire.UpstreamConnectionFailure,
		"upstream_connection_termination": wire.UpstreamConnectionTermination, "upstream_overflow": wire.UpstreamOverflow,
		"no_route_found": wire.NoRouteFound, "fault_injected": wire.FaultInjected, "rate_limited": wire.RateLimited,
		"rate_limit_service_error": wire.RateLimitServiceError, "downstream_connection_termination": wire.DownstreamTermination,
		"upstream_retry_limit_exceeded": wire.UpstreamRetryLimitExceeded, "stream_idle_timeout": wire.StreamIdleTimeout,
		"upstream_max_stream_duration_reached": wire.UpstreamMaxDuration, "duration_timeout": wire.DurationTimeout,
		"upstream_protocol_error": wire.UpstreamProtocolError, "no_cluster_found": wire.NoClusterFound,
		"dns_resolution_failure": wire.DNSResolutionFailure, "downstream_remote_reset": wire.DownstreamRemoteReset,
	} {
		d := (&accesslogv3.ResponseFlags{}).ProtoReflect().Descriptor().Fields().ByName(name)
		if d == nil || wire.Flags(1)<<d.Number() != flag {
			t.Errorf("%s: %b", name, flag)
		}
	}
}

// entrySeeds are entries as Envoy writes them, and as only others would.
func entrySeeds(tb testing.TB) [][]byte {
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
	whole, text := encode(logged(structpb.NewStringValue("a seal"))), encode(structpb.NewStringValue("text"))
	key := func(name string) []byte { return field(1, []byte(name)) }
	sealed := func(value ...[]byte) []byte { // as metadata
		return field(1, field(17, field(1, key(sealPlace.Namespace), field(2, field(1, append([][]byte{key(sealPlace.Key)}, value...)...)))))
	}
	return [][]byte{
		nil, whole, bytes.Repeat(whole, 2), append(bytes.Clone(whole), encode(logged(structpb.NewNumberValue(1)))...),
		encode(logged(structpb.NewNullValue())), encode(logged(structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{{}}}))),
		encode(logged(nil)), encode(&accesslogv3.HTTPAccessLogEntry{}),
		sealed(field(2, text)), sealed(field(2, text), field(2, field(1))), sealed(field(2, text, []byte{4 << 3, 1})), sealed(field(2, text, []byte{4<<3 | 5, 1, 0, 0, 0})),
		sealed(field(2, text), key("other")), sealed(key("other"), key(sealPlace.Key), field(2, text)), sealed(), append(sealed(field(2, text)), sealed()...),
		field(1, field(17, field(1, field(2, field(1, key(sealPlace.Key), field(2, text))), key(sealPlace.Namespace)))),
		field(1, field(16, []byte{7 << 3, 1, 7 << 3, 0, 5 << 3, 2})), field(4, field(1, []byte{1 << 3, 0xf4, 3}), field(1)),
		{0x0b, 0x0c}, {0x0b}, {0x0c}, {0xff},
	}
}

func TestEntries(t *testing.T) {
	for _, seed := range entrySeeds(t) {
		for end := range len(seed) + 1 {
			sameEntry(t, seed[:end])
		}
	}
	var e wire.Entry
	encoded := entrySeeds(t)[1]
	if !e.Read(encoded, sealPlace) || string(e.Seal) != "a seal" || e.Code != 503 || !e.Flags.Any(wire.UpstreamRemoteReset) || !e.HasTimes {
		t.Errorf("%+v", e)
	}
	if n := testing.AllocsPerRun(100, func() { e.Read(encoded, sealPlace) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzEntry compares the reader with the generated decoder.
func FuzzEntry(f *testing.F) {
	for _, seed := range entrySeeds(f) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, encoded []byte) { sameEntry(t, encoded) })
}

// Entries of a message are found as the generated decoder finds them.
func TestEachEntry(t *testing.T) {
	want := []*accesslogv3.HTTPAccessLogEntry{logged(structpb.NewStringValue("a")), {}, logged(nil), {ProtocolVersion: accesslogv3.HTTPAccessLogEntry_HTTP2}}
	encoded, err := proto.Marshal(&alsv3.StreamAccessLogsMessage{
		Identifier: &alsv3.StreamAccessLogsMessage_Identifier{LogName: "log"},
		LogEntries: &alsv3.StreamAccessLogsMessage_HttpLogs{HttpLogs: &alsv3.StreamAccessLogsMessage_HTTPAccessLogEntries{LogEntry: want}},
	})
	if err != nil {
		t.Fatal(err)
	}
	encoded = protowire.AppendVarint(protowire.AppendTag(encoded, 99, protowire.VarintType), 7)
	var got [][]byte
	if !wire.EachEntry(encoded, func(entry []byte) { got = append(got, entry) }) || len(got) != len(want) {
		t.Fatalf("%d entries", len(got))
	}
	for i, entry := range got {
		var decoded accesslogv3.HTTPAccessLogEntry
		if err := proto.Unmarshal(entry, &decoded); err != nil || !proto.Equal(&decoded, want[i]) {
			t.Errorf("entry %d: %v", i, err)
		}
	}
	for i := 1; i < len(encoded); i++ { // no cut makes an entry that was not there
		n := 0
		if whole := wire.EachEntry(encoded[:i], func([]byte) { n++ }); n > len(want) || whole && proto.Unmarshal(encoded[:i], &alsv3.StreamAccessLogsMessage{}) != nil {
			t.Errorf("the first %d bytes: %d entries, whole: %t", i, n, whole)
		}
	}
}

// What Envoy calls itself is in the first message of a stream, as the generated decoder
// finds it.
func TestNodeID(t *testing.T) {
	encoded, err := proto.Marshal(&alsv3.StreamAccessLogsMessage{Identifier: &alsv3.StreamAccessLogsMessage_Identifier{
		Node: &corev3.Node{Id: "edge-7", Cluster: "edges", UserAgentName: "envoy"}, LogName: "log",
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(wire.NodeID(encoded)); got != "edge-7" {
		t.Errorf("%q", got)
	}
	for i := range encoded {
		if got := string(wire.NodeID(encoded[:i])); got != "" && got != "edge-7" {
			t.Errorf("the first %d bytes: %q", i, got)
		}
	}
	for _, none := range [][]byte{nil, {0xff}, {0x0a, 0x00}, {0x0a, 0x02, 0x0a, 0x7f}} {
		if got := wire.NodeID(none); len(got) != 0 {
			t.Errorf("%x: %q", none, got)
		}
	}
}

func BenchmarkEntry(b *testing.B) {
	encoded := entrySeeds(b)[1]
	var e wire.Entry
	b.ReportAllocs()
	for b.Loop() {
		if !e.Read(encoded, sealPlace) {
			b.Fatal("refused")
		}
	}
}
