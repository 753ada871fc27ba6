package settings_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
	"github.com/hookbastion/hookbastion/policy"
)

// What keeps the service from running is said of a settings file alone, at the setting
// that names it.
func TestCheck(t *testing.T) {
	dir := t.TempDir()
	cert, key, _, err := envoytest.Certificate(dir)
	if err != nil {
		t.Fatal(err)
	}
	file := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	text, token := file("text", "no PEM"), file("token", "0123456789abcdef")
	short := file("short", "0123456789abcde")
	for _, c := range []struct{ config, path, want string }{
		{"{}", "", ""},
		{"grpc: {tls: {cert: " + cert + ", key: " + key + ", client_ca: " + cert + "}}", "", ""},
		{"grpc: {tls: {cert: " + cert + ", key: " + text + "}}", "grpc.tls", text},
		{"grpc: {tls: {cert: " + cert + ", key: " + key + ", client_ca: " + text + "}}", "grpc.tls", text},
		{"admin: {listen: 127.0.0.1:0, tls: {cert: " + text + ", key: " + key + "}}", "admin.tls", text},
		{"admin: {listen: 127.0.0.1:0, token: " + token + "}", "", ""},
		{"admin: {listen: 127.0.0.1:0, token: " + short + "}", "admin.token", "shorter than 16 bytes"},
		{"admin: {listen: 127.0.0.1:0, token: " + dir + "/none}", "admin.token", "no such file"},
		{"admin: {listen: 127.0.0.1:0, token: " + token + ", readers: {token: " + short + "}}", "admin.readers.token", "shorter than 16 bytes"},
		{"admin: {listen: 127.0.0.1:0, token: " + token + ", readers: {token: " + token + "}}", "admin.readers.token", "is the same token"},
		{"assertion: {keys: [" + key + "]}", "", ""},
		{"assertion: {keys: [" + text + "]}", "assertion.keys", text},
		{"replay: {store: FILE, file: {path: " + dir + "}}", "", ""},
		{"replay: {store: FILE, file: {path: " + dir + "/new}}", "", ""},
		{"replay: {store: FILE, file: {path: " + text + "}}", "replay.file.path", "is no directory"},
		{"replay: {store: REDIS, redis: {url: redis://127.0.0.1:1}, keys: {file: " + text + "}}", "replay.keys.file", text},
		{"fetch: {ca: " + cert + "}", "", ""},
		{"fetch: {ca: " + text + "}", "fetch.ca", "has no certificate"},
		{"fetch: {ca: " + dir + "/none}", "fetch.ca", "no such file"},
	} {
		config := file("hookbastion.yaml", c.config)
		_, err := settings.Check(config, time.Now())
		var errs policy.Errors
		errors.As(err, &errs)
		switch {
		case c.want == "" && err == nil:
		case c.want != "" && len(errs) == 1 && errs[0].File == config && errs[0].Line == 1 && errs[0].Path == c.path && strings.Contains(errs[0].Message, c.want):
		default:
			t.Errorf("%s: %v", c.config, err)
		}
	}
	// A certificate is judged by the time that is given.
	config := file("hookbastion.yaml", "grpc: {tls: {cert: "+cert+", key: "+key+"}}")
	if _, err := settings.Check(config, time.Now().AddDate(100, 0, 0)); err == nil {
		t.Error("a certificate that has expired is good")
	}
}
