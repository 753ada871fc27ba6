package redeliver

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTicketOfARecord(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		`{"decision_id":"a","redeliver":"T"}` + "\n": "",
		`{"decision_id":"a"}`:                        "has no redeliver",
		"":                                           "not one line of JSON",
		`{"redeliver":"T"}` + "\n" + `{"redeliver":"U"}`:     "not one line of JSON",
		`{"redeliver":"T"}` + strings.Repeat(" ", maxRecord): "longer than a record",
	} {
		file := filepath.Join(dir, "record")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{file, "-"} {
			ticket, err := ticketOf(strings.NewReader(text), name)
			if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) || err == nil && ticket != "T" {
				t.Errorf("%.40q: %q, %v", text, ticket, err)
			}
		}
	}
	if _, err := ticketOf(nil, filepath.Join(dir, "nothing")); err == nil {
		t.Error("a file that is not there")
	}
}
