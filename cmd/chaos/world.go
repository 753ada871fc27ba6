package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hookbastion/hookbastion/cmd/chaos/oracle"
)

// Times of the world, short so that leases and windows end within a run. The longest
// that the application takes is below the route's timeout, and that below the lease.
const (
	slowest      = 1200 * time.Millisecond
	routeTimeout = 2 * time.Second
	lease        = 4 * time.Second
	window       = time.Hour
	recovery     = time.Second
	setupTime    = 8 * time.Second // until then nothing was accepted before, and nothing is broken
)

// secret keys all webhooks.
const secret = "9ZtQ4xLmW7cVbN2kRf8yHs3jPd6gTa1E" //nolint:gosec // of deliveries that it makes up itself

// world is what runs: Envoy, replicas of the service, a Redis with a replica, and the
// application.
type world struct {
	setup
	envoy       *process
	replicas    []*process
	redis       []*process // a master and its replica, or the masters of the cluster
	cluster     *cluster   // nil: there is none
	application *application
	address     string // of Envoy
	secure      string // its address with TLS
	admin       string // and of its admin listener
	baseID      int
	began       time.Time
	forgotten   []loss // when the store forgot

	certificates certificates
	endpoints    []*oracle.Endpoint
	weather      *oracle.Weather
	nemesis      *nemesis
}

func newRandom(seed int64, name string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))                          // never fails
	return rand.New(rand.NewPCG(uint64(seed), h.Sum64())) //nolint:gosec // to be repeated
}

func start(s setup) (*world, error) {
	w := &world{setup: s, began: time.Now(), endpoints: oracle.All(), weather: &oracle.Weather{}}
	var err error
	if err := w.makeCertificates(); err != nil {
		return nil, err
	}
	if err := w.secrets(); err != nil {
		return nil, err
	}
	if w.application, err = startApplication(s.seed); err != nil {
		return nil, err
	}
	if err := w.policies(0); err != nil {
		return nil, err
	}
	replicas := 1
	if s.shared() {
		replicas = 2
		startStore := w.startRedis
		if s.store == "CLUSTER" {
			startStore = w.startCluster
		}
		if err := startStore(); err != nil {
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
		if err := p.await(ready); err != nil {
			return w, err
		}
	}
	if time.Since(w.began) > setupTime-time.Second { // it took so long that something may have come before
		w.weather.Lost()
	}
	go w.untilLogComes(w.weather.Begin(oracle.Log))
	return w, nil
}

// untilLogComes ends the time in which nobody knows that an access log comes: until its
// first entry each second delivery is a copy. A service that never settles anything has
// no more than ten seconds of it.
func (w *world) untilLogComes(end func()) {
	defer end()
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		for _, p := range w.replicas {
			text, err := get(p.metrics)
			if err == nil && settled.MatchString(text) {
				return
			}
		}
	}
}

// settled is in the metrics of a replica once an entry of the access log has settled something.
var settled = regexp.MustCompile(`(?m)^hookbastion_settlements_total\{.*result="(delivered|failed|client_error|interrupted)".*\} [1-9]`)

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

// secrets writes the files of all keys.
func (w *world) secrets() error {
	if err := os.MkdirAll(w.path("secrets"), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(w.path("secret"), []byte(secret), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(w.path("secrets/verify"), []byte(oracle.VerifyToken), 0o600); err != nil {
		return err
	}
	for _, e := range w.endpoints {
		for name, text := range e.Files() {
			if err := w.place(filepath.Join("secrets", name), text); err != nil {
				return err
			}
		}
	}
	return nil
}

// place writes a file beside its place and renames it.
func (w *world) place(name, text string) error {
	if err := os.WriteFile(w.path(name)+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(w.path(name)+".new", w.path(name))
}

// policyText is the policies; the version is a comment, so that a reload has something to
// load.
func (w *world) policyText(version int) string {
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
	return text + oracle.Policies(w.endpoints, "../secrets")
}

// policies writes the policies.
func (w *world) policies(version int) error {
	if err := os.MkdirAll(w.path("policies"), 0o700); err != nil {
		return err
	}
	return w.place("policies/webhooks.yaml", w.policyText(version))
}

func (w *world) replica(i int) *process {
	address := freeAddress()
	setup := w.began.Add(setupTime)
	arguments := []string{
		w.binary, "serve", "--policy", w.path("policies"), "--grpc-unix-path", w.path("grpc" + strconv.Itoa(i)),
		"--http-listen", address, "--envoy-edge", "--replay-lease", lease.String(),
	}
	until := setup.UTC().Format(time.RFC3339)
	switch {
	case w.shared():
		place := []string{"--replay-redis-url", "unix://" + w.path("redis")}
		if w.cluster != nil {
			url, others := w.cluster.addresses()
			place = []string{"--replay-redis-url", url, "--replay-redis-addresses", others}
		}
		arguments = append(append(arguments, place...), "--replay-store", "REDIS", "--replay-redis-budget", "200ms",
			"--replay-redis-recovery", recovery.String(), "--replay-redis-setup-until", until)
	case w.store == "FILE":
		arguments = append(arguments, "--replay-file-path", w.path("nonces"), "--replay-file-sync", []string{"0s", "100ms"}[w.seed%2])
		fallthrough
	default:
		arguments = append(arguments, "--replay-store", w.store, "--replay-setup-until", until)
	}
	return &process{name: "replica " + strconv.Itoa(i), command: arguments, ready: says("msg=serving"), metrics: "http://" + address + "/metrics"}
}

func get(url string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }() // what was read counts
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", response.StatusCode)
	}
	return string(text), err
}

// host is where all of a run listens. On Linux it is an address that no other process
// takes for a connection of its own while one of ours is down.
func host() string {
	if !hotRestarts {
		return "127.0.0.1"
	}
	n := os.Getpid()
	return fmt.Sprintf("127.81.%d.%d", n>>8&255, n&255)
}

func freeAddress() string {
	l, err := net.Listen("tcp", net.JoinHostPort(host(), "0"))
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
