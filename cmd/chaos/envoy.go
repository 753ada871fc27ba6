package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// newEnvoy writes Envoy's configuration and returns the process, not started. One listener
// takes what load balancers say of a sender's address, and both versions of HTTP; the
// other has TLS.
func (w *world) newEnvoy() *process {
	w.address, w.secure, w.admin = freeAddress(), freeAddress(), freeAddress()
	_, application, _ := net.SplitHostPort(w.application.address) // made by net
	retry, log := "", openTelemetryLog
	if w.retry { // half of the seeds have the other one
		log = grpcLog
		retry = "\n                        retry_policy: {num_retries: 2, retry_back_off: {base_interval: 0.01s, max_interval: 0.05s}}"
	}
	var endpoints strings.Builder
	for i := range w.replicas {
		fmt.Fprintf(&endpoints, "\n              - endpoint: {address: {pipe: {path: %s}}}", w.path("grpc"+strconv.Itoa(i)))
	}
	port := func(address string) string { _, p, _ := net.SplitHostPort(address); return p }
	text := strings.NewReplacer("MANAGER", envoyManager).Replace(envoyConfig)
	text = strings.NewReplacer("PLAINPORT", port(w.address), "TLSPORT", port(w.secure), "ADMIN", port(w.admin), "APPLICATION", application, "RETRY", retry, "ACCESSLOG", log,
		"ENDPOINTS", endpoints.String(), "TIMEOUT", routeTimeout.String(), "DIR", w.dir, "HOST", host()).Replace(text)
	if err := os.WriteFile(w.path("envoy.yaml"), []byte(text), 0o600); err != nil {
		panic(err) // the directory is ours
	}
	w.envoy = w.envoyProcess(0)
	return w.envoy
}

// envoyProcess is the Envoy of an epoch: one beyond 0 takes over from the one before.
func (w *world) envoyProcess(epoch int) *process {
	if epoch == 0 {
		w.baseID = os.Getpid()*16%1_000_000 + int(time.Now().UnixNano()/1000%997)
	}
	return &process{
		name: "envoy",
		command: []string{w.setup.envoy, "-c", w.path("envoy.yaml"), "--concurrency", "2", "--base-id", strconv.Itoa(w.baseID),
			"--restart-epoch", strconv.Itoa(epoch), "--drain-time-s", "1", "--parent-shutdown-time-s", "2", "-l", "error"},
		ready: func(*process) error {
			text, err := get("http://" + w.admin + "/server_info")
			if err == nil && !(strings.Contains(text, `"state": "LIVE"`) && strings.Contains(text, fmt.Sprintf(`"restart_epoch": %d`, epoch))) {
				err = fmt.Errorf("not yet live: %s", text)
			}
			return err
		},
	}
}

// hotRestart lets a new Envoy take over the listeners.
func (n *nemesis) hotRestart() error {
	w := n.world
	n.epoch++
	old := w.envoy
	w.envoy = w.envoyProcess(n.epoch)
	if err := w.envoy.start(); err != nil {
		return err
	}
	if err := w.envoy.await(ready); err != nil {
		return err
	}
	return old.gone(ready)
}

// killEnvoy ends it, and starts a first one.
func (n *nemesis) killEnvoy() error {
	w := n.world
	if err := w.envoy.end(syscall.SIGKILL); err != nil {
		return err
	}
	n.epoch = 0
	w.envoy = w.envoyProcess(0)
	if err := w.envoy.start(); err != nil {
		return err
	}
	return w.envoy.await(ready)
}

// logShare lets a share of the access log's entries come, in percent.
func (w *world) logShare(percent int) error {
	response, err := http.Post("http://"+w.admin+"/runtime_modify?chaos.log="+strconv.Itoa(percent), "", nil) //nolint:noctx,gosec // an Envoy of our own
	if err != nil {
		return err
	}
	return response.Body.Close()
}

