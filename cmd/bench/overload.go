package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
)

// times is how many times as much as there is room for is asked for.
const times = 4

// strain is one kind of overload.
type strain struct {
	name string
	// flags are the service's, and message makes what is asked.
	flags   []string
	message func() []byte
	// connections carry the calls, and each is how many are under way on each of them
	// where the peak is looked for.
	connections, each int
}

// overloadRow is what was measured of a strain; of several rounds the medians, but for
// the longest times, which are the longest of all.
type overloadRow struct {
	Name string `json:"name"`
	// Peak and Judged are deliveries a second, where there is room for all and at four
	// times that; Asked is what was asked for then.
	Peak, Asked, Judged float64
	// Ratio is Judged of Peak, and ByCPU the same by the server's processor time.
	Ratio, ByCPU spread
	// Refused is how many a second got 503, and in what time in ms.
	Refused                                float64
	RefusedP50, RefusedP99, RefusedLongest float64
	JudgedP50, JudgedP99                   float64
	// Health is the longest time that a health check took, in ms, over gRPC and HTTP.
	Health float64
	// Before and Peaked are MiB of resident memory.
	Before, Peaked float64
	Lost           int // calls without an answer of ours
}

// overload asks for four times as much as there is room for.
func overload(ctx context.Context, o *options, out io.Writer) error {
	f, policyFile, _, err := prepare()
	defer func() { f.stop() }()
	if err != nil {
		return err
	}
	strains, err := f.strains(ctx, o)
	if err != nil {
		return err
	}
	var rows []*overloadRow
	for i, s := range strains {
		if !o.wants(strings.Trim(strings.Fields(s.name)[0], ",")) {
			continue
		}
		row, err := f.measureStrain(ctx, o, s, policyFile, i)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		rows = append(rows, row)
	}
	printOverload(out, o, rows)
	if o.out == "" {
		return nil
	}
	text, err := json.MarshalIndent(struct {
		Machine machine
		Rows    []*overloadRow
	}{thisMachine(), rows}, "", "  ")
	return errors.Join(err, os.WriteFile(o.out, text, 0o644)) //nolint:gosec // a table
}

// strains are the kinds of overload: a store that takes 20 ms, and dear and cheap checks.
func (f *field) strains(ctx context.Context, o *options) ([]*strain, error) {
	hmac := newDeliveries(1<<10, o.form)
	ofHMAC := func() []byte { return bytes.Join(hmac.pieces(), nil) }
	var all []*strain
	if o.names == "" || strings.Contains(o.names, "store") {
		socket, err := f.startRedis(ctx)
		if err != nil {
			return nil, err
		}
		slow, err := delay(socket, filepath.Join(f.dir, "slow"), storeDelay)
		if err != nil {
			return nil, err
		}
		all = append(all, &strain{
			name:    "store of 20 ms, 128 in flight",
			flags:   []string{"--replay-store", "REDIS", "--replay-redis-url", "unix://" + slow, "--replay-redis-budget", "200ms", "--limits-in-flight", "128"},
			message: ofHMAC, connections: 8, each: 14, // one webhook has no more than 113
		})
	}
	ecdsa, err := f.publicKeyDeliveries()
	if err != nil {
		return nil, err
	}
	return append(all,
		&strain{name: "processor, ECDSA P-256", message: ecdsa, connections: 8, each: 8},
		&strain{name: "cheap checks, HMAC of 1 KiB", message: ofHMAC, connections: 8, each: 32},
	), nil
}

// pinned runs a program on one processor, so that what asks has another, if there are two
// and taskset.
func pinned(bin string, args []string) (string, []string) {
	taskset, err := exec.LookPath("taskset")
	if err != nil || runtime.NumCPU() < 2 {
		return bin, args
	}
	return taskset, slices.Concat([]string{"-c", "0", bin}, args)
}

func (f *field) measureStrain(ctx context.Context, o *options, s *strain, policyFile string, i int) (*overloadRow, error) {
	bin, args := pinned(o.service, slices.Concat([]string{
		"serve", "--policy", policyFile, "--policy", f.ecdsaPolicy, "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--replay-access-log=false",
		"--replay-setup-until", time.Now().Add(time.Hour).Format(time.RFC3339), "--records-file", filepath.Join(f.written, fmt.Sprint("records-", i)),
	}, s.flags))
	server := &server{name: s.name, form: o.form}
	if err := f.add(ctx, server, bin, []string{"OTEL_TRACES_EXPORTER=none", "GOMAXPROCS=1"}, args...); err != nil {
		return nil, err
	}
	defer server.stop()
	time.Sleep(startGuard)
	row := &overloadRow{Name: s.name}
	var ratios, byCPU, peaks, asked, judged, refused, r50, r99, j50, j99 []float64
	for range o.rounds {
		peak, cpuAtPeak, err := s.peak(server, o)
		if err != nil {
			return nil, err
		}
		before, err := resident(server.cmd.Process.Pid)
		if err != nil {
			return nil, err
		}
		w := watchHealth(ctx, server)
		v, used, err := s.drown(server, o, times*peak)
		health, peaked := w.end()
		if err != nil {
			return nil, err
		}
		seconds := o.time.Seconds()
		rate := float64(len(v.judgedIn)) / seconds
		peaks, judged, refused = append(peaks, peak), append(judged, rate), append(refused, float64(len(v.refusedIn))/seconds)
		asked = append(asked, float64(len(v.judgedIn)+len(v.refusedIn)+v.other)/seconds)
		ratios = append(ratios, rate/peak)
		byCPU = append(byCPU, float64(len(v.judgedIn))/used.Seconds()/cpuAtPeak)
		slices.Sort(v.refusedIn)
		slices.Sort(v.judgedIn)
		r50, r99 = append(r50, ms(v.refusedIn.at(.5))), append(r99, ms(v.refusedIn.at(.99)))
		j50, j99 = append(j50, ms(v.judgedIn.at(.5))), append(j99, ms(v.judgedIn.at(.99)))
		row.RefusedLongest, row.Health = max(row.RefusedLongest, ms(v.refusedIn.at(1))), max(row.Health, health)
		row.Before, row.Peaked = max(row.Before, float64(before)/(1<<20)), max(row.Peaked, peaked)
		row.Lost += v.other
	}
	row.Ratio, row.ByCPU = spreadOf(ratios), spreadOf(byCPU)
	row.Peak, row.Asked, row.Judged, row.Refused = middle(peaks), middle(asked), middle(judged), middle(refused)
	row.RefusedP50, row.RefusedP99, row.JudgedP50, row.JudgedP99 = middle(r50), middle(r99), middle(j50), middle(j99)
	return row, nil
}

