package audit_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz/authztest/fetched"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/audit"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
	"github.com/hookbastion/hookbastion/examples"
)

func TestMain(m *testing.M) {
	fetched.Need(envoytest.Available)
	os.Exit(m.Run())
}

func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := audit.New()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// TestAdmin asks a running Envoy: once as the examples have it, once with a route that is
// not verified, which Envoy's own words show, too.
func TestAdmin(t *testing.T) {
	text, err := examples.Quickstart.ReadFile("quickstart/plain.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, open := range []bool{false, true} {
		config, err := envoytest.ParseConfig(text)
		if err != nil {
			t.Fatal(err)
		}
		if open {
			config.ExtAuthz()["failure_mode_allow"] = true
			route := config.Manager()["route_config"].(map[string]any)["virtual_hosts"].([]any)[0].(map[string]any)["routes"].([]any)[0].(map[string]any)
			route["typed_per_filter_config"] = map[string]any{"envoy.filters.http.ext_authz": map[string]any{
				"@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute", "disabled": true,
			}}
		}
		e, err := envoytest.Start(t.Context(), config, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer e.Stop()
		out, err := run(t, "--admin", "http://"+e.Admin)
		if (err != nil) != open || strings.Contains(out, "error HE011") != open || strings.Contains(out, "error HE003") != open {
			t.Errorf("open %v: %v\n%s", open, err, out)
		}
		if strings.Count(out, "HE003") > 1 {
			t.Errorf("everything twice:\n%s", out)
		}
	}
}

func TestAdminFails(t *testing.T) {
	refuses := httptest.NewServer(http.NotFoundHandler())
	defer refuses.Close()
	for address, want := range map[string]string{
		"127.0.0.1:9901":     "--admin must be a URL",
		"ftp://127.0.0.1":    "--admin must be a URL",
		refuses.URL:          "answers 404",
		"http://127.0.0.1:1": "no Envoy answers",
	} {
		if out, err := run(t, "--admin", address); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v\n%s", address, err, out)
		}
	}
}

// TestDirectory reads the files of a directory together, and nothing else in it.
func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	if _, err := run(t, dir); err == nil || !strings.Contains(err.Error(), "no file that ends in .yaml") {
		t.Error(err)
	}
	for name, text := range map[string]string{
		"mesh.yaml":   "extensionProviders: [{name: hookbastion, envoyExtAuthzGrpc: {service: a, failOpen: true}}]",
		"policy.yml":  "{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, spec: {action: CUSTOM, provider: {name: hookbastion}, rules: [{}]}}",
		"readme.md":   "- [",
		"broken.json": "{}",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := run(t, dir)
	if err == nil || !strings.Contains(out, "error HE003") || strings.Contains(out, "HE001") || strings.Contains(out, "readme") {
		t.Errorf("%v\n%s", err, out)
	}
}
