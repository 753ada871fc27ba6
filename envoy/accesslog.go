package envoy

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/envoy/h2"
)

const (
	// maxLogMessage bounds one message of the access log. The first of a stream
	// has about 77 kB of Envoy's own description; an entry is a few kB.
	maxLogMessage = 1 << 20
	// maxLogStreams bounds the streams: Envoy opens one for each worker.
	maxLogStreams = 512
	// maxLogEntry bounds one entry that is decoded, and maxLogDecoding how many are
	// at once: decoded, an entry may take thirty times what it did before.
	maxLogEntry    = 128 << 10
	maxLogDecoding = 8
	// settleTime bounds the call of the store for one entry.
	settleTime = time.Second
)

// accessLog is the service envoy.service.accesslog.v3.AccessLogService. It
// stands on the listener of Check, so that who may not ask may not settle, and
// settles by seals of ours alone.
type accessLog struct {
	service  *Service
	decoding chan struct{}

	streams atomic.Int64
}

func newAccessLog(service *Service) *accessLog {
	return &accessLog{service: service, decoding: make(chan struct{}, maxLogDecoding)}
}

// serve reads a stream until its end. Envoy never ends one while its connection
// lasts, so that we do when the connection is to go.
func (l *accessLog) serve(call *h2.Call) {
	defer l.streams.Add(-1)
	if l.streams.Add(1) > maxLogStreams {
		call.End(h2.Status{Code: uint8(codes.ResourceExhausted)})
		return
	}
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
	whole := eachEntry(message, func(entry []byte) {
		if !mayHaveSeal(entry) {
			return
		}
		l.decoding <- struct{}{}
		defer func() { <-l.decoding }()
		l.service.settleEncoded(entry)
	})
	if !whole {
		l.service.Telemetry.Settled(replay.Ignored, replay.ResultNone, 0)
	}
	return nil
}

// settleEncoded settles by one encoded entry. It never panics.
func (s *Service) settleEncoded(encoded []byte) {
	defer func() {
		if recover() != nil {
			s.Telemetry.Panicked()
		}
	}()
	var entry accesslogv3.HTTPAccessLogEntry
	if len(encoded) > maxLogEntry || (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(encoded, &entry) != nil {
		s.Telemetry.Settled(replay.Ignored, replay.ResultNone, 0)
		return
	}
	s.settleEntry(&entry)
}

// settleEntry settles by one entry. Most entries of a listener may have nothing
// to do with us.
func (s *Service) settleEntry(entry *accesslogv3.HTTPAccessLogEntry) {
	common := entry.GetCommonProperties()
	seal := sealOf(common.GetMetadata())
	if seal == "" || !last(common) {
		return
	}
	now, outcome := s.now(), result(entry)
	lag := time.Duration(0)
	if common.GetStartTime() != nil && common.GetDuration() != nil {
		lag = now.Sub(common.GetStartTime().AsTime().Add(common.GetDuration().AsDuration()))
	}
	ctx, cancel := context.WithTimeout(context.Background(), settleTime)
	defer cancel()
	s.Telemetry.Settled(s.Settler.Settle(ctx, seal, outcome, now), outcome, lag)
}
