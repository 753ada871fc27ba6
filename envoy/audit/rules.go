package audit

import (
	"slices"

	"github.com/hookbastion/hookbastion/policy/finding"
)

// Rules returns all rules in the order of their ids.
func Rules() []finding.Rule { return slices.Clone(rules) }

// IsNotRead reports whether a finding says no more than that something was not read.
func IsNotRead(f finding.Finding) bool { return f.ID == notRead.ID }

var rules []finding.Rule

func rule(id string, severity finding.Severity, link, title, risk, fix string) finding.Rule {
	return ruleElse("", id, severity, link, title, risk, fix)
}

// ruleElse declares a rule of which some findings have another severity.
func ruleElse(other, id string, severity finding.Severity, link, title, risk, fix string) finding.Rule {
	r := finding.Rule{ID: id, Severity: severity, Else: other, Title: title, Risk: risk, Fix: fix, Link: link}
	rules = append(rules, r)
	return r
}

// What is asked, and when.
var (
	unreadable = rule("HE000", finding.Error, "envoy.md", "the file cannot be read",
		"Nothing is known of it.",
		"Give a file that Envoy reads: YAML or JSON.")
	noFilter = rule("HE001", finding.Error, "envoy.md#the-filter", "no external authorization filter asks Hookbastion",
		"Every request reaches the application unverified.",
		"Put envoy.filters.http.ext_authz first among the http_filters of the listener that receives webhooks.")
	httpService = rule("HE002", finding.Error, "envoy.md#the-filter", "the filter uses http_service",
		"Hookbastion speaks gRPC. Every check fails, and nothing passes.",
		"Use grpc_service with envoy_grpc.")
	failureModeAllow = rule("HE003", finding.Error, "envoy.md#the-filter", "failure_mode_allow is true",
		"Whenever the service cannot be asked, requests reach the application unverified.",
		"Remove failure_mode_allow and set status_on_error to ServiceUnavailable: senders retry.")
	shadowMode = rule("HE004", finding.Error, "envoy.md#the-filter", "shadow_mode is true",
		"Nothing is refused, and headers that a sender forged pass where the service would have refused.",
		"Remove shadow_mode. To try a policy out, set mode: SHADOW in the policy.")
	filterFraction = rule("HE005", finding.Error, "envoy.md#routes", "the filter does not run for every request",
		"What it does not run for is not verified, or is refused with deny_at_disable; to the application both kinds look alike.",
		"Remove filter_enabled and filter_enabled_metadata. To leave a route out, disable the filter on that route.")
	filterOff = rule("HE006", finding.Error, "envoy.md#routes", "the filter is disabled, and no route enables it",
		"Every request reaches the application unverified.",
		"Remove disabled from the filter.")
	filterOffByDefault = ruleElse("info while each route that there is is verified", "HE007", finding.Warning, "envoy.md#routes", "the filter is disabled except on routes that enable it",
		"A route that somebody adds is not verified.",
		"Remove disabled from the filter, and disable it on the routes that need no verification.")
	askedTwice = rule("HE008", finding.Warning, "envoy.md#routes", "the service is asked twice for one request",
		"Each request costs two checks. The second passes only because it looks like Envoy's repetition of the first.",
		"Keep one of the filters.")
	otherName = rule("HE009", finding.Warning, "envoy.md#routes", "settings of a route stand under a name that no filter has",
		"Envoy ignores them: what they switch off is on, and context extensions do not arrive.",
		"Use the name of the entry in http_filters as the key.")
	bypass = rule("HE010", finding.Error, "envoy.md#routes", "what gets verified webhooks is also reached without verification",
		"Requests through this listener are not verified, and their x-hookbastion headers are whatever the sender wrote.",
		"Ask Hookbastion here too, or remove x-hookbastion-verified with request_headers_to_remove.")
	unverifiedRoute = ruleElse("warning where no verified webhook goes", "HE011", finding.Error, "envoy.md#routes", "the filter is disabled on a route, and forged headers pass",
		"The application sees x-hookbastion-verified as the sender wrote it.",
		"Add the x-hookbastion headers to request_headers_to_remove of the route.")
	notRead = rule("HE012", finding.Error, "envoy.md", "not read",
		"Nothing is known of it, neither whether requests reach the application unverified nor whether valid deliveries are refused.",
		"Give Envoy's bootstrap, or what a running Envoy answers at /config_dump, which has what a control plane has sent.")
	otherService = rule("HE013", finding.Warning, "envoy.md#the-filter", "no filter asks a cluster with hookbastion in its name, and those that ask another are judged",
		"If another service is asked, no delivery is verified, whatever else stands here.",
		"Say with --cluster which one is Hookbastion's, or name the cluster so.")
	routedLate = rule("HE014", finding.Error, "envoy.md#requests-without-a-route", "a request that no route matches skips the filter, and a later filter routes it",
		"Envoy does not ask where no route is chosen yet. A filter behind that changes the request and has the route chosen anew lets it reach the application unverified.",
		"Add a last route to each virtual host, and a virtual host for all others: {match: {prefix: /}, direct_response: {status: 404}}. Every request then has a route, and is verified first.")
	movedLate = rule("HE015", finding.Error, "envoy.md#requests-without-a-route", "a later filter moves requests from a route that is not verified to one that keeps forged headers",
		"The filter does not run a second time. The request reaches the application unverified, with x-hookbastion-verified as the sender wrote it.",
		"Put the filter that changes requests before the external authorization filter, or remove the x-hookbastion headers early: early_header_mutation_extensions.")
	upgradeBypass = rule("HE016", finding.Error, "envoy.md#routes", "an upgrade has filters of its own, and none asks Hookbastion",
		"A request with that Upgrade header reaches the application unverified.",
		"Put the external authorization filter first among the filters of upgrade_configs too, or remove them.")
	routeElsewhere = rule("HE017", finding.Error, "envoy.md#routes", "a route asks another service than Hookbastion",
		"What the other service lets pass reaches the application unverified, with x-hookbastion headers that the sender wrote.",
		"Remove grpc_service from the check_settings of the route.")
	matchedAway = rule("HE018", finding.Error, "envoy.md#the-filter", "the filter stands behind a matcher that leaves requests out",
		"Requests that are left out reach the application unverified.",
		"Take the filter out of ExtensionWithMatcher or the composite filter. To leave a route out, disable the filter on that route.")
	rawBypass = rule("HE019", finding.Error, "envoy.md#routes", "a listener passes bytes to the application as they come",
		"tcp_proxy asks nobody. Whoever reaches the listener reaches the application unverified.",
		"Remove the listener, or have it end at the listener that asks Hookbastion.")
)

