package settings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFetchSettings(t *testing.T) {
	for text, want := range map[string]string{
		"fetch: {}": "",
		"fetch: {directory: d, allow_private: [10.1.0.0/16, 127.0.0.1], proxy: 'http://proxy:3128', max_stale: 24h, timeout: 5s}": "",
		"fetch: {allow_private: [inside]}":             "fetch.allow_private[0]: is not a network",
		"fetch: {allow_private: [10.0.0.0/8, '::/0']}": "fetch.allow_private[1]: is every address",
		"fetch: {allow_private: [0.0.0.0/0]}":          "fetch.allow_private[0]: is every address",
		"fetch: {proxy: 'proxy:3128'}":                 "fetch.proxy: must be http",
		"fetch: {proxy: 'socks5://proxy:1080'}":        "fetch.proxy: must be http",
		"fetch: {proxy: 'http://user:word@proxy'}":     "fetch.proxy: must be http",
		"fetch: {proxy: 'http://proxy/path'}":          "fetch.proxy: must be http",
		"fetch: {max_stale: 0s}":                       "fetch.max_stale",
		"fetch: {timeout: 10m}":                        "fetch.timeout",
	} {
		file := filepath.Join(t.TempDir(), "settings.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Load(file, nil)
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", text, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", text, err, want)
		case want == "" && strings.Contains(text, "proxy") && (len(s.Fetch.AllowPrivate) != 2 || s.Fetch.Proxy.Host != "proxy:3128" || s.Fetch.Directory != "d"):
			t.Errorf("%s: %+v", text, s.Fetch)
		}
	}
}
