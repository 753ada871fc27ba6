package config

import (
	"net/netip"
	"strings"
)

// Secure reports whether Envoy and the service show each other certificates.
func (v *view) Secure() bool { return !v.Service.Local() }

// NameIsIP reports whether the service's certificate is for an IP address.
func (v *view) NameIsIP() bool {
	_, err := netip.ParseAddr(v.ServiceName)
	return err == nil
}

// Discovery is the type of a cluster.
func (*view) Discovery(a Address) string {
	if a.Unix != "" || a.IsIP() {
		return "STATIC"
	}
	return "STRICT_DNS"
}

// ServiceHost and ApplicationHost are what Istio calls them: the names of Services, or
// names of ours for addresses.
func (v *view) ServiceHost() string     { return meshHost("hookbastion", v.Service) }
func (v *view) ApplicationHost() string { return meshHost("application", v.Application) }

func meshHost(name string, a Address) string {
	if a.IsIP() {
		return name + ".mesh.internal"
	}
	return a.Host
}

// HTTPS is the protocol of the listener in capitals, Protocol in small letters.
func (v *view) HTTPS() string { return strings.ToUpper(v.Protocol()) }

func (v *view) Protocol() string {
	if v.Sender.Certificate != "" {
		return "https"
	}
	return "http"
}

// patch is one operation on Envoy Gateway's listener.
type patch struct{ Why, Op, Select, Path, Value string }

// Patches are what a SecurityPolicy and an EnvoyProxy cannot say. They find filter and log
// by what is in them: their names differ with how Envoy Gateway runs.
func (v *view) Patches() []patch {
	const (
		filter = "..http_filters[?(@.typed_config.with_request_body)]"
		config = filter + ".typed_config"
		log    = "..access_log[?(@.typed_config.common_config.log_name=='hookbastion')].typed_config.common_config"
	)
	all := []patch{
		{"the body as it was sent", "add", config, "/with_request_body/pack_as_bytes", "true"},
		{"duplicates stay visible", "add", config, "/encode_raw_headers", "true"},
		{"a second line of defence", "add", config, "/validate_mutations", "true"},
		{"an empty request from a hidden body", "add", config, "/grpc_service/initial_metadata",
			`[{key: x-hookbastion-request-duration, value: "%REQUEST_DURATION%"}]`},
		{"on each route, whatever policies it has", "remove", filter, "/disabled", ""},
	}
	if v.RequireTLS {
		all = append(all, patch{"policies require TLS", "add", config, "/include_tls_session", "true"})
	}
	if !v.OnePhase {
		all = append(all, patch{"entries go together", "add", log, "/buffer_size_bytes", "16384"},
			patch{"and none waits for longer", "add", log, "/buffer_flush_interval", "0.05s"})
	}
	return all
}

// Parts are the matches of a host in pieces that one HTTPRoute takes; one, if there are none.
func (h Host) Parts() [][]Match {
	if parts := h.Chunks(maxMatches); len(parts) > 0 {
		return parts
	}
	return [][]Match{nil}
}

// maxMatches is what one rule of an HTTPRoute takes.
const maxMatches = 64

// Mbit is how many of them a second the longest delivery needs.
func (v *view) Mbit() uint64 { return v.Limit*8/1_000_000 + 1 }
