package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// Names of the servers in the tables. The first is what others are compared
// with.
const (
	nameNoop    = "no-op"
	nameAgain   = "no-op again"
	nameService = "hookbastion"
	nameNoTrace = "hookbastion without traces"
	nameOPA     = "OPA-Envoy"
	nameOPABest = "OPA-Envoy at its best"
)

// field is everything that takes part.
type field struct {
	dir     string
	written string // what services write, away from the files that they watch
	servers []*server
	sink    *http.Server // takes spans
	redis   *exec.Cmd    // a nonce store
	// ecdsaPolicy is a file of a policy that verifies ECDSA.
	ecdsaPolicy string
}

// startGuard: the service refuses what was signed before it started, for an
// earlier process may have seen it. A signed time is in whole seconds.
const startGuard = 1100 * time.Millisecond

// newField starts all servers. stop ends them.
func newField(ctx context.Context, o *options, opa bool) (_ *field, err error) {
	f, policyFile, spans, err := prepare()
	defer func() {
		if err != nil {
			f.stop()
		}
	}()
	if err != nil {
		return f, err
	}
	self, err := os.Executable()
	if err != nil {
		return f, err
	}
	for _, name := range []string{nameNoop, nameAgain} {
		if !o.wants(name) || len(o.stores) > 0 && name == nameAgain {
			continue
		}
		if err := f.add(ctx, &server{name: name, form: o.form}, self, nil, noopCommand); err != nil {
			return f, err
		}
	}
	if len(o.stores) > 0 {
		if err := f.addStores(ctx, o, policyFile); err != nil {
			return f, err
		}
		time.Sleep(startGuard)
		return f, nil
	}
	for _, kind := range [][2]string{{nameService, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=" + spans}, {nameNoTrace, "OTEL_TRACES_EXPORTER=none"}} {
		name, traces := kind[0], kind[1]
		if !o.wants(name) {
			continue
		}
		// There is no Envoy here that could say what the application answered.
		if err := f.addService(ctx, o, name, traces, policyFile, "--replay-access-log=false"); err != nil {
			return f, err
		}
	}
	if opa && o.opa != "" {
		if err := f.addOPA(ctx, o); err != nil {
			return f, err
		}
	}
	time.Sleep(startGuard)
	return f, nil
}

// prepare makes an empty field, the service's policy, and a place for spans.
func prepare() (f *field, policyFile, spans string, err error) {
	f = &field{}
	if f.dir, err = os.MkdirTemp("", "bench"); err != nil {
		return f, "", "", err
	}
	if spans, err = f.takeSpans(); err != nil {
		return f, "", "", err
	}
	f.written = filepath.Join(f.dir, "written")
	secret, policyFile := filepath.Join(f.dir, "secret"), filepath.Join(f.dir, "policy.yaml")
	err = errors.Join(os.Mkdir(f.written, 0o700), os.WriteFile(secret, []byte(key), 0o600), os.WriteFile(policyFile, []byte(policy(secret)), 0o600))
	return f, policyFile, spans, err
}

// addService starts the service as it is shipped. Where Envoy names a parent, as
// it does in one of a hundred calls, that decides whether a trace is sampled; else
// the service draws.
func (f *field) addService(ctx context.Context, o *options, name, traces, policyFile string, flags ...string) error {
	env := []string{traces, "OTEL_TRACES_SAMPLER=parentbased_traceidratio", fmt.Sprintf("OTEL_TRACES_SAMPLER_ARG=%g", 1.0/sampledOf)}
	args := []string{
		"serve", "--policy", policyFile, "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0",
		"--replay-setup-until", time.Now().Add(time.Hour).Format(time.RFC3339),
		"--records-file", filepath.Join(f.written, "records-"+strconv.Itoa(len(f.servers))),
	}
	return f.add(ctx, &server{name: name, form: o.form}, o.service, env, append(args, flags...)...)
}

func (f *field) add(ctx context.Context, s *server, bin string, env []string, args ...string) error {
	f.servers = append(f.servers, s)
	if err := launch(ctx, s, bin, env, args...); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	var err error
	s.load, err = newLoader(ctx, s.grpc)
	return err
}

// takeSpans is a collector that throws everything away.
func (f *field) takeSpans() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	f.sink = &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the exporter notices
	})}
	go func() { _ = f.sink.Serve(l) }() // ends with Close
	return "http://" + l.Addr().String() + "/v1/traces", nil
}

