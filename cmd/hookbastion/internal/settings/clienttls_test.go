package settings

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/envoy/envoytest"
	"github.com/hookbastion/hookbastion/envoy/mtls"
)

// believes reports whether a server with that certificate is believed.
func believes(t *testing.T, c *tls.Config, text []byte) bool {
	t.Helper()
	block, _ := pem.Decode(text)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	_, err = leaf.Verify(x509.VerifyOptions{Roots: c.RootCAs, DNSName: c.ServerName})
	return err == nil
}

// Files of TLS for Redis are read again, all in one step, and what cannot be
// used leaves the last good ones.
func TestRedisTLSIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	one, err := envoytest.NewAuthority("one")
	if err != nil {
		t.Fatal(err)
	}
	two, err := envoytest.NewAuthority("two")
	if err != nil {
		t.Fatal(err)
	}
	issue := envoytest.Issue{Name: "redis", DNS: []string{"redis.example.com"}}
	byOne, _, err := one.Issue(issue)
	if err != nil {
		t.Fatal(err)
	}
	byTwo, _, err := two.Issue(issue)
	if err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(dir, "ca.pem")
	replace := func(text []byte) {
		t.Helper()
		if err := envoytest.Replace(ca, text); err != nil {
			t.Fatal(err)
		}
	}
	replace(one.PEM)
	cert, key, err := one.IssueFiles(dir, "client", issue)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	c := &ClientTLS{CA: ca, Cert: cert, Key: key, Name: "redis.example.com"}
	load := func(want bool) {
		t.Helper()
		if changed, err := c.Load(now); changed != want || err != nil {
			t.Fatal(changed, err)
		}
	}
	load(true)
	load(false)
	if s := c.Config(); !believes(t, s, byOne) || believes(t, s, byTwo) || len(s.Certificates) != 1 {
		t.Error("what is believed or shown at first")
	}
	replace(two.PEM)
	load(true)
	if s := c.Config(); believes(t, s, byOne) || !believes(t, s, byTwo) {
		t.Error("the new authority was not taken")
	}
	before := c.Config()
	for name, break_ := range map[string]func() error{
		"no authority": func() error { return envoytest.Replace(ca, []byte("nothing")) },
		"expired": func() error {
			_, _, err := two.IssueFiles(dir, "client", envoytest.Issue{Name: "late", NotAfter: now.Add(-time.Hour)})
			return errors.Join(err, envoytest.Replace(ca, one.PEM))
		},
		"another key": func() error { return envoytest.Replace(key, []byte("nothing")) },
	} {
		if err := break_(); err != nil {
			t.Fatal(err)
		}
		if changed, err := c.Load(now); changed || err == nil || name == "expired" && !errors.Is(err, mtls.ErrNotValidNow) {
			t.Errorf("%s: %t, %v", name, changed, err)
		}
		if c.Config() != before {
			t.Errorf("%s: the last good one has gone", name)
		}
		replace(two.PEM)
		if _, _, err := two.IssueFiles(dir, "client", issue); err != nil {
			t.Fatal(err)
		}
		load(true)
		before = c.Config()
	}
	if n := len(c.Files()); n != 3 {
		t.Errorf("%d watched", n)
	}
}
