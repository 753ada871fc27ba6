package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Times of the world, short so that leases and windows end within a run. The longest
// that the application takes is below the route's timeout, and that below the lease.
const (
	slowest      = 1200 * time.Millisecond
	routeTimeout = 2 * time.Second
	lease        = 4 * time.Second
	window       = time.Hour
	recovery     = time.Second
)

// secret keys all webhooks.
const secret = "9ZtQ4xLmW7cVbN2kRf8yHs3jPd6gTa1E" //nolint:gosec // of deliveries that it makes up itself

// world is what runs: Envoy, replicas of the service, a Redis with a replica, and the
// application.
type world struct {
	setup
	envoy       *process
	replicas    []*process
	redis       []*process // a master and its replica
	application *application
	address     string // of Envoy
	began       time.Time
	forgotten   []loss // when the store forgot
}

func newRandom(seed int64, name string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))                          // never fails
	return rand.New(rand.NewPCG(uint64(seed), h.Sum64())) //nolint:gosec // to be repeated
}

func start(s setup) (*world, error) {
	w := &world{setup: s, began: time.Now()}
	var err error
	if w.application, err = startApplication(s.seed); err != nil {
		return nil, err
	}
	if err := w.policies(0); err != nil {
		return nil, err
	}
	replicas := 1
	if s.store == "REDIS" {
		replicas = 2
		if err := w.startRedis(); err != nil {
			return w, err
		}
	}
	for i := range replicas {
		w.replicas = append(w.replicas, w.replica(i))
	}
	for _, p := range append(w.replicas, w.newEnvoy()) {
		if err := p.start(); err != nil {
			return w, err
		}
	}
	for _, p := range append(w.replicas, w.envoy) {
		if err := p.await(30 * time.Second); err != nil {
			return w, err
		}
	}
	return w, nil
}

func (w *world) stop() {
	for _, p := range append(append([]*process{w.envoy}, w.replicas...), w.redis...) {
		if p != nil {
			p.signal(sigContinue)
			_ = p.end(syscall.SIGKILL) // nothing is left to learn from it
		}
	}
	w.application.stop()
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

// policies writes the policies; the version is a comment, so that a reload has
// something to load.
func (w *world) policies(version int) error {
	dir := w.path("policies")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(w.path("secret"), []byte(secret), 0o600); err != nil {
		return err
	}
	text := fmt.Sprintf(`# version %d
webhooks:
- name: timed
  match: {path: /timed}
  provider: stripe
  freshness: {tolerance: 300s, future: 1s}
  secrets: [{file: ../secret}]
- name: untimed
  match: {path: /untimed}
  provider: github
  replay: {window: %s, on_replay: DENY, release: UPSTREAM_FAILURE, on_unknown: RELEASE}
  secrets: [{file: ../secret}]
- name: acknowledged
  match: {path: /acknowledged}
  provider: github
  replay: {window: %s, on_replay: ACKNOWLEDGE, release: UPSTREAM_FAILURE, on_unknown: RELEASE}
  secrets: [{file: ../secret}]
`, version, window, window)
	if err := os.WriteFile(filepath.Join(dir, ".new"), []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(filepath.Join(dir, ".new"), filepath.Join(dir, "webhooks.yaml"))
}

func (w *world) replica(i int) *process {
	arguments := []string{
		w.binary, "serve", "--policy", w.path("policies"), "--grpc-unix-path", w.path("grpc" + strconv.Itoa(i)),
		"--http-listen", "127.0.0.1:0", "--replay-lease", lease.String(), "--replay-store", w.store,
	}
	switch w.store {
	case "FILE":
		arguments = append(arguments, "--replay-file-path", w.path("nonces"), "--replay-file-sync", []string{"0s", "100ms"}[w.seed%2])
	case "REDIS":
		arguments = append(arguments, "--replay-redis-url", "unix://"+w.path("redis"), "--replay-redis-budget", "200ms",
			"--replay-redis-recovery", recovery.String(), "--replay-redis-setup-until", w.began.Add(20*time.Second).UTC().Format(time.RFC3339))
	}
	return &process{name: "replica " + strconv.Itoa(i), command: arguments, ready: says("msg=serving")}
}

func (w *world) newEnvoy() *process {
	w.address = freeAddress()
	_, port, _ := net.SplitHostPort(w.address) // made by net
	_, adminPort, _ := net.SplitHostPort(freeAddress())
	_, application, _ := net.SplitHostPort(w.application.address)
	retry := ""
	if w.retry {
		retry = "\n                        retry_policy: {num_retries: 2, retry_back_off: {base_interval: 0.01s, max_interval: 0.05s}}"
	}
	var endpoints strings.Builder
	for i := range w.replicas {
		fmt.Fprintf(&endpoints, "\n              - endpoint: {address: {pipe: {path: %s}}}", w.path("grpc"+strconv.Itoa(i)))
	}
	text := strings.NewReplacer("PORT", port, "ADMIN", adminPort, "APPLICATION", application, "RETRY", retry,
		"ENDPOINTS", endpoints.String(), "TIMEOUT", routeTimeout.String()).Replace(envoyConfig)
	if err := os.WriteFile(w.path("envoy.yaml"), []byte(text), 0o600); err != nil {
		panic(err) // the directory is ours
	}
	w.envoy = &process{
		name:    "envoy",
		command: []string{w.setup.envoy, "-c", w.path("envoy.yaml"), "--concurrency", "2", "--use-dynamic-base-id", "-l", "error"},
		ready:   func(*process) error { return get("http://127.0.0.1:" + adminPort + "/ready") },
	}
	return w.envoy
}

func get(url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // only its status counts
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	return nil
}

func freeAddress() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err) // no port on this machine
	}
	defer func() { _ = l.Close() }() // it was only asked for its number
	return l.Addr().String()
}

