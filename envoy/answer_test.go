package envoy_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/envoy"
)

func pipePeer() *authv3.AttributeContext_Peer {
	return &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: "/run/s"}}}}
}

func tcpPeer(address string) *authv3.AttributeContext_Peer {
	return &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{
		SocketAddress: &corev3.SocketAddress{Address: address, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 5555}},
	}}}
}

// checkRequest is what Envoy sends for a request with encode_raw_headers and
// pack_as_bytes.
func checkRequest(req *http.Request, body []byte, more http.Header) *authv3.CheckRequest {
	headers := &corev3.HeaderMap{}
	add := func(name, value string) {
		headers.Headers = append(headers.Headers, &corev3.HeaderValue{Key: strings.ToLower(name), RawValue: []byte(value)})
	}
	add(":authority", "hooks.example.com")
	add(":path", req.URL.Path)
	add(":method", req.Method)
	for _, h := range []http.Header{req.Header, more} {
		for name, values := range h {
			for _, v := range values {
				add(name, v)
			}
		}
	}
	add("content-length", fmt.Sprint(len(body)))
	add("x-envoy-auth-partial-body", "false")
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source: tcpPeer("198.51.100.7"),
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Id: "1", Method: req.Method, Path: req.URL.Path, Host: "hooks.example.com", Scheme: "https", Protocol: "HTTP/1.1",
			Size: int64(len(body)), HeaderMap: headers, RawBody: body,
		}},
	}}
}

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// decoded is a CheckResponse as Envoy understands it.
type decoded struct {
	allowed bool
	status  int
	set     map[string]string
	removed []string
	body    string
}

// decode fails on everything that an answer must not be or hold.
func decode(t testing.TB, encoded []byte) decoded {
	t.Helper()
	var response authv3.CheckResponse
	watchAnswer(encoded)
	if len(encoded) == 0 {
		t.Fatal("an empty answer is an allow")
	}
	if err := proto.Unmarshal(encoded, &response); err != nil {
		t.Fatal(err)
	}
	out := decoded{allowed: response.GetStatus().GetCode() == 0, set: map[string]string{}}
	var headers []*corev3.HeaderValueOption
	switch {
	case response.GetErrorResponse() != nil:
		t.Fatal("an error response")
	case out.allowed:
		if response.GetOkResponse() == nil {
			t.Fatalf("an allow that is none: %v", &response)
		}
		headers, out.removed = response.GetOkResponse().GetHeaders(), response.GetOkResponse().GetHeadersToRemove()
		if len(response.GetOkResponse().GetQueryParametersToSet())+len(response.GetOkResponse().GetResponseHeadersToAdd()) > 0 {
			t.Fatal("query parameters or response headers")
		}
	default:
		d := response.GetDeniedResponse()
		if out.status = int(d.GetStatus().GetCode()); out.status < 400 || out.status > 599 {
			t.Fatalf("a denial with status %d", out.status)
		}
		headers, out.body = d.GetHeaders(), d.GetBody()
	}
	for _, h := range headers {
		name, value := h.GetHeader().GetKey(), h.GetHeader().GetValue()
		if _, twice := out.set[name]; twice || h.Append != nil || //nolint:staticcheck // it must not be set
			len(h.GetHeader().GetRawValue()) > 0 || value == "" || !known(name, out.allowed) {
			t.Fatalf("header %q: %v", name, h)
		}
		if strings.ContainsAny(value, "\r\n\x00") {
			t.Fatalf("header %q: %q", name, value)
		}
		out.set[name] = value
	}
	for i, name := range out.removed {
		if _, both := out.set[name]; both || slices.Index(out.removed, name) != i && strings.HasPrefix(name, "x-hookbastion-") && known(name, true) {
			t.Fatalf("%q is set and removed, or removed twice", name)
		}
		plain := strings.ReplaceAll(name, "_", "-")
		if !strings.HasPrefix(plain, "x-hookbastion-") && !slices.Contains([]string{"x-envoy-auth-partial-body", "x-envoy-auth-failure-mode-allowed"}, name) {
			t.Fatalf("%q is removed", name)
		}
		if strings.ContainsAny(name, "\r\n\x00 :") {
			t.Fatalf("%q is removed", name)
		}
	}
	return out
}

var own = []string{envoy.HeaderVerified, envoy.HeaderDecisionID, envoy.HeaderWebhook, envoy.HeaderTenant, envoy.HeaderKeyID, envoy.HeaderReplay, envoy.HeaderAssertion}

func known(name string, allowed bool) bool {
	if allowed {
		return slices.Contains(own, name)
	}
	return slices.Contains([]string{"content-type", "cache-control", "retry-after", "allow", envoy.HeaderDecisionID}, name)
}

func service(table *authz.Table) *envoy.Service {
	return &envoy.Service{Source: fixed{table}, Mapping: envoy.Mapping{MaxRequestBytes: 8 << 20}}
}