// The body.
var (
	noBody = rule("HE020", finding.Error, "envoy.md#the-filter", "with_request_body is missing",
		"The service gets no body. Signatures over the body cannot be verified: body_not_forwarded.",
		"Set with_request_body with max_request_bytes, allow_partial_message: false and pack_as_bytes: true in the filter.")
	textBody = rule("HE021", finding.Error, "envoy.md#the-filter", "pack_as_bytes is not true",
		"Envoy replaces every byte that is not UTF-8 with \"!\". Deliveries that hold such a byte, or a \"!\", are refused: body_altered.",
		"Set pack_as_bytes: true in with_request_body of the filter.")
	packPerRoute = rule("HE022", finding.Warning, "envoy.md#the-filter", "pack_as_bytes of a route is ignored",
		"Envoy looks only at the filter's own pack_as_bytes. The body arrives otherwise than the route says.",
		"Set pack_as_bytes in the filter.")
	partialBody = rule("HE023", finding.Error, "envoy.md#the-filter", "allow_partial_message is true",
		"Envoy may ask with the first part of a body and forward all of it. Longer deliveries are refused with 503 in place of 413, "+
			"and where the limit is below envoy.max_request_bytes a stranger may append to a delivery that fills it exactly.",
		"Set allow_partial_message: false and max_request_bytes to the longest delivery.")
	limitAbove = rule("HE024", finding.Error, "envoy.md#the-filter", "max_request_bytes is above the setting envoy.max_request_bytes",
		"Deliveries between the two are refused, or do not fit into the service's receive limit and get status_on_error, each time they are sent.",
		"Give both the same value.")
	limitBelow = ruleElse("error below 64 KiB", "HE025", finding.Warning, "envoy.md#the-filter", "max_request_bytes is below the setting envoy.max_request_bytes",
		"Envoy refuses with 413 what the policies allow, and the service cannot tell a full buffer from a whole body.",
		"Give both the same value.")
	bufferLimit = rule("HE026", finding.Warning, "envoy.md#the-filter", "per_connection_buffer_limit_bytes is below max_request_bytes where partial messages are allowed",
		"Over HTTP/1.1 Envoy refuses longer bodies with 413 before the filter sees them.",
		"Set allow_partial_message: false; the filter then raises the limit itself.")
	bodyOffOnRoute = rule("HE027", finding.Error, "envoy.md#routes", "a route does not forward bodies to the service",
		"Signatures over the body cannot be verified on it: body_not_forwarded.",
		"Remove disable_request_body_buffering, unless nothing on this route signs its body.")
	noDuration = rule("HE028", finding.Warning, "envoy.md#the-filter", "Envoy does not say when a request has ended",
		"Requests without a body and without Content-Length, as GET and DELETE mostly come, cannot be told from those whose body is not forwarded: body_not_forwarded.",
		"Add {key: x-hookbastion-request-duration, value: \"%REQUEST_DURATION%\"} to initial_metadata of grpc_service.")
	durationForged = rule("HE029", finding.Error, "envoy.md#the-filter", "x-hookbastion-request-duration is not Envoy's own word",
		"It says of each request that it has ended, or what the sender says: where a body is not forwarded, one that nobody signed passes behind a signature over nothing.",
		"Set its value to \"%REQUEST_DURATION%\".")
)

