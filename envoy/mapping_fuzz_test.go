package envoy

import (
	"context"
	"net/netip"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"

	"github.com/hookbastion/hookbastion/authz/source"
)

// FuzzMapping compares the request that is made of a message in place, in chunks of any
// size, with what the slow and obvious way makes of it. A message that only one of the two
// can read is malformed for the other, or has text that is no UTF-8.
func FuzzMapping(f *testing.F) {
	seed := func(check *authv3.CheckRequest) []byte {
		encoded, err := proto.Marshal(check)
		if err != nil {
			f.Fatal(err)
		}
		return encoded
	}
	whole := httpCheck(&authv3.AttributeContext_HttpRequest{
		Host: "h", Scheme: "https", Size: 3, RawBody: []byte("abc"),
		HeaderMap: rawHeaders("content-length", "3", "x-envoy-auth-partial-body", "false", "x-forwarded-for", "192.0.2.1, 10.0.0.1", "x-forwarded-proto", "https"),
	})
	whole.Attributes.ContextExtensions = map[string]string{WebhookExtension: "hook"}
	whole.Attributes.Source = &authv3.AttributeContext_Peer{Principal: "spiffe://a/b", Certificate: "pem", Address: &corev3.Address{Address: &corev3.Address_SocketAddress{
		SocketAddress: &corev3.SocketAddress{Address: "::ffff:10.0.0.2"},
	}}}
	f.Add(seed(whole), uint8(7), uint8(0))
	f.Add(seed(httpCheck(&authv3.AttributeContext_HttpRequest{Body: "a!b", Headers: map[string]string{"Content-Length": "3"}})), uint8(1), uint8(1))
	f.Add(seed(httpCheck(&authv3.AttributeContext_HttpRequest{HeaderMap: rawHeaders("X-UPPER", "1", "x-upper", "2")})), uint8(255), uint8(14))
	f.Add([]byte{0x0a, 0x00}, uint8(1), uint8(3))
	f.Fuzz(func(t *testing.T, message []byte, size, settings uint8) {
		p := Mapping{
			MaxRequestBytes: 16, StringBody: StringBody(settings % 3), Decompressed: settings&4 != 0, Edge: Edge{First: settings&8 != 0},
			Source: source.Resolver{TrustedHops: int(settings >> 6)},
		}
		if settings&16 != 0 {
			p.Source = source.Resolver{TrustedCIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
		}
		m := &mapped{}
		err := p.read(Plain(context.Background()), cut(message, max(int(size), 1)), m)
		var check authv3.CheckRequest
		if decodeErr := proto.Unmarshal(message, &check); decodeErr != nil {
			return // the reader takes text that is no UTF-8, and FuzzRead of package wire holds the rest
		}
		if err != nil {
			if !m.Malformed || len(m.Path) > 0 {
				t.Fatalf("%v, and it is %+v", err, m.Request)
			}
			return
		}
		same(t, &m.Request, p.readDecoded(Plain(context.Background()), &check))
	})
}
