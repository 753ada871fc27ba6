package envoy

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/envoy/h2"
	"github.com/hookbastion/hookbastion/envoy/wire"
)

const (
	// maxLogMessage bounds one message of the access log. The first of a stream
	// has about 77 kB of Envoy's own description; an entry is a few kB.
	maxLogMessage = 1 << 20
	// maxLogStreams bounds the streams: Envoy opens one for each worker. One connection
	// leaves some for others.
	maxLogStreams = 512
	// settleTime bounds the call of the store for one entry.
	settleTime = time.Second
)

// accessLog is the service envoy.service.accesslog.v3.AccessLogService, and OpenTelemetry's for
// logs. It stands on the listener of Check, so that who may not ask may not settle, and
// settles by seals of ours alone.
type accessLog struct {
	service *Service
	streams atomic.Int64
	refused atomic.Int64
	joined  sync.Pool // of *[]byte, for batches that came in several chunks
}

// serve reads a stream until its end. Envoy never ends one while its connection
// lasts, so that we do when the connection is to go.
func (l *accessLog) serve(call *h2.Call) {
	defer l.streams.Add(-1)
	if !call.MayShare(maxLogStreams, l.streams.Add(1)) {
		l.refused.Add(1)
		call.End(h2.Status{Code: uint8(codes.ResourceExhausted)})
		return
	}
	defer l.service.Log.Stream(call.Peer())()
	for {
		err := l.receive(call)
		switch {
		case err == nil:
		case errors.Is(err, h2.ErrLeaving): // Envoy begins another one with its next entry, on another connection
			call.Part(nil)
		case errors.Is(err, io.EOF): // a client that does end it gets the empty answer that it waits for
			call.Answer(nil)
			return
		default:
			call.End(h2.Status{Code: uint8(codes.Internal), Message: "unreadable message"})
			return
		}
	}
}

// receive reads one message and settles by it. What is malformed or too large
// is dropped and counted; the stream goes on.
func (l *accessLog) receive(call *h2.Call) error {
	message, err := call.Receive(maxLogMessage)
	switch {
	case errors.Is(err, h2.ErrTooLarge):
		l.service.Telemetry.Settled(replay.Ignored, replay.ResultNone, 0)
		return nil
	case err != nil:
		return err
	case !l.service.Settler.TwoPhase():
		return nil // Envoy sends it all the same
	}
	l.service.Log.Message(call.Peer(), wire.NodeID(message), l.service.now())
	var stores patience
	defer stores.end()
	if !wire.EachEntry(message, func(entry []byte) { l.service.settleEncoded(&stores, call.Peer(), entry) }) {
		l.service.Telemetry.Settled(replay.Ignored, replay.ResultNone, 0)
	}
	return nil
}

// settleEncoded settles by one encoded entry. Most entries of a listener may have
// nothing to do with us.
func (s *Service) settleEncoded(stores *patience, peer string, encoded []byte) {
	var entry wire.Entry
	s.settleEntry(stores, peer, &entry, entry.Read(encoded, sealPlace))
}

// settleEntry settles by an entry, if it could be read. It never panics.
func (s *Service) settleEntry(stores *patience, peer string, entry *wire.Entry, read bool) {
	defer func() {
		if recover() != nil {
			s.Telemetry.Panicked()
		}
	}()
	if !read {
		s.Telemetry.Settled(replay.Ignored, replay.ResultNone, 0)
		return
	}
	if len(entry.Seal) == 0 || !last(entry) {
		return
	}
	now, outcome := s.now(), result(entry)
	lag, took := time.Duration(0), time.Duration(0)
	if entry.HasTimes {
		start := timestamppb.Timestamp{Seconds: entry.StartSeconds, Nanos: entry.StartNanos}
		length := durationpb.Duration{Seconds: entry.Seconds, Nanos: entry.Nanos}
		took = length.AsDuration()
		lag = now.Sub(start.AsTime().Add(took))
	}
	settled := s.Settler.Settle(stores.context(), entry.Seal, outcome, now)
	if settled != replay.Forged {
		s.Log.Entry(peer, took, now)
	}
	s.Telemetry.Settled(settled, outcome, lag)
}

// patience is the context of a store's calls for the entries of one message. The zero
// value is ready.
type patience struct {
	call   *h2.Call // that its reader serves; nil: nobody waits
	ctx    context.Context
	cancel context.CancelFunc
	until  time.Time
}

// context returns one that lasts for half of settleTime at least, and for all of it at
// most. A new one is memory.
func (p *patience) context() context.Context {
	if now := time.Now(); p.ctx == nil || now.After(p.until) {
		p.end()
		p.until = now.Add(settleTime / 2)
		p.ctx, p.cancel = context.WithDeadline(context.Background(), now.Add(settleTime))
		if p.call != nil {
			p.ctx = waiting{p.ctx, p.call}
		}
	}
	return p.ctx
}

// end lets the context go.
func (p *patience) end() {
	if p.cancel != nil {
		p.cancel()
	}
}

// waiting is the context of a store's calls on the goroutine that reads a connection: who
// waits has another one read on. It does not end with the call: what Envoy has told counts.
type waiting struct {
	context.Context
	call *h2.Call
}

// Done is asked for by who may wait.
func (w waiting) Done() <-chan struct{} {
	_ = w.call.Done()
	return w.Context.Done()
}
