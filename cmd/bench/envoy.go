package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed" // for the configuration
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

// clients is the number of connections to Envoy, each with one request at a
// time.
const clients = 16

// nameNone is Envoy without external authorization.
const nameNone = "no ext_authz"

//go:embed envoy.yaml
var envoyConfig []byte

// front is an Envoy before one server, or before none.
type front struct {
	server *server // nil: none
	envoy  *envoytest.Envoy
}

func (f *front) name() string {
	if f.server == nil {
		return nameNone
	}
	return f.server.name
}

// throughEnvoy measures what a delivery costs Envoy and the service.
func throughEnvoy(ctx context.Context, o *options, w io.Writer) error {
	o.form = rawHeaders
	f, err := newField(ctx, o, false)
	if err != nil {
		return err
	}
	defer f.stop()
	var fronts []*front
	if o.wants(nameNone) {
		fronts = append(fronts, &front{})
	}
	for _, s := range f.servers {
		if s.name == nameNoop || s.name == nameService {
			fronts = append(fronts, &front{server: s})
		}
	}
	defer func() {
		for _, front := range fronts {
			if front.envoy != nil {
				front.envoy.Stop()
			}
		}
	}()
	for i, front := range fronts {
		if err := front.start(ctx, filepath.Join(f.dir, fmt.Sprint(i))); err != nil {
			return err
		}
	}
	r := &report{Machine: thisMachine(), Rounds: o.rounds, Seconds: o.time.Seconds()}
	for _, s := range o.sizes {
		t := &table{Title: fmt.Sprintf("%s through Envoy %s, %d connections", s.name, envoytest.Version, clients)}
		d := newDeliveries(s.bytes, rawHeaders)
		for _, front := range fronts {
			t.row(front.name())
		}
		for round := range o.rounds {
			for i := range fronts {
				front := fronts[(i+round)%len(fronts)]
				if err := front.turn(ctx, o, d, t.row(front.name())); err != nil {
					return fmt.Errorf("%s: %w", front.name(), err)
				}
			}
			fmt.Fprintf(os.Stderr, "%s: round %d of %d\n", t.Title, round+1, o.rounds)
		}
		t.finishEnvoy()
		r.Envoy = append(r.Envoy, t)
	}
	return r.write(w, o.out)
}

func (f *front) start(ctx context.Context, dir string) error {
	config, err := envoytest.ParseConfig(envoyConfig)
	if err != nil {
		return err
	}
	manager := config.Manager()
	filters, ok := manager["http_filters"].([]any)
	if !ok || len(filters) != 3 {
		return errors.New("envoy.yaml has not three filters")
	}
	if f.server == nil {
		manager["http_filters"] = []any{filters[0], filters[2]}
	} else {
		manager["http_filters"] = filters[1:]
		address, err := net.ResolveTCPAddr("tcp", f.server.grpc)
		if err != nil {
			return err
		}
		config.SetCluster("service", address)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	f.envoy, err = envoytest.Start(ctx, config, dir)
	return err
}

// turn is one measurement.
func (f *front) turn(ctx context.Context, o *options, d *deliveries, r *row) error {
	if _, err := f.post(ctx, d, o.warm); err != nil {
		return err
	}
	cpus := func() (envoy, service time.Duration, err error) {
		envoy, err = cpu(f.envoy.Pid())
		if f.server != nil && err == nil {
			service, err = cpu(f.server.cmd.Process.Pid)
		}
		return envoy, service, err
	}
	envoyBefore, serviceBefore, err := cpus()
	if err != nil {
		return err
	}
	var m measurement
	begin := time.Now()
	if m.times, err = f.post(ctx, d, o.time); err != nil {
		return err
	}
	m.wall, m.requests = time.Since(begin), len(m.times)
	envoyAfter, serviceAfter, err := cpus()
	m.envoyCPU, m.cpu = envoyAfter-envoyBefore, serviceAfter-serviceBefore
	r.add(m)
	return err
}

// post keeps one delivery under way on each connection.
func (f *front) post(ctx context.Context, d *deliveries, length time.Duration) (latencies, error) {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	all := make([]latencies, clients)
	errs := make(chan error, clients)
	var workers sync.WaitGroup
	for i := range clients {
		workers.Go(func() {
			times, err := postAll(ctx, f.envoy.Listeners["webhooks"], d)
			all[i] = times
			if err != nil {
				errs <- err
			}
		})
	}
	workers.Wait()
	return sorted(all, errs)
}

func postAll(ctx context.Context, address string, d *deliveries) (times latencies, err error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	answers := bufio.NewReader(conn)
	for ctx.Err() == nil {
		begin := time.Now()
		pieces := net.Buffers(d.httpPieces())
		if _, err := pieces.WriteTo(conn); err != nil {
			return nil, err
		}
		response, err := http.ReadResponse(answers, nil)
		if err != nil {
			return nil, err
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			return nil, err
		}
		if response.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("a valid delivery gets %s", response.Status)
		}
		times = append(times, time.Since(begin))
	}
	return times, nil
}

// httpPieces returns a new delivery as a request over HTTP/1.1.
func (d *deliveries) httpPieces() [][]byte {
	p := d.now()
	var head strings.Builder
	head.WriteString("POST " + path + " HTTP/1.1\r\nhost: hooks.example.com\r\n")
	for _, h := range headers(p.second, len(d.head)+tailBytes) {
		if h[0][0] != ':' && !strings.HasPrefix(h[0], "x-envoy") && !strings.HasPrefix(h[0], "x-forwarded") {
			head.WriteString(h[0] + ": " + h[1] + "\r\n")
		}
	}
	head.WriteString("\r\n")
	text := []byte(head.String())
	tail := make([]byte, tailBytes)
	at := bytes.Index(text, []byte(signaturePlace))
	p.fill(tail, text[at:at+2*sha256.Size])
	return [][]byte{text, d.head, tail}
}

func (t *table) finishEnvoy() {
	t.finish()
	noop := &row{}
	if i := slices.IndexFunc(t.Rows, func(r *row) bool { return r.Name == nameNoop }); i >= 0 {
		noop = t.Rows[i]
	}
	for _, r := range t.Rows {
		r.EnvoyCPU = r.median(func(m *measurement) float64 { return us(m.envoyCPU) / float64(m.requests) })
		r.ServiceCPU = r.median(func(m *measurement) float64 { return us(m.cpu) / float64(m.requests) })
		r.ServiceRatio = r.against(noop, func(own, noop *measurement) float64 {
			return us(own.cpu) / float64(own.requests) / (us(noop.cpu) / float64(noop.requests))
		})
		r.Ratio, r.PerCPU = spread{}, 0 // the first row has no service to compare with
	}
}

func (t *table) envoy(w io.Writer) {
	fmt.Fprintf(w, "\n| %s | requests/s | p50 / p99 ms | Envoy's CPU µs | service's CPU µs | of the no-op's |\n|---|---|---|---|---|---|\n", t.Title)
	for _, r := range t.Rows {
		service, ratio := "", ""
		if r.ServiceCPU > 0 {
			service, ratio = fmt.Sprintf("%.0f", r.ServiceCPU), r.ServiceRatio.ratio()
		}
		fmt.Fprintf(w, "| %s | %.0f | %.1f / %.1f | %.0f | %s | %s |\n", r.Name, r.PerSecond, r.P50/1e3, r.P99/1e3, r.EnvoyCPU, service, ratio)
	}
}
