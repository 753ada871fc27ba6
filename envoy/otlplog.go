package envoy

import (
	"google.golang.org/grpc/codes"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/envoy/h2"
	"github.com/hookbastion/hookbastion/envoy/wire"
)

// methodExport is a call of OpenTelemetry's service for logs, by which Envoy's OpenTelemetry
// access log brings a batch.
const methodExport = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"

// maxJoined is what is kept of memory for the next batch.
const maxJoined = 64 << 10

// export settles by one batch of the OpenTelemetry access log. A small one is settled by the
// goroutine that reads the connection. A batch that there is no room for is lost, unless Envoy is
// told to repeat it, and counted.
func (l *accessLog) export(call *h2.Call) {
	chunks, refusal := call.Message()
	if refusal != h2.None {
		l.service.Telemetry.Settled(replay.Ignored, replay.ResultNone, 0)
		code := codes.InvalidArgument
		if refusal == h2.Overloaded {
			code = codes.Unavailable // which Envoy repeats
		}
		call.End(h2.Status{Code: uint8(code)})
		return
	}
	if l.service.Settler.TwoPhase() { // Envoy sends it all the same
		l.settleChunks(call, chunks)
	}
	call.Answer(nil)
}

// settleChunks settles by a batch in chunks: it is mostly one, and else as small as that.
func (l *accessLog) settleChunks(call *h2.Call, chunks [][]byte) {
	if len(chunks) == 1 {
		l.settleRecords(call, chunks[0])
		return
	}
	joined, _ := l.joined.Get().(*[]byte)
	if joined == nil {
		joined = new([]byte)
	}
	message := (*joined)[:0]
	for _, chunk := range chunks {
		message = append(message, chunk...)
	}
	l.settleRecords(call, message)
	if cap(message) <= maxJoined {
		*joined = message
	}
	l.joined.Put(joined)
}

// settleRecords settles by the records of a batch.
func (l *accessLog) settleRecords(call *h2.Call, message []byte) {
	s, peer := l.service, call.Peer()
	s.Log.Batch(peer, wire.NodeName(message), s.now())
	stores := patience{call: call}
	defer stores.end()
	var entry wire.Entry
	if !wire.EachRecord(message, func(r wire.Record) { s.settleEntry(&stores, peer, &entry, entry.ReadLine(r)) }) {
		s.Telemetry.Settled(replay.Ignored, replay.ResultNone, 0)
	}
}
