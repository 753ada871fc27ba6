package signature_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/httpsig"
	"github.com/hookbastion/hookbastion/authz/publickey"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/signature"
)

var ed25519Names = []signature.HTTPAlgorithm{{Names: []string{"ed25519"}, Public: publickey.Algorithm{Kind: publickey.Ed25519}}}

// httpKeys are two keys of one sender, with the private one of each.
func httpKeys(t *testing.T) (keys []signature.Key, private []crypto.Signer) {
	t.Helper()
	for _, id := range []string{"new", "old"} {
		public, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, signature.Key{
			ID: id, Secret: secret.New([]byte(hex.EncodeToString(public))),
			Reader: &publickey.Reader{Kind: publickey.Ed25519, Format: publickey.Hex},
		})
		private = append(private, key)
	}
	return keys, private
}

func components(t *testing.T, names ...string) []httpsig.Component {
	t.Helper()
	var all []httpsig.Component
	for _, name := range names {
		c, err := httpsig.ParseComponent(name)
		if err != nil {
			t.Fatal(name, err)
		}
		all = append(all, c)
	}
	return all
}

func httpConfig(t *testing.T) signature.HTTPConfig {
	t.Helper()
	return signature.HTTPConfig{
		Algorithms: ed25519Names, Required: components(t, "@method", "@target-uri", "content-type"), Digest: "content-digest",
		Time: signature.Created, MaxSignatures: 4, PublicURL: "https://hooks.example.com",
	}
}

func httpRequest() *authz.Request {
	req := request()
	req.Set("content-type", "application/json")
	return req
}

func httpVerify(s signature.Scheme, req *authz.Request, f *authz.Fingerprinter) (authz.Reason, *authz.Call) {
	call := &authz.Call{Context: context.Background(), Request: req, Now: now, Webhook: "w", Identity: "w"}
	if !s.Present(req) {
		return authz.SignatureMissing, call
	}
	return s.Verify(call, f), call
}

