package envoy

import (
	"strconv"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/rpc/code"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/envoy/wire"
)

// Headers that the upstream gets. Whatever a sender puts there is removed.
const (
	headerPrefix     = "x-hookbastion-"
	HeaderVerified   = headerPrefix + "verified"
	HeaderDecisionID = headerPrefix + "decision-id"
	HeaderWebhook    = headerPrefix + "webhook"
	HeaderTenant     = headerPrefix + "tenant"
	HeaderKeyID      = headerPrefix + "key-id"
	HeaderReplay     = headerPrefix + "replay"
	HeaderAssertion  = headerPrefix + "assertion"
)

// Places of our headers in ownHeaders.
const (
	ownVerified = iota
	ownDecisionID
	ownWebhook
	ownTenant
	ownKeyID
	ownReplay
	ownAssertion
	ownCount
)

var ownHeaders = [ownCount]string{
	ownVerified: HeaderVerified, ownDecisionID: HeaderDecisionID, ownWebhook: HeaderWebhook, ownTenant: HeaderTenant,
	ownKeyID: HeaderKeyID, ownReplay: HeaderReplay, ownAssertion: HeaderAssertion,
}

// alwaysRemoved are marks of Envoy that reach the upstream as the sender wrote
// them.
var alwaysRemoved = []string{partialBody, "x-envoy-auth-failure-mode-allowed"}

// retryAfter is what a 503 advises, in seconds.
const retryAfter = "5"

// maxRemoved bounds the headers of a sender that are removed by name; a request
// with more is malformed. Envoy itself lets at most 100 headers through by
// default.
const maxRemoved = 256

// answerMemory is where the parts of an answer are put together.
type answerMemory struct {
	fields, metadata, body []byte
	short                  bool // metadata is
	asks                   bool // for an entry of the access log
}

// append appends the encoded CheckResponse of a decision. The answer is never
// empty and has its status and its response from one place: an empty message,
// or a denial without a code, is an allow for Envoy.
//
// settle is the value by which the access log can tell what became of the
// request; empty if nobody asks.
func (m *answerMemory) append(out []byte, req *authz.Request, d *authz.Decision, decisionID string, settle []byte) []byte {
	m.fields, m.metadata = m.fields[:0], m.metadata[:0]
	if !m.describe(d, decisionID, settle) {
		return append(out, fallback...)
	}
	if d.Forward() {
		m.forward(req, d, decisionID)
		return wire.AppendAllow(out, m.fields, m.metadata)
	}
	code := m.deny(d, decisionID)
	return wire.AppendDenial(out, code, m.fields, m.metadata)
}

// fallback is the answer where none could be made: 503 and nothing else.
var fallback = func() []byte {
	var m answerMemory
	code := m.deny(&authz.Decision{}, "")
	return wire.AppendDenial(nil, code, m.fields, nil)
}()

// removals are the names of our headers, ready to be removed.
var removals, marksRemoved = func() (own [len(ownHeaders)][]byte, marks []byte) {
	for i, name := range ownHeaders {
		own[i] = wire.AppendRemove(nil, name)
	}
	for _, name := range alwaysRemoved {
		marks = wire.AppendRemove(marks, name)
	}
	return own, marks
}()

