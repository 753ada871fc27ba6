//go:build mesh

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/sample"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

// TestIstio runs a real istiod on files, and a plain Envoy that it configures as an ingress
// gateway, with what is printed for Istio.
func TestIstio(t *testing.T) {
	if os.Getenv(alone) == "" {
		if !inOwnNetwork(t) {
			t.Fatal("the gateway listens on all addresses: the test needs a network of its own, which this system does not give")
		}
		return
	}
	m := startIstio(t)
	m.deliveries(t)
	m.forgeries(t)
	m.serviceAway(t)
}

func startIstio(t *testing.T) *mesh {
	t.Helper()
	bin := os.Getenv("ISTIOD_BIN")
	if bin == "" {
		t.Fatal("ISTIOD_BIN names no istiod (pilot-discovery)")
	}
	bin, err := filepath.Abs(bin)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(bin); err != nil {
		t.Fatalf("ISTIOD_BIN: %v", err)
	}
	dir, table := quickstart(t)
	policies := filepath.Join(dir, "policies")
	m := &mesh{upstream: startUpstream(t), table: table, resource: filepath.Join(dir, "resources", "webhooks.yaml")}
	m.restart = func() {
		m.service = start(t, "serve", "--policy", policies, "--grpc-listen", "127.0.0.1:9001", "--http-listen", "127.0.0.1:0",
			"--envoy-max-request-bytes", "25MiB", "--grpc-lame-duck", "0s")
		m.service.stderr.await(t, "msg=serving")
	}
	m.restart()
	text := string(printed(t, "envoy", "config", "--for", "istio", "--policy", policies, "--host", meshHost, "--listen", "0.0.0.0:"+meshPort,
		"--service", "127.0.0.1:9001", "--application", m.Listener.Addr().String()))
	m.text = strings.Replace(text, " timeout: 1s\n", " timeout: 10s\n", 1) // the machine may be busy
	if m.text == text {
		t.Fatal("the filter has no timeout")
	}
	m.write(t, m.text)
	for name, content := range map[string]string{"mesh.yaml": istioMesh, "bootstrap.yaml": istioBootstrap} {
		if err := sample.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(content, "DIR", dir))); err != nil {
			t.Fatal(err)
		}
	}
	plane := exec.Command(bin, "discovery", "--registries=", "--meshConfig", filepath.Join(dir, "mesh.yaml"), "--httpAddr", "127.0.0.1:15080", "--httpsAddr=",
		"--grpcAddr", "127.0.0.1:15010", "--secureGRPCAddr=", "--monitoringAddr", "127.0.0.1:15014")
	// What else a plain Envoy would refuse, and what needs Kubernetes.
	plane.Env = append(os.Environ(), "ENABLE_CA_SERVER=false", "PILOT_CERT_PROVIDER=none", "PILOT_ENABLE_METADATA_EXCHANGE=false", "PILOT_ENABLE_ALPN_FILTER=false")
	plane.Dir = dir
	background(t, "istiod", plane)
	edge, err := envoytest.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	background(t, "Envoy", exec.Command(edge, "-c", filepath.Join(dir, "bootstrap.yaml"), "--disable-hot-restart", "--log-level", "warning"))
	m.await(t, 200, func() *authz.Request { return m.signed(t, "{}") })
	m.take()
	return m
}

// background runs a command until the test ends.
func background(t *testing.T, name string, cmd *exec.Cmd) {
	t.Helper()
	out := newLines()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Logf("%s:\n%s", name, tailOf(out.String()))
		}
	})
}

const istioMesh = `rootNamespace: istio-system
enableAutoMtls: false
defaultConfig: {discoveryAddress: 127.0.0.1:15010}
configSources: [{address: "fs://DIR/resources"}]
`

// The address in the node's id must be nobody else's: istiod would take that one's labels for
// the gateway's.
const istioBootstrap = `node:
  id: router~127.0.0.9~ingress-1.istio-system~istio-system.svc.cluster.local
  cluster: istio-ingressgateway
  metadata: {NAMESPACE: istio-system, CLUSTER_ID: Kubernetes, ISTIO_VERSION: 1.29.6, LABELS: {istio: ingressgateway}}
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 15000}}}
dynamic_resources:
  ads_config: {api_type: GRPC, transport_api_version: V3, grpc_services: [{envoy_grpc: {cluster_name: xds-grpc}}]}
  cds_config: {ads: {}, resource_api_version: V3, initial_fetch_timeout: 0s}
  lds_config: {ads: {}, resource_api_version: V3, initial_fetch_timeout: 0s}
static_resources:
  clusters:
    - name: xds-grpc
      type: STATIC
      connect_timeout: 1s
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config: {http2_protocol_options: {}}
      load_assignment:
        cluster_name: xds-grpc
        endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 15010}}}}]}]
`