// A delivery that is signed for a test passes, and what is changed in it does not.
func TestHTTPSignatures(t *testing.T) {
	keys, private := httpKeys(t)
	set := func(name, value string) func(*authz.Request) {
		return func(req *authz.Request) { req.Set(name, value) }
	}
	edit := func(name, from, to string) func(*authz.Request) {
		return func(req *authz.Request) {
			value, _ := req.Headers.Lookup(name)
			if !strings.Contains(string(value), from) {
				panic(name + " has no " + from)
			}
			req.Set(name, strings.Replace(string(value), from, to, 1))
		}
	}
	for _, test := range []struct {
		name   string
		config func(*signature.HTTPConfig)
		change func(*authz.Request)
		want   authz.Reason
	}{
		{"good", nil, nil, authz.OK},
		{"another body", nil, func(req *authz.Request) { req.Body.Segments = [][]byte{[]byte("{}")} }, authz.SignatureInvalid},
		{"another body and digest", nil, func(req *authz.Request) {
			req.Body.Segments = [][]byte{[]byte("{}")}
			httpsig.SetDigest(req, "content-digest", httpsig.Dialect{})
		}, authz.SignatureInvalid},
		{"another query", nil, func(req *authz.Request) { req.Path = authz.View("/h?x=2") }, authz.SignatureInvalid},
		{"another method", nil, func(req *authz.Request) { req.Method = authz.View("PUT") }, authz.SignatureInvalid},
		{"another type", nil, set("content-type", "text/plain"), authz.SignatureInvalid},
		{"a type twice", nil, func(req *authz.Request) {
			req.Headers = append(req.Headers, authz.Header{Name: authz.View("content-type"), Value: authz.View("text/plain")})
		}, authz.SignatureInvalid},
		{"a field less", nil, edit("signature-input", ` "content-type"`, ""), authz.SignatureInvalid},
		{"no digest covered", nil, edit("signature-input", ` "content-digest"`, ""), authz.SignatureInvalid},
		{"only a key of the digest covered", nil, edit("signature-input", `"content-digest"`, `"content-digest";key="sha-256"`), authz.SignatureInvalid},
		{"another time", nil, edit("signature-input", "created=1795500000", "created=1795500001"), authz.SignatureInvalid},
		{"no time", nil, edit("signature-input", "created=1795500000;", ""), authz.TimestampMissing},
		{"another key's name", nil, edit("signature-input", `keyid="new"`, `keyid="old"`), authz.SignatureInvalid},
		{"an unknown key", nil, edit("signature-input", `keyid="new"`, `keyid="x"`), authz.SignatureInvalid},
		{"an algorithm that is not allowed", nil, edit("signature-input", "created", `alg="hmac-sha256";created`), authz.SignatureInvalid},
		{"an algorithm added", nil, edit("signature-input", "created", `alg="ed25519";created`), authz.SignatureInvalid},
		{"another label", nil, func(req *authz.Request) {
			edit("signature-input", "sig1=", "x=")(req)
			edit("signature", "sig1=", "x=")(req)
		}, authz.OK},
		{"the wanted label", func(c *signature.HTTPConfig) { c.Label = "y" }, nil, authz.OK},
		{"not the wanted label", func(c *signature.HTTPConfig) { c.Label = "y" }, func(req *authz.Request) {
			edit("signature-input", "y=", "x=")(req)
			edit("signature", "y=", "x=")(req)
		}, authz.SignatureMissing},
		{"a tag", func(c *signature.HTTPConfig) { c.Tag = "a" }, nil, authz.OK},
		{"another tag", func(c *signature.HTTPConfig) { c.Tag = "a" }, edit("signature-input", `tag="a"`, `tag="b"`), authz.SignatureInvalid},
		{"no tag", func(c *signature.HTTPConfig) { c.Tag = "a" }, edit("signature-input", `;tag="a"`, ""), authz.SignatureInvalid},
		{"expires", func(c *signature.HTTPConfig) { c.Expires, c.Lifetime = true, time.Minute }, nil, authz.OK},
		{"expires missing", func(c *signature.HTTPConfig) { c.Expires = true }, edit("signature-input", ";expires=1795500060", ""), authz.TimestampMissing},
		{"too long", func(c *signature.HTTPConfig) { c.Expires, c.Lifetime = true, time.Second }, nil, authz.TimestampMalformed},
		{"expires before created", func(c *signature.HTTPConfig) { c.Expires = true }, edit("signature-input", ";expires=1795500060", ";expires=1795500000"), authz.TimestampMalformed},
		{"a nonce", func(c *signature.HTTPConfig) { c.Nonce = true }, nil, authz.OK},
		{"no nonce", func(c *signature.HTTPConfig) { c.Nonce = true }, edit("signature-input", `;nonce="id"`, ""), authz.SignatureInvalid},
		{"a date", func(c *signature.HTTPConfig) { c.Time = signature.Date }, nil, authz.OK},
		{"another date", func(c *signature.HTTPConfig) { c.Time = signature.Date }, set("date", "Mon, 02 Jan 2006 15:04:05 GMT"), authz.SignatureInvalid},
		{"what is there", func(c *signature.HTTPConfig) { c.IfPresent = components(t, "@query", "x-none") }, nil, authz.OK},
		{"what is there and not covered", func(c *signature.HTTPConfig) { c.IfPresent = components(t, "@query") }, edit("signature-input", ` "@query"`, ""), authz.SignatureInvalid},
		{"what is not there", func(c *signature.HTTPConfig) { c.IfPresent = components(t, "x-none") }, nil, authz.OK},
		{"what was added", func(c *signature.HTTPConfig) { c.IfPresent = components(t, "x-none") }, set("x-none", "1"), authz.SignatureInvalid},
		{"the draft", func(c *signature.HTTPConfig) { cavage(t, c) }, nil, authz.OK},
		{"the draft, another body", func(c *signature.HTTPConfig) { cavage(t, c) }, func(req *authz.Request) { req.Body.Segments = [][]byte{[]byte("{}")} }, authz.SignatureInvalid},
		{"the draft, another path", func(c *signature.HTTPConfig) { cavage(t, c) }, func(req *authz.Request) { req.Path = authz.View("/i?x=1") }, authz.SignatureInvalid},
		{"the draft, captured with a hop's host", func(c *signature.HTTPConfig) { cavage(t, c) }, set("host", "internal"), authz.OK},
		{"nothing", nil, func(req *authz.Request) { req.Headers = nil }, authz.SignatureMissing},
		{"no signature", nil, set("signature", ""), authz.SignatureMalformed},
		{"a signature too short", nil, set("signature", "sig1=:AAAA:"), authz.SignatureInvalid},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := httpConfig(t)
			if test.config != nil {
				test.config(&config)
			}
			scheme, err := signature.NewHTTPPlan(config).With(keys)
			if err != nil {
				t.Fatal(err)
			}
			req := httpRequest()
			if !scheme.Sign(req, authz.Signing{Now: now, Private: private[0], NewID: func() string { return "id" }}) {
				t.Fatal("not signed")
			}
			if test.change != nil {
				test.change(req)
			}
			reason, call := httpVerify(scheme, req, nil)
			if reason != test.want {
				t.Errorf("%v, want %v; %s", reason, test.want, req.Headers)
			}
			if reason == authz.OK && (call.KeyID != "new" || call.Proof != authz.ProofSignature || !call.SignedTime.Equal(now)) {
				t.Errorf("key %q, proof %v, time %v", call.KeyID, call.Proof, call.SignedTime)
			}
		})
	}
}