// forward sets or removes every header that is ours, and never does both to
// one: Envoy would then remove it.
func (m *answerMemory) forward(req *authz.Request, d *authz.Decision, decisionID string) {
	var values [len(ownHeaders)]string
	values[ownDecisionID] = decisionID
	tenant := authz.View(nil)
	if d.Webhook != nil {
		values[ownWebhook] = d.Webhook.Name
		if d.Proof > authz.ProofNone && d.Verdict == authz.Allow && !d.Webhook.Shadow {
			values[ownVerified] = d.Proof.String()
			values[ownKeyID] = d.KeyID
			tenant = d.Tenant
			values[ownAssertion] = d.Assertion
		}
	}
	values[ownReplay] = d.Mark.String()
	m.fields = append(m.fields, marksRemoved...)
	for i, name := range ownHeaders {
		switch {
		case i == ownTenant && len(tenant) > 0 && isHeaderValue(tenant):
			m.fields = wire.AppendSet(m.fields, name, tenant)
		case values[i] != "" && isHeaderValue(values[i]):
			m.fields = wire.AppendSet(m.fields, name, values[i])
		default:
			m.fields = append(m.fields, removals[i]...)
		}
	}
	for i := range req.Headers {
		name := req.Headers[i].Name
		if ownHeader(name) && isHeaderName(name) && !isOwnExactly(name) {
			m.fields = wire.AppendRemove(m.fields, name)
		}
	}
}

func isOwnExactly(name []byte) bool {
	for _, own := range ownHeaders {
		if string(name) == own {
			return true
		}
	}
	return false
}

// Denial is what the sender of a request that is not forwarded gets.
type Denial struct {
	// Status is 400 to 599, 200 for a copy that is acknowledged, or 200 or 204 for a
	// handshake that is answered.
	Status  int
	Headers []DenialHeader
	Body    string
}

// DenialHeader is one header of a denial.
type DenialHeader struct{ Name, Value string }

// NewDenial returns what the sender gets of a decision that is not forwarded.
func NewDenial(decision *authz.Decision, decisionID string) Denial {
	d := Denial{Status: deniedStatus(decision)}
	eachDeniedHeader(decision, d.Status, decisionID, func(name, value string) {
		d.Headers = append(d.Headers, DenialHeader{name, value})
	})
	d.Body = string(appendDeniedBody(nil, decision, d.Status, decisionID))
	return d
}

// deniedStatus is 400 to 599, 200 for a copy that is acknowledged, or that of a
// handshake's answer. A status that is none of them becomes 503.
func deniedStatus(decision *authz.Decision) int {
	httpStatus := decision.Status()
	if decision.Answered() != nil {
		return httpStatus
	}
	if (httpStatus < 400 || httpStatus > 599) && !(httpStatus == 200 && decision.Acknowledged) {
		return 503
	}
	return httpStatus
}

// wished reports whether the provider's wishes for denials are heard: only
// where the fault is its own. After a 5xx it should retry.
func wished(decision *authz.Decision, httpStatus int) bool {
	return decision.Webhook != nil && httpStatus >= 400 && httpStatus < 500
}

// eachDeniedHeader calls set for every header of a denial. Nothing in them
// comes from the request, but for what a handshake asks for.
func eachDeniedHeader(decision *authz.Decision, httpStatus int, decisionID string, set func(name, value string)) {
	if answer := decision.Answered(); answer != nil {
		eachAnswerHeader(answer, decisionID, set)
		return
	}
	if !wished(decision, httpStatus) || !decision.Webhook.DeniedEmpty {
		set("content-type", "application/json")
	}
	set("cache-control", "no-store")
	if decisionID != "" {
		set(HeaderDecisionID, decisionID)
	}
	if httpStatus == 503 {
		set("retry-after", retryAfter)
	}
	if httpStatus == 405 && decision.AllowedMethods != "" && isHeaderValue(decision.AllowedMethods) {
		set("allow", decision.AllowedMethods)
	}
	if challenge := decision.Challenge(); httpStatus == 401 && isHeaderValue(challenge) && challenge != "" {
		set("www-authenticate", challenge)
	}
	if wished(decision, httpStatus) {
		for i := range decision.Webhook.DeniedHeaders {
			if h := &decision.Webhook.DeniedHeaders[i]; isHeaderName(h.Name) && isHeaderValue(h.Value) {
				set(string(h.Name), string(h.Value))
			}
		}
	}
}

