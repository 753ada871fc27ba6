package settings

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	settingsv1 "github.com/hookbastion/hookbastion/proto/hookbastion/settings/v1"
)

// inForce are the settings of a file and of flags, by their keys.
func inForce(t *testing.T, text string, args ...string) map[string]Value {
	t.Helper()
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags := AddFlags(set)
	if text != "" {
		file := filepath.Join(t.TempDir(), "f.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", file)
	}
	if err := set.Parse(args); err != nil {
		t.Fatal(err)
	}
	v, err := flags.Values()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]Value{}
	for _, value := range v.InForce() {
		all[value.Key] = value
	}
	return all
}

// Every setting says what it means and its default, in help and in what is in force.
func TestEverySettingHasAMeaningAndADefault(t *testing.T) {
	all := inForce(t, "")
	for _, s := range allSettings() {
		about, rest, ok := strings.Cut(s.meaning(), "Default: ")
		if !ok || len(about) < 10 || rest == "" || !strings.HasSuffix(rest, ".") || strings.Contains(rest, ". ") {
			t.Errorf("%s: its comment in settings.proto must say what it is, and end with \"Default: ….\": %q", s.key(), s.meaning())
		}
		if v := all[s.key()]; v.From != "default" || v.Value == nil && !strings.HasPrefix(rest, "none") && v.Note == "" && s.key() != "replay.redis.setup_until" {
			t.Errorf("%s is %+v", s.key(), v)
		}
	}
}