// cavage makes it a scheme of the draft.
func cavage(t *testing.T, c *signature.HTTPConfig) {
	t.Helper()
	c.Cavage, c.Digest, c.Time = "signature", "digest", signature.Date
	c.Required = components(t, "@request-target", "host")
}

// A sender that signs one delivery with two keys, for a rotation, has sent one: whoever
// takes one of the signatures away has a copy.
func TestHTTPCopies(t *testing.T) {
	keys, private := httpKeys(t)
	scheme, err := signature.NewHTTPPlan(httpConfig(t)).With(keys)
	if err != nil {
		t.Fatal(err)
	}
	f := authz.NewFingerprinter(authz.NewFingerprintKey())
	var inputs, values []string
	var prints []authz.Fingerprint
	judge := func(req *authz.Request, id string) {
		t.Helper()
		reason, call := httpVerify(scheme, req, f)
		if reason != authz.OK || call.KeyID != id || call.Fingerprint.IsZero() {
			t.Fatalf("%v by %q", reason, call.KeyID)
		}
		prints = append(prints, call.Fingerprint)
	}
	for i, label := range []string{"a", "b"} {
		req := httpRequest()
		if !scheme.Sign(req, authz.Signing{Now: now, Private: private[i], NewID: func() string { return "id" }}) {
			t.Fatal("not signed")
		}
		judge(req, []string{"new", "old"}[i])
		input, _ := req.Headers.Lookup("signature-input")
		value, _ := req.Headers.Lookup("signature")
		inputs = append(inputs, strings.Replace(string(input), "sig1", label, 1))
		values = append(values, strings.Replace(string(value), "sig1", label, 1))
	}
	both := httpRequest()
	httpsig.SetDigest(both, "content-digest", httpsig.Dialect{})
	both.Set("signature-input", strings.Join(inputs, ", "))
	both.Set("signature", strings.Join(values, ", "))
	judge(both, "new")
	if prints[0] != prints[1] || prints[1] != prints[2] {
		t.Error("one delivery has several fingerprints")
	}
	later := httpRequest()
	scheme.Sign(later, authz.Signing{Now: now.Add(time.Second), Private: private[0], NewID: func() string { return "id" }})
	judge(later, "new")
	if prints[3] == prints[0] {
		t.Error("a later delivery has the same fingerprint")
	}
}

// The draft signs its parameters only where they are listed: one that is not makes no
// copy look new, and is not what a policy asks for.
func TestCavageParametersThatNothingSigns(t *testing.T) {
	keys, private := httpKeys(t)
	config := httpConfig(t)
	cavage(t, &config)
	dated, err := signature.NewHTTPPlan(config).With(keys)
	if err != nil {
		t.Fatal(err)
	}
	config.Time = signature.Created
	created, err := signature.NewHTTPPlan(config).With(keys)
	if err != nil {
		t.Fatal(err)
	}
	config.Time, config.Expires = signature.Date, true
	expiring, err := signature.NewHTTPPlan(config).With(keys)
	if err != nil {
		t.Fatal(err)
	}
	f := authz.NewFingerprinter(authz.NewFingerprintKey())
	req := httpRequest()
	if !dated.Sign(req, authz.Signing{Now: now, Private: private[0], NewID: func() string { return "id" }}) {
		t.Fatal("not signed")
	}
	_, first := httpVerify(dated, req, f)
	signed, _ := req.Headers.Lookup("signature")
	for _, test := range []struct {
		scheme *signature.HTTP
		added  string
		want   authz.Reason
	}{
		{dated, "", authz.OK},
		{dated, ",created=1795500000", authz.OK},
		{dated, ",created=1795499999", authz.OK},
		{dated, ",created=9223372036854775807", authz.OK},
		{dated, ",expires=1", authz.TokenExpired},
		{dated, ",expires=1795500060", authz.OK},
		{created, "", authz.TimestampMissing},
		{created, ",created=1795500000", authz.TimestampMissing},
		{expiring, ",expires=1795500060", authz.TimestampMissing},
	} {
		req.Set("signature", string(signed)+test.added)
		reason, call := httpVerify(test.scheme, req, f)
		if reason != test.want {
			t.Errorf("with %q: %v, want %v", test.added, reason, test.want)
		}
		if reason == authz.OK && (call.Fingerprint != first.Fingerprint || !call.SignedTime.Equal(now)) {
			t.Errorf("with %q: another delivery, of %v", test.added, call.SignedTime)
		}
	}
}

