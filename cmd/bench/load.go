package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// passThrough is a codec for messages that are encoded already.
type passThrough struct{}

// Name is the name that every server for protobuf knows.
func (passThrough) Name() string { return "proto" }

// Marshal hands over a list of pieces.
func (passThrough) Marshal(v any) (mem.BufferSlice, error) {
	pieces, ok := v.([][]byte)
	if !ok {
		return nil, fmt.Errorf("%T is no list of pieces", v)
	}
	var out mem.BufferSlice
	for _, p := range pieces {
		out = append(out, mem.SliceBuffer(p))
	}
	return out, nil
}

// Unmarshal keeps the answer's bytes.
func (passThrough) Unmarshal(data mem.BufferSlice, v any) error {
	out, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("%T is no place for bytes", v)
	}
	*out = slices.Grow((*out)[:0], data.Len())[:data.Len()]
	data.CopyTo(*out)
	return nil
}

// loader asks one server over one connection.
type loader struct {
	conn   *grpc.ClientConn
	traced [2]context.Context // whose span is not sampled, and is
	calls  atomic.Uint64
}

// attempt is the time that Envoy gives a call.
const attempt = 10 * time.Second

// sampledOf is of how many requests one is traced.
const sampledOf = 100

func newLoader(ctx context.Context, address string) (*loader, error) {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(passThrough{})),
		grpc.WithInitialWindowSize(4<<20), grpc.WithInitialConnWindowSize(64<<20))
	if err != nil {
		return nil, err
	}
	l := &loader{conn: conn}
	for i, flags := range []string{"00", "01"} { // as Envoy writes it for its own span
		l.traced[i] = metadata.AppendToOutgoingContext(ctx,
			"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-"+flags, "tracestate", "",
			"x-envoy-internal", "true", "x-forwarded-for", "192.0.2.2", "x-envoy-expected-rq-timeout-ms", strconv.FormatInt(attempt.Milliseconds(), 10))
	}
	return l, nil
}

func (l *loader) close() { _ = l.conn.Close() }

// ask makes one delivery. answer is memory for the answer.
func (l *loader) ask(d *deliveries, answer *[]byte) error {
	parent := l.traced[0]
	if l.calls.Add(1)%sampledOf == 0 {
		parent = l.traced[1]
	}
	traced, cancel := context.WithTimeout(parent, attempt) // Envoy sends it along
	defer cancel()
	if err := l.conn.Invoke(traced, authv3.Authorization_Check_FullMethodName, d.pieces(), answer); err != nil {
		return err
	}
	// google.rpc.Status comes first, and is empty if the code is OK.
	if a := *answer; len(a) < 2 || a[0] != 0x0a || a[1] != 0 {
		var denied authv3.CheckResponse
		_ = proto.Unmarshal(a, &denied) // for the message only
		return fmt.Errorf("a valid delivery is denied: %v", &denied)
	}
	return nil
}

// latencies are those of the requests of one measurement, sorted.
type latencies []time.Duration

func (l latencies) at(quantile float64) time.Duration {
	if len(l) == 0 {
		return 0
	}
	return l[min(int(quantile*float64(len(l))), len(l)-1)]
}

// saturate keeps a number of requests under way.
func (l *loader) saturate(ctx context.Context, d *deliveries, streams int, length time.Duration) (latencies, error) {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	all := make([]latencies, streams)
	errs := make(chan error, streams)
	var workers sync.WaitGroup
	for i := range streams {
		workers.Go(func() {
			var answer []byte
			for ctx.Err() == nil {
				begin := time.Now()
				if err := l.ask(d, &answer); err != nil {
					errs <- err
					return
				}
				all[i] = append(all[i], time.Since(begin))
			}
		})
	}
	workers.Wait()
	return sorted(all, errs)
}

// pace sends at a fixed rate, whether answers come or not.
func (l *loader) pace(d *deliveries, rate int, length time.Duration) (latencies, error) {
	n := int(float64(rate) * length.Seconds())
	all := make([]latencies, 1)
	all[0] = make(latencies, n)
	errs := make(chan error, n)
	var calls sync.WaitGroup
	begin := time.Now()
	for i := range n {
		due := begin.Add(time.Duration(i) * time.Second / time.Duration(rate))
		time.Sleep(time.Until(due))
		calls.Go(func() {
			var answer []byte
			sent := time.Now()
			if err := l.ask(d, &answer); err != nil {
				errs <- err
			}
			all[0][i] = time.Since(sent)
		})
	}
	calls.Wait()
	return sorted(all, errs)
}

func sorted(all []latencies, errs chan error) (latencies, error) {
	select {
	case err := <-errs:
		return nil, err
	default:
	}
	one := slices.Concat(all...)
	slices.Sort(one)
	return one, nil
}
