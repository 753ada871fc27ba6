package settings

import (
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hookbastion/hookbastion/policy/strictyaml"
	settingsv1 "github.com/hookbastion/hookbastion/proto/hookbastion/settings/v1"
)

// Value is one setting that is in force.
type Value struct {
	Key string `json:"key"`
	// Value is a text, a number, true or false, or a list of texts; nil for none.
	// Sizes are bytes, durations texts such as 2s.
	Value any `json:"value"`
	// From is file:line:column, a flag, $ and a variable, or default.
	From string `json:"from"`
	// Note says what a value of nil means, or why the value is not shown.
	Note     string `json:"note,omitempty"`
	Flag     string `json:"flag"`
	Variable string `json:"variable"`
}

// InForce lists all settings, in the order of the file, with their defaults. No
// secret is among them: they are in files and variables, whose names are shown only
// where there is such a file or variable, since what is written there by mistake may
// be the secret itself.
func (v *Values) InForce() []Value {
	var all []Value
	for _, s := range allSettings() {
		value := Value{Key: s.key(), Flag: "--" + s.flag(), Variable: s.variable()}
		value.Value, value.From = v.givenTo(s)
		if value.From == "" {
			value.From = "default"
			value.Value, value.Note = v.byDefault(s)
		}
		if why := hide(s.key(), value.Value); why != "" {
			value.Value, value.Note = nil, why
		}
		all = append(all, value)
	}
	return all
}

// givenTo is the value that somebody has given, and where: in the file, by $ and a
// variable, or by a flag; both are empty if nobody has.
func (v *Values) givenTo(s setting) (value any, from string) {
	m := v.message.ProtoReflect()
	for _, name := range s.path[:len(s.path)-1] {
		field := m.Descriptor().Fields().ByName(protoreflect.Name(name))
		if !m.Has(field) {
			return nil, ""
		}
		m = m.Get(field).Message()
	}
	origin, given := v.given[s.key()]
	switch {
	case given && strings.HasPrefix(origin, "-"):
		from = origin
	case given:
		from = "$" + origin
	case m.Has(s.field) && v.file:
		from = v.doc.Error(s.steps(), "").Position()
	default:
		return nil, ""
	}
	return plain(s.field, m.Get(s.field)), from
}

// byDefault is what holds where nobody has said anything: the value that the comment
// gives, that of another setting, or none with its words.
func (v *Values) byDefault(s setting) (value any, note string) {
	_, words, _ := strings.Cut(meanings[string(s.field.FullName())], "Default: ")
	words = strings.TrimSuffix(words, ".")
	text, rest := words, ""
	if i := strings.IndexByte(words, ' ') - 1; i > 0 && strings.ContainsRune(",:", rune(words[i])) {
		text, rest = words[:i], words[i+2:]
	}
	if s.key() == "grpc.listen" && v.message.GetGrpc().GetUnix() != nil {
		return nil, "none where grpc.unix is given"
	}
	for _, other := range allSettings() {
		if other.key() == text {
			value, from := v.givenTo(other)
			if from == "" {
				value, note = v.byDefault(other)
				return value, note
			}
			return value, "as " + text
		}
	}
	if text == "none" {
		return nil, rest
	}
	if strings.Contains(text, " ") {
		return nil, words
	}
	part := &settingsv1.Settings{}
	data, err := yaml.Marshal(s.document(strings.Trim(text, `"`)))
	if err == nil {
		_, err = strictyaml.Options{}.Decode(s.key(), data, part)
	}
	if err != nil {
		return nil, words
	}
	value, _ = (&Values{message: part, given: map[string]string{s.key(): ""}}).givenTo(s)
	return value, ""
}

// plain is a value as JSON has it.
func plain(field protoreflect.FieldDescriptor, value protoreflect.Value) any {
	switch {
	case field.IsList():
		items := []string{}
		for i := range value.List().Len() {
			items = append(items, value.List().Get(i).String())
		}
		return items
	case field.Enum() != nil:
		switch word := strictyaml.Word(field.Enum().Values().ByNumber(value.Enum())); word {
		case "true", "false":
			return word == "true"
		default:
			return word
		}
	case field.Message() != nil:
		if duration, ok := value.Message().Interface().(*durationpb.Duration); ok {
			return short(duration.AsDuration())
		}
		return nil
	default:
		return value.Interface()
	}
}

// Text writes the value on one line, as a settings file may have it; (none) for none.
func (v Value) Text() string {
	switch value := v.Value.(type) {
	case nil:
		return "(none)"
	case string:
		return oneLine(value)
	case []string:
		return oneLine(strings.Join(value, ","))
	case bool:
		return strconv.FormatBool(value)
	case uint32:
		return strconv.FormatUint(uint64(value), 10)
	case uint64:
		if strings.Contains(v.Key, "bytes") {
			return size(value)
		}
		return strconv.FormatUint(value, 10)
	default:
		return "?"
	}
}

// oneLine quotes what a terminal would not show as it is.
func oneLine(text string) string {
	if strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 {
		return strconv.Quote(text)
	}
	return text
}

// short writes a duration without parts that are zero.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// size writes a number of bytes in the largest unit that it is a multiple of.
func size(n uint64) string {
	for i, unit := range []string{"GiB", "MiB", "KiB"} {
		if shift := 30 - 10*i; n > 0 && n%(1<<shift) == 0 {
			return strconv.FormatUint(n>>shift, 10) + unit
		}
	}
	return strconv.FormatUint(n, 10)
}

// Settings whose value names a secret: a file, or a variable.
var (
	secretFiles     = []string{"grpc.tls.key", "admin.tls.key", "admin.token", "admin.readers.token", "replay.keys.file", "replay.redis.key", "replay.redis.password.file", "replay.redis.sentinel.password.file", "assertion.keys", "monitor.webhook.secret.file"}
	secretVariables = []string{"replay.redis.password.env", "replay.redis.sentinel.password.env", "monitor.webhook.secret.env"}
)

// hide says why a value is not shown; nothing if it may be.
func hide(key string, value any) string {
	text, ok := value.(string)
	files, isList := value.([]string)
	switch {
	case !ok && !isList:
		return ""
	case slices.Contains(secretFiles, key):
		if ok {
			files = []string{text}
		}
		for _, file := range files {
			if _, err := os.Stat(file); err != nil {
				return "not shown: it names no file that is there"
			}
		}
	case slices.Contains(secretVariables, key):
		if _, set := os.LookupEnv(text); !set {
			return "not shown: it names no variable that is there"
		}
	case key == "monitor.webhook.url":
		return "not shown: it may hold a token"
	case key == "replay.redis.url":
		if u, err := url.Parse(text); err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Contains(text, "@") {
			return "not shown: it may hold a password"
		}
	}
	return ""
}
