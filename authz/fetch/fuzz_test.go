package fetch

import (
	"crypto/x509"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever matches a pattern is, for another parser, an https URL of the pattern's
// host and path, and nothing else.
func FuzzPattern(f *testing.F) {
	good := "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-7ff5318490ec183fbaddaa2a969abfda.pem"
	for _, seed := range []string{good, strings.Replace(good, "https://", "https://a@", 1), good + "?", "https://api.example/keys/a", "https://api.example/keys/..", "/keys/a", "a"} {
		f.Add(seed)
	}
	patterns := map[string]Pattern{}
	for _, text := range []string{"https://sns.us-east-1.amazonaws.com/SimpleNotificationService-{hex32}.pem", "https://api.example/keys/{id}"} {
		p, err := ParsePattern(text)
		if err != nil {
			f.Fatal(err)
		}
		patterns[text] = p
	}
	f.Fuzz(func(t *testing.T, text string) {
		for name, p := range patterns {
			for _, named := range []Named{NamedByID, NamedByURL, NamedByPath} {
				at, err := named.place([]Pattern{p}, text)
				if err != nil {
					continue
				}
				full := at.url
				u, err := url.Parse(full)
				if err != nil || u.Scheme+"://"+u.Host != p.Origin() || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Port() != "" {
					t.Fatalf("%q by %s is %q: %v", text, name, full, err)
				}
				if clean := u.JoinPath().String(); clean != full || !strings.HasPrefix(full, p.before) {
					t.Fatalf("%q by %s is %q", text, name, full)
				}
			}
		}
	})
}

// Certificates are read without a panic, and what is trusted has a name that is
// expected.
func FuzzCertificates(f *testing.F) {
	root := issue(f, nil, true, 10)
	leaf := issue(f, root, false, 10, "sns.example")
	roots := x509.NewCertPool()
	roots.AddCert(root.certificate)
	f.Add(leaf.pem)
	f.Add(append(leaf.pem, root.pem...))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	trust := Trust{Roots: roots, Names: []string{"sns.example"}, LeafAlone: true}
	f.Fuzz(func(t *testing.T, text []byte) {
		certificates, err := ParseCertificates(text)
		if err != nil {
			return
		}
		if len(certificates) == 0 || len(certificates) > maxChain {
			t.Fatalf("%d certificates", len(certificates))
		}
		chain, err := trust.Check(certificates, chainNow)
		if err == nil && (!trust.named(chain.Leaf) || !chain.ValidAt(chainNow)) {
			t.Fatal("a chain is trusted that is not valid")
		}
	})
}

// A file of the store is what was written, or nothing.
func FuzzKept(f *testing.F) {
	f.Add([]byte(`{"url":"https://a.example/","body":"b25l","sha256":"7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		name := filepath.Join(t.TempDir(), "kept")
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if k, ok := readKept(name); ok && k.Sum != sumOf(k.Body) {
			t.Fatal("a file that was changed is taken")
		}
	})
}
