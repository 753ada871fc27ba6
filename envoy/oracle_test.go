package envoy

import (
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/hookbastion/hookbastion/authz"
)

// The slow and obvious way of what request.go and respond.go do: a message that
// the generated code has decoded, and an answer that it will encode.

// readDecoded maps a decoded message of a call.
func (p *Mapping) readDecoded(call Caller, check *authv3.CheckRequest) *authz.Request {
	http := check.GetAttributes().GetRequest().GetHttp()
	if http == nil {
		return &authz.Request{Malformed: true}
	}
	req := &authz.Request{
		Method: authz.View(http.GetMethod()), Host: authz.View(http.GetHost()), Path: authz.View(http.GetPath()),
		Scheme:  authz.View(http.GetScheme()),
		Webhook: authz.View(check.GetAttributes().GetContextExtensions()[WebhookExtension]),
	}
	for _, h := range http.GetHeaderMap().GetHeaders() {
		value := h.GetRawValue()
		if len(value) == 0 {
			value = []byte(h.GetValue())
		}
		req.Headers = append(req.Headers, authz.Header{Name: authz.View(strings.ToLower(h.GetKey())), Value: value})
	}
	if len(req.Headers) == 0 {
		for name, value := range http.GetHeaders() {
			req.Headers = append(req.Headers, authz.Header{Name: authz.View(strings.ToLower(name)), Value: authz.View(value)})
		}
	}
	req.Malformed = len(req.Method) == 0 || !strings.HasPrefix(http.GetPath(), "/") || !removable(req.Headers)
	p.readDecodedBody(call, http, req)
	req.RequestID, _ = req.Headers.Lookup("x-request-id")
	address := check.GetAttributes().GetSource().GetAddress().GetSocketAddress().GetAddress()
	peer, err := netip.ParseAddr(address)
	if err != nil {
		peer = netip.Addr{}
	}
	req.Source = p.Source.Resolve(peer, req.Headers)
	p.readTransport(req, peer, peerFacts{
		serverName:  authz.View(check.GetAttributes().GetTlsSession().GetSni()),
		principal:   authz.View(check.GetAttributes().GetSource().GetPrincipal()),
		certificate: authz.View(check.GetAttributes().GetSource().GetCertificate()),
	})
	return req
}

func (p *Mapping) readDecodedBody(call Caller, http *authv3.AttributeContext_HttpRequest, req *authz.Request) {
	body, text := http.GetRawBody(), http.GetBody()
	if text != "" {
		req.Malformed = req.Malformed || len(body) > 0
		body = []byte(text)
	}
	if len(body) > 0 {
		req.Body.Segments = [][]byte{body}
	}
	length, hasLength, ok := contentLength(req.Headers)
	if !ok {
		req.Malformed = true
		return
	}
	got := int64(len(body))
	size := p.counted(req.Headers, http.GetSize(), hasLength)
	req.Body.Size = max(size, length, got)
	req.Body.State = p.bodyState(call, req.Headers, got, size, length, hasLength)
	if text != "" && req.Body.State == authz.BodyWhole && p.altered([][]byte{[]byte(text)}) {
		req.Body.State = authz.BodyChanged
	}
}

// built is the answer as a message.
func built(req *authz.Request, d *authz.Decision, decisionID, settle string) *authv3.CheckResponse {
	response := builtDenial(d, decisionID)
	if d.Forward() {
		response = builtAllow(req, d, decisionID)
	}
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
	if settle != "" {
		fields["settle"] = structpb.NewStringValue(settle)
	}
	response.DynamicMetadata = &structpb.Struct{Fields: fields}
	if !utf8.ValidString(d.KeyID) || d.Webhook != nil && !utf8.ValidString(d.Webhook.Name) {
		return builtDenial(&authz.Decision{}, "") // it could not be encoded
	}
	return response
}

func builtAllow(req *authz.Request, d *authz.Decision, decisionID string) *authv3.CheckResponse {
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
	values[HeaderReplay] = map[authz.Mark]string{authz.MarkCopy: "copy", authz.MarkPossible: "possible", authz.MarkRedelivered: "redelivered"}[d.Mark]
	ok := &authv3.OkHttpResponse{HeadersToRemove: slices.Clone(alwaysRemoved)}
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

func builtDenial(decision *authz.Decision, decisionID string) *authv3.CheckResponse {
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

// header replaces what is there, in every version of Envoy: append_action says
// so, and the older append is left unset.
func header(name, value string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: name, Value: value},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}