// eachAnswerHeader calls set for every header of a handshake's answer. A browser takes it
// for nothing but text.
func eachAnswerHeader(answer *authz.Answer, decisionID string, set func(name, value string)) {
	if answer.Body != "" && isHeaderValue(answer.ContentType) && answer.ContentType != "" {
		set("content-type", answer.ContentType)
	}
	set("x-content-type-options", "nosniff")
	set("cache-control", "no-store")
	if decisionID != "" {
		set(HeaderDecisionID, decisionID)
	}
	for i := range answer.Headers {
		if h := &answer.Headers[i]; isHeaderName(h.Name) && isHeaderValue(h.Value) && len(h.Value) > 0 {
			set(string(h.Name), string(h.Value))
		}
	}
}

// appendDeniedBody appends the body of a denial, which tells a status and an id.
func appendDeniedBody(dst []byte, decision *authz.Decision, httpStatus int, decisionID string) []byte {
	if answer := decision.Answered(); answer != nil {
		if httpStatus == 204 {
			return dst
		}
		return append(dst, answer.Body...)
	}
	if wished(decision, httpStatus) && decision.Webhook.DeniedEmpty {
		return dst
	}
	dst = strconv.AppendInt(append(dst, `{"status":`...), int64(httpStatus), 10)
	dst = append(append(dst, `,"decision_id":"`...), decisionID...)
	return append(dst, "\"}\n"...)
}

// deny writes a denial and returns its gRPC code.
func (m *answerMemory) deny(decision *authz.Decision, decisionID string) int {
	httpStatus := deniedStatus(decision)
	m.fields = wire.AppendHTTPStatus(m.fields, httpStatus)
	eachDeniedHeader(decision, httpStatus, decisionID, func(name, value string) {
		m.fields = wire.AppendSet(m.fields, name, value)
	})
	m.body = appendDeniedBody(m.body[:0], decision, httpStatus, decisionID)
	m.fields = wire.AppendBody(m.fields, m.body)
	return int(rpcCode(httpStatus))
}

// rpcCode is what Envoy needs to see a denial: anything but OK.
func rpcCode(httpStatus int) code.Code {
	switch httpStatus {
	case 401:
		return code.Code_UNAUTHENTICATED
	case 503:
		return code.Code_UNAVAILABLE
	default:
		return code.Code_PERMISSION_DENIED
	}
}

// isHeaderValue keeps CR, LF, NUL and everything else that could split an
// answer out of it.
func isHeaderValue[T ~string | ~[]byte](value T) bool {
	for i := range len(value) {
		if value[i] < ' ' || value[i] > '~' {
			return false
		}
	}
	return len(value) <= 4096
}

// metadataSettle appears in no log or record of ours: who has it can settle one
// reservation.
const metadataSettle = "settle"

// metadataLog is there where an entry of the access log is asked for, though only failures
// are logged.
const metadataLog = "log"

// describe writes the metadata, which goes into Envoy's access log and span
// tags. It reports whether all of it is text, as Envoy asks of every string.
func (m *answerMemory) describe(d *authz.Decision, decisionID string, settle []byte) bool {
	m.metadata = wire.AppendText(m.metadata, "decision_id", decisionID)
	if len(settle) > 0 {
		m.metadata = wire.AppendText(m.metadata, metadataSettle, settle)
	}
	if m.asks {
		m.metadata = wire.AppendText(m.metadata, metadataLog, "always")
	}
	if m.short {
		return true
	}
	ok := utf8.ValidString(d.KeyID)
	m.metadata = wire.AppendText(m.metadata, "verdict", d.Verdict.String())
	m.metadata = wire.AppendText(m.metadata, "reason", d.Reason.String())
	if d.Webhook != nil {
		ok = ok && utf8.ValidString(d.Webhook.Name)
		m.metadata = wire.AppendText(m.metadata, "webhook", d.Webhook.Name)
	}
	if d.KeyID != "" {
		m.metadata = wire.AppendText(m.metadata, "key_id", d.KeyID)
	}
	return ok
}