// What stands elsewhere.
var (
	routesElsewhere = rule("HE085", finding.Warning, "envoy.md", "no file that was given has the routes of this listener",
		"Whether requests reach the application unverified is not known.",
		"Give the files with the routes as well, or what a running Envoy answers at /config_dump.")
)

// What is cut off before the service sees it.
var (
	signatureCut = rule("HE086", finding.Error, "envoy.md#the-filter", "a header that verification needs is removed or written over before the service sees it",
		"Deliveries are refused because the service does not see what was sent.",
		"Leave signature headers out of header mutations, or put them behind the external authorization filter.")
	continueAway = rule("HE087", finding.Error, "envoy.md#the-filter", "proxy_100_continue is true",
		"Envoy leaves it to the application to answer Expect: 100-continue, and the filter waits for the body first. Senders that wait for the answer wait until they give up.",
		"Remove proxy_100_continue: Envoy then answers by itself.")
	portCut = rule("HE088", finding.Error, "envoy.md#the-filter", "the port is taken off the host before the service sees it",
		"Providers that sign the URL sign its port: their deliveries are refused where it is not the usual one.",
		"Remove it, and match virtual hosts with ignore_port_in_host_matching. Or give such webhooks a public_url.")
	underscores = rule("HE089", finding.Warning, "envoy.md#the-filter", "headers with an underscore are dropped, or their requests refused",
		"A delivery of a provider that sends such a header is refused with 400, or arrives without it, before the service is asked.",
		"Set headers_with_underscores_action to ALLOW.")
)

// What control planes leave open.
var (
	unattached = rule("HE091", finding.Warning, "envoy.md#other-control-planes", "nothing removes the service's headers before a policy is attached",
		"Between a route and its SecurityPolicy, or while one is replaced, requests pass unverified with x-hookbastion headers that the sender wrote.",
		"Remove the x-hookbastion headers in headers: {earlyRequestHeaders: {remove: [...]}} of a ClientTrafficPolicy for the Gateway.")
)

