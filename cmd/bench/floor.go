package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/hookbastion/hookbastion/envoy/h2"
)

// floorCommand makes this binary a server that answers each message with an empty
// one: what ext_authz costs whatever the service does.
const floorCommand = "serve-floor"

// plainPool makes each buffer anew.
type plainPool struct{}

func (plainPool) Get(length int) *[]byte { b := make([]byte, length); return &b }

func (plainPool) Put(*[]byte) {}

// serveFloor serves until the context ends. It prints where, as the service does.
func serveFloor(ctx context.Context) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := h2.New(h2.Config{
		Methods: map[string]*h2.Method{
			authv3.Authorization_Check_FullMethodName: {Unary: true, Serve: func(call *h2.Call) { call.Answer(nil) }},
		},
		MaxMessage: 2 << 20, Connections: 64, Streams: 1024, InFlight: 1024, Bytes: 256 << 20, Copies: 1, Overhead: 1, Window: 64 << 10,
		Pool: plainPool{}, MaxAge: time.Hour, Grace: time.Second, Idle: time.Minute, Answer: time.Minute, Linger: time.Second,
	})
	fmt.Fprintf(os.Stderr, "msg=serving grpc=%s http=\n", listener.Addr())
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case <-ctx.Done():
		server.Close()
		return nil
	case err := <-failed:
		return err
	}
}
