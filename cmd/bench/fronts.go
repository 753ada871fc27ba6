package main

import (
	"context"
	_ "embed" // for the configuration
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"github.com/hookbastion/hookbastion/envoy/envoytest"
	"github.com/hookbastion/hookbastion/examples"
)

// Names of the rows, beside those of the servers.
const (
	nameNone  = "no ext_authz"
	nameFloor = "empty message"
	nameNoLog = nameService + " without access log"
	nameLog   = nameService + " as documented"
	nameLine  = nameService + " with one line for each entry"
	nameLean  = nameService + " with that and short metadata"
	nameShort = nameService + " with short metadata"
	nameFail  = nameService + " with failures alone"
)

//go:embed envoy.yaml
var envoyConfig []byte

// front is an Envoy before one server, or before none.
type front struct {
	name string
	// filters are those of envoy.yaml; empty for the documented configuration.
	filters []string
	log     bool // the access log goes to the service
	line    bool // it is the OpenTelemetry access log
	filter  any  // of that log
	// command and flags start the server: this binary, or the service.
	command string
	flags   []string

	server *server // nil: none
	envoy  *envoytest.Envoy
}

// newFronts are all rows of a table.
func newFronts() []*front {
	const authz = "envoy.filters.http.ext_authz"
	return []*front{
		{name: nameNone, filters: []string{"envoy.filters.http.buffer"}},
		{name: nameFloor, filters: []string{"envoy.filters.http.buffer", "floor"}, command: floorCommand},
		{name: nameNoop, filters: []string{authz}, command: noopCommand},
		{name: nameAgain, filters: []string{authz}, command: noopCommand},
		{name: nameNoLog, flags: []string{"--replay-access-log=false"}},
		{name: nameLog, log: true},
		{name: nameLine, log: true, line: true},
		{name: nameLean, log: true, line: true, flags: []string{"--envoy-metadata=ID"}},
		{name: nameShort, log: true, flags: []string{"--envoy-metadata=ID"}},
		{name: nameFail, log: true, filter: failuresFilter, flags: []string{"--replay-access-log=FAILURES", "--replay-max-pending=4000000"}},
	}
}

// failuresFilter is that of docs/replay.md, which a test holds it equal to.
var failuresFilter = map[string]any{"and_filter": map[string]any{"filters": []any{
	present("settle"),
	map[string]any{"or_filter": map[string]any{"filters": []any{
		present("log"), statuses("GE", 300, "hookbastion.failed"), statuses("LE", 199, "hookbastion.unanswered"), map[string]any{"response_flag_filter": map[string]any{}},
	}}},
}}}

// present lets entries with that key in the filter's metadata pass.
func present(key string) any {
	return map[string]any{"metadata_filter": map[string]any{
		"matcher": map[string]any{
			"filter": "envoy.filters.http.ext_authz", "path": []any{map[string]any{"key": key}}, "value": map[string]any{"present_match": true},
		},
		"match_if_key_not_found": false,
	}}
}

func statuses(op string, value int, runtime string) any {
	return map[string]any{"status_code_filter": map[string]any{"comparison": map[string]any{
		"op": op, "value": map[string]any{"default_value": value, "runtime_key": runtime},
	}}}
}

// start starts the server and the Envoy of a front.
func (f *front) start(ctx context.Context, o *options, all *field, policyFile, spans string, application net.Addr) error {
	switch {
	case f.name == nameNone:
	case f.command != "":
		self, err := os.Executable()
		if err != nil {
			return err
		}
		if err := all.add(ctx, &server{name: f.name}, self, nil, f.command); err != nil {
			return err
		}
	default:
		if err := all.addService(ctx, o, f.name, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="+spans, policyFile, f.flags...); err != nil {
			return err
		}
	}
	config, err := f.config()
	if err != nil {
		return err
	}
	config.SetCluster("application", application)
	if f.name != nameNone {
		f.server = all.servers[len(all.servers)-1]
		address, err := net.ResolveTCPAddr("tcp", f.server.grpc)
		if err != nil {
			return err
		}
		config.SetCluster("hookbastion", address)
	}
	dir, err := os.MkdirTemp(all.dir, "envoy")
	if err != nil {
		return err
	}
	args := o.envoyArgs
	if len(args) == 0 {
		args = []string{"--concurrency", "1"}
	}
	f.envoy, err = envoytest.StartWith(ctx, config, dir, args...)
	return err
}

// config is Envoy's configuration. The service's is the one that the documentation
// shows, but for time: a machine that measures is slow.
func (f *front) config() (envoytest.Config, error) {
	text := envoyConfig
	if len(f.filters) == 0 {
		var err error
		if text, err = examples.Quickstart.ReadFile("quickstart/plain.yaml"); err != nil {
			return nil, err
		}
	}
	config, err := envoytest.ParseConfig(text)
	if err != nil {
		return nil, err
	}
	if len(f.filters) > 0 {
		filters, _ := config.Manager()["http_filters"].([]any)
		config.Manager()["http_filters"] = slices.DeleteFunc(filters, func(other any) bool {
			filter, _ := other.(map[string]any)
			name, _ := filter["name"].(string)
			return name != "envoy.filters.http.router" && !slices.Contains(f.filters, name)
		})
		return config, nil
	}
	resources := config.Map("static_resources")
	listeners, _ := resources["listeners"].([]any)
	resources["listeners"] = listeners[:1] // the other one is a small application
	if !f.log {
		delete(config.Manager(), "access_log")
	}
	if f.line {
		config.UseLineLog()
	}
	if log, ok := config.At("static_resources", "listeners", 0, "filter_chains", 0, "filters", 0, "typed_config", "access_log", 0).(map[string]any); ok && f.filter != nil {
		log["filter"] = f.filter
	}
	grpc, ok := config.ExtAuthz()["grpc_service"].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s: no grpc_service", f.name)
	}
	grpc["timeout"] = "5s"
	return config, nil
}

// startFronts starts everything that takes part.
func startFronts(ctx context.Context, o *options) (fronts []*front, stop func(), err error) {
	f, policyFile, spans, err := prepare()
	upstream, errUpstream := newUpstream()
	stop = func() {
		for _, r := range fronts {
			if r.envoy != nil {
				r.envoy.Stop()
			}
		}
		if upstream != nil {
			_ = upstream.Close() // nobody asks it any more
		}
		f.stop()
	}
	if err := errors.Join(err, errUpstream); err != nil {
		stop()
		return nil, nil, err
	}
	for _, r := range newFronts() {
		if !o.wants(r.name) {
			continue
		}
		fronts = append(fronts, r)
		if err := r.start(ctx, o, f, policyFile, spans, upstream.Addr()); err != nil {
			stop()
			return nil, nil, fmt.Errorf("%s: %w", r.name, err)
		}
	}
	time.Sleep(startGuard)
	return fronts, stop, nil
}
