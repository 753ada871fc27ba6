package envoy

import (
	"context"
	"sync"
	"sync/atomic"

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
type healthService struct {
	*health.Server
	stopping chan struct{} // closed when no state will change any more
	once     *sync.Once
}

func newHealth() healthService {
	return healthService{health.NewServer(), make(chan struct{}), new(sync.Once)}
}

// stop tells all watches that nothing is served, and then ends them: they would keep a
// stop waiting that has nothing else to wait for.
func (s healthService) stop() {
	s.Shutdown()
	s.once.Do(func() { close(s.stopping) })
}

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

// watch serves a watch until its end, until its connection is to go, or until the
// service stops and the watch has been told so.
func (s healthService) watch(call *h2.Call) {
	request, ok := s.request(call)
	if !ok {
		return
	}
	ctx, cancel := context.WithCancel(call)
	w := &watcher{call: call, ctx: ctx, stopping: s.stopping}
	var waiting sync.WaitGroup
	waiting.Go(func() {
		stopping := s.stopping
		for {
			select {
			case <-stopping:
				if stopping = nil; !w.told.Load() {
					continue // Send is about to tell it
				}
			case <-call.Leaving():
			case <-ctx.Done():
				return
			}
			call.End(h2.Status{Code: uint8(codes.Unavailable)}) // and with it the context
			return
		}
	})
	err := s.Watch(request, w)
	cancel()
	waiting.Wait()
	code := status.Code(err)
	select {
	case <-s.stopping:
		code = codes.Unavailable // whatever the service made of it
	default:
	}
	call.End(h2.Status{Code: uint8(code)})
}

// watcher is the stream of a watch.
type watcher struct {
	call     *h2.Call
	ctx      context.Context //nolint:containedctx // what the interface asks for
	stopping <-chan struct{}
	told     atomic.Bool // that nothing is served, and nothing else since
}

// Send fails after the last state that there is to tell.
func (w *watcher) Send(response *healthv1.HealthCheckResponse) error {
	serving := response.GetStatus() == healthv1.HealthCheckResponse_SERVING
	if serving {
		w.told.Store(false) // before it is known
	}
	encoded, err := proto.Marshal(response)
	if err == nil && !w.call.Send(encoded) {
		err = context.Canceled
	}
	if serving || err != nil {
		return err
	}
	w.told.Store(true) // before a look at stopping: who waits looks the other way round
	select {
	case <-w.stopping:
		return context.Canceled
	default:
		return nil
	}
}

func (w *watcher) Context() context.Context { return w.ctx }

// The rest of a stream, which nobody asks for.

func (*watcher) SetHeader(metadata.MD) error  { return nil }
func (*watcher) SendHeader(metadata.MD) error { return nil }
func (*watcher) SetTrailer(metadata.MD)       {}
func (*watcher) SendMsg(any) error            { return status.Error(codes.Unimplemented, "") }
func (*watcher) RecvMsg(any) error            { return status.Error(codes.Unimplemented, "") }
