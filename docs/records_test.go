package docs_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestRecordsPage: the commands of the page print what it says of the file that it has.
func TestRecordsPage(t *testing.T) {
	page := read(t, "docs/records.md")
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := regexp.MustCompile("(?s)<!-- file: (\\S+) -->\n```json\n(.*?)```\n").FindStringSubmatch(page)
	if err := os.WriteFile(filepath.Join(dir, file[1]), []byte(file[2]), 0o600); err != nil {
		t.Fatal(err)
	}
	runs := regexp.MustCompile("(?s)<!-- run(?:: (\\d))? -->\n```sh\nhookbastion (.*?)\n```\n\n```text\n(.*?)```\n").FindAllStringSubmatch(page, -1)
	if len(runs) != strings.Count(page, "```sh\n") || len(runs) == 0 {
		t.Fatalf("%d of the page's commands are run", len(runs))
	}
	for _, m := range runs {
		command := exec.Command(bin, strings.Fields(m[2])...)
		command.Dir = dir
		out, err := command.Output()
		code := "0"
		if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
			code = string(rune('0' + failed.ExitCode()))
		}
		if want := m[1]; string(out) != m[3] || code != want && code+want != "0" {
			t.Errorf("%s exits with %s:\n%s", m[2], code, out)
		}
	}
}