// Every reason, alone, in shadow mode, allowed by mistake or not.
func TestNoAnswerIsEmpty(t *testing.T) {
	for i := range authz.ReasonCount + 1 {
		for _, shadow := range []bool{false, true} {
			reason := authz.Reason(i)
			table := authz.NewTable()
			table.Add(&authz.Webhook{Name: "hook", Shadow: shadow, Chain: authz.NewChain(misbehaving(func(call *authz.Call) authz.Reason {
				return reason
			}))}, authz.Match{Path: "/hook", Methods: []string{"POST"}})
			req, _ := http.NewRequest(http.MethodPost, "https://h/hook", nil)
			a := decode(t, service(table).Answer(context.Background(), marshal(t, checkRequest(req, nil, nil)), nil))
			if a.allowed != shadow {
				t.Errorf("%s without a proof, shadow %v: allowed %v", reason, shadow, a.allowed)
			}
			if a.allowed && (a.set[envoy.HeaderVerified] != "" || !slices.Contains(a.removed, envoy.HeaderVerified)) {
				t.Errorf("%s in shadow mode gives a verified header", reason)
			}
			refused := decode(t, service(table).Refuse(plainCall(), reason, nil))
			if refused.allowed {
				t.Errorf("refusing with %s allows", reason)
			}
		}
	}
	for _, bytes := range [][]byte{nil, {0xff}, []byte("\x0a\x00"), marshal(t, &authv3.CheckRequest{Attributes: &authv3.AttributeContext{}})} {
		if decode(t, service(policies(t)).Answer(context.Background(), bytes, nil)).allowed {
			t.Errorf("%x is allowed", bytes)
		}
	}
}

// FuzzAnswer: whatever a stranger writes into a request, the answer is well
// formed, and nothing without a signature is allowed.
func FuzzAnswer(f *testing.F) {
	f.Add("x-hookbastion-verified", "signature\r\nx-evil: 1", "a.example", "/github", "POST", []byte("body"))
	f.Add("x_hookbastion_\r\n", "\x00", "a,b", "/../github", "post", []byte(nil))
	f.Add("content-length", "99999999999999999999", "", "*", "", []byte("!"))
	f.Add("x-hub-signature-256", "sha256=00", "h", "/shadow", "POST", []byte("x"))
	f.Add("x-request-id", "é\xff", "h", "/open", "POST", []byte("x"))
	s := service(policies(f))
	f.Fuzz(func(t *testing.T, name, value, host, path, method string, body []byte) {
		req, _ := http.NewRequest(http.MethodPost, "https://h/github", nil)
		check := checkRequest(req, body, http.Header{})
		h := check.Attributes.Request.Http
		h.Host, h.Path, h.Method = strings.ToValidUTF8(host, ""), strings.ToValidUTF8(path, ""), strings.ToValidUTF8(method, "")
		h.HeaderMap.Headers = append(h.HeaderMap.Headers,
			&corev3.HeaderValue{Key: strings.ToValidUTF8(name, ""), RawValue: []byte(value)},
			&corev3.HeaderValue{Key: "x-hookbastion-" + strings.ToValidUTF8(name, ""), RawValue: []byte(value)})
		a := decode(t, s.Answer(context.Background(), marshal(t, check), nil))
		only, _, _ := strings.Cut(h.Path, "?")
		if a.allowed && only != "/open" && only != "/shadow" {
			t.Fatalf("allowed without a signature: %v", check)
		}
		if a.allowed {
			for _, header := range own {
				if (a.set[header] != "") == slices.Contains(a.removed, header) {
					t.Fatalf("%s is neither set nor removed, or both", header)
				}
			}
		}
	})
}

// FuzzCheckRequest: no bytes make the service fail, or let anything through.
func FuzzCheckRequest(f *testing.F) {
	table := policies(f)
	s := service(table)
	f.Add(marshal(f, checkRequest(signedAt(f, table, "github", "https://h", []byte("x"), time.Now()), []byte("y"), nil)))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, message []byte) {
		a := decode(t, s.Answer(context.Background(), message, nil))
		if a.allowed && !bytes.Contains(message, []byte("/open")) && !bytes.Contains(message, []byte("/shadow")) {
			t.Fatalf("allowed: %x", message)
		}
	})
}

// The seed of the last target must not be a valid delivery by accident.
func TestSignedMessageIsAllowed(t *testing.T) {
	table := policies(t)
	for webhook := range secrets {
		message := marshal(t, checkRequest(signedAt(t, table, webhook, "https://h", []byte("x"), time.Now()), []byte("x"), nil))
		if a := decode(t, service(table).Answer(context.Background(), message, nil)); !a.allowed {
			t.Errorf("%s: status %d", webhook, a.status)
		}
	}
}