// Headers.
var (
	joinedHeaders = rule("HE030", finding.Warning, "envoy.md#the-filter", "encode_raw_headers is not true",
		"Headers that were sent twice arrive joined with a comma, and bytes that are not UTF-8 as \"!\": a doubled signature header looks like one.",
		"Set encode_raw_headers: true.")
	headersCut = rule("HE031", finding.Error, "envoy.md#the-filter", "allowed_headers or disallowed_headers cuts headers that verification needs",
		"Deliveries are refused because the service does not see what was sent.",
		"Remove allowed_headers and disallowed_headers: without them all headers go to the service.")
	headersChosen = rule("HE032", finding.Info, "envoy.md#the-filter", "allowed_headers passes only some providers' headers",
		"A policy for another provider refuses all its deliveries.",
		"Remove allowed_headers, or add the headers of each provider that you use.")
	mutationRules = rule("HE033", finding.Error, "envoy.md#the-filter", "decoder_header_mutation_rules keeps the service from setting its headers",
		"Envoy drops the service's headers and removals silently and lets the request pass with the headers that the sender forged.",
		"Allow them: allow_expression with the regex x-hookbastion-.* , and no disallow_expression that matches them.")
	ownHeaderRemoved = rule("HE034", finding.Warning, "envoy.md#routes", "a verified route removes the headers that the service sets",
		"Routes remove headers after the filter has run: the application never learns that a delivery was verified.",
		"Remove x-hookbastion headers only on routes where the filter is disabled.")
	noMutationCheck = rule("HE035", finding.Warning, "envoy.md#the-filter", "validate_mutations is not true",
		"Envoy writes header values into answers unchecked. The service checks them; Envoy would be the second line.",
		"Set validate_mutations: true.")
	ingestionOff = rule("HE036", finding.Warning, "envoy.md#the-filter", "enable_dynamic_metadata_ingestion is false",
		"The decision id and the reason do not reach Envoy's access log and spans, and the service never learns what became of a delivery.",
		"Remove it.")
)

// The call of the service.
var (
	statusOnError = rule("HE040", finding.Warning, "envoy.md#the-filter", "status_on_error does not make senders retry",
		"While the service is away, senders take the answer for a refusal, do not retry, or switch the endpoint off. Or they take it for a success.",
		"Set status_on_error: {code: ServiceUnavailable}.")
	callTimeout = rule("HE041", finding.Warning, "envoy.md#the-filter", "the timeout of grpc_service is missing or out of range",
		"Without one Envoy gives up after 200 ms; with a long one or 0s, senders give up first and a service that hangs holds every request.",
		"Set timeout to 1s; 0.2s to 5s is sensible.")
	retryCut = rule("HE042", finding.Warning, "envoy.md#the-filter", "max_interval of the retry_policy cuts each attempt",
		"max_interval acts as the timeout of each attempt, also where nothing is retried: checks end long before the timeout of grpc_service.",
		"Set retry_back_off.max_interval to at least the timeout of grpc_service.")
	retryNothing = rule("HE043", finding.Info, "envoy.md#the-filter", "the retry_policy of grpc_service names nothing to retry on",
		"No check is ever repeated.",
		"Set retry_on, for example unavailable,reset,connect-failure, or remove retry_policy.")
	googleGRPC = rule("HE044", finding.Warning, "envoy.md#the-way-to-the-service", "the filter uses google_grpc",
		"A call takes 70 % more processor time than over envoy_grpc, there is no cluster to look at, and Envoy does not retry it.",
		"Use envoy_grpc with a cluster.")
	noCluster = rule("HE045", finding.Error, "envoy.md#the-way-to-the-service", "the cluster that the filter asks does not exist",
		"Every check fails, and nothing passes. Envoy starts all the same.",
		"Add the cluster, or mend its name.")
	notHTTP2 = rule("HE046", finding.Error, "envoy.md#the-way-to-the-service", "the service's cluster does not speak HTTP/2",
		"gRPC needs HTTP/2. Every check fails, and nothing passes.",
		"Set explicit_http_config: {http2_protocol_options: {}} in typed_extension_protocol_options of the cluster.")
	unverifiedServer = rule("HE047", finding.Error, "envoy.md#the-way-to-the-service", "Envoy does not verify the service's certificate",
		"Without a validation_context TLS accepts every certificate. Whoever answers at the address decides what passes.",
		"Set validation_context with trusted_ca and match_typed_subject_alt_names.")
	unnamedServer = rule("HE090", finding.Error, "envoy.md#the-way-to-the-service", "any certificate of an authority counts as the service's",
		"Whoever gets a certificate from the same authority, for any name, can answer in the service's place and decide what passes.",
		"Set match_typed_subject_alt_names beside trusted_ca, or auto_sni_san_validation.")
	oldTLS = rule("HE092", finding.Warning, "transport.md#envoy-to-the-service", "Envoy speaks at most TLS 1.2 to the service, whose default is 1.3",
		"Unless the service takes 1.2, no connection comes about: every check fails, and nothing passes.",
		"Set tls_params: {tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_3} in common_tls_context, or grpc.tls.min_version: TLSV1_2 in the settings.")
	plainText = rule("HE048", finding.Error, "envoy.md#the-way-to-the-service", "Envoy asks the service in plain text beyond this machine",
		"Whoever is on the way reads the deliveries and can answer in the service's place.",
		"Run the service beside Envoy, on loopback or a Unix socket, or use TLS with certificates on both sides.")
)

