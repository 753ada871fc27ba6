package provider_test

import (
	"context"
	"encoding/pem"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/verification"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// scheme is one scheme of the catalogue with a policy that uses it.
type scheme struct {
	provider string
	named    *policyv1.NamedScheme
	denied   int
	dir      string
	deps     policy.Deps
	table    *authz.Table
	// parameters are the provider's, of its examples.
	parameters string
}

var now = time.Unix(1_800_000_000, 0)

// eachScheme runs a test for every scheme of every provider.
func eachScheme(t *testing.T, test func(t *testing.T, s *scheme)) {
	t.Helper()
	ran, providers := 0, 0
	for name, p := range entries(t) {
		providers++
		for _, named := range p.GetSchemes() {
			ran++
			t.Run(name+"/"+named.GetName(), func(t *testing.T) {
				s := &scheme{provider: name, named: named, denied: int(p.GetDeniedStatus()), dir: t.TempDir(), parameters: examples(p, named.GetScheme())}
				s.load(t)
				test(t, s)
			})
		}
	}
	if ran < providers {
		t.Errorf("%d schemes of %d providers", ran, providers)
	}
}

// entries are all of the catalogue by their names, in order.
func entries(t testing.TB) iter.Seq2[string, *policyv1.Provider] {
	t.Helper()
	names, err := provider.Names()
	if err != nil {
		t.Fatal(err)
	}
	return func(yield func(string, *policyv1.Provider) bool) {
		for _, name := range names {
			p, err := provider.Get(name)
			if err != nil {
				t.Fatal(err)
			}
			if !yield(name, p) {
				return
			}
		}
	}
}

// load compiles two webhooks: a with the secret, b with another one.
func (s *scheme) load(t *testing.T) {
	t.Helper()
	const hook = "  - {name: %s, match: {path: '/%s/{x}', methods: [POST, PUT]}, provider: %s, provider_scheme: %s, secrets: [{id: key-1, file: %[1]s}]%[5]s}\n"
	text := "webhooks:\n"
	for i, name := range []string{"a", "b"} {
		text += fmt.Sprintf(hook, name, name, s.provider, s.named.GetName(), s.parameters)
		s.write(t, name, s.secret(i))
	}
	s.write(t, "policy.yaml", text)
	s.deps = policy.Deps{
		Store:         memory.New(memory.Config{MaxEntries: 1000}),
		Fingerprinter: authz.NewFingerprinter(authz.FingerprintKey{}), MaxBodyBytes: 1 << 20,
	}
	s.table = s.compile(t)
}

func (s *scheme) write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// compile loads the policy once more, as another replica does that shares the
// nonces.
func (s *scheme) compile(t testing.TB) *authz.Table {
	t.Helper()
	set, err := policy.Load(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	table, err := policy.Compile(set, s.deps)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// secret is one of two secrets of a form that the scheme reads: text, base64
// and hexadecimal at once unless it needs a prefix.
func (s *scheme) secret(n int) string {
	switch private := s.private(n); {
	case s.jws().GetX5C() != nil:
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: chains[n]()[2]}))
	case private != nil:
		return publicPEM(private)
	}
	text := strings.Repeat(fmt.Sprintf("%d5365637265745365", n+1), 4)[:64]
	for _, prefix := range slices.Backward(s.hmac().GetKeyPrefixes()) {
		text = prefix + text
	}
	if s.token().GetBasic() != nil {
		text = "user:" + text
	}
	return text
}

func (s *scheme) hmac() *policyv1.Hmac         { return s.named.GetScheme().GetHmac() }
func (s *scheme) content() policyv1.Signed     { return s.named.GetScheme().Signed() }
func (s *scheme) jws() *policyv1.Jws           { return s.named.GetScheme().GetJws() }
func (s *scheme) code() policyv1.Code_Name     { return s.named.GetScheme().GetCode().GetName() }
func (s *scheme) token() *policyv1.SharedToken { return s.named.GetScheme().GetSharedToken() }

// timed reports whether the scheme has a signed time, and its bounds.
func (s *scheme) timed() (tolerance, future time.Duration, ok bool) {
	tolerance, future = verification.DefaultTolerance, verification.DefaultFuture
	if s.jws() != nil {
		return tolerance, future, s.jws().GetTime() != "" || s.jws().GetDetached().GetTimestamp() != nil
	}
	stamp, ok := s.named.GetScheme().Stamp()
	if !ok {
		return tolerance, future, false
	}
	if stamp.GetTolerance() != nil {
		tolerance = stamp.GetTolerance().AsDuration()
	}
	if stamp.GetFuture() != nil {
		future = stamp.GetFuture().AsDuration()
	}
	return tolerance, future, true
}

// signsComponent reports whether an HTTP message's signature must cover one of those.
func (s *scheme) signsComponent(names ...string) bool {
	h := s.named.GetScheme().GetHttpSignature()
	return slices.ContainsFunc(append(slices.Clone(h.GetRequired()), h.GetRequiredIfPresent()...), func(name string) bool { return slices.Contains(names, name) })
}

// signs reports whether a part of some kind is signed.
func (s *scheme) signs(is func(*policyv1.Part) bool) bool {
	for _, part := range s.content().GetContent() {
		if is(part) {
			return true
		}
	}
	return false
}

// open reports whether query and form are signed with nothing that tells them
// apart, since the policy does not pin the query.
func (s *scheme) open() bool { return provider.NeedsPin(s.content()) }

