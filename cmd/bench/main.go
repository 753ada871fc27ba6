// Command bench compares the service with others, side by side on one machine.
//
//	bench compare   the service, a server that answers OK and checks nothing
//	                (twice, to see what chance does), and OPA-Envoy if
//	                OPA_ENVOY_BIN names a binary
//	bench overload  four times as much as there is room for
//	bench envoy     what a delivery costs Envoy and the service together, beside
//	                no authorization, the least that there can be, and a no-op
//
// Every server is a process of its own and runs all the time; they take turns
// in an order that rotates from round to round. What counts is the processor
// time of a server's process, so that the load generator on the same machine
// does not count, and the ratio to the no-op of the same round, so that a
// machine whose speed changes does not count either. Tables come out as
// Markdown, and as JSON in the file that BENCH_OUT names.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	service string // the binary
	opa     string // the binary; empty for none
	out     string // file for JSON; empty for none
	rounds  int
	time    time.Duration // of one measurement
	warm    time.Duration // before each
	rate    int           // requests per second where latency is measured
	sizes   []size
	form    form
	only    string // part of the comparison
	names   string // servers that take part; empty for all
	// stores are the nonce stores that are compared, in place of other servers.
	stores []string
	// clients are how many connections come to Envoy at once, one table for each.
	clients []int
	// envoyArgs are arguments for Envoy in place of ours.
	envoyArgs []string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("compare, envoy or overload?")
	}
	switch args[0] {
	case noopCommand:
		return serveNoop(ctx)
	case floorCommand:
		return serveFloor(ctx)
	}
	o, err := parse(args[0], args[1:])
	if err != nil {
		return err
	}
	switch args[0] {
	case "compare":
		return compare(ctx, o, os.Stdout)
	case "envoy":
		return throughEnvoy(ctx, o, os.Stdout)
	case "overload":
		return overload(ctx, o, os.Stdout)
	default:
		return fmt.Errorf("%s: compare, envoy or overload?", args[0])
	}
}

func parse(name string, args []string) (*options, error) {
	o := &options{opa: os.Getenv("OPA_ENVOY_BIN"), out: os.Getenv("BENCH_OUT"), envoyArgs: strings.Fields(os.Getenv("BENCH_ENVOY_ARGS"))}
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.StringVar(&o.service, "service", "bin/hookbastion", "the service's binary")
	flags.IntVar(&o.rounds, "rounds", 7, "rounds; medians are over these")
	flags.DurationVar(&o.time, "time", 2*time.Second, "length of one measurement")
	flags.DurationVar(&o.warm, "warm", 300*time.Millisecond, "load before each measurement")
	flags.IntVar(&o.rate, "rate", 1000, "requests per second where latency is measured")
	flags.StringVar(&o.only, "only", "", "saturated or latency: that part alone")
	flags.StringVar(&o.names, "servers", "", "names of the servers that take part, with commas between; all by default")
	stores := flags.String("store", "", "compare nonce stores, of "+strings.Join(storeNames, ", ")+", with commas between: their latency")
	defaultSizes := "1KiB,16KiB,256KiB,1MiB"
	if name == "envoy" {
		defaultSizes = "1KiB,16KiB,64KiB,1MiB"
	}
	sizes := flags.String("sizes", defaultSizes, "sizes of bodies")
	connections := flags.String("connections", "16,1", "connections to Envoy, each with one request at a time")
	headers := flags.String("headers", "map", "map: headers as Envoy sends them by default; raw: as with encode_raw_headers, which our examples have")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	for name := range strings.SplitSeq(*sizes, ",") {
		s, ok := sizeNamed(name)
		if !ok {
			return nil, fmt.Errorf("-sizes: %s is none of %s", name, sizeNames())
		}
		o.sizes = append(o.sizes, s)
	}
	for text := range strings.SplitSeq(*connections, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("-connections: %s is no number above 0", text)
		}
		o.clients = append(o.clients, n)
	}
	if *stores != "" {
		o.stores = strings.Split(*stores, ",")
		if o.only == "" {
			o.only = "latency"
		}
	}
	for _, name := range o.stores {
		if !slices.Contains(storeNames, name) {
			return nil, fmt.Errorf("-store: %s is none of %s", name, strings.Join(storeNames, ", "))
		}
	}
	switch *headers {
	case "raw":
		o.form = rawHeaders
	case "map":
		o.form = mapHeaders
	default:
		return nil, fmt.Errorf("-headers: raw or map, not %s", *headers)
	}
	if o.rounds < 1 || o.time <= 0 || o.rate < 1 {
		return nil, errors.New("-rounds, -time and -rate must be positive")
	}
	return o, nil
}

// wants reports whether a server takes part.
func (o *options) wants(name string) bool {
	return o.names == "" || slices.Contains(strings.Split(o.names, ","), name)
}

// size is a size of a body, and how many requests are under way at once.
type size struct {
	name    string
	bytes   int
	streams int
}

var allSizes = []size{{"1KiB", 1 << 10, 64}, {"16KiB", 16 << 10, 64}, {"64KiB", 64 << 10, 32}, {"256KiB", 256 << 10, 16}, {"1MiB", 1 << 20, 8}}

func sizeNamed(name string) (size, bool) {
	for _, s := range allSizes {
		if s.name == name {
			return s, true
		}
	}
	return size{}, false
}

func sizeNames() string {
	var names []string
	for _, s := range allSizes {
		names = append(names, s.name)
	}
	return strings.Join(names, ", ")
}
