package h2_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/hookbastion/hookbastion/envoy/h2"
)

// plain is a codec of bytes.
type plain struct{}

func (plain) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (plain) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = bytes.Clone(data)
	return nil
}
func (plain) Name() string { return "proto" }

// client is grpc-go's.
func client(t testing.TB, dial func(context.Context, string) (net.Conn, error), options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	options = append(options, grpc.WithContextDialer(dial), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(plain{}), grpc.MaxCallRecvMsgSize(16<<20), grpc.MaxCallSendMsgSize(16<<20)))
	c, err := grpc.NewClient("passthrough:///test", options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// ask makes a unary call.
func ask(ctx context.Context, c *grpc.ClientConn, path string, question []byte) (answer []byte, err error) {
	err = c.Invoke(ctx, path, &question, &answer)
	return answer, err
}

// exchange sends messages on one stream and checks that each comes back.
func exchange(ctx context.Context, c *grpc.ClientConn, questions ...[]byte) error {
	stream, err := c.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, echoPath)
	if err != nil {
		return err
	}
	go func() {
		for i := range questions {
			if stream.SendMsg(&questions[i]) != nil {
				return // RecvMsg says why
			}
		}
		_ = stream.CloseSend()
	}()
	for i := range questions {
		var answer []byte
		if err := stream.RecvMsg(&answer); err != nil {
			return err
		}
		if string(answer) == "too large" && len(questions[i]) > withoutRoom {
			continue // streams share a quarter of the budget, and others had it
		}
		if !bytes.Equal(answer, questions[i]) {
			return fmt.Errorf("%d bytes came back as %d others", len(questions[i]), len(answer))
		}
	}
	var none []byte
	if err := stream.RecvMsg(&none); !errors.Is(err, io.EOF) {
		return fmt.Errorf("after the last message: %w", err)
	}
	return nil
}

// withoutRoom is the size of messages that need room in the budget.
const withoutRoom = 60 << 10

// Each call gets its own answer, or the end that was asked for, and nothing
// stays behind.
func TestManyCalls(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*h2.Config)
	}{
		{"plenty", func(*h2.Config) {}},
		{"a tiny window", func(c *h2.Config) { c.Window = 64 }},
		{"a tiny budget", func(c *h2.Config) { c.Bytes = 3 << 20; c.Copies = 1 }},
		{"few calls", func(c *h2.Config) { c.InFlight = 3; c.Streams = 6 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := testConfig()
			c.edit(&config)
			s := serve(t, config)
			close(s.leave)
			var all sync.WaitGroup
			for range 2 {
				conn := client(t, s.pipes.dial, grpc.WithInitialWindowSize(1<<16), grpc.WithInitialConnWindowSize(1<<16))
				for i := range 4 {
					random := rand.New(rand.NewPCG(uint64(i), 1))
					all.Go(func() {
						for range 15 {
							if err := oneCall(t.Context(), conn, random, config.MaxMessage); err != nil {
								t.Error(err)
							}
						}
					})
				}
			}
			all.Wait()
			if now, peak, _ := s.pool.Outstanding(); int64(peak) > config.Bytes+8*64<<10 {
				t.Errorf("%d bytes of buffers at once, %d at the end", peak, now)
			}
		})
	}
}

func oneCall(ctx context.Context, conn *grpc.ClientConn, random *rand.Rand, most int) error {
	sizes := []int{0, 1, 100, 5000, 20 << 10, 21 << 10, 60 << 10, 66 << 10, 300 << 10, most, most + 1}
	question := make([]byte, sizes[random.IntN(len(sizes))])
	for i := 0; i < len(question); i += 8 {
		question[i] = byte(random.Uint32())
	}
	ended := false
	switch random.IntN(5) {
	case 0:
		c, cancel := context.WithTimeout(ctx, time.Duration(random.Int64N(int64(5*time.Millisecond))))
		defer cancel()
		ctx, ended = c, true
	case 1:
		c, cancel := context.WithCancel(ctx)
		defer time.AfterFunc(time.Duration(random.Int64N(int64(3*time.Millisecond))), cancel).Stop()
		defer cancel()
		ctx, ended = c, true
	}
	var err error
	if random.IntN(3) == 0 {
		question = question[:min(len(question), most)]
		err = exchange(ctx, conn, question, question[:len(question)/2], question[:min(len(question), 3)])
	} else {
		var answer []byte
		answer, err = ask(ctx, conn, []string{unaryPath, waitPath}[random.IntN(2)], question)
		want := summary([][]byte{question}, h2.None)
		if len(question) > most {
			want = "too large"
		}
		if got := string(answer); err == nil && got != want && got != "overloaded" {
			return fmt.Errorf("%d bytes: %s", len(question), got)
		}
	}
	switch code := status.Code(err); {
	case err == nil:
	case ended && (code == codes.Canceled || code == codes.DeadlineExceeded):
	case code == codes.ResourceExhausted: // a stream too many
	default:
		return fmt.Errorf("%d bytes: %w", len(question), err)
	}
	return nil
}

// What grpc-go's own server answers, ours does, too.
func TestAsGRPC(t *testing.T) {
	ours := serve(t, testConfig())
	theirs := grpc.NewServer(grpc.ForceServerCodec(plain{}), grpc.MaxRecvMsgSize(1<<20), grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		path, _ := grpc.MethodFromServerStream(stream)
		switch path {
		case unaryPath:
			var question []byte
			if err := stream.RecvMsg(&question); err != nil {
				return err
			}
			answer := []byte(summary([][]byte{question}, h2.None))
			return stream.SendMsg(&answer)
		case echoPath:
			for {
				var message []byte
				if err := stream.RecvMsg(&message); errors.Is(err, io.EOF) {
					return nil
				} else if err != nil {
					return err
				}
				if err := stream.SendMsg(&message); err != nil {
					return err
				}
			}
		default:
			return status.Error(codes.Unimplemented, "")
		}
	}))
	other := pipes{make(chan net.Conn), make(chan struct{}), &sync.Once{}}
	served := make(chan error, 1)
	go func() { served <- theirs.Serve(other) }()
	t.Cleanup(func() { theirs.Stop(); <-served })
	a, b := client(t, ours.pipes.dial), client(t, other.dial)
	same := func(name string, call func(c *grpc.ClientConn) string) {
		t.Helper()
		if got, want := call(a), call(b); got != want {
			t.Errorf("%s: %s, and theirs %s", name, got, want)
		}
	}
	for _, n := range []int{0, 1, 1000, 16 << 10, 64<<10 - 5, 64<<10 - 4, 64 << 10, 200 << 10, 1 << 20} {
		question := bytes.Repeat([]byte{byte(n), 1, 2}, n/3+1)[:n]
		same(fmt.Sprint("unary, ", n), func(c *grpc.ClientConn) string {
			answer, err := ask(t.Context(), c, unaryPath, question)
			return fmt.Sprintf("%s %v", answer, err)
		})
		same(fmt.Sprint("stream, ", n), func(c *grpc.ClientConn) string {
			return fmt.Sprint(exchange(t.Context(), c, question, nil, question))
		})
	}
	code := func(ctx context.Context, path string) func(*grpc.ClientConn) string {
		return func(c *grpc.ClientConn) string {
			_, err := ask(ctx, c, path, []byte("x"))
			return status.Code(err).String()
		}
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	same("an unknown method", code(t.Context(), "/test/Unknown"))
	same("no method", code(t.Context(), "/"))
	same("cancelled", code(cancelled, unaryPath))
	same("a stream without messages", func(c *grpc.ClientConn) string { return fmt.Sprint(exchange(t.Context(), c)) })
}
