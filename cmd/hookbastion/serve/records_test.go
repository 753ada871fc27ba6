package serve

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
)

// A line that a crash has cut does not take the first new record with it.
func TestACutLineIsEnded(t *testing.T) {
	for before, want := range map[string]string{"": "", "{}\n": "{}\n", "{}\n{\"ti": "{}\n{\"ti\n"} {
		name := filepath.Join(t.TempDir(), "records")
		put(t, name, before)
		_, closed, err := openRecords(&settings.Settings{Records: name}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		closed()
		if got, err := os.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("%q became %q, %v", before, got, err)
		}
	}
	if _, closed, err := openRecords(&settings.Settings{Records: os.DevNull}, Options{}); err != nil {
		t.Error(err)
	} else {
		closed()
	}
}
