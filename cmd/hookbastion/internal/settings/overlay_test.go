package settings

import (
	"errors"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hookbastion/hookbastion/policy/strictyaml"
	settingsv1 "github.com/hookbastion/hookbastion/proto/hookbastion/settings/v1"
)

// samples returns values of a setting that are good and that are bad, by its
// kind and rules.
func samples(t *testing.T, s setting) (good string, bad []string) {
	t.Helper()
	switch name := strings.Join(s.path, "."); {
	case name == "grpc.unix.mode":
		return "0600", []string{"rw", "0999", "07777"}
	case name == "replay.file.sync", name == "replay.redis.recovery", name == "grpc.lame_duck": // which may be none
		return "7s", []string{"7", "soon", "-1s", "2000h"}
	case name == "replay.redis.budget":
		return "2s", []string{"7", "soon", "0s", "-1s", "24h"}
	case name == "fetch.max_stale":
		return "36h", []string{"7", "soon", "0s", "-1s", "2161h"}
	case name == "capture.recipients":
		return "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p", []string{"some-text", "AGE1", "age-recipient"}
	case name == "capture.keep":
		return "2h", []string{"7", "soon", "0s", "59s", "25h"}
	case name == "capture.interval":
		return "2h", []string{"7", "soon", "0s", "-1s", "25h"}
	case name == "ranges.interval":
		return "1h", []string{"7", "soon", "0s", "14m", "25h"}
	case name == "ranges.urls":
		return "stripe=https://mirror.example.com/ips.json", []string{"https://mirror.example.com/", "stripe=http://mirror.example.com/x", "stripe"}
	case name == "log.level":
		return "warn", []string{"loud", "INFO", "7"}
	case name == "log.format":
		return "json", []string{"xml", "JSON", "true"}
	case s.field.Message() != nil:
		return "7s", []string{"7", "soon", "0s", "-1s", "24h"}
	case s.field.Kind() == protoreflect.EnumKind:
		return string(s.field.Enum().Values().Get(1).Name()), []string{"exact", "1", "NONE"}
	case s.field.Kind() == protoreflect.BoolKind:
		return "true", []string{"yes", "1", "on"}
	case s.field.Kind() == protoreflect.Uint32Kind:
		return "7", []string{"-1", "many", "1.5", "99999999999", "0x7"}
	case s.field.Kind() == protoreflect.Uint64Kind:
		return "64KiB", []string{"0", "-1", "64KB", "1 MiB", "99999999GiB"}
	case s.field.Kind() == protoreflect.StringKind:
		return "some-text", []string{"!!str x", "&a x", "true"}
	default:
		t.Fatalf("%s is of a kind without samples", name)
		return "", nil
	}
}

// bySetting reads one value from a flag or a variable.
func bySetting(t *testing.T, s setting, value string, flag bool) (*settingsv1.Settings, error) {
	t.Helper()
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	AddFlags(flags)
	if flag {
		if err := flags.Parse([]string{"--" + s.flag() + "=" + value}); err != nil {
			t.Fatal(err)
		}
	} else {
		t.Setenv(s.variable(), value)
	}
	m := &settingsv1.Settings{}
	_, err := overlay(m, flags)
	return m, err
}

func message(err error) string {
	var errs strictyaml.Errors
	if !errors.As(err, &errs) {
		return ""
	}
	return errs[0].Message
}

// Every setting has a flag and a variable, and both take and refuse what the
// file does.
func TestEverySettingHasAFlagAndAVariable(t *testing.T) {
	all := allSettings()
	if len(all) < 15 {
		t.Fatalf("only %d settings", len(all))
	}
	seen := map[string]bool{}
	for _, s := range all {
		name := strings.Join(s.path, ".")
		if seen[s.flag()] || seen[s.variable()] {
			t.Errorf("%s shares its flag or variable", name)
		}
		seen[s.flag()], seen[s.variable()] = true, true
		good, bad := samples(t, s)
		t.Run(name, func(t *testing.T) { sameStrictness(t, s, good, bad) })
	}
}

func sameStrictness(t *testing.T, s setting, good string, bad []string) {
	file := func(value string) (*settingsv1.Settings, error) {
		if s.field.IsList() {
			value = "[" + value + "]"
		}
		text := strings.Join(s.path, ": {") + ": " + value + strings.Repeat("}", len(s.path)-1)
		m := &settingsv1.Settings{}
		_, err := strictyaml.Options{}.Decode("f", []byte(text), m)
		return m, err
	}
	want, err := file(good)
	if err != nil || proto.Size(want) == 0 {
		t.Fatalf("the file: %v, %v", want, err)
	}
	for _, flag := range []bool{true, false} {
		if got, err := bySetting(t, s, good, flag); err != nil || !proto.Equal(got, want) {
			t.Errorf("flag %v: %v, want %v; %v", flag, got, want, err)
		}
	}
	for _, value := range bad {
		_, err := file(value)
		if err == nil {
			t.Errorf("the file takes %s", value)
		}
		for _, flag := range []bool{true, false} {
			_, got := bySetting(t, s, value, flag)
			origin := s.variable()
			if flag {
				origin = "--" + s.flag()
			}
			if got == nil || !strings.HasPrefix(got.Error(), origin+": ") || message(got) != message(err) {
				t.Errorf("flag %v: %s is %v, in a file %v", flag, value, got, err)
			}
		}
	}
}

// Flags come before variables, variables before the file, lists are not mixed.
func TestOrderOfSettings(t *testing.T) {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	AddFlags(flags)
	if err := flags.Parse([]string{"--policy-directories=c,d", "--grpc-insecure"}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOOKBASTION_POLICY_DIRECTORIES", "b")
	t.Setenv("HOOKBASTION_HTTP_LISTEN", "variable")
	m := &settingsv1.Settings{
		Policy: &settingsv1.PolicyFiles{Directories: []string{"a"}},
		Http:   &settingsv1.Http{Listen: "file"}, Records: &settingsv1.Records{File: "file"},
	}
	if _, err := overlay(m, flags); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(m.GetPolicy().GetDirectories(), " "); got != "c d" || m.GetHttp().GetListen() != "variable" || m.GetRecords().GetFile() != "file" || !m.GetGrpc().GetInsecure() {
		t.Errorf("%v", m)
	}
}
