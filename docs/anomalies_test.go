package docs_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz/monitor"
)

// TestAnomaliesPage: the page's commands run as they are printed and find what the labels
// say, and the page names each kind.
func TestAnomaliesPage(t *testing.T) {
	page := read(t, "docs/anomalies.md")
	for _, k := range monitor.Kinds() {
		if !strings.Contains(page, "\n| `"+k.String()+"` | ") {
			t.Errorf("the page does not say what %s is", k)
		}
	}
	_, rest, _ := strings.Cut(page, "<!-- run -->\n```sh\n")
	commands, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("the page has no commands")
	}
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	records, labels := filepath.Join(dir, "records.json"), filepath.Join(dir, "labels.json")
	commands = strings.NewReplacer("bin/hookbastion", bin, "records.json", records, "labels.json", labels).Replace(commands)
	command := exec.Command("sh", "-ec", commands)
	command.Dir = root
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(labels)
	if err != nil {
		t.Fatal(err)
	}
	var planted []struct{ Kind, Webhook string }
	if err := json.Unmarshal(text, &planted); err != nil || len(planted) < 5 {
		t.Fatalf("%d anomalies, error %v", len(planted), err)
	}
	missed := 0
	for _, l := range planted {
		if !strings.Contains(strings.Join(strings.Fields(string(out)), " "), " "+l.Kind+" "+or(l.Webhook, "-")+" ") {
			missed++
		}
	}
	if missed > 1 {
		t.Errorf("%d of %d anomalies are not among the alarms:\n%s\n%s", missed, len(planted), text, out)
	}
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// TestAnomaliesSettings: the settings that the page shows are good ones.
func TestAnomaliesSettings(t *testing.T) {
	_, rest, _ := strings.Cut(read(t, "docs/anomalies.md"), "<!-- settings -->\n```yaml\n")
	text, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("the page has no settings")
	}
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "hookbastion.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "/var/lib/hookbastion", dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(bin, "config", "print", "--config", file).CombinedOutput()
	if err != nil || !strings.Contains(string(out), filepath.Join(dir, "monitor")) || strings.Contains(string(out), "alerts.example.com") {
		t.Errorf("%v: %s", err, out)
	}
}
