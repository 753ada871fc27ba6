package settings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestRanges(t *testing.T) {
	for text, want := range map[string]string{
		"ranges: {urls: ['azure=https://mirror.example.com/tags.json', 'stripe=https://mirror.example.com/s']}": "",
		"ranges: {urls: ['strype=https://mirror.example.com/s']}":                                               `"strype" is no document of published addresses; did you mean stripe?`,
		"ranges: {urls: ['telegram=https://mirror.example.com/s']}":                                             `"telegram" is no document`, // its networks stand on a page
		"ranges: {urls: ['stripe=https://a.example/s', 'stripe=https://b.example/s']}":                          "names stripe a second time",
		"ranges: {urls: ['stripe=http://mirror.example.com/s']}":                                                "must be the name of a document, = and an address",
	} {
		file := filepath.Join(t.TempDir(), "settings.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(file, nil)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	for text, want := range map[string]time.Duration{"{}": 0, "ranges: {interval: 1h}": 0, "ranges: {refresh: true}": 6 * time.Hour, "ranges: {refresh: true, interval: 1h}": time.Hour} {
		file := filepath.Join(t.TempDir(), "settings.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := Load(file, nil); err != nil || s.Ranges.Every != want {
			t.Errorf("%s: %+v, %v", text, s, err)
		}
	}
}
