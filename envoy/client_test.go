package envoy_test

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"sync"
	"sync/atomic"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// A test that counts what the server allocates runs its own binary as the
// client. These variables say so.
const (
	clientVariable = "HOOKBASTION_TEST_CLIENT" // the server's address
	clientLoad     = "HOOKBASTION_TEST_LOAD"   // size of bodies, number of calls
)

// runClient makes calls over one connection, eight at once, and returns an
// exit code.
func runClient(address string) int {
	if err := callAll(address); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func callAll(address string) error {
	var size, n int
	if _, err := fmt.Sscanf(os.Getenv(clientLoad), "%d,%d", &size, &n); err != nil {
		return err
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	client := authv3.NewAuthorizationClient(conn)
	// As Envoy's: its own trace, which is not sampled, and two more. A deadline
	// would cost grpc-go another six objects.
	ctx := metadata.AppendToOutgoingContext(context.Background(),
		"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", "x-envoy-internal", "true", "x-forwarded-for", "192.0.2.2")
	var left atomic.Int64
	left.Store(int64(n))
	errs := make(chan error, 8)
	var all sync.WaitGroup
	for range cap(errs) {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if err := deliver(ctx, client, size); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(errs)
	return <-errs
}

func deliver(ctx context.Context, client authv3.AuthorizationClient, size int) error {
	body := make([]byte, size)
	copy(body, rand.Text())
	mac := hmac.New(sha256.New, []byte(secrets["github"]))
	mac.Write(body)
	req, err := http.NewRequest(http.MethodPost, "https://h/github", nil)
	if err != nil {
		return err
	}
	req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	response, err := client.Check(ctx, checkRequest(req, body, nil))
	if err == nil && response.GetOkResponse() == nil {
		err = fmt.Errorf("denied: %v", response)
	}
	return err
}
