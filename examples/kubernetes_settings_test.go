//go:build mesh

package examples_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/envoy/envoytest"
	"github.com/hookbastion/hookbastion/examples/schema"
)

// TestKubernetesSettings: the program takes what ConfigMaps tell it, its own findings included,
// and Envoy's configuration has no traps.
func TestKubernetesSettings(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "hookbastion")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "../cmd/hookbastion").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	validated, audited := 0, 0
	for from, text := range deployments(t) {
		objects, err := schema.Documents[map[string]any](text)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		mounts(t, dir)
		files := map[string]string{}
		for _, o := range objects {
			for name, content := range mapping(o["data"]) {
				if o["kind"] == "ConfigMap" {
					files[name] = strings.ReplaceAll(content.(string), "/etc/hookbastion", dir)
				}
			}
		}
		run := func(args ...string) {
			if out, err := exec.CommandContext(t.Context(), bin, args...).CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %v\n%s", from, args, err, out)
			}
		}
		settings := filepath.Join(dir, "hookbastion.yaml")
		write(t, settings, files["hookbastion.yaml"])
		if policies, ok := files["webhooks.yaml"]; ok {
			validated++
			write(t, filepath.Join(dir, "policies/webhooks.yaml"), policies)
			run("validate", filepath.Join(dir, "policies"), "--config", settings, "--fail-on", "warning")
		}
		if envoy, ok := files["envoy.yaml"]; ok {
			audited++
			write(t, filepath.Join(dir, "envoy.yaml"), envoy)
			run("envoy", "audit", filepath.Join(dir, "envoy.yaml"), "--config", settings, "--policy", filepath.Join(dir, "policies"), "--fail-on", "warning")
		}
	}
	if validated < 5 || audited < 2 {
		t.Errorf("%d sets of policies were validated, %d configurations of Envoy audited", validated, audited)
	}
}

// mounts makes what pods find in their volumes.
func mounts(t *testing.T, dir string) {
	t.Helper()
	write(t, filepath.Join(dir, "secrets/github"), "Zm9yIGdpdGh1YiBhbG9uZSwgb2YgYSB0ZXN0IHdpdGggbm8gbWVhbmluZw==\n")
	write(t, filepath.Join(dir, "secrets/stripe"), "whsec_9f2Kq8Zr3XwLt7VbNc5MhJd1PsGy6TaEoUiRxQvB\n")
	write(t, filepath.Join(dir, "redis/password"), "of a Redis that is not asked\n")
	cert, key, _, err := envoytest.Certificate(dir)
	if err != nil {
		t.Fatal(err)
	}
	for to, from := range map[string]string{"tls/tls.crt": cert, "tls/ca.crt": cert, "tls/tls.key": key, "redis-ca/ca.crt": cert} {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, to), string(text))
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
