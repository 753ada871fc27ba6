package cause

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMeanings: each word that a trial can have is in the list, and no other.
func TestMeanings(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	used, listed := map[string]bool{}, map[string]bool{}
	for _, name := range files {
		if name == "list.go" || strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`"((?:body|key|url|scheme|clock)_[a-z0-9_]+)"`).FindAllStringSubmatch(string(text), -1) {
			used[m[1]] = true
		}
	}
	for _, m := range Meanings() {
		listed[m[0]] = true
	}
	if !reflect.DeepEqual(used, listed) || len(listed) < 40 {
		t.Errorf("used %d, listed %d", len(used), len(listed))
		for word := range used {
			if !listed[word] {
				t.Errorf("%s is not listed", word)
			}
		}
		for word := range listed {
			if !used[word] {
				t.Errorf("%s is listed, and nothing says it", word)
			}
		}
	}
}

// TestNeverInTheService: what asks so many questions of a key is in no part that serves.
func TestNeverInTheService(t *testing.T) {
	module := "github.com/hookbastion/hookbastion/"
	this := module + "authz/signature/cause"
	out, err := exec.Command("go", "list", "-f", "{{.ImportPath}}: {{join .Imports \" \"}}", module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	var users []string
	for line := range strings.Lines(string(out)) {
		name, imports, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if slices.Contains(strings.Fields(imports), this) {
			users = append(users, strings.TrimPrefix(name, module))
		}
	}
	if !slices.Equal(users, []string{"cmd/hookbastion/explain"}) {
		t.Errorf("it is imported by %q", users)
	}
	// Nor is what it needs of package signature called by others.
	calls := regexp.MustCompile(`\.(KeysNow|Pieces|Overflows)\(`)
	err = filepath.WalkDir("../../..", func(name string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.Contains(name, "/.cache/") {
			return err
		}
		text, err := os.ReadFile(name)
		room := filepath.ToSlash(filepath.Dir(name))
		if calls.Match(text) && room != "." && !strings.HasSuffix(room, "cmd/hookbastion/explain") && !strings.HasSuffix(room, "authz/signature") && !strings.HasSuffix(room, "authz/signature/cause") {
			t.Errorf("%s calls what is for explain", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestClock(t *testing.T) {
	now := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	for want, signed := range map[string]time.Time{
		"clock_zone":         now.Add(-5*time.Hour - 30*time.Minute + 20*time.Second),
		"clock_ahead":        now.Add(7 * time.Minute),
		"clock_behind":       now.Add(-90 * time.Hour),
		"clock_milliseconds": time.Unix(now.UnixMilli(), 0),
		"clock_seconds":      time.UnixMilli(now.Unix()),
	} {
		if c, ok := Clock(signed, now, 5*time.Minute); !ok || c.ID != want {
			t.Errorf("%s: %v, %+v", want, ok, c)
		}
	}
	// What was held back is no zone, unless it is as long as one to the minute.
	for off, want := range map[time.Duration]string{
		-15 * time.Minute: "clock_behind", 16 * time.Minute: "clock_ahead", -30 * time.Minute: "clock_behind", -64 * time.Minute: "clock_behind",
		-13 * time.Hour: "clock_behind", 13 * time.Hour: "clock_zone", 5*time.Hour + 45*time.Minute: "clock_zone", 5*time.Hour + 15*time.Minute: "clock_ahead",
		-9*time.Hour - 30*time.Minute: "clock_zone", -time.Hour: "clock_zone",
	} {
		if c, ok := Clock(now.Add(off), now, 5*time.Minute); !ok || c.ID != want {
			t.Errorf("off by %s: want %s, got %+v", off, want, c)
		}
	}
	if c, ok := Clock(now, now, 5*time.Minute); ok && c.ID != "" {
		t.Errorf("the same time: %+v", c)
	}
}

// TestNested: a body that is nested as deeply as JSON may be costs next to nothing.
func TestNested(t *testing.T) {
	for depth, want := range map[int]bool{maxNested: true, maxNested + 1: false, 9000: false} {
		text := strings.Repeat("[", depth) + strings.Repeat("]", depth)
		for _, w := range writings() {
			if written, ok := w.write([]byte(text)); ok != want || len(written) > 1<<16 {
				t.Fatalf("%d levels: %v, %d bytes", depth, ok, len(written))
			}
		}
	}
}

// FuzzWriting: JSON that is written anew in any way says what it said.
func FuzzWriting(f *testing.F) {
	f.Add(`{"b":[1.50,"é\/<>",null,{}],"a":true}`)
	f.Add(`[[],{"":"\ud83d\ude00"}]`)
	f.Add(`"\u2028"`)
	f.Fuzz(func(t *testing.T, text string) {
		if !json.Valid([]byte(text)) {
			return
		}
		var before any
		if err := json.Unmarshal([]byte(text), &before); err != nil {
			return // a number that is too large
		}
		for _, w := range writings() {
			written, ok := w.write([]byte(text))
			if !ok && strings.Count(text, "[")+strings.Count(text, "{") > maxNested {
				continue
			}
			var after any
			if err := json.Unmarshal(written, &after); !ok || err != nil || !reflect.DeepEqual(before, after) {
				t.Errorf("%s: %q becomes %q: %v", w, text, written, err)
			}
		}
	})
}
