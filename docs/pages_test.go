package docs_test

import (
	"crypto/sha256"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// program builds the program, once.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "hookbastion")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "hookbastion")
	command := exec.Command("go", "build", "-o", bin, "./cmd/hookbastion")
	command.Dir = root
	if out, err := command.CombinedOutput(); err != nil {
		_, _ = os.Stderr.Write(out) // the error has no more than a status
		return "", err
	}
	return bin, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if bin, err := program(); err == nil {
		_ = os.RemoveAll(filepath.Dir(bin)) // of the system's temporary files
	}
	os.Exit(code)
}

// validate runs hookbastion validate where policies/ has the policy, and each secret that
// it names is there.
func validate(t *testing.T, text string, args ...string) string {
	t.Helper()
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := map[string]string{"policies/webhooks.yaml": text}
	for _, m := range regexp.MustCompile(`file: \.\./(secrets/[a-z-]+)`).FindAllStringSubmatch(text, -1) {
		sum := sha256.Sum256([]byte(m[1]))
		files[m[1]] = base64.StdEncoding.EncodeToString(sum[:]) + "\n" // each has its own
	}
	for name, content := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.Command(bin, append([]string{"validate", "policies"}, args...)...)
	command.Dir = dir
	out, err := command.CombinedOutput()
	if err != nil {
		t.Errorf("%s\n%v\n%s", text, err, out)
	}
	return string(out)
}

var shown = regexp.MustCompile("(?s)<!-- policy -->\n```yaml\n(.*?)```\n")

// TestWindow: the policy of the page about handshakes is good while its window is ahead.
func TestWindow(t *testing.T) {
	m := regexp.MustCompile("(?s)<!-- policy: window -->\n```yaml\n(.*?)```\n").FindStringSubmatch(read(t, "docs/handshakes.md"))
	if m == nil {
		t.Fatal("the page shows no window")
	}
	until := regexp.MustCompile(`setup_until: \S+`)
	soon := "setup_until: " + time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	if !until.MatchString(m[1]) {
		t.Fatal("the policy has no window")
	}
	validate(t, until.ReplaceAllString(m[1], soon))
}

// TestConcepts: the policies of the pages are good, and so is that of the quickstart: what
// people copy leaves nothing weak that a policy could mend.
func TestConcepts(t *testing.T) {
	all := slices.Concat(
		shown.FindAllStringSubmatch(read(t, "docs/concepts.md"), -1), shown.FindAllStringSubmatch(read(t, "docs/jwt.md"), -1),
		shown.FindAllStringSubmatch(read(t, "docs/findings.md"), -1), shown.FindAllStringSubmatch(read(t, "docs/handshakes.md"), -1),
		shown.FindAllStringSubmatch(read(t, "docs/providers/ranges.md"), -1),
		[][]string{{"", read(t, "examples/quickstart/policies/webhooks.yaml")}},
	)
	for _, m := range all {
		validate(t, m[1], "--fail-on", "warning", "--now", "2026-12-01T00:00:00Z")
	}
	if len(all) < 5 {
		t.Errorf("the page shows %d policies", len(all))
	}
}

// TestSettingsExample: the settings that begin a file are settings.
func TestSettingsExample(t *testing.T) {
	name, err := filepath.Abs(filepath.Join(root, "examples/quickstart/hookbastion.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	policies := shown.FindStringSubmatch(read(t, "docs/concepts.md"))[1]
	validate(t, policies, "--config", name)
	if !strings.Contains(read(t, "docs/settings.md"), "examples/quickstart/hookbastion.yaml") {
		t.Error("docs/settings.md does not name it")
	}
}

// TestSchemaAddress: the JSON Schema is where the page says.
func TestSchemaAddress(t *testing.T) {
	m := regexp.MustCompile(`\$schema=https://raw\.githubusercontent\.com/hookbastion/hookbastion/main/(\S+)`).FindStringSubmatch(read(t, "docs/concepts.md"))
	if m == nil {
		t.Fatal("the page has no address")
	}
	read(t, m[1])
}
