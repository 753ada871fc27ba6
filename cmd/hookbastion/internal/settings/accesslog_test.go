package settings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// replay.access_log is true, false, or a word.
func TestAccessLog(t *testing.T) {
	for text, want := range map[string]struct {
		lease    time.Duration
		failures bool
		problem  string
	}{
		"true":       {time.Minute, false, ""},
		"True":       {time.Minute, false, ""},
		"false":      {0, false, ""},
		"FAILURES":   {time.Minute, true, ""},
		`"true"`:     {problem: `"true" is not one of true, false, FAILURES`},
		"failures":   {problem: `"failures" is not one of true, false, FAILURES; did you mean FAILURES?`},
		"1":          {problem: `"1" is not one of true, false, FAILURES`},
		"yes":        {problem: `"yes" is not one of true, false, FAILURES`},
		"[FAILURES]": {problem: "must be a name in upper case, not a list"},
	} {
		file := filepath.Join(t.TempDir(), "hookbastion.yaml")
		if err := os.WriteFile(file, []byte("replay: {access_log: "+text+"}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Load(file, nil)
		switch {
		case want.problem != "":
			if err == nil || !strings.Contains(err.Error(), want.problem) {
				t.Errorf("%s: %v", text, err)
			}
		case err != nil:
			t.Errorf("%s: %v", text, err)
		case s.Lease != want.lease || s.OnlyFailures != want.failures:
			t.Errorf("%s: lease %s, failures alone: %t", text, s.Lease, s.OnlyFailures)
		}
	}
}
