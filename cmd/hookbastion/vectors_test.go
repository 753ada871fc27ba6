package main

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
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/policy/provider"
)

type vector struct {
	ID               string            `json:"id"`
	Source           string            `json:"source"`
	Origin           string            `json:"origin"`
	Note             string            `json:"note"`
	Provider         string            `json:"provider"`
	Scheme           string            `json:"scheme"`
	Keys             []vectorKey       `json:"keys"`
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

	file string
}

// vectorKey is a key that the receiver holds.
type vectorKey struct {
	Kid   string `json:"kid"`
	Type  string `json:"type"`
	Value string `json:"value"`
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
		authz.TokenExpired:       "expired",
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
		for i := range list {
			list[i].file = name
		}
		all = append(all, list...)
	}
	return all
}

// vectorsDir has the vectors of the catalogue.
const vectorsDir = "../../policy/provider/vectors"

// TestVectors judges requests with known answers as a user would: by a policy
// file, through the command explain and through the service.
func TestVectors(t *testing.T) {
	dirs := []string{vectorsDir}
	if extra := os.Getenv("HOOKBASTION_VECTORS"); extra != "" {
		dirs = append(dirs, extra)
	}
	for _, dir := range dirs {
		for _, v := range readVectors(t, dir) {
			t.Run(v.ID, func(t *testing.T) {
				if v.Provider == "rfc9530" {
					v.judgeDigest(t)
				} else {
					v.judge(t)
				}
			})
		}
	}
}

