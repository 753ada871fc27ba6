package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

// throughEnvoy measures what a delivery costs Envoy and the service together.
func throughEnvoy(ctx context.Context, o *options, w io.Writer) error {
	o.form = rawHeaders
	fronts, stop, err := startFronts(ctx, o)
	if err != nil {
		return err
	}
	defer stop()
	version, err := envoytest.VersionOf(ctx)
	if err != nil {
		return err
	}
	r := &report{Machine: thisMachine(), Rounds: o.rounds, Seconds: o.time.Seconds()}
	for _, clients := range o.clients {
		for _, s := range o.sizes {
			t := &table{Title: fmt.Sprintf("%s through Envoy %s, %d connections", s.name, version, clients)}
			d := newDeliveries(s.bytes, rawHeaders)
			for _, front := range fronts {
				t.row(front.name)
			}
			for round := range o.rounds {
				for _, front := range turns(fronts, round) {
					if err := front.turn(ctx, o, clients, d, t.row(front.name)); err != nil {
						return fmt.Errorf("%s: %w", front.name, err)
					}
				}
				fmt.Fprintf(os.Stderr, "%s: round %d of %d\n", t.Title, round+1, o.rounds)
			}
			t.finishEnvoy()
			r.Envoy = append(r.Envoy, t)
		}
	}
	return r.write(w, o.out)
}

// turn is one measurement.
func (f *front) turn(ctx context.Context, o *options, clients int, d *deliveries, r *row) error {
	if _, err := f.post(ctx, clients, d, o.warm); err != nil {
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
	if m.times, err = f.post(ctx, clients, d, o.time); err != nil {
		return err
	}
	m.wall, m.requests = time.Since(begin), len(m.times)
	envoyAfter, serviceAfter, err := cpus()
	m.envoyCPU, m.cpu = envoyAfter-envoyBefore, serviceAfter-serviceBefore
	r.add(m)
	return err
}

// post keeps one delivery under way on each connection.
func (f *front) post(ctx context.Context, clients int, d *deliveries, length time.Duration) (latencies, error) {
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
	named := func(name string) *row {
		if i := slices.IndexFunc(t.Rows, func(r *row) bool { return r.Name == name }); i >= 0 {
			return t.Rows[i]
		}
		return &row{}
	}
	none, noop := named(nameNone), named(nameNoop)
	perRequest := func(m *measurement) float64 { return us(m.cpu+m.envoyCPU) / float64(m.requests) }
	for _, r := range t.Rows {
		r.EnvoyCPU = r.median(func(m *measurement) float64 { return us(m.envoyCPU) / float64(m.requests) })
		r.ServiceCPU = r.median(func(m *measurement) float64 { return us(m.cpu) / float64(m.requests) })
		r.Ratio, r.PerCPU = spread{}, 0 // the first row has no service to compare with
		if r == none || len(none.all) == 0 {
			continue
		}
		r.Added = r.against(none, func(own, none *measurement) float64 { return perRequest(own) - perRequest(none) })
		r.LeastAdded = r.least(perRequest) - none.least(perRequest)
		var ratios []float64
		for i := range min(len(r.all), len(none.all), len(noop.all)) {
			base := perRequest(&none.all[i])
			ratios = append(ratios, (perRequest(&r.all[i])-base)/(perRequest(&noop.all[i])-base))
		}
		r.AddedRatio = spreadOf(ratios)
	}
	for _, r := range t.Rows {
		if noop.LeastAdded > 0 {
			r.LeastRatio = r.LeastAdded / noop.LeastAdded
		}
	}
}

// least is the lowest value of all rounds.
func (r *row) least(value func(*measurement) float64) float64 {
	least := math.Inf(1)
	for i := range r.all {
		least = min(least, value(&r.all[i]))
	}
	return least
}

func (t *table) envoy(w io.Writer) {
	fmt.Fprintf(w, "\n| %s | requests/s | p50 / p99 ms | Envoy's CPU µs | service's CPU µs | added µs | of the no-op's | by the least of each |\n|---|---|---|---|---|---|---|---|\n", t.Title)
	for _, r := range t.Rows {
		service, added, ratio, least := "", "", "", ""
		if r.ServiceCPU > 0 {
			service, added, ratio = fmt.Sprintf("%.0f", r.ServiceCPU), fmt.Sprintf("%.0f [%.0f-%.0f]", r.Added.Median, r.Added.Low, r.Added.High), r.AddedRatio.ratio()
			least = fmt.Sprintf("%.0f, %.2f", r.LeastAdded, r.LeastRatio)
		}
		fmt.Fprintf(w, "| %s | %.0f | %.1f / %.1f | %.0f | %s | %s | %s | %s |\n", r.Name, r.PerSecond, r.P50/1e3, r.P99/1e3, r.EnvoyCPU, service, added, ratio, least)
	}
}
