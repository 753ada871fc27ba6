package settings

import (
	"errors"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hookbastion/hookbastion/policy/strictyaml"
	settingsv1 "github.com/hookbastion/hookbastion/proto/hookbastion/settings/v1"
)

// setting is one leaf of the settings: grpc.listen is --grpc-listen and
// HOOKBASTION_GRPC_LISTEN.
type setting struct {
	path  []string
	field protoreflect.FieldDescriptor
}

func (s setting) key() string { return strings.Join(s.path, ".") }

// steps is the key as places in a document are found.
func (s setting) steps() strictyaml.Path {
	var path strictyaml.Path
	for _, name := range s.path {
		path = append(path, name)
	}
	return path
}

func (s setting) flag() string {
	return strings.ReplaceAll(strings.Join(s.path, "-"), "_", "-")
}

func (s setting) variable() string {
	return prefix + strings.ToUpper(strings.Join(s.path, "_"))
}

// allSettings lists the leaves of the settings message, so that no flag or
// variable can be forgotten.
func allSettings() []setting {
	var all []setting
	var walk func(protoreflect.MessageDescriptor, []string)
	walk = func(m protoreflect.MessageDescriptor, path []string) {
		for i := range m.Fields().Len() {
			field := m.Fields().Get(i)
			here := append(path[:len(path):len(path)], string(field.Name()))
			if field.Message() != nil && field.Message().FullName() != "google.protobuf.Duration" {
				walk(field.Message(), here)
				continue
			}
			all = append(all, setting{here, field})
		}
	}
	walk((&settingsv1.Settings{}).ProtoReflect().Descriptor(), nil)
	return all
}

// overlay sets what variables and flags, if there are any, say; flags win. Their text is read by
// the same rules as the file's. It returns which flag or variable gave each setting.
func overlay(m *settingsv1.Settings, flags *pflag.FlagSet) (map[string]string, error) {
	var errs strictyaml.Errors
	given := map[string]string{}
	for _, s := range allSettings() {
		value, ok := os.LookupEnv(s.variable())
		origin := s.variable()
		if flags != nil && flags.Changed(s.flag()) {
			value, ok, origin = flags.Lookup(s.flag()).Value.String(), true, "--"+s.flag()
		}
		if !ok {
			continue
		}
		data, err := yaml.Marshal(s.document(value))
		if err != nil {
			return nil, err
		}
		part := &settingsv1.Settings{}
		if _, err := (strictyaml.Options{}).Decode(origin, data, part); err != nil {
			var found strictyaml.Errors
			if !errors.As(err, &found) {
				return nil, err
			}
			for _, e := range found {
				errs = append(errs, strictyaml.Error{File: origin, Message: e.Message})
			}
			continue
		}
		s.clear(m.ProtoReflect())
		proto.Merge(m, part)
		given[s.key()] = origin
	}
	return given, errs.Err()
}

// document is a settings file that has this setting alone. Lists are given
// with commas.
func (s setting) document(value string) any {
	doc := scalar(value)
	if s.field.IsList() {
		var items []any
		for item := range strings.SplitSeq(value, ",") {
			items = append(items, scalar(item))
		}
		doc = items
	}
	for i := len(s.path) - 1; i >= 0; i-- {
		doc = map[string]any{s.path[i]: doc}
	}
	return doc
}

// scalar reads a value as a file would have it, or returns the text if that is
// none.
func scalar(text string) any {
	var node yaml.Node
	if yaml.Unmarshal([]byte(text), &node) == nil && len(node.Content) == 1 && node.Content[0].Kind == yaml.ScalarNode {
		return node.Content[0]
	}
	return text
}

// clear removes the setting, since merging would append to a list.
func (s setting) clear(m protoreflect.Message) {
	for _, name := range s.path[:len(s.path)-1] {
		m = m.Mutable(m.Descriptor().Fields().ByName(protoreflect.Name(name))).Message()
	}
	m.Clear(s.field)
}