// A key of a signature that is wrong does not keep the other one from counting.
func TestHTTPSeveralSignatures(t *testing.T) {
	keys, private := httpKeys(t)
	scheme, err := signature.NewHTTPPlan(httpConfig(t)).With(keys)
	if err != nil {
		t.Fatal(err)
	}
	req := httpRequest()
	scheme.Sign(req, authz.Signing{Now: now, Private: private[1], NewID: func() string { return "id" }})
	input, _ := req.Headers.Lookup("signature-input")
	value, _ := req.Headers.Lookup("signature")
	req.Set("signature-input", `x=("@method");created=1;keyid="other", `+string(input))
	req.Set("signature", "x=:AAAA:, "+string(value))
	if reason, call := httpVerify(scheme, req, nil); reason != authz.OK || call.KeyID != "old" {
		t.Errorf("%v by %q", reason, call.KeyID)
	}
}

// Signatures that name no key cause no more verifications than there may be, however many
// keys a set has.
func TestHTTPVerificationsAreBounded(t *testing.T) {
	var members []string
	var last crypto.Signer
	for i := range 20 {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		last = private
		members = append(members, fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","kid":"%d","x":%q}`, i, base64.RawURLEncoding.EncodeToString(public)))
	}
	scheme, err := signature.NewHTTPPlan(httpConfig(t)).With([]signature.Key{{
		ID: "set", Secret: secret.New([]byte(`{"keys":[` + strings.Join(members, ",") + `]}`)), Reader: &publickey.Reader{Format: publickey.JWKS},
	}})
	if err != nil {
		t.Fatal(err)
	}
	req := httpRequest()
	if !scheme.Sign(req, authz.Signing{Now: now, Private: last, NewID: func() string { return "id" }}) {
		t.Fatal("not signed")
	}
	input, _ := req.Headers.Lookup("signature-input")
	value, _ := req.Headers.Lookup("signature")
	_, params, _ := strings.Cut(string(input), "=")
	nameless, _, _ := strings.Cut(params, ";keyid=")
	bad := base64.StdEncoding.EncodeToString(make([]byte, ed25519.SignatureSize))
	// One that names no key is tried with all 20, and the good one with its own.
	for n, want := range map[int]authz.Reason{2: authz.OK, 3: authz.OK, 4: authz.SignatureInvalid} {
		var inputs, values []string
		for i := range n {
			inputs = append(inputs, fmt.Sprintf("x%d=%s", i, nameless))
			values = append(values, fmt.Sprintf("x%d=:%s:", i, bad))
		}
		config := httpConfig(t)
		config.MaxSignatures = 8
		many := *scheme
		many.HTTPPlan = signature.NewHTTPPlan(config)
		req.Set("signature-input", strings.Join(append(inputs, string(input)), ", "))
		req.Set("signature", strings.Join(append(values, string(value)), ", "))
		if reason, _ := httpVerify(&many, req, nil); reason != want {
			t.Errorf("%d before the good one: %v, want %v", n, reason, want)
		}
	}
}

// A query that must be covered where it is there may have the names of a form.
func TestHTTPQueryBesideForm(t *testing.T) {
	keys, private := httpKeys(t)
	for covered, want := range map[bool]authz.Reason{true: authz.OK, false: authz.MalformedRequest} {
		config := httpConfig(t)
		config.Required = components(t, "@method", "@path", "content-type")
		if covered {
			config.IfPresent = components(t, "@query")
		}
		scheme, err := signature.NewHTTPPlan(config).With(keys)
		if err != nil {
			t.Fatal(err)
		}
		req := httpRequest()
		req.Set("content-type", "application/x-www-form-urlencoded")
		req.Body.Segments = [][]byte{[]byte("x=2")}
		scheme.Sign(req, authz.Signing{Now: now, Private: private[0], NewID: func() string { return "id" }})
		check := &signature.Check{Schemes: []signature.Scheme{scheme}}
		if reason := check.Run(&authz.Call{Context: context.Background(), Request: req, Now: now}); reason != want {
			t.Errorf("a query that is covered: %v; %v, want %v", covered, reason, want)
		}
	}
}
