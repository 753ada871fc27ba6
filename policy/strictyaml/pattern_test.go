package strictyaml

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// Nobody should have to read a regular expression in an error.
func TestPatternsHaveWords(t *testing.T) {
	files, err := filepath.Glob("../../proto/hookbastion/*/v1/*.proto")
	if err != nil || len(files) < 3 {
		t.Fatalf("%d files, error %v", len(files), err)
	}
	n := 0
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`pattern\s*[=:]\s*("[^"]*")`).FindAllSubmatch(text, -1) {
			pattern, err := strconv.Unquote(string(m[1]))
			if err != nil {
				t.Fatal(err)
			}
			if n++; patternTexts[pattern] == "" {
				t.Errorf("%s: %s has no words", name, pattern)
			}
		}
	}
	if n < len(patternTexts) {
		t.Errorf("%d patterns found, %d have words", n, len(patternTexts))
	}
}
