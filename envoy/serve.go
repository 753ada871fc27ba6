package envoy

import (
	"net"
	"sync"
	"time"

	alsv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/envoy/h2"
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
	// Connections is the number of connections at once; more are closed at once.
	Connections int
	// Refused is told of each connection that is closed for that, or, if it is silent,
	// since there were too many others that had said nothing; nil if nobody asks. It
	// must not block.
	Refused func(peer net.Addr, silent bool)
	// Shutdown is how long Stop waits for calls in flight, and then once more
	// for the end of those that it has cancelled.
	Shutdown time.Duration
	// MaxAge is when a connection is asked to go, so that new replicas get their
	// share of Envoy's, and Grace how long its calls may then take; 15 minutes and
	// 30 seconds if 0.
	MaxAge, Grace time.Duration
}

const (
	// messageHeadroom is what a CheckRequest may have beside the body. A larger
	// message is thrown away as it comes, and refused.
	messageHeadroom = 1 << 20
	// typicalHeaders is what is taken from the budget for them.
	typicalHeaders = 16 << 10
	// copies of a body: the received message, and the one that a scheme makes
	// which must parse it.
	copies = 2
	// answerBytes is more than answers mostly have, and maxAnswerBytes what is
	// kept for the next one.
	answerBytes    = 2 << 10
	maxAnswerBytes = 64 << 10
	// minStreamWindow is HTTP/2's own default.
	minStreamWindow = 64 << 10
	// ofTheLog is how many calls of a connection leave its checks their number: Envoy's
	// access log and what asks for the health come over the same one. minOthers is how
	// many of those there may be at once, however few checks: each worker of each Envoy
	// has one.
	ofTheLog  = 4
	minOthers = 1024
	// lingerPart is which part of a stop streams of the access log live on after
	// the farewell: what they then bring needs no other replica.
	lingerPart = 20
)

// MinBytesInFlight is the smallest budget that lets the largest body in.
func MinBytesInFlight(maxRequestBytes int64) int64 {
	return copies * (maxRequestBytes + typicalHeaders)
}

// Server is the gRPC server. Its methods are safe for concurrent use.
type Server struct {
	service *Service
	limits  Limits
	h2      *h2.Server
	health  healthService
	log     *accessLog
	answers sync.Pool
}

// NewServer returns a server that is not ready. pool is for received messages;
// nil for one that does not clear them.
func NewServer(service *Service, limits Limits, pool h2.Pool) *Server {
	if pool == nil {
		pool = &buffers{}
	}
	if limits.MaxAge == 0 {
		limits.MaxAge = 15 * time.Minute
	}
	if limits.Grace == 0 {
		limits.Grace = 30 * time.Second
	}
	s := &Server{service: service, limits: limits, health: newHealth()}
	s.log = &accessLog{service: service}
	s.h2 = h2.New(h2.Config{
		Methods: map[string]*h2.Method{
			authv3.Authorization_Check_FullMethodName:              {Unary: true, Serve: s.check},
			alsv3.AccessLogService_StreamAccessLogs_FullMethodName: {Lasting: true, Serve: s.log.serve},
			methodExport:                         {Unary: true, Serve: s.log.export},
			healthv1.Health_Check_FullMethodName: {Serve: s.health.check},
			healthv1.Health_Watch_FullMethodName: {Serve: s.health.watch},
		},
		MaxMessage:  int(limits.MaxRequestBytes) + messageHeadroom,
		Connections: limits.Connections, Streams: uint32(limits.InFlight + ofTheLog), InFlight: int64(limits.InFlight), Others: max(int64(limits.InFlight), minOthers),
		Bytes: limits.BytesInFlight, Copies: copies, Overhead: typicalHeaders, Window: limits.window(), Unasked: limits.unasked(), Pool: pool,
		MaxAge: limits.MaxAge, Grace: limits.Grace, Linger: limits.Shutdown / lingerPart,
		Idle: time.Minute, Answer: 20 * time.Second,
		Refused: s.refused,
	})
	s.SetReady(false)
	return s
}

