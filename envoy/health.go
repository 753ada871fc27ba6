package envoy

import (
	"context"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/hookbastion/hookbastion/envoy/h2"
)

// maxHealthRequest bounds a request of grpc.health.v1, which names a service.
const maxHealthRequest = 4 << 10

// healthService serves grpc.health.v1.Health.
type healthService struct{ *health.Server }

// request receives the only message of a call.
func (healthService) request(call *h2.Call) (*healthv1.HealthCheckRequest, bool) {
	request := &healthv1.HealthCheckRequest{}
	message, err := call.Receive(maxHealthRequest)
	if err == nil {
		err = proto.Unmarshal(message, request)
	}
	if err != nil {
		call.End(h2.Status{Code: uint8(codes.InvalidArgument)})
	}
	return request, err == nil
}

func (s healthService) check(call *h2.Call) {
	request, ok := s.request(call)
	if !ok {
		return
	}
	response, err := s.Check(call, request)
	if err == nil {
		var encoded []byte
		if encoded, err = proto.Marshal(response); err == nil {
			call.Send(encoded)
		}
	}
	call.End(h2.Status{Code: uint8(status.Code(err))})
}

// watch serves a watch until its end, or until its connection is to go.
func (s healthService) watch(call *h2.Call) {
	request, ok := s.request(call)
	if !ok {
		return
	}
	ctx, cancel := context.WithCancel(call)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		select {
		case <-call.Leaving():
			call.End(h2.Status{Code: uint8(codes.Unavailable)}) // and with it the context
		case <-ctx.Done():
		}
	})
	err := s.Watch(request, watcher{call, ctx})
	cancel()
	waiting.Wait()
	call.End(h2.Status{Code: uint8(status.Code(err))})
}

// watcher is the stream of a watch.
type watcher struct {
	call *h2.Call
	ctx  context.Context //nolint:containedctx // what the interface asks for
}

func (w watcher) Send(response *healthv1.HealthCheckResponse) error {
	encoded, err := proto.Marshal(response)
	if err == nil && !w.call.Send(encoded) {
		err = context.Canceled
	}
	return err
}

func (w watcher) Context() context.Context { return w.ctx }

// The rest of a stream, which nobody asks for.

func (watcher) SetHeader(metadata.MD) error  { return nil }
func (watcher) SendHeader(metadata.MD) error { return nil }
func (watcher) SetTrailer(metadata.MD)       {}
func (watcher) SendMsg(any) error            { return status.Error(codes.Unimplemented, "") }
func (watcher) RecvMsg(any) error            { return status.Error(codes.Unimplemented, "") }