func TestInForceSaysWhereFrom(t *testing.T) {
	t.Setenv("HOOKBASTION_LIMITS_CONNECTIONS", "7")
	t.Setenv("HOOKBASTION_REPLAY_LEASE", "90s")
	all := inForce(t, "http:\n  listen: 127.0.0.1:1\nreplay: {lease: 5s, setup_until: 2026-12-01T00:00:00Z}\ngrpc: {unix: {path: s}}\nenvoy: {max_request_bytes: 2MiB}\n",
		"--records-otlp", "--assertion-issuer", "a\x1b[2Jb\nc", "--source-trusted-cidrs", "10.0.0.0/8", "--source-trusted-cidrs=::1,fd00::/8", "--policy", "a,b", "--policy", "c")
	for key, want := range map[string]string{
		"http.listen":                "127.0.0.1:1 f.yaml:2:3",
		"replay.setup_until":         "2026-12-01T00:00:00Z f.yaml:3:21",
		"replay.redis.setup_until":   "2026-12-01T00:00:00Z default",
		"replay.lease":               "1m30s $HOOKBASTION_REPLAY_LEASE",
		"limits.connections":         "7 $HOOKBASTION_LIMITS_CONNECTIONS",
		"records.otlp":               "true --records-otlp",
		"source.trusted_cidrs":       "10.0.0.0/8,::1,fd00::/8 --source-trusted-cidrs",
		"policy.directories":         "a,b,c --policy",
		"grpc.listen":                "(none) default",
		"grpc.unix.path":             "s f.yaml:4:15",
		"replay.max_entries":         "4000000 default",
		"replay.redis.recovery":      "5m default",
		"replay.store":               "MEMORY default",
		"envoy.max_request_bytes":    "2MiB f.yaml:5:9",
		"records.file":               "- default",
		"records.denials_per_second": "100 default",
		"limits.bytes_in_flight":     "256MiB default",
		"log.format":                 "text default",
		"assertion.issuer":           `"a\x1b[2Jb\nc" --assertion-issuer`,
	} {
		v := all[key]
		if got := v.Text() + " " + filepath.Base(v.From); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if v := all["replay.redis.setup_until"]; v.Note != "as replay.setup_until" {
		t.Errorf("%+v", v)
	}
	if v := all["policy.directories"].Value; !slices.Equal(v.([]string), []string{"a,b", "c"}) {
		t.Errorf("%q", v)
	}
}

// Who writes a secret where its file or variable belongs does not see it printed.
func TestInForceShowsNoSecret(t *testing.T) {
	const secret = "hunter2hunter2hunter2"
	t.Setenv("REDIS_PASSWORD", secret)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	all := inForce(t, "", "--admin-token", secret, "--admin-readers-token", secret, "--assertion-keys", file+","+secret, "--replay-keys-file", secret,
		"--replay-redis-url", "redis://u:"+secret+"@h", "--replay-redis-password-file", secret, "--replay-redis-password-env", secret,
		"--replay-redis-sentinel-password-file", secret, "--replay-redis-sentinel-password-env", secret,
		"--grpc-tls-key", secret, "--admin-tls-key", secret, "--replay-redis-key", secret,
		"--monitor-webhook-url", "https://h/"+secret, "--monitor-webhook-secret-file", secret, "--monitor-webhook-secret-env", secret)
	for key, v := range all {
		if strings.Contains(v.Text()+v.Note+v.From, secret) {
			t.Errorf("%s shows it", key)
		}
	}
	for _, url := range []string{"redis://h?password=" + secret, "redis://:" + secret + "@h:x", "redis://h#" + secret} {
		if v := inForce(t, "", "--replay-redis-url", url)["replay.redis.url"]; v.Value != nil || v.Note == "" {
			t.Errorf("%s: %+v", url, v)
		}
	}
	all = inForce(t, "", "--admin-token", file, "--replay-redis-password-env", "REDIS_PASSWORD", "--replay-redis-url", "redis://h:1/2")
	for key, want := range map[string]string{"admin.token": file, "replay.redis.password.env": "REDIS_PASSWORD", "replay.redis.url": "redis://h:1/2"} {
		if v := all[key]; v.Value != want {
			t.Errorf("%s: %+v", key, v)
		}
	}
}

// Each setting whose name says that it names a secret is among those that are not
// shown where they name nothing.
func TestSecretSettingsAreKnown(t *testing.T) {
	for _, s := range allSettings() {
		key, last := s.key(), s.path[len(s.path)-1]
		secret := last == "key" || last == "keys" || last == "token" || strings.Contains(key, "password") || strings.HasPrefix(key, "replay.keys.") || strings.HasPrefix(key, "monitor.webhook.secret.")
		if known := slices.Contains(secretFiles, key) || slices.Contains(secretVariables, key); known != secret {
			t.Errorf("%s: known %t", key, known)
		}
	}
}

func TestStrangeVariables(t *testing.T) {
	env := &settingsv1.Settings{Replay: &settingsv1.Replay{Redis: &settingsv1.Redis{Password: &settingsv1.Redis_Password{Env: "HOOKBASTION_REPLAY_REDIS_PASSWORDS"}}}}
	for variable, want := range map[string]string{
		"HOOKBASTION_GRPC_LISTEN=x":                 "",
		"HOOKBASTION_GRPC_LISTN=x":                  "is no setting; did you mean HOOKBASTION_GRPC_LISTEN?",
		"HOOKBASTION_REPLAY_REDIS_PASWORD_FILE=x":   "is no setting; did you mean HOOKBASTION_REPLAY_REDIS_PASSWORD_FILE?",
		"HOOKBASTION_GRPC_UNIX=x":                   "is no setting; its parts are HOOKBASTION_GRPC_UNIX_PATH, HOOKBASTION_GRPC_UNIX_MODE",
		"HOOKBASTION_REPLAY_REDIS_PASSWORDS=x":      "",
		"HOOKBASTION_GITHUB_SECRET=x":               "strange",
		"HOOKBASTION_CONFIG=x":                      "strange",
		"HOOKBASTION_PORT=tcp://10.0.0.1:9001":      "",
		"HOOKBASTION_SERVICE_HOST=10.0.0.1":         "",
		"HOOKBASTION_SERVICE_PORT_GRPC=9001":        "",
		"HOOKBASTION_PORT_9001_TCP_ADDR=10.0.0.1":   "",
		"HOOKBASTION_ADMIN_PORT_9003_TCP=tcp://h:1": "",
		"HOOKBASTION_=x":                            "strange",
		"HOOKBASTIONS=x":                            "",
		"PATH=HOOKBASTION_GRPC_LISTN":               "",
	} {
		strange, errs := strangeVariables([]string{variable}, env)
		got := ""
		switch {
		case len(errs) > 0:
			got = errs[0].Message
		case len(strange) > 0:
			got = "strange"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", variable, got, want)
		}
		if name, value, _ := strings.Cut(variable, "="); len(value) > 3 && strings.Contains(errs.Error()+strings.Join(strange, ""), value) {
			t.Errorf("the value of %s is told", name)
		}
	}
}

func TestListenAddresses(t *testing.T) {
	judgeSettings(t, map[string]string{
		"grpc: {listen: 9001}":                    `grpc.listen: must be HOST:PORT, such as 127.0.0.1:9001, or :9001 for all addresses of the machine; not "9001"`,
		"grpc: {listen: localhost}":               "must be HOST:PORT",
		"grpc: {listen: 'localhost:'}":            "must be HOST:PORT",
		"grpc: {listen: '127.0.0.1:99999'}":       "must be HOST:PORT",
		"grpc: {listen: '::1:9001'}":              "must be HOST:PORT",
		"grpc: {listen: '[::1]:9001'}":            "",
		"grpc: {listen: ':9001'}":                 "grpc.listen: :9001 is reachable from other machines",
		"grpc: {listen: ':9001', insecure: true}": "",
		"grpc: {listen: 9001, insecure: true}":    "must be HOST:PORT",
		"http: {listen: 9002}":                    "http.listen: must be HOST:PORT",
		"admin: {listen: 9003}":                   "admin.listen: must be HOST:PORT",
		"log: {level: loud}":                      "log.level: must be debug, info, warn or error",
		"log: {format: xml}":                      "log.format: must be text or json",
		"log: {level: warn, format: json}":        "",
	})
}