// covers reports what of a request the proof covers.
func (s *scheme) covers() (body, path, query, method bool) {
	url := func(p *policyv1.Part) bool { return p.GetUrl() != nil || p.GetPath() != nil }
	queried := func(p *policyv1.Part) bool {
		return p.GetUrl() != nil && !p.GetUrl().GetWithoutQuery() || p.GetPath() != nil && !p.GetPath().GetWithoutQuery() ||
			p.GetSortedQuery() != nil || p.GetCode() != 0
	}
	coded := func(code policyv1.Part_CodePart) bool {
		return s.signs(func(p *policyv1.Part) bool { return p.GetCode() == code })
	}
	whole := coded(policyv1.Part_PLIVO_V3) || coded(policyv1.Part_CONTENTFUL) || s.jws().GetUrl() != nil || s.jws().GetQueryHash() || s.jws().GetDetached().GetRequestLine()
	body = s.named.GetScheme().SignsContent() && !s.content().GetBodyUnsigned() || s.jws() != nil && s.jws().CoversBody() || s.code() == policyv1.Code_BRAINTREE
	path = s.signs(url) || whole || s.jws().GetAudienceUrl()
	query = s.signs(queried) || whole
	method = s.signs(func(p *policyv1.Part) bool { return p.GetMethod() != nil }) || coded(policyv1.Part_CONTENTFUL) || s.jws().GetQueryHash() || s.jws().GetDetached().GetRequestLine()
	if h := s.named.GetScheme().GetHttpSignature(); h != nil {
		return !h.GetBodyUnsigned(), s.signsComponent("@path", "@target-uri", "@request-target"), s.signsComponent("@query", "@target-uri", "@request-target"),
			s.signsComponent("@method")
	}
	return body, path, query, method
}

// summed reports whether a checksum shows an accident, though no attack.
func (s *scheme) summed() bool {
	return s.signs(func(p *policyv1.Part) bool { return p.GetDigest().GetHash() == policyv1.Digest_CRC32 })
}

// place is the header that holds the proof, in lower case; "" if another part
// of the request does.
func (s *scheme) place() string {
	switch {
	case s.content().GetSignature().GetNumbered():
		return strings.ToLower(s.content().GetSignature().GetHeaders()[0]) + "-1"
	case len(s.content().GetSignature().GetHeaders()) > 0:
		return strings.ToLower(s.content().GetSignature().GetHeaders()[0])
	case s.named.GetScheme().GetHttpSignature() != nil:
		return "signature"
	case s.token().GetBasic() != nil:
		return "authorization"
	default:
		return strings.ToLower(s.jws().GetHeader() + s.token().GetHeader())
	}
}

// delivery is a request to webhook a that its key has signed at a time.
func (s *scheme) delivery(t testing.TB, at time.Time) *authz.Request {
	t.Helper()
	return s.signed(t, "a", at)
}

// signed is a request to webhook a, signed as one to the named webhook.
func (s *scheme) signed(t testing.TB, by string, at time.Time) *authz.Request {
	t.Helper()
	hook := s.table.Webhook(by)
	req := s.unsigned(hook)
	n := map[string]int{"a": 0, "b": 1}[by]
	if err := hook.Sign(req, authz.Signing{Now: at, Private: s.private(n), X5C: s.x5c(n), NewID: func() string { return "msg_1" }}); err != nil {
		t.Fatal(err)
	}
	return req
}

// unsigned is a request whose body the scheme can sign.
func (s *scheme) unsigned(hook *authz.Webhook) *authz.Request {
	req := &authz.Request{
		Method: authz.View("POST"), Host: authz.View("hooks.example.com"), Path: authz.View("/a/x?data.id=1"),
		Body: authz.Body{State: authz.BodyWhole, Segments: [][]byte{[]byte(`{"id":"evt_1","text":"\u00fc ü"}`)}},
	}
	req.Set("content-type", "application/json")
	if s.signs(func(p *policyv1.Part) bool { return p.GetFields() != nil }) { // and nothing else
		req.Body.Segments = [][]byte{[]byte("{}")}
	}
	if hook.WantsForm() {
		req.Set("content-type", "application/x-www-form-urlencoded")
		req.Body.Segments = [][]byte{[]byte("id=evt_1&text=%C3%BC+u")}
	}
	return req
}

// signsHost reports whether the proof covers the whole URL.
func (s *scheme) signsHost() bool {
	return s.jws().GetUrl() != nil || s.jws().GetAudienceUrl() || s.signsComponent("@target-uri", "@authority") || s.signs(func(p *policyv1.Part) bool {
		return p.GetUrl() != nil || p.GetCode() == policyv1.Part_PLIVO_V3
	})
}

// decide asks a table with nothing in its store.
func (s *scheme) decide(t *testing.T, req *authz.Request, at time.Time) *authz.Decision {
	t.Helper()
	s.deps.Store = memory.New(memory.Config{MaxEntries: 1000})
	return decideBy(t, s.compile(t), req, at)
}

func decideBy(t *testing.T, table *authz.Table, req *authz.Request, at time.Time) *authz.Decision {
	t.Helper()
	d := &authz.Decision{}
	table.Decide(context.Background(), req, at, d)
	if (d.Verdict == authz.Allow) != (d.Reason == authz.OK) || d.Forward() != (d.Reason == authz.OK) {
		t.Errorf("verdict %s with reason %s", d.Verdict, d.Reason)
	}
	return d
}
