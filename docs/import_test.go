package docs_test

import (
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// runPage does what a page says, in a directory with the page's files, and compares what is
// printed.
func runPage(t *testing.T, name, dir string) {
	t.Helper()
	page := read(t, name)
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?s)<!-- file: (\\S+) -->\n```\\w+\n(.*?)```\n").FindAllStringSubmatch(page, -1) {
		if err := os.WriteFile(filepath.Join(dir, m[1]), []byte(m[2]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	runs := regexp.MustCompile("(?s)<!-- run -->\n```sh\n(.*?)```\n\n```text\n(.*?)```\n").FindAllStringSubmatch(page, -1)
	if len(runs) != strings.Count(page, "```sh\n") || len(runs) == 0 {
		t.Fatalf("%d of the page's commands are run", len(runs))
	}
	for _, m := range runs {
		command := exec.Command("sh", "-euc", m[1])
		command.Dir = dir
		command.Env = append(os.Environ(), "PATH="+filepath.Dir(bin)+string(os.PathListSeparator)+os.Getenv("PATH"))
		out, err := command.CombinedOutput()
		if string(out) != m[2] || err != nil {
			t.Errorf("%s: %v\n%s", m[1], err, out)
		}
	}
}

func TestImportPage(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"github", "stripe", "stripe-next"} {
		if err := os.WriteFile(filepath.Join(dir, "keys", name), []byte("whsec_"+rand.Text()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	runPage(t, "docs/import.md", dir)
}
