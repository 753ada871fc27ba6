package policy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/policy"
)

type vector struct {
	ID       string `json:"id"`
	Source   string `json:"source"`
	Origin   string `json:"origin"`
	Note     string `json:"note"`
	Provider string `json:"provider"`
	Scheme   string `json:"scheme"`
	Keys     []struct {
		Kid   string `json:"kid"`
		Type  string `json:"type"`
		Value string `json:"value"`
	} `json:"keys"`
	Method           string            `json:"method"`
	URL              string            `json:"url"`
	Headers          [][2]string       `json:"headers"`
	Body             string            `json:"body"`
	Policy           map[string]any    `json:"policy"`
	TimestampNow     int64             `json:"timestamp_now"`
	Expect           string            `json:"expect"`
	RejectReason     string            `json:"reject_reason"`
	SignedString     string            `json:"signed_string"`
	ExpectedResponse map[string]string `json:"expected_response"`
}

// reasonOf maps the words of the vectors to ours.
var reasonOf = map[string]authz.Reason{}

func init() {
	for reason, words := range map[authz.Reason]string{
		authz.SignatureInvalid: "bad_signature digest_mismatch no_matching_signature unknown_key untrusted_key_url " +
			"alg_not_allowed weak_algorithm weak_digest insufficient_coverage ambiguous_component forbidden_component " +
			"tag_mismatch unsupported_crit qsh_mismatch",
		authz.SignatureMalformed: "malformed_signature malformed_signature_input duplicate_header",
		authz.SignatureMissing:   "missing_header missing_component missing_key",
		authz.TokenMissing:       "missing_token",
		authz.TokenInvalid:       "wrong_claim missing_claim wrong_audience wrong_issuer wrong_recipient wrong_client_state",
		authz.TimestampTooOld:    "too_old",
		authz.TimestampInFuture:  "in_future",
		authz.TimestampMalformed: "malformed_timestamp",
	} {
		for word := range strings.FieldsSeq(words) {
			reasonOf[word] = reason
		}
	}
}

func readVectors(t *testing.T, dir string) []vector {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors in %s, error %v", dir, err)
	}
	var all []vector
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.DisallowUnknownFields()
		var list []vector
		if err := decoder.Decode(&list); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(list) == 0 {
			t.Fatalf("%s is empty", name)
		}
		all = append(all, list...)
	}
	return all
}

func TestVectors(t *testing.T) {
	dirs := []string{"provider/vectors"}
	if extra := os.Getenv("HOOKBASTION_VECTORS"); extra != "" {
		dirs = append(dirs, extra)
	}
	for _, dir := range dirs {
		for _, v := range readVectors(t, dir) {
			t.Run(v.ID, func(t *testing.T) { v.judge(t) })
		}
	}
}

// judge writes a policy file as a user would and decides the request by it.
func (v *vector) judge(t *testing.T) {
	want, ok := map[string]authz.Verdict{"accept": authz.Allow, "reject": authz.Deny}[v.Expect]
	if !ok {
		t.Fatalf("expect is %q", v.Expect)
	}
	target, err := url.Parse(v.URL)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(v.TimestampNow, 0)
	table, err := v.compile(t, target)
	if err != nil {
		if want == authz.Deny && strings.Contains(err.Error(), "the secret is empty") {
			return
		}
		t.Fatal(err)
	}
	var d authz.Decision
	table.Decide(context.Background(), v.request(target), now, &d)
	if d.Verdict != want {
		t.Errorf("%s: %s, want %s (%s)", d.Verdict, d.Reason, v.Expect, v.Note)
	}
	if table, err = v.compile(t, target); err != nil { // with an empty store
		t.Fatal(err)
	}
	if served := v.serve(t, table, target, now); served != want {
		t.Errorf("the service says %s, want %s (%s)", served, v.Expect, v.Note)
	}
	if v.RejectReason == "" {
		return
	}
	if reason, ok := reasonOf[v.RejectReason]; !ok || d.Reason != reason {
		t.Errorf("reason %s, want that of %s", d.Reason, v.RejectReason)
	}
}

