package settings

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
)

var (
	messageLine = regexp.MustCompile(`^\s*(?:message|enum) (\w+) \{`)
	fieldLine   = regexp.MustCompile(`^\s*(?:optional |repeated )?[\w.]+ (\w+) = \d+`)
	defaultText = regexp.MustCompile(`Default: "?([^ "]+?)"?[.,](?: |$)`)
)

// documentedDefaults are the values that the comments of the .proto file give, by
// the full names of the fields. Defaults that are told in words are left out.
func documentedDefaults(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../../../proto/hookbastion/settings/v1/settings.proto")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	var messages []string
	var comment string
	for line := range strings.Lines(string(text)) {
		trimmed := strings.TrimSpace(line)
		if words, ok := strings.CutPrefix(trimmed, "//"); ok {
			comment += words
			continue
		}
		if m := messageLine.FindStringSubmatch(line); m != nil {
			messages = append(messages, m[1])
		} else if m := fieldLine.FindStringSubmatch(line); m != nil && len(messages) > 0 {
			if d := defaultText.FindStringSubmatch(comment); d != nil && d[1] != "none" && d[1] != "replay.setup_until" {
				found["hookbastion.settings.v1."+strings.Join(messages, ".")+"."+m[1]] = d[1]
			}
		} else if trimmed == "}" && len(messages) > 0 && strings.Index(line, "}") == 2*(len(messages)-1) {
			messages = messages[:len(messages)-1]
		}
		comment = ""
	}
	return found
}

// needs are settings without which others have no use.
func needs(s setting) string {
	switch name := strings.Join(s.path, "."); {
	case strings.HasPrefix(name, "grpc.unix."):
		return "grpc: {unix: {path: s}}"
	case strings.HasPrefix(name, "grpc.tls."):
		return "grpc: {tls: {cert: c, key: k}}"
	case strings.HasPrefix(name, "admin.tls."):
		return "admin: {listen: '127.0.0.1:1', tls: {cert: c, key: k}}"
	case strings.HasPrefix(name, "replay.redis."):
		return "replay: {store: REDIS, redis: {url: 'redis://h'}}"
	case strings.HasPrefix(name, "replay.file."):
		return "replay: {store: FILE, file: {path: n}}"
	case strings.HasPrefix(name, "assertion."):
		return "assertion: {keys: [k]}"
	case strings.HasPrefix(name, "monitor.webhook."):
		return "monitor: {webhook: {url: 'https://h', secret: {env: E}}}"
	case strings.HasPrefix(name, "capture."):
		return "admin: {listen: '127.0.0.1:1'}\ncapture: {recipients: [age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]}"
	case name == "ranges.interval":
		return "ranges: {refresh: true}"
	default:
		return "{}"
	}
}

// another returns a good value that is not the default.
func another(t *testing.T, s setting, value string) string {
	t.Helper()
	switch name := strings.Join(s.path, "."); {
	case value == "true":
		return "false"
	case name == "replay.store":
		return "" // others need more
	case name == "capture.max_body_bytes":
		return "1MiB"
	case name == "source.trusted_hops":
		return "2"
	case s.field.Kind() == protoreflect.EnumKind:
		return string(s.field.Enum().Values().Get(2).Name())
	case strings.HasSuffix(name, ".listen"):
		return "127.0.0.1:7"
	case strings.HasSuffix(name, "bytes_in_flight"):
		return "1GiB"
	default:
		good, _ := samples(t, s)
		return good
	}
}

// The defaults that the comments of the settings give are those that hold: what
// is said in so many words is the same as saying nothing.
func TestDefaultsAreThoseOfTheComments(t *testing.T) {
	documented := documentedDefaults(t)
	compared := 0
	for _, s := range allSettings() {
		value, ok := documented[string(s.field.FullName())]
		if !ok {
			continue
		}
		compared++
		t.Run(strings.Join(s.path, "."), func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "settings.yaml")
			if err := os.WriteFile(file, []byte(needs(s)), 0o600); err != nil {
				t.Fatal(err)
			}
			load := func() *Settings {
				t.Helper()
				got, err := Load(file, nil)
				if err != nil {
					t.Fatal(err)
				}
				return got
			}
			silent := load()
			t.Setenv(s.variable(), value)
			if said := load(); !reflect.DeepEqual(said, silent) {
				t.Errorf("%s is %+v, nothing is %+v", value, said, silent)
			}
			if other := another(t, s, value); other != "" {
				t.Setenv(s.variable(), other)
				if reflect.DeepEqual(load(), silent) {
					t.Errorf("%s changes nothing", other)
				}
			}
		})
	}
	if compared < 28 {
		t.Errorf("only %d defaults of %d were compared", compared, len(documented))
	}
}
