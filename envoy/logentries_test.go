package envoy

import (
	"bytes"
	"runtime"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/envoy/wire"
)

func field(number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), value)
}

func sealed(seal string) *accesslogv3.HTTPAccessLogEntry {
	return &accesslogv3.HTTPAccessLogEntry{
		CommonProperties: &accesslogv3.AccessLogCommon{AccessLogType: accesslogv3.AccessLogType_DownstreamEnd, Metadata: &corev3.Metadata{
			FilterMetadata: map[string]*structpb.Struct{metadataNamespace: {Fields: map[string]*structpb.Value{
				metadataSettle: structpb.NewStringValue(seal),
			}}},
		}},
		Response: &accesslogv3.HTTPResponseProperties{ResponseCode: wrapperspb.UInt32(200), ResponseCodeDetails: "via_upstream"},
	}
}

func encode(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func settlingService() *Service {
	start := time.Unix(1_700_000_000, 0)
	store := memory.New(memory.Config{MaxEntries: 1000, Started: start})
	return &Service{Settler: replay.NewSettler(store, time.Minute, replay.NewSealKey()), Now: func() time.Time { return start }}
}

// A message takes no memory beside its own, whatever is in it.
func TestMessagesThatGrowWhenDecoded(t *testing.T) {
	s := settlingService()
	values := field(6, bytes.Repeat(field(1, nil), 60<<10)) // a list of empty values
	seal := encode(t, sealed("x"))
	list := field(1, field(17, field(1, append(field(1, []byte("other")), field(2, field(1, append(field(1, []byte("k")), field(2, values)...)))...))))
	for name, entry := range map[string][]byte{
		"empty entries":              nil,
		"entries of empty parts":     append(append(field(1, nil), field(3, nil)...), field(4, nil)...),
		"lists without a seal":       list,
		"a list in an entry of ours": append(bytes.Clone(list), seal...),
		"many flags":                 append(bytes.Clone(seal), field(1, bytes.Repeat(field(16, nil), 300<<10))...),
	} {
		one := field(1, entry)
		message := field(2, bytes.Repeat(one, max(1, (1<<20-100)/len(one))))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		n := 0
		var stores patience
		whole := wire.EachEntry(message, func(entry []byte) {
			n++
			s.settleEncoded(&stores, "192.0.2.1", entry)
		})
		stores.end()
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; !whole || n == 0 || took > 64<<10 {
			t.Errorf("%s: %d entries, whole: %t, %d bytes", name, n, whole, took)
		}
	}
}
