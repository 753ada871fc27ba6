package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/envoy/telemetry/record"
)

// written is a record of this second.
func written(second int, webhook string) string {
	return fmt.Sprintf(`{"time":"2026-11-24T06:00:%02dZ","decision_id":"1","webhook":%q,"verdict":"allow","reason":"ok"}`+"\n", second, webhook)
}

func TestReadRecords(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	a := file("a", written(1, "a1")+written(3, "a3")+written(5, "a5"))
	b := file("b", written(2, "b2")+strings.TrimSpace(written(4, "b4")))
	bad := file("bad", "x\n"+written(9, "bad9")+strings.Repeat("y\n", 20)+`{"time":`)
	for name, c := range map[string]struct {
		files []string
		want  string
		err   error
		said  []string
	}{
		"one":                 {[]string{a}, "a1 a3 a5", nil, nil},
		"two, by time":        {[]string{a, b}, "a1 b2 a3 b4 a5", nil, nil},
		"standard input":      {[]string{b, "-"}, "in0 b2 b4", nil, nil},
		"lines that are none": {[]string{bad, a}, "a1 a3 a5 bad9", Invalid, []string{bad + ":1:1: expected a JSON object", bad + ":3:1: ", bad + ": and 12 more lines"}},
		"nothing":             {nil, "", nil, nil},
	} {
		var got []string
		var said bytes.Buffer
		err := ReadRecords(strings.NewReader(written(0, "in0")), &said, c.files, func(r *record.Record) error {
			got = append(got, r.Webhook)
			return nil
		})
		if strings.Join(got, " ") != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		for _, part := range c.said {
			if !strings.Contains(said.String(), part) {
				t.Errorf("%s: %q lacks %q", name, said.String(), part)
			}
		}
		if c.said == nil && said.Len() > 0 {
			t.Errorf("%s: %q", name, said.String())
		}
	}
	for _, name := range []string{filepath.Join(dir, "none"), dir} {
		code := Good
		err := ReadRecords(nil, nil, []string{a, name}, func(*record.Record) error { t.Error("used"); return nil })
		if err == nil || errors.As(err, &code) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	stop := errors.New("enough")
	if err := ReadRecords(nil, nil, []string{a}, func(*record.Record) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
}
