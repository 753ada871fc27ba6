package main

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// storeNames are the nonce stores that can be compared.
var storeNames = []string{"memory", "file", "redis"}

// addStores starts the service once for each store that -store names. As in the
// other comparisons there is no access log, so that a check is one reservation.
func (f *field) addStores(ctx context.Context, o *options, policyFile string) error {
	for _, store := range o.stores {
		args := []string{
			"serve", "--policy", policyFile, "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--replay-access-log=false",
			"--replay-setup-until", time.Now().Add(time.Hour).Format(time.RFC3339),
			"--records-file", filepath.Join(f.written, "records-"+store), "--replay-store", strings.ToUpper(store),
		}
		switch store {
		case "file":
			args = append(args, "--replay-file-path", filepath.Join(f.written, "nonces"))
		case "redis":
			address, err := f.startRedis(ctx)
			if err != nil {
				return err
			}
			args = append(args, "--replay-redis-url", "unix://"+address)
		}
		if err := f.add(ctx, &server{name: nameService + ", " + store, form: o.form}, o.service, []string{"OTEL_TRACES_EXPORTER=none"}, args...); err != nil {
			return err
		}
	}
	return nil
}

// startRedis runs the redis-server on PATH, or the one that make redis has
// fetched, on a Unix socket, and without a file.
func (f *field) startRedis(ctx context.Context) (socket string, err error) {
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		if bin, err = filepath.Abs(".cache/redis/bin/redis-server"); err != nil {
			return "", err
		}
	}
	socket = filepath.Join(f.dir, "redis")
	f.redis = exec.CommandContext(ctx, bin, "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", f.dir) //nolint:gosec // our own arguments
	if err := f.redis.Start(); err != nil {
		return "", fmt.Errorf("no redis-server on PATH or by make redis: %w", err)
	}
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			return socket, conn.Close()
		}
		if time.Now().After(deadline) {
			return "", fmt.Errorf("redis-server does not serve: %w", err)
		}
	}
}
