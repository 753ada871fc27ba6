package main

import (
	"encoding/json"
	"fmt"
	"regexp"

	validatepb "buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// object is a JSON object; encoding/json writes its keys in order.
type object map[string]any

// writeSchema renders the JSON Schema of a message, for editors. It says what
// the strict reader says, as far as a schema can: known keys, kinds of values,
// names of enums, patterns, what is required, one of several.
func writeSchema(title string, root protoreflect.MessageDescriptor) ([]byte, error) {
	s := schemaWriter{definitions: object{}}
	s.define(root)
	if s.err != nil {
		return nil, s.err
	}
	out, err := json.MarshalIndent(object{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"title":   title,
		"$ref":    reference(root),
		"$defs":   s.definitions,
	}, "", "  ")
	return append(out, '\n'), err
}

type schemaWriter struct {
	definitions object
	err         error
}

func reference(d protoreflect.Descriptor) string { return "#/$defs/" + heading(d) }

func (s *schemaWriter) define(m protoreflect.MessageDescriptor) {
	if s.definitions[heading(m)] != nil {
		return
	}
	definition := object{"type": "object", "additionalProperties": false, "description": comment(m)}
	s.definitions[heading(m)] = definition
	properties, required := object{}, []string{}
	for i := range m.Fields().Len() {
		field := m.Fields().Get(i)
		rules, err := fieldRules(field)
		if err != nil {
			s.err = err
			return
		}
		value := s.value(field, rules)
		value["description"] = comment(field)
		properties[string(field.Name())] = value
		if rules.GetRequired() || refusesZero(field, rules) {
			required = append(required, string(field.Name()))
		}
	}
	definition["properties"] = properties
	if len(required) > 0 {
		definition["required"] = required
	}
	for i := range m.Oneofs().Len() {
		if oneof := m.Oneofs().Get(i); !oneof.IsSynthetic() {
			var choices []object
			for j := range oneof.Fields().Len() {
				choices = append(choices, object{"required": []string{string(oneof.Fields().Get(j).Name())}})
			}
			definition["oneOf"] = choices
		}
	}
}

// refusesZero reports whether a rule of the field refuses what it has where the
// key is left out. Fields that tell absence from zero are not looked at then.
func refusesZero(field protoreflect.FieldDescriptor, rules *validatepb.FieldRules) bool {
	if field.IsList() {
		return rules.GetRepeated().GetMinItems() > 0
	}
	if field.HasPresence() {
		return false
	}
	text := rules.GetString()
	if pattern, err := regexp.Compile(text.GetPattern()); err != nil || !pattern.MatchString("") {
		return true // a pattern that cannot be read is refused when a file is
	}
	return text.GetMinLen() > 0 || text.GetPrefix() != ""
}

// fieldRules reads the rules of a field, which the compiler keeps in a form of
// its own.
func fieldRules(field protoreflect.FieldDescriptor) (*validatepb.FieldRules, error) {
	encoded, err := proto.Marshal(field.Options())
	if err != nil {
		return nil, err
	}
	options := &descriptorpb.FieldOptions{}
	if err := proto.Unmarshal(encoded, options); err != nil {
		return nil, err
	}
	rules, ok := proto.GetExtension(options, validatepb.E_Field).(*validatepb.FieldRules)
	if !ok {
		return nil, fmt.Errorf("%s has rules of an unknown kind", field.FullName())
	}
	return rules, nil
}

func (s *schemaWriter) value(field protoreflect.FieldDescriptor, rules *validatepb.FieldRules) object {
	if !field.IsList() {
		return s.single(field, rules)
	}
	list := object{"type": "array", "items": s.single(field, rules.GetRepeated().GetItems())}
	if field.FullName() != "hookbastion.policy.v1.SourceIP.deny" {
		list["minItems"] = 1
	}
	if most := rules.GetRepeated().GetMaxItems(); most > 0 {
		list["maxItems"] = most
	}
	return list
}

func (s *schemaWriter) single(field protoreflect.FieldDescriptor, rules *validatepb.FieldRules) object {
	switch field.Kind() {
	case protoreflect.MessageKind:
		return s.message(field.Message())
	case protoreflect.EnumKind:
		var names []string
		for i := range field.Enum().Values().Len() {
			if v := field.Enum().Values().Get(i); v.Number() != 0 {
				names = append(names, string(v.Name()))
			}
		}
		return object{"enum": names}
	case protoreflect.BoolKind:
		return object{"type": "boolean"}
	case protoreflect.Uint32Kind:
		number := object{"type": "integer", "minimum": rules.GetUint32().GetGte()}
		if most := rules.GetUint32().GetLte(); most > 0 {
			number["maximum"] = most
		}
		return number
	case protoreflect.Uint64Kind:
		return object{"oneOf": []object{{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^[0-9]+(KiB|MiB|GiB)?$"}}}
	default:
		// Numbers and dates need no quotes where a text is wanted.
		text := object{"type": []string{"string", "number"}, "minLength": max(1, rules.GetString().GetMinLen())}
		if pattern := rules.GetString().GetPattern(); pattern != "" {
			text["pattern"] = pattern
		} else if prefix := rules.GetString().GetPrefix(); prefix != "" {
			text["pattern"] = "^" + prefix
		}
		return text
	}
}

func (s *schemaWriter) message(m protoreflect.MessageDescriptor) object {
	switch m.FullName() {
	case "google.protobuf.Duration":
		return object{"type": "string", "pattern": `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`}
	case "google.protobuf.Timestamp":
		return object{"type": "string", "format": "date-time"}
	case "google.protobuf.Empty":
		return object{"type": "object", "additionalProperties": false}
	case "google.protobuf.Struct":
		text := object{"type": []string{"string", "number"}, "minLength": 1}
		return object{
			"type": "object", "propertyNames": object{"pattern": "^[a-z][a-z0-9_]{0,62}$"},
			"additionalProperties": object{"oneOf": []object{text, {"type": "array", "minItems": 1, "items": text}}},
		}
	}
	s.define(m)
	return object{"$ref": reference(m)}
}
