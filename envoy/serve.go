package envoy

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"golang.org/x/net/netutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	grpcmetadata "google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hookbastion/hookbastion/authz"
)

// Limits bounds what the server takes on.
type Limits struct {
	// MaxRequestBytes is the largest body that Envoy forwards.
	MaxRequestBytes int64
	// InFlight is the number of checks at once; more are refused at once.
	InFlight int
	// BytesInFlight bounds the messages held at once, and the copies of bodies
	// that must be parsed. Who finds no room waits for a part of its deadline and is
	// then refused.
	BytesInFlight int64
	// Connections is the number of connections at once; more wait to be
	// accepted.
	Connections int
	// Shutdown is how long Stop waits for calls in flight, and then once more
	// for the end of those that it has cancelled.
	Shutdown time.Duration
}

const (
	// messageHeadroom is what a CheckRequest may have beside the body. A
	// larger message is refused by grpc-go with an error, which Envoy answers
	// with status_on_error; one below it gets an answer of ours.
	messageHeadroom = 1 << 20
	// typicalHeaders is what is taken from the budget for them before they
	// are read.
	typicalHeaders = 16 << 10
	// copies of a body: the received message, and the one that a scheme makes
	// which must parse it.
	copies = 2
	// answerBytes is the room for an answer that is reused. It is more than
	// answers mostly have; below 1 KiB grpc-go reuses nothing.
	answerBytes = 2 << 10
	// budgetWait is how long a call without a deadline waits for room.
	budgetWait = 100 * time.Millisecond
	// minStreamWindow is HTTP/2's own default.
	minStreamWindow = 64 << 10
	// streamWorkers serve streams without a new goroutine's stack for each.
	streamWorkers = 64
	// lingerPart is which part of a stop waits for entries of the access log.
	lingerPart = 20
)

// MinBytesInFlight is the smallest budget that lets the largest body in.
func MinBytesInFlight(maxRequestBytes int64) int64 {
	return copies * (maxRequestBytes + typicalHeaders)
}

// Server is the gRPC server. Its methods are safe for concurrent use.
type Server struct {
	service  *Service
	limits   Limits
	grpc     *grpc.Server
	health   *health.Server
	pool     mem.BufferPool
	inFlight atomic.Int64
	budget   budget
	calls    sync.Pool
	log      *accessLog
}

// NewServer returns a server that is not ready. pool is for its buffers; nil
// for one that does not clear them.
func NewServer(service *Service, limits Limits, pool mem.BufferPool) *Server {
	if pool == nil {
		pool = &buffers{}
	}
	s := &Server{service: service, limits: limits, health: health.NewServer(), pool: pool, budget: budget{limit: limits.BytesInFlight}}
	s.log = newAccessLog(service)
	streamWindow, connWindow := limits.windows()
	s.grpc = grpc.NewServer(
		grpc.ForceServerCodecV2(newCodec()),
		experimental.BufferPool(pool),
		grpc.MaxRecvMsgSize(int(limits.MaxRequestBytes)+messageHeadroom),
		// Both, or neither: with one of them grpc-go leaves the other at 64 KiB.
		grpc.StaticStreamWindowSize(streamWindow),
		grpc.StaticConnWindowSize(connWindow),
		grpc.MaxConcurrentStreams(uint32(limits.InFlight)),
		grpc.NumStreamWorkers(streamWorkers),
		grpc.WaitForHandlers(true),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			// New replicas get their share of Envoy's connections.
			MaxConnectionAge: 15 * time.Minute, MaxConnectionAgeGrace: 30 * time.Second,
			Time: time.Minute, Timeout: 20 * time.Second,
		}),
	)
	s.grpc.RegisterService(&authorization, s)
	s.grpc.RegisterService(&accessLogging, s.log)
	healthv1.RegisterHealthServer(s.grpc, s.health)
	s.SetReady(false)
	return s
}

// windows divides the byte budget. grpc-go gives a connection's window back as
// data arrives, so that what streams hold unread is bounded by their number
// times the stream window: a quarter of the budget, or HTTP/2's default.
func (l *Limits) windows() (stream, conn int32) {
	const largest = 1 << 30
	stream = int32(min(max(l.BytesInFlight/4/int64(l.InFlight), minStreamWindow), largest))
	conn = int32(min(max(l.BytesInFlight/int64(l.Connections), int64(stream)), largest))
	return stream, conn
}

// authorization declares Check as a stream, which is the same on the wire: the
// handler then runs before the message is read and can refuse it unread.
var authorization = grpc.ServiceDesc{
	ServiceName: authv3.Authorization_ServiceDesc.ServiceName,
	HandlerType: (*any)(nil),
	Streams: []grpc.StreamDesc{{
		StreamName:    "Check",
		ServerStreams: true,
		ClientStreams: true,
		Handler: func(server any, stream grpc.ServerStream) error {
			s, ok := server.(*Server)
			if !ok {
				return status.Error(codes.Internal, "")
			}
			return s.check(stream)
		},
	}},
	Metadata: authv3.Authorization_ServiceDesc.Metadata,
}