// How it is compressed.
var (
	compressedCalls = rule("HE049", finding.Error, "envoy.md#the-way-to-the-service", "Envoy compresses what it sends to the service",
		"The service takes no compressed messages: each check is answered with 503, call_unreadable, and an access log settles nothing.",
		"Remove grpc.default_compression_algorithm, grpc.default_compression_level and grpc-internal-encoding-request from google_grpc, and the compressor from the http_filters of the cluster.")
)

// Addresses and paths.
var (
	hopsNotAppended = rule("HE050", finding.Error, "envoy.md#whose-address-it-is", "source.trusted_hops or trusted_cidrs reads an X-Forwarded-For that Envoy does not append to",
		"The service takes an address that the sender wrote into X-Forwarded-For.",
		"Set use_remote_address: true and remove skip_xff_append, or leave both settings out.")
	hopsDiffer = rule("HE051", finding.Warning, "envoy.md#whose-address-it-is", "xff_num_trusted_hops and source.trusted_hops differ",
		"Envoy and the service take different addresses for the sender's: address lists match a proxy, or an address that the sender wrote.",
		"Give both the number of trusted proxies in front of Envoy.")
	notEdge = rule("HE052", finding.Warning, "envoy.md#whose-address-it-is", "use_remote_address is not true",
		"Envoy keeps what senders write into X-Forwarded-For, X-Forwarded-Proto, X-Request-Id and x-envoy headers.",
		"Set use_remote_address: true where senders or a load balancer connect to Envoy.")
	unverifiedClient = rule("HE053", finding.Error, "transport.md#the-sender-to-envoy", "client certificates are asked for but not verified",
		"Envoy accepts every certificate, also one that a sender made, and names its subject to the service.",
		"Set validation_context with trusted_ca, and remove trust_chain_verification: ACCEPT_UNTRUSTED.")
	pathRedirect = rule("HE054", finding.Warning, "policy.md#match", "paths with encoded slashes are answered with a redirect",
		"Senders of webhooks do not follow redirects. The delivery is lost before it is checked.",
		"Set path_with_escaped_slashes_action to KEEP_UNCHANGED or REJECT_REQUEST.")
	pathChanged = rule("HE055", finding.Info, "policy.md#match", "Envoy changes the path before the service sees it",
		"Schemes that sign the URL fail for paths that are changed.",
		"Keep it if no provider signs the URL. The service matches no odd path by itself.")
	requestID = rule("HE056", finding.Info, "envoy.md#whose-address-it-is", "x-request-id is what the sender wrote",
		"It ties records to nothing, and is no key to search with.",
		"Remove preserve_external_request_id and generate_request_id: false.")
)