func (v *vector) compile(t *testing.T, target *url.URL) (*authz.Table, error) {
	t.Helper()
	dir := t.TempDir()
	hook := map[string]any{
		"name":       "vector",
		"match":      map[string]any{"path": pathOf(target), "methods": []string{v.Method}},
		"public_url": strings.TrimSuffix(v.URL, target.RequestURI()),
		"provider":   v.Provider,
	}
	if target.Path == "" {
		hook["public_url"] = v.URL
	}
	if v.Scheme != "" {
		hook["provider_scheme"] = v.Scheme
	}
	freshness := map[string]any{}
	for key, value := range v.Policy {
		switch key {
		case "tolerance_seconds", "max_age_seconds":
			freshness["tolerance"] = fmt.Sprintf("%vs", value)
		case "future_skew_seconds":
			freshness["future"] = fmt.Sprintf("%vs", value)
		default:
			t.Fatalf("no test knows the policy %s", key)
		}
	}
	if len(freshness) > 0 {
		hook["freshness"] = freshness
	}
	var secrets []map[string]any
	for i, key := range v.Keys {
		secret := map[string]any{"file": fmt.Sprintf("key-%d", i)}
		switch key.Type {
		case "secret-as-issued":
		case "secret-utf8":
			secret["format"] = "TEXT"
		case "secret-base64":
			secret["format"] = "BASE64"
		default:
			t.Fatalf("no test knows a key of type %q", key.Type)
		}
		write(t, filepath.Join(dir, fmt.Sprintf("key-%d", i)), key.Value)
		secrets = append(secrets, secret)
	}
	hook["secrets"] = secrets
	text, err := yaml.Marshal(map[string]any{"webhooks": []any{hook}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "policy.yaml"), string(text))
	return compile(dir)
}

// pathOf is the path that a client sends.
func pathOf(target *url.URL) string {
	path, _, _ := strings.Cut(target.RequestURI(), "?")
	return path
}

func (v *vector) request(target *url.URL) *authz.Request {
	req := &authz.Request{
		Method: authz.View(v.Method), Host: authz.View(target.Host), Path: authz.View(target.RequestURI()),
		Body: authz.Body{State: authz.BodyWhole, Segments: [][]byte{[]byte(v.Body)}},
	}
	for _, h := range v.Headers {
		req.Headers = append(req.Headers, authz.Header{Name: authz.View(strings.ToLower(h[0])), Value: authz.View(h[1])})
	}
	return req
}

// serve gives the request to the service as Envoy would.
func (v *vector) serve(t *testing.T, table *authz.Table, target *url.URL, now time.Time) authz.Verdict {
	t.Helper()
	headers := &corev3.HeaderMap{}
	add := func(name, value string) {
		headers.Headers = append(headers.Headers, &corev3.HeaderValue{Key: strings.ToLower(name), RawValue: []byte(value)})
	}
	for _, h := range v.Headers {
		add(h[0], h[1])
	}
	add("content-length", strconv.Itoa(len(v.Body)))
	add("x-envoy-auth-partial-body", "false")
	message, err := proto.Marshal(&authv3.CheckRequest{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{
		Http: &authv3.AttributeContext_HttpRequest{
			Method: v.Method, Host: target.Host, Path: target.RequestURI(), Scheme: "https",
			HeaderMap: headers, RawBody: []byte(v.Body), Size: int64(len(v.Body)),
		},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	service := &envoy.Service{
		Source: constant{table}, Mapping: envoy.Mapping{MaxRequestBytes: 1 << 20}, Now: func() time.Time { return now },
	}
	var response authv3.CheckResponse
	if err := proto.Unmarshal(service.Answer(context.Background(), message, nil), &response); err != nil {
		t.Fatal(err)
	}
	if response.GetStatus().GetCode() == 0 {
		return authz.Allow
	}
	return authz.Deny
}

type constant struct{ table *authz.Table }

func (c constant) Table() *authz.Table { return c.table }

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// compile loads and compiles what is in the directories, with an empty store
// that has no start guard.
func compile(paths ...string) (*authz.Table, error) {
	set, _ := policy.Load(paths...) // Compile reports what is wrong with both
	return policy.Compile(set, deps())
}

func deps() policy.Deps {
	return policy.Deps{
		Store:         replay.NewMemory(replay.MemoryConfig{MaxEntries: 1000}),
		Fingerprinter: authz.NewFingerprinter(authz.FingerprintKey{}),
		MaxBodyBytes:  1 << 20,
	}
}
