package envoytest

import "github.com/hookbastion/hookbastion/envoy/wire"

// AccessLog is where the first access log of the first listener has its grpc_service and how
// long entries wait.
func (c Config) AccessLog() map[string]any {
	typed := c.Map("static_resources", "listeners", 0, "filter_chains", 0, "filters", 0, "typed_config", "access_log", 0, "typed_config")
	if common, ok := typed["common_config"].(map[string]any); ok {
		return common
	}
	return typed
}

// UseLineLog puts Envoy's OpenTelemetry access log in the place of all others, as docs/replay.md
// shows it, with the cluster of the service.
func (c Config) UseLineLog() {
	c.Manager()["access_log"] = []any{map[string]any{
		"name": "envoy.access_loggers.open_telemetry",
		"typed_config": map[string]any{
			"@type": "type.googleapis.com/envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig",
			"common_config": map[string]any{
				"log_name": "hookbastion", "transport_api_version": "V3", "buffer_size_bytes": 16384, "buffer_flush_interval": "0.05s",
				"grpc_service": map[string]any{
					"envoy_grpc": map[string]any{"cluster_name": "hookbastion"}, "timeout": "2s",
					"retry_policy": map[string]any{
						"retry_on": "connect-failure,refused-stream,reset,unavailable", "num_retries": 5,
						"retry_back_off": map[string]any{"base_interval": "0.2s", "max_interval": "2s"},
					},
				},
			},
			"body": map[string]any{"string_value": wire.Line},
		},
	}}
}