// What else runs.
var (
	bodyChanged = rule("HE060", finding.Error, "envoy.md#the-filter", "a filter before the service changes the body",
		"The signature covers other bytes than the service sees. Valid deliveries are refused.",
		"Put the external authorization filter before it.")
	mayChange = rule("HE061", finding.Warning, "envoy.md#the-filter", "a filter before the service may change the request",
		"What it changes in body, path or headers is not what was signed.",
		"Put the external authorization filter before it, unless it leaves signed parts alone.")
	bufferBefore = ruleElse("error where its limit is below 64 KiB", "HE062", finding.Info, "envoy.md#the-filter", "the buffer filter runs before the service",
		"It adds a content-length to each body and has a limit of its own, which answers 413.",
		"Keep its limit at or above max_request_bytes, or remove it: the service's filter buffers.")
	internalRedirect = rule("HE063", finding.Warning, "envoy.md#routes", "a route follows redirects of the application",
		"The redirected request is checked again and refused: as replayed, or because a redirect with 302 makes it a GET.",
		"Remove internal_redirect_policy from routes that receive webhooks.")
	routerRetry = rule("HE064", finding.Info, "envoy.md#routes", "a route repeats requests to the application",
		"The service is asked once, and the application may get the same delivery several times.",
		"Make the application take a delivery id twice without harm, or retry on connect-failure and refused-stream alone.")
	localReply = rule("HE065", finding.Warning, "envoy.md#routes", "local_reply_config rewrites answers",
		"The service's denials are local replies: senders may get another status or body than the one their provider expects.",
		"Narrow its mappers to replies without the response flag UAEX, and leave out body_format on the whole.")
	clearsRoute = rule("HE066", finding.Info, "envoy.md#routes", "clear_route_cache is true",
		"After an allow Envoy picks the route anew. It may be one that other filters treat otherwise.",
		"Remove it, unless a route matches the service's headers.")
	noAccessLog = rule("HE067", finding.Info, "records.md#the-decision-id-in-envoys-access-log", "there is no access log",
		"A decision cannot be tied to what the application answered.",
		"Log %DYNAMIC_METADATA(envoy.filters.http.ext_authz:decision_id)% with code and response flags.")
	forcedTracing = rule("HE068", finding.Info, "telemetry.md#tracing-in-envoy", "senders can force tracing",
		"A request with x-client-trace-id is traced whatever the sampling rate.",
		"Set client_sampling: {value: 0} in tracing.")
	openAdmin = rule("HE069", finding.Warning, "envoy.md", "the admin interface listens beyond this machine",
		"Whoever reaches it can stop Envoy, read its configuration, and raise the log level to one that prints bodies and answers.",
		"Bind it to 127.0.0.1 or a Unix socket.")
)

