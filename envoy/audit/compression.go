package audit

import "strings"

// internalEncoding is metadata by which Google's library compresses one call.
const internalEncoding = "grpc-internal-encoding-request"

// checkCompression looks whether Google's library compresses the calls of a
// grpc_service. Envoy's own client never does.
func (a *audit) checkCompression(grpc node) {
	google := grpc.get("google_grpc")
	if !google.ok() {
		return
	}
	google.get("channel_args", "args").each(func(key string, value node) {
		if strings.HasPrefix(key, "grpc.default_compression_") && compresses(value) {
			a.report(compressedCalls, value, key)
		}
	})
	for _, entry := range grpc.get("initial_metadata").items() {
		if strings.EqualFold(entry.get("key").text(), internalEncoding) && entry.get("value").text() != "identity" {
			a.report(compressedCalls, entry, internalEncoding)
		}
	}
}

// compresses reports whether the value of an argument asks for compression: a
// number that is not 0, or any text.
func compresses(value node) bool {
	if text := value.get("string_value"); text.ok() {
		return text.text() != "identity" && text.text() != "none"
	}
	return value.get("int_value").numberOr(1) != 0
}

// checkClusterFilters looks for a filter of a cluster that compresses requests.
func (a *audit) checkClusterFilters(c node) {
	_, options := c.get("typed_extension_protocol_options").key(protocolOptions).typed()
	for _, filter := range options.get("http_filters").items() {
		typ, body := filter.get("typed_config").typed()
		requests := body.get("request_direction_config")
		off := requests.get("common_config", "enabled", "default_value")
		if typ == "Compressor" && requests.ok() && !filter.get("disabled").truth() && (!off.ok() || off.truth()) {
			a.report(compressedCalls, requests, c.get("name").text())
		}
	}
}