const envoyConfig = `
admin:
  address: {socket_address: {address: HOST, port_value: ADMIN}}
layered_runtime: {layers: [{name: static, static_layer: {}}, {name: admin, admin_layer: {}}]}
static_resources:
  listeners:
    - name: plain
      address: {socket_address: {address: HOST, port_value: PLAINPORT}}
      listener_filters:
        - name: envoy.filters.listener.proxy_protocol
          typed_config:
            "@type": type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol
            allow_requests_without_proxy_protocol: true
      filter_chains:
        - filters:
MANAGER
    - name: secure
      address: {socket_address: {address: HOST, port_value: TLSPORT}}
      filter_chains:
        - transport_socket:
            name: envoy.transport_sockets.tls
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
              common_tls_context:
                alpn_protocols: [h2, http/1.1]
                tls_certificates: [{certificate_chain: {filename: DIR/server.pem}, private_key: {filename: DIR/server.key}}]
                validation_context: {trusted_ca: {filename: DIR/ca.pem}}
          filters:
MANAGER
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
              - endpoint: {address: {socket_address: {address: HOST, port_value: APPLICATION}}}
`

// envoyManager is one connection manager. It tells the sender the reason, which it does
// in no real deployment: the test wants to know of each answer who gave it.
const envoyManager = `            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: webhooks
                codec_type: AUTO
                use_remote_address: true
                local_reply_config:
                  mappers:
                    - filter: {status_code_filter: {comparison: {op: GE, value: {default_value: 100, runtime_key: chaos.local}}}}
                      headers_to_add: [{header: {key: x-chaos-reason, value: "%DYNAMIC_METADATA(envoy.filters.http.ext_authz:reason)%"}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}]
                http_filters:
                  - name: envoy.filters.http.ext_authz
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
                      transport_api_version: V3
                      grpc_service:
                        envoy_grpc: {cluster_name: hookbastion, skip_envoy_headers: true}
                        timeout: 1s
                        initial_metadata: [{key: x-hookbastion-request-duration, value: "%REQUEST_DURATION%"}]RETRY
                      failure_mode_allow: false
                      status_on_error: {code: ServiceUnavailable}
                      validate_mutations: true
                      encode_raw_headers: true
                      include_peer_certificate: true
                      with_request_body: {max_request_bytes: 1048576, allow_partial_message: false, pack_as_bytes: true}
                  - name: envoy.filters.http.router
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
                route_config:
                  virtual_hosts:
                    - name: webhooks
                      domains: ["*"]
                      response_headers_to_add: [{header: {key: x-chaos-reason, value: "%DYNAMIC_METADATA(envoy.filters.http.ext_authz:reason)%"}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}]
                      routes:
                        - match: {prefix: /}
                          route: {cluster: application, timeout: TIMEOUT}
                access_log:
                  - name: log
                    filter: {runtime_filter: {runtime_key: chaos.log, percent_sampled: {numerator: 100, denominator: HUNDRED}, use_independent_randomness: true}}
                    typed_config: ACCESSLOG`

// The two kinds of access logs that the service reads.
const (
	openTelemetryLog = `
                      "@type": type.googleapis.com/envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig
                      common_config:
                        log_name: hookbastion
                        transport_api_version: V3
                        buffer_size_bytes: 16384
                        buffer_flush_interval: 0.05s
                        grpc_service:
                          envoy_grpc: {cluster_name: hookbastion}
                          timeout: 2s
                          retry_policy: {retry_on: "connect-failure,refused-stream,reset,unavailable", num_retries: 5, retry_back_off: {base_interval: 0.2s, max_interval: 2s}}
                      body: {string_value: "hookbastion %DYNAMIC_METADATA(envoy.filters.http.ext_authz:settle)% %ACCESS_LOG_TYPE% %RESPONSE_CODE% %RESPONSE_FLAGS% %UPSTREAM_REQUEST_ATTEMPT_COUNT% %DURATION% %RESPONSE_CODE_DETAILS%"}`
	grpcLog = `
                      "@type": type.googleapis.com/envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig
                      common_config:
                        log_name: hookbastion
                        transport_api_version: V3
                        buffer_size_bytes: 16384
                        buffer_flush_interval: 0.05s
                        grpc_service: {envoy_grpc: {cluster_name: hookbastion}}`
)