// What the settings and the policies rest on.
var (
	noSettleLog = rule("HE070", finding.Warning, "replay.md#envoys-side", "no access log goes to the service over gRPC",
		"The service never learns what became of a delivery: one that the application failed is refused when it comes again with the same bytes, at least until its lease ends.",
		"Add envoy.access_loggers.http_grpc with the cluster of the filter to access_log, or set replay.access_log: false.")
	unreadSettleLog = rule("HE093", finding.Warning, "replay.md#one-line-for-each-entry", "the OpenTelemetry access log to the service has another line than it reads",
		"The service drops the entries, and never learns what became of a delivery.",
		"Set body: {string_value: ...} to the line that docs/replay.md shows, byte by byte.")
	lateSettleLog = rule("HE071", finding.Warning, "replay.md#envoys-side", "the access log to the service waits for longer than 100 ms",
		"A retry that comes at once overtakes it and is answered with 503. What waits when Envoy stops is lost.",
		"Set buffer_size_bytes: 16384 and buffer_flush_interval: 0.05s in common_config.")
	filteredSettleLog = rule("HE072", finding.Warning, "replay.md#envoys-side", "a filter keeps entries of the access log from the service",
		"What became of those deliveries is not known, or that the access log is lost is not seen.",
		"Remove the filter, or let it look at the metadata of the external authorization filter alone. For replay.access_log: FAILURES take the filter of docs/replay.md.")
	noTLSSession = rule("HE073", finding.Error, "transport.md#the-sender-to-envoy", "include_tls_session is not true, and policies require TLS",
		"Nothing proves TLS, and each of their deliveries is refused: tls_required.",
		"Set include_tls_session: true in the filter, or the setting envoy.edge where Envoy is the edge.")
	noPeerCertificate = rule("HE074", finding.Error, "transport.md#the-sender-to-envoy", "include_peer_certificate is not true, and policies ask for a fingerprint or an authority",
		"The service does not get the certificate, and each of their deliveries is refused: client_certificate.",
		"Set include_peer_certificate: true in the filter.")
	notAsked = rule("HE075", finding.Error, "transport.md#the-sender-to-envoy", "policies require client certificates, and the listener asks for none",
		"Senders show none, and each of their deliveries is refused: client_certificate.",
		"Set validation_context with trusted_ca in the DownstreamTlsContext, and require_client_certificate unless other senders have none.")
	notForwarded = rule("HE076", finding.Error, "transport.md#the-sender-to-envoy", "the proxy's x-forwarded-client-cert does not reach the service as it is",
		"Policies require client certificates, and Envoy removes the header or adds the proxy's own to it: each of their deliveries is refused.",
		"Set forward_client_cert_details: ALWAYS_FORWARD_ONLY, and let nobody but the proxy reach Envoy.")
	noEdge = rule("HE077", finding.Error, "transport.md#the-sender-to-envoy", "the setting envoy.edge is true, and Envoy is not the edge",
		"Envoy keeps the x-forwarded-proto that the sender wrote, which then proves TLS to the service.",
		"Set use_remote_address: true and xff_num_trusted_hops: 0, or remove envoy.edge.")
	versionForged = rule("HE078", finding.Error, "transport.md#the-sender-to-envoy", "Envoy does not write the header of the setting envoy.tls_version_header",
		"The service takes the TLS version that the sender wrote.",
		"Add it to early_header_mutation_extensions with %DOWNSTREAM_TLS_VERSION% and OVERWRITE_IF_EXISTS_OR_ADD.")
	decompressed = rule("HE079", finding.Error, "envoy.md#compressed-bodies", "a decompressor runs before the service, and the setting envoy.decompressed is not true",
		"Envoy counts the bytes that came, not those of the body: each compressed delivery is refused with body_truncated.",
		"Set envoy.decompressed: true where senders sign before they compress, or else put the external authorization filter first.")
	noDecompressor = rule("HE080", finding.Error, "envoy.md#compressed-bodies", "the setting envoy.decompressed is true, and no decompressor runs before the service",
		"Compressed deliveries that were signed before are refused: signature_invalid. And the service leaves out a check of whether it sees the whole body.",
		"Put envoy.filters.http.decompressor before the external authorization filter, or remove envoy.decompressed.")
	wideRoute = rule("HE081", finding.Error, "envoy.md#routes", "a route names a webhook with extension_only and matches more than one exact path",
		"The webhook takes any path: senders choose one, and the application runs what stands there for a delivery that was signed for something else.",
		"Match path, with case_sensitive, in place of prefix, path_separated_prefix or safe_regex, or give the webhook a path in its policy.")
	trailersPass = rule("HE082", finding.Warning, "envoy.md#trailers", "trailers of requests reach an application, and none are removed",
		"The service never sees trailers. A sender can name one x-hookbastion-verified or x-hookbastion-assertion, and an application that reads trailers as it reads headers takes the sender's word.",
		"Add envoy.filters.http.header_mutation behind the external authorization filter, with request_trailers_mutations whose remove_on_match has the regex x[-_]hookbastion[-_].*.")
	manyConnections = rule("HE083", finding.Warning, "envoy.md#the-way-to-the-service", "the service's cluster needs many connections",
		"Calls share no writes and reads: each takes 15 to 25 % more processor time, and limits.connections of the service may not be enough.",
		"Leave max_concurrent_streams and max_requests_per_connection of the cluster out, or set them to 1000 or more.")
	uselessWork = rule("HE084", finding.Info, "envoy.md#what-it-costs", "Envoy does for each check what nobody needs",
		"It takes some processor time: headers of the call that the service does not read, and counts of denials as answers of the application.",
		"Set skip_envoy_headers: true in envoy_grpc, and charge_cluster_response_stats: false in the filter.")
)
