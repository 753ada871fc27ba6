package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/serve"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
	"github.com/hookbastion/hookbastion/examples"
)

// bench is one real Envoy with a listener for each gateway, and a service for each set of
// policies and settings.
type bench struct {
	t            *testing.T
	dir          string
	config       envoytest.Config
	services     map[string]net.Addr
	clusters     []any
	listeners    []any
	applications map[bool]net.Addr
	envoy        *envoytest.Envoy
	authority    *envoytest.Authority
	cert, key    string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	text, err := examples.Quickstart.ReadFile("quickstart/envoy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, dir: t.TempDir(), services: map[string]net.Addr{}, applications: map[bool]net.Addr{}}
	if b.config, err = envoytest.ParseConfig(text); err != nil {
		t.Fatal(err)
	}
	if b.cert, b.key, _, err = envoytest.Certificate(b.dir); err != nil {
		t.Fatal(err)
	}
	b.config.SetCertificate(b.cert, b.key)
	if b.authority, err = envoytest.NewAuthority("senders"); err != nil {
		t.Fatal(err)
	}
	for _, loud := range []bool{true, false} {
		b.applications[loud] = application(t, loud)
	}
	for _, name := range []string{"github", "stripe", "token", "rotated", "pinned"} {
		b.write("secrets/"+name, name+strings.Repeat("-5365637265745365", 2)+"\n")
	}
	b.write("secrets/tenant/acme", strings.Repeat("6163616361636d65", 4))
	return b
}

func (b *bench) write(name, text string) string {
	b.t.Helper()
	name = filepath.Join(b.dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return name
}

// application answers 200 and repeats what it got, where it is loud.
func application(t *testing.T, loud bool) net.Addr {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Protocols: protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if !loud {
			_, _ = io.WriteString(w, "received\n")
			return
		}
		w.Header().Set("content-type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"headers": r.Header, "trailers": r.Trailer})
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return listener.Addr()
}

const smallSettings = "envoy: {max_request_bytes: 65536}\nreplay: {max_entries: 100000}\n"

// settingsWith adds keys to the settings, each by its own mapping.
func settingsWith(t *testing.T, more string) string {
	t.Helper()
	keys := map[string]map[string]any{}
	for line := range strings.SplitSeq(smallSettings+more, "\n") {
		var one map[string]map[string]any
		if err := yaml.Unmarshal([]byte(line), &one); err != nil {
			t.Fatal(err)
		}
		for group, values := range one {
			if keys[group] == nil {
				keys[group] = map[string]any{}
			}
			maps.Copy(keys[group], values)
		}
	}
	text, err := yaml.Marshal(keys)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// service starts a service, or returns that which has these policies and settings.
func (b *bench) service(policies, more string) net.Addr {
	b.t.Helper()
	if addr := b.services[policies+more]; addr != nil {
		return addr
	}
	n := len(b.services)
	s, err := settings.Load(b.write(fmt.Sprintf("settings-%d.yaml", n), settingsWith(b.t, more)), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	s.GRPCListen, s.HTTPListen, s.UnixPath, s.LameDuck = "127.0.0.1:0", "127.0.0.1:0", "", 0
	s.Policies = []string{b.write(fmt.Sprintf("policies/served-%d/p.yaml", n), policies)}
	s.SetupUntil = time.Now().Add(time.Minute)
	s.Limits.Connections = 4096 // of each listener and each of Envoy's workers one
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan net.Addr, 1), make(chan error, 1)
	log := &bytes.Buffer{}
	go func() {
		ended <- serve.Run(ctx, s, serve.Options{
			Log: slog.New(slog.NewTextHandler(log, nil)), Records: io.Discard, Ready: func(info *serve.Info) { ready <- info.GRPC },
		})
	}()
	select {
	case addr := <-ready:
		b.t.Cleanup(func() {
			cancel()
			<-ended
			if b.t.Failed() {
				b.t.Logf("the service of %s%s\n%s", policies, more, log)
			}
		})
		b.services[policies+more] = addr
		return addr
	case err := <-ended:
		cancel()
		b.t.Fatalf("%s\n%v\n%s", policies, err, log)
		return nil
	}
}

// copied is a part of the configuration that can be changed.
func copied[T any](t *testing.T, v any) T {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out T
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// gateway is one listener, before it starts.
type gateway struct {
	t        *testing.T
	listener map[string]any
	clusters []any // of its own
	// twin is a second service of the same cluster, another is that of the cluster another.
	twin, another net.Addr
}

func (g *gateway) chain() map[string]any { return at[map[string]any](g.listener, "filter_chains", 0) }
func (g *gateway) manager() map[string]any {
	return at[map[string]any](g.chain(), "filters", 0, "typed_config")
}
func (g *gateway) filter() map[string]any {
	return at[map[string]any](g.manager(), "http_filters", 0)
}
func (g *gateway) authz() map[string]any { return at[map[string]any](g.filter(), "typed_config") }
func (g *gateway) host() map[string]any {
	return at[map[string]any](g.manager(), "route_config", "virtual_hosts", 0)
}
func (g *gateway) route() map[string]any { return at[map[string]any](g.host(), "routes", 0) }

func (g *gateway) yaml(text string) any {
	g.t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		g.t.Fatal(err)
	}
	return v
}

// routeFirst puts a route to the application before the others.
func (g *gateway) routeFirst(match, more string) {
	routes := at[[]any](g.host(), "routes")
	r := copied[map[string]any](g.t, routes[0])
	r["match"] = g.yaml(match)
	if more != "" {
		r["typed_per_filter_config"] = g.yaml(more)
	}
	g.host()["routes"] = append([]any{r}, routes...)
}

// before puts a filter at a place.
func (g *gateway) filterAt(i int, text string) {
	filters := at[[]any](g.manager(), "http_filters")
	g.manager()["http_filters"] = append(append(append([]any{}, filters[:i]...), g.yaml(text)), filters[i:]...)
}

// at walks into maps and lists.
func at[T any](v any, path ...any) T {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			v = v.(map[string]any)[step]
		case int:
			v = v.([]any)[step]
		}
	}
	return v.(T)
}

// add makes a listener that asks the service, and has been changed.
func (b *bench) add(name string, service net.Addr, secure, loud bool, edit func(*gateway)) {
	b.t.Helper()
	g := &gateway{t: b.t, listener: copied[map[string]any](b.t, b.config.At("static_resources", "listeners", 0))}
	g.listener["name"] = name
	if !secure {
		delete(g.chain(), "transport_socket")
	}
	for _, base := range b.config.At("static_resources", "clusters").([]any) {
		cluster := copied[map[string]any](b.t, base)
		to := b.applications[loud]
		if cluster["name"] == "hookbastion" {
			to = service
		}
		if cluster["name"] == "application" {
			// Trailers reach an application over HTTP/2.
			cluster["typed_extension_protocol_options"] = g.yaml(`{envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {"@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: {http2_protocol_options: {}}}}`)
		}
		at[map[string]any](cluster, "load_assignment", "endpoints", 0, "lb_endpoints", 0, "endpoint")["address"] = address(to)
		g.clusters = append(g.clusters, cluster)
	}
	at[map[string]any](g.authz(), "with_request_body")["max_request_bytes"] = 65536
	at[map[string]any](g.authz(), "grpc_service")["timeout"] = "5s"
	g.manager()["http_protocol_options"] = map[string]any{"enable_trailers": true}
	if secure {
		b.secure(g)
	}
	if edit != nil {
		edit(g)
	}
	g.addServices()
	// The names of the clusters are made the listener's own.
	text, err := json.Marshal(map[string]any{"l": g.listener, "c": g.clusters})
	if err != nil {
		b.t.Fatal(err)
	}
	for _, cluster := range []string{"hookbastion", "application", "another"} {
		for _, key := range []string{"cluster", "cluster_name", "name"} {
			text = bytes.ReplaceAll(text, []byte(`"`+key+`":"`+cluster+`"`), []byte(`"`+key+`":"`+cluster+"-"+name+`"`))
		}
	}
	var named struct{ L, C any }
	if err := json.Unmarshal(text, &named); err != nil {
		b.t.Fatal(err)
	}
	b.listeners, b.clusters = append(b.listeners, named.L), append(b.clusters, named.C.([]any)...)
}

// secure asks for client certificates, and tells the service of the connection.
func (b *bench) secure(g *gateway) {
	g.authz()["include_tls_session"], g.authz()["include_peer_certificate"] = true, true
	at[map[string]any](g.chain(), "transport_socket", "typed_config", "common_tls_context")["validation_context"] = map[string]any{
		"trusted_ca": map[string]any{"filename": b.write("senders.pem", string(b.authority.PEM))},
	}
	g.manager()["early_header_mutation_extensions"] = g.yaml(`[{name: early, typed_config: {"@type": type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation,
		mutations: [{append: {header: {key: x-tls-version, value: "%DOWNSTREAM_TLS_VERSION%"}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}}]}}]`)
}

// plainApplication asks the application over HTTP/1.1.
func (g *gateway) plainApplication() {
	for _, c := range g.clusters {
		if cluster := c.(map[string]any); cluster["name"] == "application" {
			delete(cluster, "typed_extension_protocol_options")
		}
	}
}

// addServices adds the services beside the first one.
func (g *gateway) addServices() {
	for _, c := range slices.Clone(g.clusters) {
		cluster := c.(map[string]any)
		if cluster["name"] != "hookbastion" {
			continue
		}
		if g.another != nil {
			other := copied[map[string]any](g.t, cluster)
			other["name"] = "another"
			at[map[string]any](other, "load_assignment", "endpoints", 0, "lb_endpoints", 0, "endpoint")["address"] = address(g.another)
			g.clusters = append(g.clusters, other)
		}
		if g.twin != nil {
			first := at[map[string]any](cluster, "load_assignment", "endpoints", 0)
			first["lb_endpoints"] = append(first["lb_endpoints"].([]any), map[string]any{"endpoint": map[string]any{"address": address(g.twin)}})
		}
	}
}

func address(to net.Addr) map[string]any {
	tcp := to.(*net.TCPAddr)
	return map[string]any{"socket_address": map[string]any{"address": tcp.IP.String(), "port_value": tcp.Port}}
}

func (b *bench) start() {
	b.t.Helper()
	static := b.config.Map("static_resources")
	static["listeners"], static["clusters"] = b.listeners, b.clusters
	var err error
	if b.envoy, err = envoytest.Start(context.Background(), b.config, b.dir); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(b.envoy.Stop)
}

// run runs probe at a listener.
func (b *bench) run(t *testing.T, listener, policies, more string, secure bool, args ...string) (*report, cli.Exit) {
	t.Helper()
	dir := t.TempDir()
	// The secrets are where the served policies have them.
	file := filepath.Join(b.dir, "policies", filepath.Base(filepath.Dir(dir))+"-"+listener, "p.yaml")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "settings.yaml")
	for name, text := range map[string]string{file: policies, config: settingsWith(t, more)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	target := "http://" + b.envoy.Listeners[listener]
	if secure {
		target, args = "https://"+b.envoy.Listeners[listener], append([]string{"--insecure"}, args...)
	}
	var out, errs bytes.Buffer
	cmd := New()
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetArgs(append([]string{"--policy", file, "--config", config, "--target", target, "--rate", "10000", "--output", "json"}, args...))
	exit := cli.Finish(&errs, cmd.ExecuteContext(t.Context()))
	r := &report{}
	if err := json.Unmarshal(out.Bytes(), r); err != nil {
		t.Fatalf("%v\n%s%s", err, &out, &errs)
	}
	return r, exit
}
