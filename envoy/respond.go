package envoy

import (
	"strconv"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/hookbastion/hookbastion/authz"
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

var ownHeaders = []string{HeaderVerified, HeaderDecisionID, HeaderWebhook, HeaderTenant, HeaderKeyID, HeaderReplay, HeaderAssertion}

// alwaysRemoved are marks of Envoy that reach the upstream as the sender wrote
// them.
var alwaysRemoved = []string{partialBody, "x-envoy-auth-failure-mode-allowed"}

// retryAfter is what a 503 advises, in seconds.
const retryAfter = "5"

// maxRemoved bounds the headers of a sender that are removed by name; a request
// with more is malformed. Envoy itself lets at most 100 headers through by
// default.
const maxRemoved = 256

// appendAnswer appends the encoded CheckResponse of a decision. The answer is
// never empty and has its status and its response from one place: an empty
// message, or a denial without a code, is an allow for Envoy.
func appendAnswer(out []byte, req *authz.Request, d *authz.Decision, decisionID string) []byte {
	var response *authv3.CheckResponse
	if d.Forward() {
		response = forwarded(req, d, decisionID)
	} else {
		response = denied(d, decisionID)
	}
	response.DynamicMetadata = metadata(d, decisionID)
	encoded, err := proto.MarshalOptions{}.MarshalAppend(out, response)
	if err != nil || len(encoded) == len(out) {
		return append(out, fallback...)
	}
	return encoded
}

// fallback is the answer where none could be made: 503 and nothing else.
var fallback = func() []byte {
	encoded, err := proto.Marshal(denied(&authz.Decision{}, ""))
	if err != nil || len(encoded) == 0 {
		panic("the fallback answer cannot be encoded")
	}
	return encoded
}()

// forwarded sets or removes every header that is ours, and never does both to
// one: Envoy would then remove it.
func forwarded(req *authz.Request, d *authz.Decision, decisionID string) *authv3.CheckResponse {
	values := map[string]string{HeaderDecisionID: decisionID}
	if d.Webhook != nil {
		values[HeaderWebhook] = d.Webhook.Name
		if d.Proof > authz.ProofNone && d.Verdict == authz.Allow && !d.Webhook.Shadow {
			values[HeaderVerified] = d.Proof.String()
			values[HeaderKeyID] = d.KeyID
			values[HeaderTenant] = string(d.Tenant)
			values[HeaderAssertion] = d.Assertion
		}
	}
	if d.Mark == authz.MarkCopy {
		values[HeaderReplay] = "copy"
	}
	ok := &authv3.OkHttpResponse{HeadersToRemove: alwaysRemoved[:len(alwaysRemoved):len(alwaysRemoved)]}
	for _, name := range ownHeaders {
		if value := values[name]; value != "" && isHeaderValue(value) {
			ok.Headers = append(ok.Headers, header(name, value))
		} else {
			ok.HeadersToRemove = append(ok.HeadersToRemove, name)
		}
	}
	for i := range req.Headers {
		name := req.Headers[i].Name
		if ownHeader(name) && isHeaderName(name) && !isOwnExactly(name) {
			ok.HeadersToRemove = append(ok.HeadersToRemove, string(name))
		}
	}
	return &authv3.CheckResponse{
		Status:       &status.Status{Code: int32(code.Code_OK)},
		HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: ok},
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
	// Status is 400 to 599.
	Status  int
	Headers []DenialHeader
	Body    string
}

// DenialHeader is one header of a denial.
type DenialHeader struct{ Name, Value string }

// NewDenial is the only maker of denials. A status that is none becomes 503.
// Nothing in it comes from the request. What a provider wants to hear, it hears
// only where the fault is its own: after a 5xx it should retry.
func NewDenial(decision *authz.Decision, decisionID string) Denial {
	httpStatus := decision.Status()
	if httpStatus < 400 || httpStatus > 599 {
		httpStatus = 503
	}
	d := Denial{
		Status:  httpStatus,
		Headers: []DenialHeader{{"content-type", "application/json"}, {"cache-control", "no-store"}},
		Body:    `{"status":` + strconv.Itoa(httpStatus) + `,"decision_id":"` + decisionID + `"}` + "\n",
	}
	if decisionID != "" {
		d.Headers = append(d.Headers, DenialHeader{HeaderDecisionID, decisionID})
	}
	if httpStatus == 503 {
		d.Headers = append(d.Headers, DenialHeader{"retry-after", retryAfter})
	}
	if httpStatus == 405 && decision.AllowedMethods != "" && isHeaderValue(decision.AllowedMethods) {
		d.Headers = append(d.Headers, DenialHeader{"allow", decision.AllowedMethods})
	}
	if decision.Webhook == nil || httpStatus >= 500 {
		return d
	}
	if decision.Webhook.DeniedEmpty {
		d.Body, d.Headers = "", d.Headers[1:] // without its content-type
	}
	for _, h := range decision.Webhook.DeniedHeaders {
		if isHeaderName(h.Name) && isHeaderValue(string(h.Value)) {
			d.Headers = append(d.Headers, DenialHeader{string(h.Name), string(h.Value)})
		}
	}
	return d
}

func denied(decision *authz.Decision, decisionID string) *authv3.CheckResponse {
	d := NewDenial(decision, decisionID)
	response := &authv3.DeniedHttpResponse{
		Status: &typev3.HttpStatus{Code: typev3.StatusCode(d.Status)},
		Body:   d.Body,
	}
	for _, h := range d.Headers {
		response.Headers = append(response.Headers, header(h.Name, h.Value))
	}
	return &authv3.CheckResponse{
		Status:       &status.Status{Code: int32(rpcCode(d.Status))},
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: response},
	}
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

// header replaces what is there, in every version of Envoy: append_action says
// so, and the older append is left unset.
func header(name, value string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: name, Value: value},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}

// isHeaderValue keeps CR, LF, NUL and everything else that could split an
// answer out of it.
func isHeaderValue(value string) bool {
	for i := range len(value) {
		if value[i] < ' ' || value[i] > '~' {
			return false
		}
	}
	return len(value) <= 4096
}

// metadata goes into Envoy's access log and span tags.
func metadata(d *authz.Decision, decisionID string) *structpb.Struct {
	fields := map[string]*structpb.Value{
		"decision_id": structpb.NewStringValue(decisionID),
		"verdict":     structpb.NewStringValue(d.Verdict.String()),
		"reason":      structpb.NewStringValue(d.Reason.String()),
	}
	if d.Webhook != nil {
		fields["webhook"] = structpb.NewStringValue(d.Webhook.Name)
	}
	if d.KeyID != "" {
		fields["key_id"] = structpb.NewStringValue(d.KeyID)
	}
	return &structpb.Struct{Fields: fields}
}
