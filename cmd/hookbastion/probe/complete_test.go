package probe

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hookbastion/hookbastion/envoy/audit"
	"github.com/hookbastion/hookbastion/policy/finding"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
	settingsv1 "github.com/hookbastion/hookbastion/proto/hookbastion/settings/v1"
)

// unseen is what no row of a weakened gateway shows, by the reason for it.
type unseen map[string][]string

const refusesValid = "another value refuses valid deliveries, which probe says (rows Webhook.scheme and Webhook.secrets)"

var unseenOfPolicies = unseen{
	refusesValid: {
		"Webhook.provider", "Webhook.provider_scheme", "Webhook.parameters", "Secret.env", "Secret.url", "Secret.format", "Secret.kid",
		"TokenJwt.from", "TokenJwt.keys", "From.header", "From.scheme", "From.query", "From.json", "From.whole_body",
		"Bearer.value", "Header.name", "Header.value", "Basic.value", "Query.name", "Query.value", "Json.path", "Json.value",
		"TokenValue.file", "TokenValue.env", "TokenValue.digest",
	},
	"at least one is always asked for, and which other ones a gateway takes can be shown only by whoever has a token of theirs": {
		"TokenJwt.issuers", "TokenJwt.audiences", "TokenJwt.algorithms",
	},
	"it takes a query and a form that run together, of a provider that signs both with nothing between; validate names such webhooks (HB081)": {"Webhook.pinned_query"},
	"it names something in policies, records or metrics, and decides nothing": {
		"Webhook.name", "Secret.id", "TokenRule.id", "Webhook.formerly", "Webhook.event_id", "Webhook.shadow_until", "Suppression.finding", "Suppression.reason", "Suppression.until",
		"AllowWeak.reason", "Unverified.reason",
	},
	"it says what a denial looks like, and not what is denied":                          {"Respond.denied_status"},
	"it is for whoever goes around the gateway to the application":                      {"Assertion.audience"},
	"it is how the service gets the provider's keys":                                    {"Credential.name", "Credential.file", "Credential.env"},
	"the authority's file is the row ClientCertificate.ca":                              {"Authority.file"},
	"which webhook a route names is said by Envoy, as in the row HE081":                 {"Match.extension_only"},
	"a copy would have to be sent after more than a minute, up to a month later":        {"Replay.window"},
	"the application would have to fail, or an answer to get lost":                      {"Replay.release", "Replay.on_unknown", "Replay.client_errors"},
	"it cannot be left out where the handshake has one, and a wrong one is always sent": {"VerifyToken.file", "VerifyToken.env"},
	"the attack would leave a stranger's secret behind, which somebody might accept":    {"WebhookHandshake.setup_until", "Learnt.file"},
}

var unseenOfSettings = unseen{
	"it is of the way between Envoy and the service, where no sender is": {
		"grpc.listen", "grpc.unix.path", "grpc.unix.mode", "grpc.insecure", "grpc.tls.cert", "grpc.tls.key", "grpc.tls.client_ca", "grpc.tls.client_sans", "grpc.tls.min_version", "grpc.lame_duck",
	},
	"it is of other listeners than the gateway's": {
		"http.listen", "admin.listen", "admin.token", "admin.tls.cert", "admin.tls.key", "admin.tls.client_ca", "admin.tls.client_sans", "admin.tls.min_version",
		"admin.readers.token", "admin.readers.client_sans", "admin.operators.client_sans", "admin.hosts",
	},
	"it says which policies there are, or how many tenants are kept in memory": {"policy.directories", "policy.tenants"},
	"it decides nothing": {
		"capture.recipients", "capture.keep", "capture.interval", "capture.max_body_bytes",
		"envoy.metadata", "records.file", "records.denials_per_second", "records.otlp", "records.leave_out", "log.level", "log.format",
		"monitor.off", "monitor.file", "monitor.webhook.url", "monitor.webhook.format", "monitor.webhook.secret.file", "monitor.webhook.secret.env", "monitor.webhook.ca",
	},
	"it is the measure of HE023, HE024 and HE025: where Envoy and the service differ, too little is delivered, or the row HE023 shows it": {"envoy.max_request_bytes"},
	"without a decompressor compressed deliveries are refused; with another fault the row HE023 shows what passes":                        {"envoy.decompressed"},
	"the nonces would have to be more than there is room for, which no probe should send":                                                 {"replay.max_entries", "replay.max_pending"},
	"the application would have to fail, or an answer to get lost":                                                                        {"replay.access_log", "replay.lease"},
	"the store would have to fail, lose what it has or begin anew": {
		"replay.file.path", "replay.file.sync", "replay.redis.url", "replay.redis.addresses", "replay.redis.sentinel.master", "replay.redis.sentinel.username",
		"replay.redis.sentinel.password.file", "replay.redis.sentinel.password.env", "replay.redis.username", "replay.redis.password.file", "replay.redis.password.env",
		"replay.redis.ca", "replay.redis.budget", "replay.redis.on_down", "replay.redis.wait_replicas", "replay.redis.recovery", "replay.redis.trust_restart",
		"replay.redis.setup_until", "replay.redis.prefix", "replay.redis.cert", "replay.redis.key", "replay.redis.server_name", "replay.keys.file", "replay.setup_until",
	},
	"it takes a flood to reach it":                                 {"limits.in_flight", "limits.bytes_in_flight", "limits.connections", "limits.shutdown"},
	"it is for whoever goes around the gateway to the application": {"assertion.keys", "assertion.ttl", "assertion.issuer"},
	"it is how the service gets what providers publish": {
		"fetch.directory", "fetch.allow_private", "fetch.ca", "fetch.proxy", "fetch.max_stale", "fetch.timeout", "ranges.refresh", "ranges.interval", "ranges.urls",
	},
}

