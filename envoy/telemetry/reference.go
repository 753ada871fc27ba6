package telemetry

import (
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// instrument describes a metric; the instruments and docs/telemetry.md are made
// from it.
type instrument struct {
	Name, Kind, Unit, Labels, About string
}

// The metrics.
var (
	metricDecisions         = instrument{"hookbastion.decisions", "counter", "{decision}", "webhook, reason, verdict, mode", "Decisions by webhook and reason. Denials with the mode SHADOW were forwarded all the same."}
	metricDuration          = instrument{"hookbastion.decision.duration", "histogram", "s", "webhook", "Time from the whole message to the answer."}
	metricBodySize          = instrument{"hookbastion.body.size", "histogram", "By", "webhook", "Size of the body."}
	metricSkew              = instrument{"hookbastion.clock.skew", "histogram", "s", "webhook", "Our time minus the verified time of the delivery."}
	metricLastMatch         = instrument{"hookbastion.key.last_match", "gauge", "s", "webhook, key_id", "Unix time of the last delivery that was allowed with the key."}
	metricNonces            = instrument{"hookbastion.nonces", "gauge", "{nonce}", "", "Nonces held; absent where they are in Redis."}
	metricLogUp             = instrument{"hookbastion.access_log.up", "gauge", "", "node", "1 while the access log of the Envoy at that address comes, 0 while it is lost; absent until a delivery says which."}
	metricLogStreams        = instrument{"hookbastion.access_log.streams", "gauge", "{stream}", "node", "Streams of the gRPC access log that the Envoy has open here; the OpenTelemetry access log has none."}
	metricLogExpected       = instrument{"hookbastion.access_log.expected", "counter", "{delivery}", "node", "Deliveries of which the Envoy is to send an entry: those that it was allowed, or with replay.access_log: FAILURES those of which it was asked for one."}
	metricLogEntries        = instrument{"hookbastion.access_log.entries", "counter", "{entry}", "node", "Entries of deliveries of ours that the Envoy has sent."}
	metricLogMissing        = instrument{"hookbastion.access_log.missing", "counter", "{delivery}", "node", "Deliveries, of those that are watched, whose entry was not there when it was due: four in a second are watched, or with FAILURES two."}
	metricStoreDuration     = instrument{"hookbastion.store.duration", "histogram", "s", "outcome", "Time of a call of the nonce store: of a reservation reserved, copy, copy_unknown, in_flight, uncertain, full or busy; settle, release or permit; or failed."}
	metricStoreUp           = instrument{"hookbastion.store.up", "gauge", "", "", "1 while calls of a nonce store that lies elsewhere are made, 0 while it is away or has too few replicas; absent for the others."}
	metricStoreEvents       = instrument{"hookbastion.store.events", "counter", "{event}", "outcome", "What was met of a nonce store that lies elsewhere: opened (calls were stopped), refused (a call was not made then), busy (too many calls at once), abandoned (a reservation without an answer), near (a copy known without a call), local (decided without the store), lost (a part that was empty), restarted (one that may have forgotten), evicted (one that has), elsewhere (an entry of the access log for what another replica decided without the store), told (such an entry that the other could be told)."}
	metricNoncesPending     = instrument{"hookbastion.nonces.pending", "gauge", "{nonce}", "", "Nonces of deliveries whose outcome is not known yet; absent where they are in Redis."}
	metricReservations      = instrument{"hookbastion.reservations", "counter", "{call}", "outcome", "Answers of the nonce store: first, possible (marked so), redelivered, adopted, copy, in_flight, full, uncertain."}
	metricReservationsEnded = instrument{"hookbastion.reservations.ended", "counter", "{nonce}", "outcome", "How reservations ended: delivered, released, unknown, lease_taken, lease_released, given_back."}
	metricEvictions         = instrument{"hookbastion.nonces.evicted", "counter", "{nonce}", "", "Nonces that had to make room for others of their partition."}
	metricWatermark         = instrument{"hookbastion.watermark", "gauge", "s", "", "Unix time of the latest expiry among evicted nonces; absent if there were none."}
	metricLogSize           = instrument{"hookbastion.nonces.log.size", "gauge", "By", "", "Size of the log of the file store; absent with other stores."}
	metricLogFailures       = instrument{"hookbastion.nonces.log.failures", "counter", "{failure}", "", "Times that the log of the file store could not be written or compacted; absent with other stores."}
	metricSettlements       = instrument{"hookbastion.settlements", "counter", "{entry}", "result", "Last entries of Envoy's access log for reserved deliveries: delivered, failed, interrupted, client_error, client_error_late, unknown; or late, repeated, forged, ignored, store_failed, which change nothing."}
	metricSettleLag         = instrument{"hookbastion.settle.lag", "histogram", "s", "", "Time from the end of a request to its entry of the access log."}
	metricSecrets           = instrument{"hookbastion.secrets", "gauge", "{key}", "state", "Keys that are read from files, tenants' apart: current, or last_good where the file cannot be used and an earlier value stays."}
	metricTenants           = instrument{"hookbastion.tenants", "gauge", "{tenant}", "state", "Names of tenants in memory, each once for every webhook: known with their secrets, or unknown."}
	metricTenantLoads       = instrument{"hookbastion.tenant.loads", "counter", "{load}", "result", "Looks for the secrets of tenants: loaded, unknown, failed; or refused, since too many were unknown before."}
	metricFetches           = instrument{"hookbastion.fetches", "counter", "{fetch}", "source, result", "Fetches of what providers publish, by URL, or by the pattern of URLs of keys by id: ok, or why one failed: url, credentials, dns, address (not a public one), connect, tls, timeout, redirect, not_found, status, too_large, content, transport, held (it waits to be judged)."}
	metricFetchedAge        = instrument{"hookbastion.fetched.age", "gauge", "s", "source", "Time since a provider's server last confirmed what is in use; of keys by id, the oldest. Absent until something came."}
	metricFetchedMissing    = instrument{"hookbastion.fetched.missing", "gauge", "{document}", "source", "Documents without any content that counts: none has come yet, or it is older than fetch.max_stale."}
	metricRangesAge         = instrument{"hookbastion.ranges.age", "gauge", "s", "ranges", "Time since the addresses of a list, as policies name it, were said to be so: by the provider's server, or since the day on which those in the program were read. Absent until there are any."}
	metricRangesHeld        = instrument{"hookbastion.ranges.held", "gauge", "{change}", "ranges", "1 while a change of the list is held, else 0; absent where it is not fetched."}
	metricTextBodies        = instrument{"hookbastion.bodies.text", "counter", "{body}", "webhook", "Bodies that Envoy sent as text, in which it may have replaced bytes: pack_as_bytes is not in force there."}
	metricPolicyLoaded      = instrument{"hookbastion.policy.last_load", "gauge", "s", "", "Unix time of the last good load of the policy."}
	metricPolicyAge         = instrument{"hookbastion.policy.age", "gauge", "s", "", "Time since the last good load of the policy."}
	metricPolicyStale       = instrument{"hookbastion.policy.stale", "gauge", "s", "", "Time since the newest files have errors, so that an older policy serves; 0 while the newest one does."}
	metricBuildInfo         = instrument{"hookbastion.build_info", "gauge", "", "version, revision, goversion", "Always 1."}
	metricReloads           = instrument{"hookbastion.policy.reloads", "counter", "{reload}", "result", "Loads of the policy by result: ok or error."}
	metricRecordsDropped    = instrument{"hookbastion.records.dropped", "counter", "{record}", "reason", "Decision records that were not written, by why: limit, filter or slow."}
	metricRefusedConns      = instrument{"hookbastion.connections.refused", "counter", "{connection}", "", "Connections to the service that were closed since there were as many as limits.connections allows, or 256 others that said nothing."}
	metricAnomalies         = instrument{"hookbastion.anomalies", "counter", "{alarm}", "kind", "Alarms that the monitor has raised; absent where it does not run."}
	metricAnomaliesNow      = instrument{"hookbastion.anomalies.current", "gauge", "{alarm}", "kind", "Alarms that go on; absent where the monitor does not run."}
	metricLimitsMet         = instrument{"hookbastion.limits.met", "counter", "{time}", "limit", "How often each limit was met that has no metric of its own."}
	metricPanics            = instrument{"hookbastion.panics", "counter", "{panic}", "", "Faults of the service that were answered with a denial."}
)

var instruments = []instrument{
	metricDecisions, metricDuration, metricBodySize, metricSkew, metricLastMatch,
	metricNonces, metricNoncesPending, metricReservations, metricReservationsEnded, metricEvictions, metricWatermark,
	metricLogSize, metricLogFailures,
	metricSettlements, metricSettleLag,
	metricLogUp, metricLogStreams, metricLogExpected, metricLogEntries, metricLogMissing,
	metricStoreDuration, metricStoreUp, metricStoreEvents,
	metricSecrets, metricTenants, metricTenantLoads,
	metricFetches, metricFetchedAge, metricFetchedMissing,
	metricRangesAge, metricRangesHeld,
	metricReloads, metricPolicyLoaded, metricPolicyAge, metricPolicyStale,
	metricAnomalies, metricAnomaliesNow,
	metricTextBodies, metricRecordsDropped, metricRefusedConns, metricLimitsMet, metricPanics, metricBuildInfo,
}

// fact describes an attribute.
type fact struct {
	key attribute.Key
	// on says where it stands: s on spans, l on log records, e on events, o on log records
	// of what was left out.
	on    string
	about string
}

var attributes = []fact{
	{semconv.RPCSystemNameKey, "s", "`grpc`"},
	{semconv.RPCMethodKey, "s", "`" + rpcMethod + "`"},
	{semconv.RPCResponseStatusCodeKey, "s", "`OK`: a denial is an answer, and so is a fault of ours"},
	{semconv.HTTPRequestMethodKey, "sl", "method of the request, `_OTHER` if it is none of HTTP's"},
	{semconv.HTTPRequestMethodOriginalKey, "sl", "the method where that is `_OTHER`"},
	{semconv.URLPathKey, "sl", "path of the request without the query, which may hold secrets"},
	{semconv.ServerAddressKey, "sl", "host that the request names, without the port"},
	{semconv.ClientAddressKey, "sl", "address of the sender as `source` in the settings defines it; absent if there is none"},
	{semconv.HTTPResponseStatusCodeKey, "sl", "status that the sender gets from us; absent if the request is forwarded"},
	{semconv.ErrorTypeKey, "sl", "the reason where the service, a store or the deployment is at fault: status 503. The span's status is then Error, and unset otherwise"},
	{keyDecisionID, "sl", "the id that the sender, the upstream and Envoy's metadata get"},
	{keyVerdict, "slo", "`allow` or `deny`"},
	{keyReason, "slo", "[the reason](reasons.md)"},
	{keyWebhook, "slo", "name of the webhook; absent if none matched, as are the mode and the provider"},
	{keyMode, "slo", "`ENFORCE` or `SHADOW`"},
	{keyProvider, "sl", "the webhook's entry of the catalogue"},
	{keyTenant, "sl", "the `{tenant}` of the path"},
	{keyKeyID, "sl", "id of the secret that matched"},
	{keyRequestID, "sl", "`x-request-id`"},
	{keyEventID, "sl", "the provider's own id of the event or delivery, if there is one"},
	{keyEventIDUnsigned, "sl", "true where no signature covers that id"},
	{keyHandshake, "sl", "name of the [handshake](handshakes.md) that the request is, answered or refused; absent otherwise"},
	{keyTold, "sl", "where a person must go who wants what the handshake offers; absent otherwise"},
	{keyPolicyDigest, "sl", "digest of the policy that decided"},
	{keyBodySize, "sl", "bytes of the body that Envoy forwarded"},
	{keySkew, "sl", "our time minus the signed time in seconds, if the signature holds and there is one"},
	{keyChecks, "l", "list of the checks that ran, each with its reason: `signature ok`"},
	{keyRedeliver, "l", "of a copy that was refused: the ticket for `hookbastion redeliver`"},
	{keyDuration, "l", "seconds from the whole message to the answer"},
	{keyLeftOut, "o", "how many decisions have no log record of their own"},
	{keyFrom, "o", "time of the first of them; that of the log record is the last one's"},
	{keyBecause, "o", "`limit`: `records.denials_per_second`; `filter`: `records.leave_out`"},
	{keyCheckReason, "e", "the reason of the check: `ok`, or why it failed"},
	{keyCheckDuration, "e", "seconds that it took; the event's time is when it began"},
}

// recordFields are the fields of a decision record, in order.
var recordFields = []struct{ name, about string }{
	{"time", "the time that was decided by: RFC 3339, UTC, microseconds"},
	{"decision_id", "the id that the sender, the upstream and Envoy's metadata get"},
	{"trace_id", "the trace that Envoy says the call belongs to, sampled or not, or that of our own span; else empty"},
	{"request_id", "`x-request-id`"},
	{"event_id", "the provider's own id of the event or delivery, from the header that the [provider's page](providers/README.md) or `event_id` of the policy names; else absent"},
	{"event_id_unsigned", "`true` where no signature covers that id: whoever has seen a delivery could have changed it. Else absent"},
	{"webhook", "name of the webhook; empty if none matched"},
	{"tenant", "the `{tenant}` of the path"},
	{"provider", "the webhook's entry of the catalogue"},
	{"mode", "`ENFORCE` or `SHADOW`"},
	{"verdict", "`allow` or `deny`"},
	{"reason", "[the reason](reasons.md)"},
	{"status", "status of the answer to the sender; 200 if the request is forwarded"},
	{"key_id", "id of the secret that matched"},
	{"replay", "what the upstream is told of a delivery that may be a copy: `copy`, `possible` or `redelivered`; else absent"},
	{"unverified", "why the policy asks for no proof, where it asks for none and the request passed; else absent"},
	{"handshake", "name of the [handshake](handshakes.md) that the request is, answered or refused; else absent"},
	{"told", "where a person must go who wants what the handshake offers, as for Amazon SNS; else absent"},
	{"source", "address of the sender as `source` in the settings defines it"},
	{"method", "method of the request"},
	{"path", "path of the request without the query"},
	{"body_bytes", "bytes of the body that Envoy forwarded"},
	{"skew_ms", "our time minus the signed time; absent if there is none"},
	{"checks", "list of the checks that ran: `check` and its `reason`"},
	{"redeliver", "of a copy that was refused: by this, `hookbastion redeliver --record` lets the next one pass, once; else absent"},
	{"duration_us", "from the whole message to the answer"},
	{"policy_digest", "digest of the policy that decided"},
	{"replica", "the machine's name"},
}

// leftOutFields are the fields of a line that says what has no record, in order.
var leftOutFields = []struct{ name, about string }{
	{"time", "the time of the last of them"},
	{"left_out", "how many decisions have no record"},
	{"from", "the time of the first of them"},
	{"webhook", "name of the webhook; empty if none matched"},
	{"mode", "`ENFORCE` or `SHADOW`"},
	{"verdict", "`allow` or `deny`"},
	{"reason", "[the reason](reasons.md)"},
	{"because", "`limit`: `records.denials_per_second`; `filter`: `records.leave_out`; `slow`: the disk was full or too slow"},
	{"replica", "the machine's name"},
}
