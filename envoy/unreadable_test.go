package envoy_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"

	"github.com/hookbastion/hookbastion/authz"
)

// A call that cannot be read is denied with 503: an error would leave the decision
// to failure_mode_allow, and after 400 no sender comes again.
func TestUnreadableCalls(t *testing.T) {
	_, conn := direct(t, authz.NewTable(), time.Second)
	client := authv3.NewAuthorizationClient(conn)
	request, err := http.NewRequest(http.MethodPost, "https://h/", nil)
	if err != nil {
		t.Fatal(err)
	}
	check := checkRequest(request, []byte("body"), nil)
	for name, c := range map[string]struct {
		header  string // of the call
		size    int
		options []grpc.CallOption
		want    int32
	}{
		"a usual one":          {"tracestate", 10, nil, 404},
		"large headers":        {"tracestate", 60_000, nil, 404},
		"a compressed message": {"tracestate", 10, []grpc.CallOption{grpc.UseCompressor(gzip.Name)}, 503},
	} {
		ctx := metadata.AppendToOutgoingContext(context.Background(), c.header, strings.Repeat("x", c.size))
		answer, err := client.Check(ctx, check, c.options...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := int32(answer.GetDeniedResponse().GetStatus().GetCode()); got != c.want {
			t.Errorf("%s: %d", name, got)
		}
	}
}
