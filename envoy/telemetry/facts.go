package telemetry

import (
	"net"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/hookbastion/hookbastion/authz"
)

// SchemaURL names the conventions that the attributes follow.
const SchemaURL = semconv.SchemaURL

// SpanName is the name of the span of a check, and the beginning of the names
// of its events.
const SpanName = "hookbastion.check"

// logEvent is the name of a decision's log record.
const logEvent = "hookbastion.decision"

// rpcMethod is what Envoy calls.
const rpcMethod = "envoy.service.auth.v3.Authorization/Check"

// Attribute keys of our own. Those of OpenTelemetry's conventions come from
// their package.
const (
	keyDecisionID      = attribute.Key("hookbastion.decision_id")
	keyWebhook         = attribute.Key("hookbastion.webhook")
	keyTenant          = attribute.Key("hookbastion.tenant")
	keyProvider        = attribute.Key("hookbastion.provider")
	keyMode            = attribute.Key("hookbastion.mode")
	keyVerdict         = attribute.Key("hookbastion.verdict")
	keyReason          = attribute.Key("hookbastion.reason")
	keyKeyID           = attribute.Key("hookbastion.key_id")
	keyRequestID       = attribute.Key("hookbastion.request_id")
	keyEventID         = attribute.Key("hookbastion.event_id")
	keyEventIDUnsigned = attribute.Key("hookbastion.event_id.unsigned")
	keyHandshake       = attribute.Key("hookbastion.handshake")
	keyTold            = attribute.Key("hookbastion.handshake.told")
	keyPolicyDigest    = attribute.Key("hookbastion.policy_digest")
	keyBodySize        = attribute.Key("hookbastion.body.size")
	keySkew            = attribute.Key("hookbastion.clock.skew")
	keyChecks          = attribute.Key("hookbastion.checks")
	keyRedeliver       = attribute.Key("hookbastion.redeliver")
	keyDuration        = attribute.Key("hookbastion.decision.duration")
	keyLeftOut         = attribute.Key("hookbastion.left_out")
	keyFrom            = attribute.Key("hookbastion.from")
	keyBecause         = attribute.Key("hookbastion.because")
	keyCheckReason     = attribute.Key("hookbastion.check.reason")
	keyCheckDuration   = attribute.Key("hookbastion.check.duration")
)

// methods are those that the conventions know.
var methods = []string{"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}

// faults are the reasons for which the service, its stores or its deployment is
// to blame, and not the sender: those with a status of 503.
var faults = func() (faults [authz.ReasonCount]bool) {
	for i := range faults {
		d := authz.Decision{Reason: authz.Reason(i)}
		faults[i] = !d.Reason.Allows() && d.Status() == 503
	}
	return faults
}()

func isFault(r authz.Reason) bool { return int(r) >= len(faults) || faults[r] }

// facts returns what is known of a decision, as a span and a log record have
// it. Every text is a copy.
func facts(e *Event, digest string) []attribute.KeyValue {
	d, req := e.Decision, e.Request
	all := make([]attribute.KeyValue, 0, 24)
	if method := string(req.Method); slices.Contains(methods, method) {
		all = append(all, semconv.HTTPRequestMethodKey.String(method))
	} else if method != "" {
		all = append(all, semconv.HTTPRequestMethodOther, semconv.HTTPRequestMethodOriginal(plain(method)))
	}
	if len(req.Path) > 0 {
		all = append(all, semconv.URLPath(plain(req.PathOnly())))
	}
	if len(req.Host) > 0 {
		all = append(all, semconv.ServerAddress(plain(hostname(string(req.Host)))))
	}
	if req.Source.IsValid() {
		all = append(all, semconv.ClientAddress(req.Source.String()))
	}
	if !d.Forward() {
		all = append(all, semconv.HTTPResponseStatusCode(d.Status()))
	}
	if isFault(d.Reason) {
		all = append(all, semconv.ErrorTypeKey.String(d.Reason.String()))
	}
	all = append(all, keyDecisionID.String(e.DecisionID), keyVerdict.String(d.Verdict.String()), keyReason.String(d.Reason.String()))
	name, provider, mode := webhookOf(d)
	if name != "" {
		all = append(all, keyWebhook.String(name), keyMode.String(mode))
	}
	if provider != "" {
		all = append(all, keyProvider.String(provider))
	}
	if len(d.Tenant) > 0 {
		all = append(all, keyTenant.String(plain(d.Tenant)))
	}
	if d.KeyID != "" {
		all = append(all, keyKeyID.String(plain(d.KeyID)))
	}
	if len(req.RequestID) > 0 {
		all = append(all, keyRequestID.String(plain(req.RequestID)))
	}
	if id, signed := d.EventID(req); len(id) > 0 {
		all = append(all, keyEventID.String(plain(id)))
		if !signed {
			all = append(all, keyEventIDUnsigned.Bool(true))
		}
	}
	if d.Handshake != "" {
		all = append(all, keyHandshake.String(d.Handshake))
	}
	if told := d.Told(); told != "" {
		all = append(all, keyTold.String(told))
	}
	if digest != "" {
		all = append(all, keyPolicyDigest.String(digest))
	}
	if !d.SignedTime.IsZero() {
		all = append(all, keySkew.Float64(e.Time.Sub(d.SignedTime).Seconds()))
	}
	return append(all, keyBodySize.Int(req.Body.Len()))
}

// webhookOf names the webhook of a decision, if one matched.
func webhookOf(d *authz.Decision) (name, provider, mode string) {
	mode = "ENFORCE"
	if d.Webhook == nil {
		return "", "", mode
	}
	if d.Webhook.Shadow {
		mode = "SHADOW"
	}
	return d.Webhook.Name, d.Webhook.Provider, mode
}

// hostname is the host without its port.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return host
}
