package policy_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/policy"
)

// edwards makes a key, and how its public half and itself are written.
func edwards(t *testing.T) (key crypto.Signer, public, private string) {
	t.Helper()
	_, made, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(made)
	if err != nil {
		t.Fatal(err)
	}
	return made, publicPEM(t, made), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// keyed compiles a webhook whose public key stands in a file.
func keyed(t *testing.T, path, file string, files map[string]string) (*authz.Table, string) {
	t.Helper()
	dir := t.TempDir()
	files["p.yaml"] = "webhooks:\n  - name: a\n    match: {path: '" + path + "'}\n    scheme: {ed25519: {encoding: HEX, signature: {headers: [X-Sig]}, content: [{body: {}}]}}\n    secrets: [{file: '" + file + "'}]\n"
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set, err := policy.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	table, err := policy.Compile(set, policy.Deps{
		Store: memory.New(memory.Config{MaxEntries: 100}), Fingerprinter: authz.NewFingerprinter(authz.FingerprintKey{}), MaxBodyBytes: 1 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	return table, dir
}

// judged decides a delivery with a signature.
func judged(t *testing.T, table *authz.Table, path, body, signature string) authz.Reason {
	t.Helper()
	req := &authz.Request{
		Method: authz.View("POST"), Host: authz.View("h"), Path: authz.View(path), Headers: authz.Headers{{Name: authz.View("x-sig"), Value: authz.View(signature)}},
		Body: authz.Body{State: authz.BodyWhole, Segments: [][]byte{[]byte(body)}},
	}
	d := &authz.Decision{}
	table.Decide(context.Background(), req, time.Unix(1_800_000_000, 0), d)
	return d.Reason
}

func madeBy(t *testing.T, key crypto.Signer, body string) string {
	t.Helper()
	made, err := key.Sign(rand.Reader, []byte(body), crypto.Hash(0))
	if err != nil {
		t.Fatal(err)
	}
	const digits = "0123456789abcdef"
	var text []byte
	for _, b := range made {
		text = append(text, digits[b>>4], digits[b&15])
	}
	return string(text)
}

// A file of a public key that changes counts at once. What is no key changes nothing, and
// neither does a private key.
func TestPublicKeyFiles(t *testing.T) {
	old, oldPublic, _ := edwards(t)
	next, nextPublic, nextPrivate := edwards(t)
	table, dir := keyed(t, "/a", "key", map[string]string{"key": oldPublic})
	now := time.Unix(1_800_000_000, 0)
	write := func(text string) (bad bool) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "key"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Minute)
		for _, change := range table.Secrets.Refresh(now, nil) {
			bad = bad || change.Err != nil
		}
		return bad
	}
	both := func(step string, wantOld, wantNext authz.Reason) {
		t.Helper()
		if got := judged(t, table, "/a", step, madeBy(t, old, step)); got != wantOld {
			t.Errorf("%s: by the old key %s, want %s", step, got, wantOld)
		}
		if got := judged(t, table, "/a", step+"!", madeBy(t, next, step+"!")); got != wantNext {
			t.Errorf("%s: by the next key %s, want %s", step, got, wantNext)
		}
	}
	both("at first", authz.OK, authz.SignatureInvalid)
	for name, text := range map[string]string{"half a file": nextPublic[:40], "nothing": "", "words": "no key at all", "a private key": nextPrivate} {
		if !write(text) {
			t.Errorf("%s is taken", name)
		}
		both(name, authz.OK, authz.SignatureInvalid)
		if write(oldPublic) { // the same error is not told twice
			t.Errorf("after %s, the old key is refused", name)
		}
	}
	if write(nextPublic) {
		t.Error("the next key is refused")
	}
	both("after the change", authz.SignatureInvalid, authz.OK)
}

// Each tenant may have a public key of its own.
func TestPublicKeysOfTenants(t *testing.T) {
	acme, acmePublic, _ := edwards(t)
	globex, globexPublic, globexPrivate := edwards(t)
	table, _ := keyed(t, "/{tenant}/hook", "keys/{tenant}", map[string]string{"keys/acme": acmePublic, "keys/globex": globexPublic, "keys/initech": globexPrivate})
	for _, row := range []struct {
		tenant string
		key    crypto.Signer
		want   authz.Reason
	}{
		{"acme", acme, authz.OK}, {"acme", globex, authz.SignatureInvalid}, {"globex", globex, authz.OK}, {"globex", acme, authz.SignatureInvalid},
	} {
		if got := judged(t, table, "/"+row.tenant+"/hook", "{}", madeBy(t, row.key, "{}")); got != row.want {
			t.Errorf("%s: %s, want %s", row.tenant, got, row.want)
		}
	}
	for _, tenant := range []string{"initech", "nobody"} { // a private key, and none
		if got := judged(t, table, "/"+tenant+"/hook", "{}", madeBy(t, globex, "{}")); got == authz.OK {
			t.Errorf("%s is let in", tenant)
		}
	}
}
