package envoy

import (
	"fmt"

	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // the codec of all other services
	"google.golang.org/grpc/mem"
)

// message is a CheckRequest as it came: a reference to grpc-go's pooled
// buffers. Whoever received it gives the reference back exactly once.
type message struct{ data mem.BufferSlice }

// answer is an encoded CheckResponse. The reference is given away when it is sent.
type answer struct{ buffer mem.Buffer }

// codec passes Check messages through undecoded and leaves the others to the
// generated code. It is forced on our server only and never registered.
type codec struct{ other encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2("proto")} }

// Name returns the name that every gRPC server for protobuf has.
func (codec) Name() string { return "proto" }

// Marshal hands an answer over. grpc-go frees it after it is written.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if a, ok := v.(*answer); ok {
		return mem.BufferSlice{a.buffer}, nil
	}
	return c.other.Marshal(v)
}

// Unmarshal takes a reference of its own: grpc-go frees data on return.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	if m, ok := v.(*message); ok {
		if m.data != nil {
			return fmt.Errorf("a message was received into one that is in use")
		}
		data.Ref()
		m.data = data
		return nil
	}
	return c.other.Unmarshal(data, v)
}

// free gives the buffers back. It may be called once after each Unmarshal.
func (m *message) free() {
	m.data.Free()
	m.data = nil
}
