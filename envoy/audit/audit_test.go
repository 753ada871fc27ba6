package audit_test

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/hookbastion/hookbastion/authz/authztest/fetched"
	"github.com/hookbastion/hookbastion/envoy/audit"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
	"github.com/hookbastion/hookbastion/examples"
	"github.com/hookbastion/hookbastion/policy/finding"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) {
	fetched.Need(envoytest.Available)
	os.Exit(m.Run())
}

const quickstart = "quickstart/envoy.yaml"

func read(t testing.TB, name string) string {
	t.Helper()
	text, err := examples.Quickstart.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// headers are the signature headers that the golden files know of.
var headers = map[string][]string{
	"github": {"X-Hub-Signature-256"}, "stripe": {"Stripe-Signature"}, "slack": {"X-Slack-Signature", "X-Slack-Request-Timestamp"},
}

func TestQuickstartIsGood(t *testing.T) {
	for _, f := range audit.Audit([]audit.File{{Name: quickstart, Data: []byte(read(t, quickstart))}}, audit.Options{SignatureHeaders: headers}) {
		if f.Severity != finding.Info {
			t.Error(f)
		}
	}
}

// TestGolden audits the files of each archive. Pairs of old and new are
// replacements in the quickstart's configuration, and the findings wanted are
// those that the quickstart itself does not have.
func TestGolden(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) < 40 {
		t.Fatalf("%d golden files, error %v", len(archives), err)
	}
	found := map[string]bool{}
	for _, name := range archives {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			files, options := scenario(t, archive)
			got := ""
			for _, f := range audit.Audit(files, options) {
				if f.Risk == "" || f.Fix == "" || strings.Contains(f.String(), "\n") {
					t.Errorf("an incomplete finding: %#v", f)
				}
				got += f.String() + "\n"
				found[f.ID] = true
			}
			compare(t, name, archive, got)
		})
	}
	for _, r := range audit.Rules() {
		if !found[r.ID] {
			t.Errorf("no golden file has a finding %s", r.ID)
		}
	}
}

func scenario(t *testing.T, archive *txtar.Archive) ([]audit.File, audit.Options) {
	t.Helper()
	o := audit.Options{SignatureHeaders: headers}
	var files []audit.File
	text, old := "", ""
	for _, f := range archive.Files {
		data := string(f.Data)
		switch f.Name {
		case "old":
			old = strings.TrimSuffix(data, "\n")
		case "new":
			if text == "" {
				text = read(t, quickstart)
			}
			if strings.Count(text, old) != 1 {
				t.Fatalf("%d times in the quickstart's configuration: %s", strings.Count(text, old), old)
			}
			text = strings.Replace(text, old, strings.TrimSuffix(data, "\n"), 1)
		case "options":
			setOptions(t, &o, data)
		case "want":
		default:
			files = append(files, audit.File{Name: f.Name, Data: f.Data})
		}
	}
	if text != "" {
		files = append(files, audit.File{Name: "envoy.yaml", Data: []byte(text)})
	}
	for _, f := range files {
		if f.Name == "envoy.yaml" {
			accepted(t, f.Data)
		}
	}
	return files, o
}

func setOptions(t *testing.T, o *audit.Options, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		n, err := strconv.ParseUint(value, 10, 64)
		switch name {
		case "max_request_bytes":
			o.MaxRequestBytes = n
		case "trusted_hops":
			o.TrustedHops = n
		case "trusted_cidrs":
			o.TrustedCIDRs = n > 0
		case "extension_only":
			o.ExtensionOnly, err = strings.Split(value, ","), nil
		case "decompressed":
			o.Decompressed = n > 0
		case "one_phase":
			o.OnePhase = n > 0
		case "only_failures":
			o.OnlyFailures = n > 0
		case "edge":
			o.Edge = n > 0
		case "tls12":
			o.TLS12 = n > 0
		case "require_tls":
			o.RequireTLS = n > 0
		case "require_certificate":
			o.RequireCertificate = n > 0
		case "require_whole":
			o.RequireCertificate, o.RequireWhole = n > 0, n > 0
		case "tls_version_header":
			o.TLSVersionHeader, err = value, nil
		case "cluster":
			o.Cluster, err = value, nil
		default:
			t.Fatalf("no option %s", name)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// accepted fails if Envoy would not start with the configuration: then there
// is nothing to warn of.
func accepted(t *testing.T, config []byte) {
	t.Helper()
	bin, err := envoytest.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, _, _, err := envoytest.Certificate(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "envoy.yaml"), config, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), generous)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, "--mode", "validate", "-c", "envoy.yaml", "--log-level", "error")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("Envoy refuses it: %v\n%s", err, out)
	}
}

func compare(t *testing.T, name string, archive *txtar.Archive, got string) {
	t.Helper()
	i := slices.IndexFunc(archive.Files, func(f txtar.File) bool { return f.Name == "want" })
	if i < 0 {
		t.Fatal("the archive wants nothing")
	}
	if *update {
		archive.Files[i].Data = []byte(got)
		if err := os.WriteFile(name, txtar.Format(archive), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if want := string(archive.Files[i].Data); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// FuzzAudit: any bytes give findings with places inside the file, quickly.
func FuzzAudit(f *testing.F) {
	f.Add([]byte(read(f, quickstart)))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte(`{"http_filters": [{"typed_config": null}], "static_resources": []}`))
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		f.Fatalf("no seeds, error %v", err)
	}
	for _, name := range archives {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			if strings.Contains(file.Name, ".") {
				f.Add(file.Data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		lines := strings.Count(strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n").Replace(string(data)), "\n") + 1
		for _, x := range audit.Audit([]audit.File{{Name: "f", Data: data}}, audit.Options{}) {
			if x.Line < 1 || x.Line > lines+1 || x.Column < 1 {
				t.Errorf("%d lines: %+v", lines, x)
			}
		}
	})
}