// check serves one call. The error is that of a peer that is gone.
func (s *Server) check(stream grpc.ServerStream) error {
	ctx, cancel := withTimeLeft(stream.Context())
	defer cancel()
	if s.inFlight.Add(1) > int64(s.limits.InFlight) {
		s.inFlight.Add(-1)
		return s.send(stream, s.service.Refuse(ctx, authz.Overloaded, nil))
	}
	defer s.inFlight.Add(-1)

	held := MinBytesInFlight(s.limits.MaxRequestBytes)
	if !s.takeBudget(ctx, held) {
		return s.send(stream, s.service.Refuse(ctx, authz.Overloaded, nil))
	}
	defer func() { s.budget.give(held) }()

	c, _ := s.calls.Get().(*call)
	if c == nil {
		c = &call{}
	}
	defer s.calls.Put(c)
	if err := stream.RecvMsg(&c.message); err != nil {
		if status.Code(err) == codes.ResourceExhausted {
			// grpc-go has ended the call already; this is for the record.
			s.service.Refuse(ctx, authz.BodyTooLarge, nil)
		}
		return err
	}
	defer c.forget()
	actual := copies * int64(c.message.data.Len()+typicalHeaders)
	s.budget.give(held - actual)
	held = actual

	for _, buffer := range c.message.data {
		c.pieces = append(c.pieces, buffer.ReadOnlyData())
	}
	buffer := s.pool.Get(answerBytes)
	encoded, reserved := s.service.AnswerPieces(ctx, c.pieces, (*buffer)[:0:answerBytes])
	err := s.sendFrom(stream, c, buffer, encoded)
	if err != nil || ctx.Err() != nil {
		// Envoy takes an answer when the call has ended, and it has not.
		s.service.Settler.GiveBack(reserved, s.service.now())
	}
	return err
}

// sendFrom sends an answer that was made in the buffer, if it had room.
func (s *Server) sendFrom(stream grpc.ServerStream, c *call, buffer *[]byte, encoded []byte) error {
	if len(encoded) > answerBytes { // it is in another array
		s.pool.Put(buffer)
		return s.send(stream, encoded)
	}
	*buffer = encoded
	c.answer.buffer = mem.NewBuffer(buffer, s.pool)
	return stream.SendMsg(&c.answer)
}

// call is the memory of one call.
type call struct {
	message message
	pieces  [][]byte
	answer  answer
}

// forget gives the message back. The answer is grpc-go's by now.
func (c *call) forget() {
	c.message.free()
	clear(c.pieces)
	c.pieces = c.pieces[:0]
	c.answer.buffer = nil
}

func (s *Server) send(stream grpc.ServerStream, encoded []byte) error {
	return stream.SendMsg(&answer{mem.SliceBuffer(encoded)})
}

// takeBudget waits for at most half of the time that is left.
func (s *Server) takeBudget(ctx context.Context, n int64) bool {
	if s.budget.waiting.Load() == 0 && s.budget.try(n) {
		return true
	}
	wait := budgetWait
	if deadline, ok := ctx.Deadline(); ok {
		wait = time.Until(deadline) / 2
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	return s.budget.take(ctx, n)
}

// withTimeLeft honours the time that Envoy gives a single attempt, which can
// be shorter than the call's deadline.
func withTimeLeft(ctx context.Context) (context.Context, context.CancelFunc) {
	values := grpcmetadata.ValueFromIncomingContext(ctx, "x-envoy-expected-rq-timeout-ms")
	if len(values) != 1 {
		return ctx, func() {}
	}
	ms, err := strconv.ParseUint(values[0], 10, 31)
	if err != nil || ms == 0 {
		return ctx, func() {}
	}
	left := time.Duration(ms) * time.Millisecond
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= left {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, left)
}

// SetReady tells health checks whether the service can decide.
func (s *Server) SetReady(ready bool) {
	state := healthv1.HealthCheckResponse_NOT_SERVING
	if ready {
		state = healthv1.HealthCheckResponse_SERVING
	}
	s.health.SetServingStatus("", state)
	s.health.SetServingStatus(authorization.ServiceName, state)
}

// Serve accepts connections until Stop. It returns nil after Stop.
func (s *Server) Serve(listener net.Listener) error {
	err := s.grpc.Serve(netutil.LimitListener(listener, s.limits.Connections))
	if errors.Is(err, grpc.ErrServerStopped) {
		return nil
	}
	return err
}

// Stop ends the server: no new calls, then those in flight, then, after
// Limits.Shutdown, the rest. Health checks see it at once. A call that does not
// heed its end is left behind without a connection.
func (s *Server) Stop() {
	s.health.Shutdown()
	graceful := make(chan struct{})
	go func() {
		defer close(graceful)
		s.grpc.GracefulStop()
		s.log.readers.Wait()
	}()
	// Envoy never ends the streams of its access log, and sends what is still to
	// be settled on them.
	linger := time.AfterFunc(s.limits.Shutdown/lingerPart, s.log.stop)
	defer linger.Stop()
	for range 2 {
		timeout := time.NewTimer(s.limits.Shutdown)
		select {
		case <-graceful:
			timeout.Stop()
			return
		case <-timeout.C:
			go s.grpc.Stop()
		}
	}
}