var unseenOfEnvoy = unseen{
	"it is about reading the files, and no gateway": {"HE000", "HE012"},
	"everything or the deliveries it is about are refused, which probe says as in the row HE020; no attack passes": {
		"HE024", "HE025", "HE046", "HE049", "HE060", "HE062", "HE073", "HE074", "HE075", "HE076", "HE079", "HE080", "HE086", "HE087",
	},
	"whoever answers in the service's place decides, and no sender is there": {"HE047", "HE048", "HE090"},
	"it is the setting's row envoy.tls_version_header":                       {"HE078"},
}

// held compares what there is with the rows and the reasons.
func held(t *testing.T, there []string, rows []weakening, reasons unseen) {
	t.Helper()
	told := map[string]string{}
	for _, w := range rows {
		told[w.of] = "a row"
	}
	for reason, keys := range reasons {
		for _, key := range keys {
			if told[key] != "" {
				t.Errorf("%s has %s, and a reason for having none: %s", key, told[key], reason)
			}
			told[key] = reason
		}
	}
	for _, key := range there {
		if told[key] == "" {
			t.Errorf("%s: no row of a weakened gateway switches it off, and no reason says why not", key)
		}
		delete(told, key)
	}
	for key := range told {
		t.Errorf("%s is not there", key)
	}
}

func TestEveryPolicyKey(t *testing.T) {
	file := policyv1.File_hookbastion_policy_v1_policy_proto
	var keys []string
	rows := map[string]bool{}
	for _, w := range ofPolicies {
		rows[w.of] = true
	}
	var walk func(protoreflect.MessageDescriptors)
	walk = func(all protoreflect.MessageDescriptors) {
		for i := range all.Len() {
			message := all.Get(i)
			for j := range message.Fields().Len() {
				field := message.Fields().Get(j)
				key := string(message.Name()) + "." + string(field.Name())
				// What holds other keys of the file has those in its place.
				if inner := field.Message(); inner != nil && inner.ParentFile() == file && !rows[key] && !slices.Contains(unseenOfPolicies[refusesValid], key) {
					continue
				}
				if key != "Policy.webhooks" && !slices.Contains(keys, key) {
					keys = append(keys, key)
				}
			}
			walk(message.Messages())
		}
	}
	walk(file.Messages())
	held(t, keys, ofPolicies, unseenOfPolicies)
}

func TestEverySetting(t *testing.T) {
	var keys []string
	var walk func(protoreflect.MessageDescriptor, string)
	walk = func(message protoreflect.MessageDescriptor, before string) {
		for i := range message.Fields().Len() {
			field := message.Fields().Get(i)
			name := before + string(field.Name())
			if inner := field.Message(); inner != nil && strings.HasPrefix(string(inner.FullName()), "hookbastion.") {
				walk(inner, name+".")
				continue
			}
			keys = append(keys, name)
		}
	}
	walk((&settingsv1.Settings{}).ProtoReflect().Descriptor(), "")
	held(t, keys, ofSettings, unseenOfSettings)
}

func TestEveryErrorOfAudit(t *testing.T) {
	var ids []string
	rows := map[string]bool{}
	for _, w := range ofEnvoy {
		rows[w.of] = true
	}
	for _, rule := range audit.Rules() {
		if rule.Severity == finding.Error || strings.Contains(rule.Else, "error") || rows[rule.ID] {
			ids = append(ids, rule.ID)
		}
	}
	held(t, ids, ofEnvoy, unseenOfEnvoy)
}