// window divides the byte budget. What calls send before there is room for
// their message is bounded by their number times this: a part of the budget,
// or HTTP/2's default. As the limits are by default it is 96 KiB, so that a message
// with a body of 64 KiB need not wait for more.
func (l *Limits) window() int32 {
	const largest = 1 << 30
	return int32(min(max(l.unasked()/int64(l.InFlight), minStreamWindow), largest))
}

// unasked is the part of the budget that windows take.
func (l *Limits) unasked() int64 { return l.BytesInFlight / 8 * 3 }

// refused counts a connection that there was no place for.
func (s *Server) refused(peer net.Addr, silent bool) {
	s.service.Telemetry.ConnectionRefused()
	if s.limits.Refused != nil {
		s.limits.Refused(peer, silent)
	}
}

// check serves one call.
func (s *Server) check(call *h2.Call) {
	a, _ := s.answers.Get().(*answerBuffer)
	if a == nil {
		a = &answerBuffer{bytes: make([]byte, 0, answerBytes)}
	}
	defer s.answers.Put(a)
	message, refusal := call.Message()
	if refusal != h2.None {
		call.Deny(s.service.Refuse(call, refusals[refusal], a.bytes[:0]))
		return
	}
	encoded, reserved := s.service.AnswerChunks(call, message, a.bytes[:0])
	if cap(encoded) <= maxAnswerBytes {
		a.bytes = encoded
	}
	unsent := func() {}
	if reserved.ID != 0 {
		peer := call.Peer()
		unsent = func() {
			s.service.Settler.GiveBack(reserved, s.service.now())
			s.service.Log.Withdraw(peer, reserved)
		}
	}
	if !call.AnswerOr(encoded, unsent) {
		call.Deny(fallback) // its time is over; Envoy may wait for a moment still
	}
}

// refusals are the reasons for what is refused unread.
var refusals = [...]authz.Reason{h2.Overloaded: authz.Overloaded, h2.TooLarge: authz.BodyTooLarge, h2.Malformed: authz.MalformedRequest, h2.Unreadable: authz.CallUnreadable}

// answerBuffer is the memory for an answer.
type answerBuffer struct{ bytes []byte }

// SetReady tells health checks whether the service can decide.
func (s *Server) SetReady(ready bool) {
	state := healthv1.HealthCheckResponse_NOT_SERVING
	if ready {
		state = healthv1.HealthCheckResponse_SERVING
	}
	s.health.SetServingStatus("", state)
	s.health.SetServingStatus(authv3.Authorization_ServiceDesc.ServiceName, state)
}

// Serve accepts connections until Stop. It returns nil after Stop.
func (s *Server) Serve(listener net.Listener) error {
	return s.h2.Serve(listener)
}

// afterHurry is how long a stop that is in a hurry waits for calls to heed their end.
const afterHurry = time.Second

// Met returns how often each bound was met for which no check was denied, by a name for
// each.
func (s *Server) Met() map[string]int64 {
	all := s.h2.Met()
	all["log_streams"] = s.log.refused.Load()
	return all
}

// Peers returns how many connections there are from each address: "unix" for a Unix socket.
func (s *Server) Peers() map[string]int { return s.h2.Peers() }

// Stop ends the server: no new calls, then those in flight, then, after
// Limits.Shutdown, the rest. Health checks see it at once, and watches end. A call that does not
// heed its end is left behind without a connection.
func (s *Server) Stop() { s.StopUntil(nil) }

// StopUntil is Stop that waits for no call any more once hurry is closed.
func (s *Server) StopUntil(hurry <-chan struct{}) {
	s.health.stop()
	s.h2.Drain()
	ended := make(chan struct{})
	go func() { defer close(ended); s.h2.Wait() }()
	wait := time.NewTimer(s.limits.Shutdown)
	defer wait.Stop()
	for closed := false; ; closed = true {
		select {
		case <-ended:
			return
		case <-hurry:
			hurry = nil
			wait.Reset(afterHurry)
		case <-wait.C:
			if closed {
				return
			}
			wait.Reset(s.limits.Shutdown)
		}
		s.h2.Close()
	}
}