// tails is what the processes said last.
func (w *world) tails() string {
	var b strings.Builder
	for _, p := range append(append([]*process{w.envoy}, w.replicas...), w.redis...) {
		fmt.Fprintf(&b, "--- %s\n%s\n", p.name, lastLines(p.output.String(), 12))
	}
	return b.String()
}

const envoyConfig = `
admin:
  address: {socket_address: {address: 127.0.0.1, port_value: ADMIN}}
static_resources:
  listeners:
    - name: webhooks
      address: {socket_address: {address: 127.0.0.1, port_value: PORT}}
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: webhooks
                codec_type: AUTO
                use_remote_address: true
                http_filters:
                  - name: envoy.filters.http.ext_authz
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
                      transport_api_version: V3
                      grpc_service:
                        envoy_grpc: {cluster_name: hookbastion}
                        timeout: 1sRETRY
                      failure_mode_allow: false
                      status_on_error: {code: ServiceUnavailable}
                      validate_mutations: true
                      encode_raw_headers: true
                      with_request_body: {max_request_bytes: 1048576, allow_partial_message: false, pack_as_bytes: true}
                  - name: envoy.filters.http.router
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
                route_config:
                  virtual_hosts:
                    - name: webhooks
                      domains: ["*"]
                      routes:
                        - match: {prefix: /}
                          route: {cluster: application, timeout: TIMEOUT}
                access_log:
                  - name: envoy.access_loggers.http_grpc
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig
                      common_config:
                        log_name: hookbastion
                        transport_api_version: V3
                        buffer_size_bytes: 16384
                        buffer_flush_interval: 0.05s
                        grpc_service: {envoy_grpc: {cluster_name: hookbastion}}
  clusters:
    - name: hookbastion
      type: STATIC
      connect_timeout: 0.5s
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config: {http2_protocol_options: {}}
      load_assignment:
        cluster_name: hookbastion
        endpoints:
          - lb_endpoints:ENDPOINTS
    - name: application
      type: STATIC
      connect_timeout: 0.5s
      load_assignment:
        cluster_name: application
        endpoints:
          - lb_endpoints:
              - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: APPLICATION}}}
`