func (f *field) stop() {
	for _, s := range f.servers {
		s.stop()
	}
	if f.sink != nil {
		_ = f.sink.Close()
	}
	if f.redis != nil && f.redis.Process != nil {
		_ = f.redis.Process.Kill()
		_ = f.redis.Wait() // it was killed
	}
	_ = os.RemoveAll(f.dir)
}

// turns is the order of a round: it rotates, and every other round is reversed,
// so that nobody always follows the same neighbour.
func turns[T any](all []T, round int) []T {
	n := len(all)
	order := slices.Concat(all[round%n:], all[:round%n])
	if round%2 == 1 {
		slices.Reverse(order)
	}
	return order
}

// compare measures and reports.
func compare(ctx context.Context, o *options, w io.Writer) error {
	f, err := newField(ctx, o, true)
	if err != nil {
		return err
	}
	defer f.stop()
	r := &report{Machine: thisMachine(), Rounds: o.rounds, Seconds: o.time.Seconds()}
	if o.only != "latency" {
		for _, s := range o.sizes {
			t := &table{Title: s.name + ", one connection, " + fmt.Sprint(s.streams) + " streams"}
			err := f.rounds(ctx, o, s, t, func(l *loader, d *deliveries, length time.Duration) (latencies, error) {
				return l.saturate(ctx, d, s.streams, length)
			})
			if err != nil {
				return err
			}
			r.Saturated = append(r.Saturated, t)
		}
	}
	if o.only != "saturated" {
		r.Latency = &table{Title: fmt.Sprintf("%s at %d/s, one connection", o.sizes[0].name, o.rate)}
		err := f.rounds(ctx, o, o.sizes[0], r.Latency, func(l *loader, d *deliveries, length time.Duration) (latencies, error) {
			return l.pace(d, o.rate, length)
		})
		if err != nil {
			return err
		}
	}
	return r.write(w, o.out)
}

// rounds lets every server have its turn in every round.
func (f *field) rounds(ctx context.Context, o *options, s size, t *table, load func(*loader, *deliveries, time.Duration) (latencies, error)) error {
	made := map[form]*deliveries{}
	for _, server := range f.servers {
		if made[server.form] == nil {
			made[server.form] = newDeliveries(s.bytes, server.form)
		}
		t.row(server.name)
	}
	for round := range o.rounds {
		for _, server := range turns(f.servers, round) {
			if err := ctx.Err(); err != nil {
				return err
			}
			d := made[server.form]
			if _, err := load(server.load, d, o.warm); err != nil {
				return fmt.Errorf("%s: %w", server.name, err)
			}
			m, err := server.measure(ctx, func() (latencies, error) { return load(server.load, d, o.time) })
			if err != nil {
				return fmt.Errorf("%s: %w", server.name, err)
			}
			t.row(server.name).add(m)
		}
		fmt.Fprintf(os.Stderr, "%s: round %d of %d\n", t.Title, round+1, o.rounds)
	}
	t.finish()
	return nil
}

// measurement is what one turn found.
type measurement struct {
	requests int
	wall     time.Duration
	cpu      time.Duration
	envoyCPU time.Duration // where there is an Envoy
	times    latencies
	memory   memory
	known    bool // memory is
	resident int64
}

// measure runs a load between two looks at the process. Reading its metrics
// costs the process memory, too, which is measured and taken off.
func (s *server) measure(ctx context.Context, load func() (latencies, error)) (m measurement, err error) {
	var before [3]memory
	for i := range 2 {
		if before[i], m.known, err = s.memory(ctx); err != nil {
			return m, err
		}
	}
	cpuBefore, err := cpu(s.cmd.Process.Pid)
	if err != nil {
		return m, err
	}
	begin := time.Now()
	if m.times, err = load(); err != nil {
		return m, err
	}
	m.wall, m.requests = time.Since(begin), len(m.times)
	cpuAfter, err := cpu(s.cmd.Process.Pid)
	if err != nil {
		return m, err
	}
	m.cpu = cpuAfter - cpuBefore
	if before[2], _, err = s.memory(ctx); err != nil {
		return m, err
	}
	m.memory = before[2].minus(before[1])
	reading := before[1].minus(before[0])
	m.memory.objects -= reading.objects
	m.memory.bytes -= reading.bytes
	m.resident, err = resident(s.cmd.Process.Pid)
	return m, err
}