func middle(values []float64) float64 { return spreadOf(values).Median }

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// peak is how much the server judges a second, and a second of its processor, where
// nothing is refused.
func (s *strain) peak(server *server, o *options) (rate, byCPU float64, err error) {
	v, used, err := s.load(server, o, func(f *flood, end <-chan struct{}) error { return f.closed(s.each, end) })
	if err == nil && (len(v.judgedIn) == 0 || len(v.refusedIn)+v.other > len(v.judgedIn)/100) {
		err = fmt.Errorf("at the peak %d are judged, %d refused and %d have another answer", len(v.judgedIn), len(v.refusedIn), v.other)
	}
	return float64(len(v.judgedIn)) / o.time.Seconds(), float64(len(v.judgedIn)) / used.Seconds(), err
}

// drown asks for so many a second.
func (s *strain) drown(server *server, o *options, rate float64) (verdicts, time.Duration, error) {
	return s.load(server, o, func(f *flood, end <-chan struct{}) error {
		_, err := f.paced(rate, end)
		return err
	})
}

// load runs a flood, and counts after it has lasted for a second.
func (s *strain) load(server *server, o *options, run func(*flood, <-chan struct{}) error) (v verdicts, used time.Duration, err error) {
	f, err := openFlood(server.grpc, s.connections, s.message)
	if err != nil {
		return v, 0, err
	}
	defer f.close()
	end, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- run(f, end) }()
	time.Sleep(time.Second)
	before, err := cpu(server.cmd.Process.Pid)
	f.count(true)
	time.Sleep(o.time)
	v = f.count(false)
	after, err2 := cpu(server.cmd.Process.Pid)
	close(end)
	return v, after - before, errors.Join(err, err2, <-ended)
}

// health asks again and again whether a server is well.
type health struct {
	stop    chan struct{}
	all     sync.WaitGroup
	longest time.Duration // of the answers; an hour if there was none
	memory  int64
	mu      sync.Mutex
}

// healthStep is how often health is asked for.
const healthStep = 20 * time.Millisecond

func watchHealth(ctx context.Context, s *server) *health {
	h := &health{stop: make(chan struct{})}
	conn, err := grpc.NewClient(s.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	ask := map[string]func() error{
		"http": func() error {
			response, err := http.Get("http://" + s.web + "/readyz") //nolint:noctx // it has a second
			if err == nil {
				if response.StatusCode != http.StatusOK {
					err = errors.New(response.Status)
				}
				_ = response.Body.Close()
			}
			return err
		},
		"grpc": func() error {
			asking, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			answer, checkErr := healthv1.NewHealthClient(conn).Check(asking, &healthv1.HealthCheckRequest{})
			if checkErr == nil && answer.GetStatus() != healthv1.HealthCheckResponse_SERVING {
				checkErr = errors.New(answer.GetStatus().String())
			}
			return checkErr
		},
	}
	for _, f := range ask {
		h.all.Go(func() {
			for {
				select {
				case <-h.stop:
					return
				case <-time.After(healthStep):
				}
				began := time.Now()
				failed := err
				if failed == nil {
					failed = f()
				}
				took := time.Since(began)
				if failed != nil {
					took = time.Hour
				}
				bytes, _ := resident(s.cmd.Process.Pid) // 0 is less than any
				h.mu.Lock()
				h.longest, h.memory = max(h.longest, took), max(h.memory, bytes)
				h.mu.Unlock()
			}
		})
	}
	return h
}

func (h *health) end() (longest, mib float64) {
	close(h.stop)
	h.all.Wait()
	return ms(h.longest), float64(h.memory) / (1 << 20)
}

func printOverload(out io.Writer, o *options, rows []*overloadRow) {
	fmt.Fprintf(out, "Four times as much as there is room for, medians of %d rounds of %v:\n\n", o.rounds, o.time)
	fmt.Fprintln(out, "| | peak/s | asked/s | judged/s | of the peak | by processor time | refused in ms, p50 / p99 / longest | judged in ms, p50 / p99 | health, longest ms | MiB, at the peak / in the flood |")
	fmt.Fprintln(out, "|---|---|---|---|---|---|---|---|---|---|")
	for _, r := range rows {
		fmt.Fprintf(out, "| %s | %.0f | %.0f | %.0f | %s | %s | %.1f / %.1f / %.1f | %.1f / %.1f | %.0f | %.0f / %.0f |\n",
			r.Name, r.Peak, r.Asked, r.Judged, r.Ratio.ratio(), r.ByCPU.ratio(), r.RefusedP50, r.RefusedP99, r.RefusedLongest, r.JudgedP50, r.JudgedP99, r.Health, r.Before, r.Peaked)
		if r.Lost > 0 {
			fmt.Fprintf(out, "\n%d calls of %s had another answer or none.\n", r.Lost, r.Name)
		}
	}
}
