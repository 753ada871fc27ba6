package policy_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/policy"
)

// publicPEM writes the public half of a key.
func publicPEM(t *testing.T, private crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// Each kind of public key goes from a policy file to a verdict.
func TestPublicKeySchemes(t *testing.T) {
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	modulus, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	const rest = ` signature: {headers: [X-Sig]}, content: [{parameter: hook_id}, {literal: "|"}, {timestamp: {}}, {literal: "."}, {body: {}}], timestamp: {header: X-Time, unit: SECONDS}, key_id: {headers: [X-Key]}}`
	for _, test := range []struct {
		name, scheme string
		private      crypto.Signer
	}{
		{"rsa", "rsa: {hash: SHA256, encoding: BASE64," + rest, modulus},
		{"pss", "rsa: {hash: SHA512, padding: PSS, encoding: BASE64URL," + rest, modulus},
		{"ecdsa", "ecdsa: {curve: P256, hash: SHA256, format: DER, encoding: BASE64," + rest, curve},
		{"raw", "ecdsa: {curve: P256, hash: SHA256, format: RAW, encoding: HEX," + rest, curve},
		{"ed25519", "ed25519: {encoding: HEX," + rest, edwards},
		{"digest", "ed25519: {encoding: HEX, digest_first: {hash: SHA256, encoding: HEX}," + rest, edwards},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range map[string]string{
				"key": publicPEM(t, test.private),
				"p.yaml": "webhooks:\n  - name: a\n    match: {path: /a}\n    parameters: {hook_id: WH-1, accounts: [acct_1, acct_2]}\n    scheme:\n      " + test.scheme +
					"\n      pins: [{json: account, parameter: accounts}]\n    secrets: [{id: k, kid: https://keys.example/1, file: key}]\n",
			} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			set, err := policy.Load(dir)
			if err != nil {
				t.Fatal(err)
			}
			table, err := policy.Compile(set, policy.Deps{
				Store: memory.New(memory.Config{MaxEntries: 10}), Fingerprinter: authz.NewFingerprinter(authz.FingerprintKey{}), MaxBodyBytes: 1 << 20, Strict: true,
			})
			if err != nil {
				t.Fatal(err)
			}
			now := time.Unix(1_800_000_000, 0)
			deliver := func(change func(*authz.Request)) authz.Reason {
				req := &authz.Request{
					Method: authz.View("POST"), Host: authz.View("h"), Path: authz.View("/a"),
					Body: authz.Body{State: authz.BodyWhole, Segments: [][]byte{[]byte(`{"account":"acct_2"}`)}},
				}
				if err := table.Webhook("a").Sign(req, authz.Signing{Now: now, Private: test.private, NewID: func() string { return "id" }}); err != nil {
					t.Fatal(err)
				}
				change(req)
				d := &authz.Decision{}
				table.Decide(context.Background(), req, now, d)
				return d.Reason
			}
			for _, row := range []struct {
				change func(*authz.Request)
				want   authz.Reason
			}{
				{func(req *authz.Request) { req.Body.Segments[0] = []byte(`{"account":"acct_1"}`) }, authz.SignatureInvalid},
				{func(req *authz.Request) { req.Set("x-key", "https://keys.example/2") }, authz.SignatureInvalid},
				{func(req *authz.Request) { req.Set("x-key", "") }, authz.SignatureMalformed},
				{func(req *authz.Request) { req.Set("x-time", "1800000001") }, authz.SignatureInvalid},
				{func(*authz.Request) {}, authz.OK},
				{func(*authz.Request) {}, authz.Replayed},
			} {
				if got := deliver(row.change); got != row.want {
					t.Errorf("%s, want %s", got, row.want)
				}
			}
			req := &authz.Request{Method: authz.View("POST"), Host: authz.View("h"), Path: authz.View("/a"), Body: authz.Body{State: authz.BodyWhole, Segments: [][]byte{[]byte(`{"account":"acct_3"}`)}}}
			if err := table.Webhook("a").Sign(req, authz.Signing{Now: now, Private: test.private}); err != nil {
				t.Fatal(err)
			}
			if got := string(req.Body.Joined()); !strings.Contains(got, "acct_1") {
				t.Errorf("the delivery for a test is for %s", got)
			}
		})
	}
}

// A public key in any form is no shared secret: everybody has it, and could sign.
func TestPublicKeysAreNoSecrets(t *testing.T) {
	der := func(private crypto.Signer, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		text, err := x509.MarshalPKIXPublicKey(private.Public())
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	modulus := der(rsa.GenerateKey(rand.Reader, 2048))
	curve := der(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // which never fails
	for _, test := range []struct {
		name, text string
		public     bool
	}{
		{"DER", string(modulus), true},
		{"RSA in base64", base64.StdEncoding.EncodeToString(modulus), true},
		{"ECDSA in base64", base64.StdEncoding.EncodeToString(curve), true},
		{"Ed25519 in base64", base64.StdEncoding.EncodeToString(der(edwards, nil)), true},
		{"in hexadecimal", hex.EncodeToString(curve), true},
		{"a secret in hexadecimal", hex.EncodeToString(secret), false},
		{"a secret in base64", base64.StdEncoding.EncodeToString(secret), false},
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "key"), test.text)
		write(t, filepath.Join(dir, "p.yaml"), `webhooks: [{name: w, match: {path: /}, scheme: {jws: {header: X-T, algorithms: [HS256], expires: true}}, secrets: [{file: key}]}]`)
		if _, err := compile(dir); (err != nil) != test.public {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
