package starter_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/policytest"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/starter"
	"github.com/hookbastion/hookbastion/envoy/audit"
	"github.com/hookbastion/hookbastion/policy/finding"
	"github.com/hookbastion/hookbastion/policy/lint"
	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/provider/page"
)

// begin runs init.
func begin(t *testing.T, stdin string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, said bytes.Buffer
	cmd := starter.New()
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	cmd.SetErr(&said)
	cmd.SetArgs(args)
	err = cmd.Execute()
	return out.String(), said.String(), err
}

// root writes a certificate of an authority.
func root(t *testing.T) string {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a root"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * 365 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, of, of, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// flags are what init must be told of a provider.
func flags(t *testing.T, name, root string) []string {
	t.Helper()
	p, err := provider.Get(name)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"--provider", name}
	for _, parameter := range page.Parameters(p) {
		args = append(args, "--parameter", name+"."+parameter.GetName()+"="+parameter.GetExample())
	}
	if _, err := provider.NewSecret(provider.First(p)); errors.Is(err, provider.ErrNoNewSecret) {
		args = append(args, "--secret", name+"="+root)
	}
	return args
}

// TestEveryProvider: what is written for each entry of the catalogue has no error and no
// warning, its tests hold, the audit finds nothing in the configuration, and each new secret
// has a step that says what becomes of it.
func TestEveryProvider(t *testing.T) {
	names, err := provider.Names()
	if err != nil {
		t.Fatal(err)
	}
	authority, signable := root(t), 0
	for _, name := range names {
		dir := filepath.Join(t.TempDir(), "begun")
		out, said, err := begin(t, "", append(flags(t, name, authority), "--dir", dir, "--host", "hooks.example.com")...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		judge(t, name, dir)
		if !strings.Contains(said, "no delivery can be signed here") {
			signable++
		}
		made, err := filepath.Glob(filepath.Join(dir, "secrets", "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range made {
			info, err := os.Stat(file)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", file, info.Mode(), err)
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(out+said, strings.TrimSpace(string(text))) {
				t.Errorf("%s: the secret is printed", name)
			}
			if step := "secrets/" + filepath.Base(file); strings.Count(out, step) < 2 && name != "apple-app-store-v2" {
				t.Errorf("%s: no step names %s:\n%s", name, step, out)
			}
		}
	}
	if signable < 150 {
		t.Errorf("deliveries of %d providers can be signed", signable)
	}
}

// judge is what validate, test and envoy audit would say of a directory.
func judge(t *testing.T, name, dir string) {
	t.Helper()
	p := &cli.Policies{AsServed: true, Paths: []string{filepath.Join(dir, "policies")}, Config: filepath.Join(dir, "hookbastion.yaml")}
	s, err := p.Settings()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	table, keys, err := p.Keys()
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	found, err := p.Lint(s, table, keys, lint.Store{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	envoy, err := os.ReadFile(filepath.Join(dir, "envoy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	found = append(found, audit.Audit([]audit.File{{Name: "envoy.yaml", Data: envoy}}, audit.Options{MaxRequestBytes: uint64(s.Mapping.MaxRequestBytes)})...) //nolint:gosec // a size
	for _, f := range found {
		if f.Severity != finding.Info && f.Suppressed == "" {
			t.Errorf("%s: %s", name, f)
		}
	}
	r, err := policytest.NewRunner(p, s)
	if err != nil {
		t.Fatal(err)
	}
	files, err := policytest.Find(filepath.Join(dir, "policies"))
	if err != nil || len(files) == 0 {
		t.Errorf("%s: tests %v, %v", name, files, err)
		return
	}
	tests, err := policytest.Read(files...)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range tests {
		for _, result := range r.Run(f, time.Now(), func(string) bool { return true }) {
			if !result.Passed {
				t.Errorf("%s: %+v", name, result)
			}
		}
	}
}

// TestAllAtOnce: the whole catalogue fits into one directory.
func TestAllAtOnce(t *testing.T) {
	names, err := provider.Names()
	if err != nil {
		t.Fatal(err)
	}
	authority := root(t)
	dir := t.TempDir()
	args := []string{"--dir", dir, "--host", "hooks.example.com"}
	for _, name := range names {
		args = append(args, flags(t, name, authority)...)
	}
	if _, _, err := begin(t, "", args...); err != nil {
		t.Fatal(err)
	}
	judge(t, "all", dir)
}

// TestNotWritten: what cannot be written leaves nothing behind, and what stands there as it
// was.
func TestNotWritten(t *testing.T) {
	for name, row := range map[string]struct {
		make func(t *testing.T, dir string)
		want string
	}{
		"a file in the place of the secrets":  {put("secrets", "mine"), "secrets"},
		"a file in the place of the policies": {put("policies", "mine"), "policies"},
		"a secret":                            {put("secrets/github", "mine"), "secrets/github is there already"},
		"a test of before":                    {put("policies/github_test.yaml", "mine"), "policies has github_test.yaml already"},
		"a configuration":                     {put("envoy.yaml", "mine"), "envoy.yaml is there already"},
		"settings":                            {put("hookbastion.yaml", "mine"), "hookbastion.yaml is there already"},
		"a link that leads nowhere": {func(t *testing.T, dir string) {
			t.Helper()
			if err := os.Symlink(filepath.Join(dir, "nowhere"), filepath.Join(dir, "envoy.yaml")); err != nil {
				t.Fatal(err)
			}
		}, "envoy.yaml is there already"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			row.make(t, dir)
			before := contents(t, dir)
			out, _, err := begin(t, "", "--dir", dir, "--provider", "github")
			if err == nil || !strings.Contains(err.Error(), row.want) || out != "" {
				t.Errorf("%v\n%s", err, out)
			}
			if after := contents(t, dir); after != before {
				t.Errorf("there was\n%s\nand there is\n%s", before, after)
			}
		})
	}
}

func put(name, text string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		name := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// contents are the files below a directory, with what they have.
func contents(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() { // WriteNew may leave an empty one
			return err
		}
		text, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			text, err = []byte("a link"), nil
		}
		b.WriteString(name + ": " + string(text) + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
