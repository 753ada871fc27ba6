package signature_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/publickey"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/signature"
)

var algorithms = map[string]publickey.Algorithm{
	"ed25519":    {Kind: publickey.Ed25519},
	"ecdsa-p256": {Kind: publickey.ECDSA, Curve: publickey.P256, Hash: crypto.SHA256},
	"ecdsa-raw":  {Kind: publickey.ECDSA, Curve: publickey.P256, Hash: crypto.SHA256, Raw: true},
	"rsa-2048":   {Kind: publickey.RSA, Hash: crypto.SHA256},
	"rsa-pss":    {Kind: publickey.RSA, Hash: crypto.SHA256, PSS: true},
}

// generate makes a key of the algorithm.
func generate(t testing.TB, a publickey.Algorithm) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch a.Kind {
	case publickey.RSA:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case publickey.ECDSA:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// public is a scheme of public keys over time, dot and body.
func public(t testing.TB, a publickey.Algorithm, change func(*signature.Config), keys ...crypto.Signer) *signature.Content {
	t.Helper()
	c := signature.Config{
		Algorithm: a, Encoding: signature.Base64, Headers: []string{"x-sig"}, Grammar: signature.Bare, MaxSignatures: 5,
		Content: []signature.Part{{Kind: signature.Timestamp}, {Kind: signature.Literal, Text: "."}, {Kind: signature.Body}},
		Time:    signature.Time{Header: "x-time", Unit: signature.Seconds},
	}
	if change != nil {
		change(&c)
	}
	var configured []signature.Key
	for i, key := range keys {
		configured = append(configured, signature.Key{
			ID: fmt.Sprint("key-", i+1), Secret: secret.New([]byte(publicPEM(t, key))), Reader: &publickey.Reader{Kind: a.Kind, Curve: a.Curve},
		})
	}
	h, err := signature.New(c, configured)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func privately(t testing.TB, h *signature.Content, key crypto.Signer) *authz.Request {
	t.Helper()
	req := request()
	with := signing("")
	with.Private = key
	if !h.Sign(req, with) {
		t.Fatal("the key signs nothing")
	}
	return req
}

func TestPublicKeys(t *testing.T) {
	for name, a := range algorithms {
		t.Run(name, func(t *testing.T) {
			old, current, stranger := generate(t, a), generate(t, a), generate(t, a)
			h := public(t, a, nil, current, old)
			for i, key := range []crypto.Signer{current, old} {
				reason, call := run(h, privately(t, h, key))
				if want := fmt.Sprint("key-", i+1); reason != authz.OK || call.KeyID != want || call.Proof != authz.ProofSignature || call.Fingerprint.IsZero() {
					t.Errorf("%s by %q, proof %s", reason, call.KeyID, call.Proof)
				}
			}
			foreign := public(t, a, nil, stranger)
			req := privately(t, foreign, stranger)
			if reason, call := run(h, req); reason != authz.SignatureInvalid || call.KeyID != "" || !call.Fingerprint.IsZero() || call.Proof != authz.ProofNone {
				t.Errorf("of a stranger: %s, %+v", reason, call)
			}
			req = privately(t, h, current)
			req.Body.Segments = [][]byte{[]byte(body[:4]), []byte(body[4:])}
			if reason, _ := run(h, req); reason != authz.OK {
				t.Errorf("a body in two segments: %s", reason)
			}
			req.Body.Segments[1] = []byte(body[5:])
			if reason, _ := run(h, req); reason != authz.SignatureInvalid {
				t.Errorf("a body without a byte: %s", reason)
			}
			with := signing("")
			with.Private = stranger
			if h.Sign(request(), with) {
				t.Error("it signs with a key that it does not have")
			}
			if h.Sign(request(), signing("")) {
				t.Error("it signs without a private key")
			}
		})
	}
}

// The two signatures that ECDSA has of one content are one delivery.
func TestECDSATwinIsACopy(t *testing.T) {
	key := generate(t, algorithms["ecdsa-p256"])
	h := public(t, algorithms["ecdsa-p256"], nil, key)
	req := privately(t, h, key)
	_, first := run(h, req)
	der, err := base64.StdEncoding.DecodeString(value(req, "x-sig"))
	if err != nil {
		t.Fatal(err)
	}
	var numbers struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &numbers); err != nil {
		t.Fatal(err)
	}
	numbers.S.Sub(elliptic.P256().Params().N, numbers.S)
	twin, err := asn1.Marshal(numbers)
	if err != nil {
		t.Fatal(err)
	}
	set(req, "x-sig", base64.StdEncoding.EncodeToString(twin))
	reason, second := run(h, req)
	if reason != authz.OK || first.Fingerprint.IsZero() || first.Fingerprint != second.Fingerprint {
		t.Errorf("%s; the same delivery: %v", reason, first.Fingerprint == second.Fingerprint)
	}
}

// A checksum binds no body: what is proven is partial, and another body with the same
// one is a copy.
func TestChecksumProvesLess(t *testing.T) {
	key := generate(t, algorithms["ed25519"])
	h := public(t, algorithms["ed25519"], func(c *signature.Config) {
		c.Content = []signature.Part{
			{Kind: signature.HeaderValue, Text: "x-id", Charset: signature.TokenChars}, {Kind: signature.Literal, Text: "|"}, {Kind: signature.Timestamp},
			{Kind: signature.Literal, Text: "|WH-1|"}, {Kind: signature.BodyHash, Digest: signature.Digest{Hash: signature.DigestCRC32, Decimal: true}},
		}
	}, key)
	if !h.ReadsBody() {
		t.Error("the body need not be whole")
	}
	plumless, buckeroo := request(), request() // which have one CRC-32
	plumless.Body.Segments, buckeroo.Body.Segments = [][]byte{[]byte("plumless")}, [][]byte{[]byte("buckeroo")}
	with := signing("")
	with.Private = key
	if !h.Sign(plumless, with) {
		t.Fatal("not signed")
	}
	reason, first := run(h, plumless)
	if reason != authz.OK || first.Proof != authz.ProofPartial {
		t.Errorf("%s, proof %s", reason, first.Proof)
	}
	buckeroo.Headers = plumless.Headers
	reason, second := run(h, buckeroo)
	if reason != authz.OK || second.Fingerprint != first.Fingerprint {
		t.Errorf("%s: another body with the same checksum is not a copy", reason)
	}
	buckeroo.Body.Segments = [][]byte{[]byte("buckerop")}
	if reason, _ := run(h, buckeroo); reason != authz.SignatureInvalid {
		t.Errorf("another checksum: %s", reason)
	}
}

// More signatures than there may be are refused before any is verified.
func TestPublicCandidatesAreBounded(t *testing.T) {
	a := algorithms["ed25519"]
	key := generate(t, a)
	h := public(t, a, func(c *signature.Config) { c.Grammar, c.Separator = signature.List, ',' }, key)
	good := value(privately(t, h, key), "x-sig")
	bad := base64.StdEncoding.EncodeToString(make([]byte, 64))
	for n, want := range map[int]authz.Reason{4: authz.OK, 5: authz.SignatureMalformed} {
		req := privately(t, h, key)
		req.Set("x-sig", strings.Repeat(bad+",", n)+good)
		if reason, _ := run(h, req); reason != want {
			t.Errorf("%d before the good one: %s, want %s", n, reason, want)
		}
	}
	req := privately(t, h, key)
	req.Set("x-sig", base64.StdEncoding.EncodeToString(make([]byte, 63))+","+base64.StdEncoding.EncodeToString(make([]byte, 65))+","+good)
	if reason, _ := run(h, req); reason != authz.OK {
		t.Errorf("beside others of other lengths: %s", reason)
	}
}

// What strangers send causes no more verifications than there may be, however many keys a
// set has.
func TestVerificationsAreBounded(t *testing.T) {
	a := algorithms["ed25519"]
	var members []string
	var last crypto.Signer
	for i := range 20 {
		last = generate(t, a)
		x := base64.RawURLEncoding.EncodeToString(last.Public().(ed25519.PublicKey)) //nolint:forcetypeassert // it was generated so
		members = append(members, fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","kid":"%d","x":%q}`, i, x))
	}
	c := *public(t, a, func(c *signature.Config) { c.Grammar, c.Separator = signature.List, ',' }, last).Config()
	h, err := signature.New(c, []signature.Key{{
		ID: "set", Secret: secret.New([]byte(`{"keys":[` + strings.Join(members, ",") + `]}`)), Reader: &publickey.Reader{Format: publickey.JWKS},
	}})
	if err != nil {
		t.Fatal(err)
	}
	good := value(privately(t, h, last), "x-sig")
	bad := base64.StdEncoding.EncodeToString(make([]byte, 64))
	// The last key of 20 signed: with three in front, the 80th verification is beyond 64.
	for n, want := range map[int]authz.Reason{2: authz.OK, 3: authz.SignatureInvalid} {
		req := privately(t, h, last)
		req.Set("x-sig", strings.Repeat(bad+",", n)+good)
		if reason, _ := run(h, req); reason != want {
			t.Errorf("%d before the good one: %s, want %s", n, reason, want)
		}
	}
}

// Flipped bits of body or signature prove nothing.
func FuzzFlipPublic(f *testing.F) {
	for i := range 20 {
		f.Add(uint16(i), true)
		f.Add(uint16(i*17), false)
	}
	type pair struct {
		h   *signature.Content
		key crypto.Signer
	}
	var all []pair
	for _, name := range []string{"ed25519", "ecdsa-p256", "ecdsa-raw", "rsa-2048"} {
		key := generate(f, algorithms[name])
		all = append(all, pair{public(f, algorithms[name], nil, key), key})
	}
	f.Fuzz(func(t *testing.T, bit uint16, inBody bool) {
		for _, p := range all {
			req := privately(t, p.h, p.key)
			text := []byte(value(req, "x-sig"))
			if inBody {
				text = []byte(body)
			}
			text[int(bit/8)%len(text)] ^= 1 << (bit % 8)
			if inBody {
				req.Body.Segments = [][]byte{text}
			} else {
				req.Set("x-sig", string(text))
			}
			if reason, call := run(p.h, req); reason == authz.OK || !call.Fingerprint.IsZero() {
				t.Fatalf("bit %d, in the body %v: %s", bit, inBody, reason)
			}
		}
	})
}

// One scheme serves many requests at once.
func TestPublicKeysConcurrently(t *testing.T) {
	for name, a := range algorithms {
		key := generate(t, a)
		h := public(t, a, nil, key)
		good, bad := privately(t, h, key), privately(t, h, key)
		bad.Body.Segments = [][]byte{[]byte(strings.Repeat("x", 1<<17))}
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				for range 20 {
					req, want := *good, authz.OK
					if i%2 == 1 {
						req, want = *bad, authz.SignatureInvalid
					}
					if reason, _ := run(h, &req); reason != want {
						t.Errorf("%s: %s, want %s", name, reason, want)
					}
				}
			})
		}
		all.Wait()
	}
}