// Every vector of a provider stands in the file of its name, with an id of its own.
func TestVectorsHaveTheirPlace(t *testing.T) {
	seen, verdicts := map[string]bool{}, map[string]int{}
	for _, v := range readVectors(t, vectorsDir) {
		if seen[v.ID] {
			t.Errorf("two vectors %s", v.ID)
		}
		seen[v.ID] = true
		verdicts[v.Provider+" "+v.Expect]++
		if v.Source == "" || v.ID == "" {
			t.Errorf("%s: %s has no id or no source", v.file, v.ID)
		}
		if filepath.Base(v.file) != v.Provider+".json" {
			t.Errorf("%s: %s is of %s", v.file, v.ID, v.Provider)
		}
		if v.Scheme != "" && v.scheme(t) != v.Scheme {
			t.Errorf("%s: %s has a scheme %s, which the entry has not", v.file, v.ID, v.Scheme)
		}
	}
	names, err := provider.Names()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if verdicts[name+" accept"] == 0 || verdicts[name+" reject"] == 0 {
			t.Errorf("%s needs a vector that is accepted and one that is not", name)
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
	dir := t.TempDir()
	v.signText(t)
	v.writePolicy(t, dir, target)
	e := v.explain(t, dir, target)
	if e == nil {
		return // an empty secret, which no policy may have
	}
	if e.Verdict != want.String() {
		t.Errorf("explain says %s: %s, want %s (%s)", e.Verdict, e.Reason, v.Expect, v.Note)
	}
	table, err := (&cli.Policies{Paths: []string{dir}}).Table() // with an empty store
	if err != nil {
		t.Fatal(err)
	}
	if served := v.serve(t, table, target); served != want {
		t.Errorf("the service says %s, want %s (%s)", served, v.Expect, v.Note)
	}
	if v.RejectReason == "" {
		return
	}
	if truer, ok := truerReasons[v.ID]; ok && e.Reason == truer.String() {
		return
	}
	if reason, ok := reasonOf[v.RejectReason]; !ok || e.Reason != reason.String() {
		t.Errorf("reason %s, want that of %s", e.Reason, v.RejectReason)
	}
}

// now is the time at which the request is judged.
func (v *vector) now() time.Time { return time.Unix(v.TimestampNow, 0) }

// verdict is what the test reads of explain --output json.
type verdict struct{ Verdict, Reason string }

// explain runs the command. It returns nil if the policy is refused for an
// empty secret, which counts as a rejection.
func (v *vector) explain(t *testing.T, dir string, target *url.URL) *verdict {
	t.Helper()
	var raw, out, problems bytes.Buffer
	fmt.Fprintf(&raw, "%s %s HTTP/1.1\r\nHost: %s\r\n", v.Method, target.RequestURI(), target.Host)
	for _, h := range v.Headers {
		if !strings.EqualFold(h[0], "host") {
			fmt.Fprintf(&raw, "%s: %s\r\n", h[0], h[1])
		}
	}
	raw.WriteString("\r\n" + v.Body)
	cmd := newRoot()
	cmd.SetArgs([]string{"explain", "--policy", dir, "--now", strconv.FormatInt(v.TimestampNow, 10), "--output", "json", "-"})
	cmd.SetIn(&raw)
	cmd.SetOut(&out)
	cmd.SetErr(&problems)
	code := cli.Finish(&problems, cmd.Execute())
	if code == cli.Invalid && v.Expect == "reject" && strings.Contains(problems.String(), "the secret is empty") {
		return nil
	}
	var e verdict
	if err := json.Unmarshal(out.Bytes(), &e); err != nil {
		t.Fatalf("%v; %s", err, problems.String())
	}
	return &e
}

func (v *vector) writePolicy(t *testing.T, dir string, target *url.URL) {
	t.Helper()
	hook := map[string]any{
		"name":       "vector",
		"match":      map[string]any{"path": pathOf(target), "methods": []string{v.Method}},
		"public_url": strings.TrimSuffix(v.URL, target.RequestURI()),
		"provider":   v.entry(),
	}
	if target.Path == "" {
		hook["public_url"] = v.URL
	}
	if scheme := v.scheme(t); scheme != "" {
		hook["provider_scheme"] = scheme
	}
	if v.token() {
		v.tokenScheme(t, hook)
	}
	if v.Provider == "rfc9421" || v.Provider == "cavage" {
		delete(hook, "provider")
		hook["scheme"] = map[string]any{"http_signature": v.httpSignature(t)}
	}
	for key, value := range v.Policy {
		if v.token() && tokenFields[key] != nil {
			continue
		}
		field, ok := policyFields[key]
		if !ok {
			t.Fatalf("no test knows the policy %s", key)
		}
		if field != nil {
			field(hook, value)
		}
	}
	var secrets []map[string]any
	for i, key := range v.Keys {
		name := fmt.Sprintf("key-%d", i)
		secret := map[string]any{"file": name}
		switch {
		case key.Kid == "":
		case ids.MatchString(key.Kid):
			secret["id"] = key.Kid
		default:
			secret["kid"] = key.Kid
		}
		switch key.Type {
		case "secret-as-issued", "whpk", "ed25519-hex", "ed25519-base64", "ecdsa-spki-base64":
		case "rsa-public-pem", "ecdsa-public-pem", "ed25519-public-pem", "x509-pem":
			secret["format"] = "PEM"
		case "jwk":
			secret["format"] = "JWK"
		case "jwks":
			secret["format"] = "JWKS"
		case "secret-utf8":
			secret["format"] = "TEXT"
		case "secret-base64", "x509-root-der-base64":
			secret["format"] = "BASE64"
		default:
			t.Fatalf("no test knows a key of type %q", key.Type)
		}
		if v.Provider == "cavage" {
			secret["allow_weak"] = map[string]any{"reason": "the draft has a key of 1024 bits"}
		}
		write(t, filepath.Join(dir, name), key.Value)
		secrets = append(secrets, secret)
	}
	hook["secrets"] = secrets
	text, err := yaml.Marshal(map[string]any{"webhooks": []any{hook}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "policy.yaml"), string(text))
}

// pathOf is the path that a client sends.
func pathOf(target *url.URL) string {
	path, _, _ := strings.Cut(target.RequestURI(), "?")
	return path
}

// serve gives the request to the service as Envoy would.
func (v *vector) serve(t *testing.T, table *authz.Table, target *url.URL) authz.Verdict {
	t.Helper()
	headers := &corev3.HeaderMap{}
	add := func(name, value string) {
		headers.Headers = append(headers.Headers, &corev3.HeaderValue{Key: strings.ToLower(name), RawValue: []byte(value)})
	}
	for _, h := range v.Headers {
		if !strings.EqualFold(h[0], "host") && !strings.EqualFold(h[0], "content-length") {
			add(h[0], h[1])
		}
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
		Source: constant{table}, Mapping: envoy.Mapping{MaxRequestBytes: 1 << 20}, Now: v.now,
	}
	var response authv3.CheckResponse
	if err := proto.Unmarshal(service.Answer(context.Background(), message, nil), &response); err != nil {
		t.Fatal(err)
	}
	answered := response.GetDeniedResponse().GetStatus().GetCode() // a handshake
	if response.GetStatus().GetCode() == 0 || answered >= 200 && answered < 300 {
		return authz.Allow
	}
	return authz.Deny
}

type constant struct{ table *authz.Table }

func (c constant) Table() *authz.Table { return c.table }

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
