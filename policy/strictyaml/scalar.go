package strictyaml

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// wellKnown reads messages that are written as one value. It reports whether
// the message is one of them.
func (d *decoder) wellKnown(n *yaml.Node, m protoreflect.Message) bool {
	switch m.Descriptor().FullName() {
	case "google.protobuf.Duration":
		span, err := time.ParseDuration(n.Value)
		if n.Kind != yaml.ScalarNode || err != nil {
			d.errorf(n, "must be a duration such as 300s, 5m or 24h, not %s", shown(n))
			return true
		}
		value := durationpb.New(span)
		copyFields(m, value.ProtoReflect())
	case "google.protobuf.Timestamp":
		at, err := time.Parse(time.RFC3339Nano, n.Value)
		if n.Kind != yaml.ScalarNode || err != nil || !timestamppb.New(at).IsValid() {
			d.errorf(n, "must be a time such as 2026-10-01T00:00:00Z, not %s", shown(n))
			return true
		}
		copyFields(m, timestamppb.New(at).ProtoReflect())
	case "google.protobuf.Struct":
		d.texts(n, m)
	default:
		return false
	}
	return true
}

var textName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// texts reads texts and lists of texts by name: all that a Struct may hold.
func (d *decoder) texts(n *yaml.Node, m protoreflect.Message) {
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		d.errorf(n, "must be a mapping of names to texts or lists of texts, not %s", shown(n))
		return
	}
	fields := map[string]*structpb.Value{}
	for i := 0; i+1 < len(n.Content) && !d.doc.full(); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.Anchor != "" || key.Style&yaml.TaggedStyle != 0 || !textName.MatchString(key.Value) {
			d.unknownKey(key, "names have lower-case letters, digits and _, and begin with a letter")
			continue
		}
		d.step(key.Value)
		if fields[key.Value] != nil {
			d.errorf(key, "given twice")
		} else {
			fields[key.Value] = d.textOrList(value)
		}
		d.back()
	}
	copyFields(m, (&structpb.Struct{Fields: fields}).ProtoReflect())
}

// textOrList never returns nil: an empty value stands for one that has an error.
func (d *decoder) textOrList(n *yaml.Node) *structpb.Value {
	field := structpb.NewStringValue("").ProtoReflect().Descriptor().Fields().ByName("string_value")
	one := func(n *yaml.Node) *structpb.Value {
		if text, ok := d.scalar(n, field); ok {
			return structpb.NewStringValue(text.String())
		}
		return structpb.NewStringValue("")
	}
	if n.Kind != yaml.SequenceNode {
		return one(n)
	}
	list := &structpb.ListValue{}
	if d.plain(n) && len(n.Content) == 0 {
		d.errorf(n, "must not be empty; leave the key out if there is nothing to list")
	}
	for i, item := range n.Content {
		d.step(i)
		list.Values = append(list.Values, one(item))
		d.back()
	}
	return structpb.NewListValue(list)
}

func copyFields(dst, src protoreflect.Message) {
	src.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		dst.Set(field, value)
		return true
	})
}

func shown(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode {
		return quote(n.Value)
	}
	return kindName(n)
}

// scalar reads one value and reports whether it is good.
func (d *decoder) scalar(n *yaml.Node, field protoreflect.FieldDescriptor) (protoreflect.Value, bool) {
	if !d.plain(n) {
		return protoreflect.Value{}, false
	}
	if n.Kind != yaml.ScalarNode {
		d.errorf(n, "must be %s, not %s", wanted(field), kindName(n))
		return protoreflect.Value{}, false
	}
	switch field.Kind() {
	case protoreflect.StringKind:
		return d.text(n, field)
	case protoreflect.EnumKind:
		return d.enum(n, field)
	case protoreflect.BoolKind:
		if n.Tag == "!!bool" {
			return protoreflect.ValueOfBool(strings.EqualFold(n.Value, "true")), true
		}
	case protoreflect.Uint32Kind:
		if v, err := strconv.ParseUint(n.Value, 10, 32); err == nil && n.Tag == "!!int" {
			return protoreflect.ValueOfUint32(uint32(v)), true
		}
	case protoreflect.Uint64Kind:
		if v, ok := parseSize(n.Value); ok {
			return protoreflect.ValueOfUint64(v), true
		}
	default: // the .proto files have no other kinds
	}
	d.errorf(n, "must be %s, not %s", wanted(field), shown(n))
	return protoreflect.Value{}, false
}

// text takes numbers and dates as they are written, so that an id such as 2026
// needs no quotes, but not true or false, which are likely a mistake. Text may be
// empty, in quotes, where that says something else than nothing does.
func (d *decoder) text(n *yaml.Node, field protoreflect.FieldDescriptor) (protoreflect.Value, bool) {
	switch {
	case n.Tag == "!!bool":
		d.errorf(n, "must be text; write %q with quotes if that is what you mean", n.Value)
	case n.Value == "" && !(field.HasOptionalKeyword() && n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0):
		d.errorf(n, "must not be empty")
	case n.Tag == "!!binary":
		d.errorf(n, "must be text, not binary data")
	default:
		return protoreflect.ValueOfString(n.Value), true
	}
	return protoreflect.Value{}, false
}

// valueNames are the names of an enumeration, but for the one of nothing.
func valueNames(e protoreflect.EnumDescriptor) []string {
	var names []string
	for i := range e.Values().Len() {
		if word := Word(e.Values().Get(i)); word != "" {
			names = append(names, word)
		}
	}
	return names
}

func (d *decoder) enum(n *yaml.Node, field protoreflect.FieldDescriptor) (protoreflect.Value, bool) {
	values := field.Enum().Values()
	for i := range values.Len() {
		switch word := Word(values.Get(i)); {
		case n.Tag == "!!bool" && isBool(word) && strings.EqualFold(n.Value, word),
			n.Tag != "!!bool" && !isBool(word) && word != "" && n.Value == word:
			return protoreflect.ValueOfEnum(values.Get(i).Number()), true
		}
	}
	names := valueNames(field.Enum())
	d.errorf(n, "%s is not one of %s%s", quote(n.Value), strings.Join(names, ", "), suggest(n.Value, names))
	return protoreflect.Value{}, false
}

// Word is how a file says a value of an enum; empty for the one that says nothing. An
// enum may have TRUE and FALSE for those that are true, false, or a third.
func Word(v protoreflect.EnumValueDescriptor) string {
	switch name := string(v.Name()); {
	case v.Number() == 0:
		return ""
	case name == "TRUE", name == "FALSE":
		return strings.ToLower(name)
	default:
		return name
	}
}

func isBool(word string) bool { return word == "true" || word == "false" }

func wanted(field protoreflect.FieldDescriptor) string {
	switch field.Kind() {
	case protoreflect.StringKind:
		return "text"
	case protoreflect.BoolKind:
		return "true or false"
	case protoreflect.Uint32Kind:
		return "a number, 0 or more"
	case protoreflect.Uint64Kind:
		return "a number, or a size such as 64KiB or 1MiB"
	case protoreflect.EnumKind:
		return "a name in upper case"
	default:
		return "a " + field.Kind().String()
	}
}

var size = regexp.MustCompile(`^([0-9]{1,19})(|KiB|MiB|GiB)$`)

func parseSize(s string) (uint64, bool) {
	m := size.FindStringSubmatch(s)
	if m == nil {
		return 0, false
	}
	n, err := strconv.ParseUint(m[1], 10, 64)
	shift := map[string]uint{"": 0, "KiB": 10, "MiB": 20, "GiB": 30}[m[2]]
	if err != nil || n > math.MaxUint64>>shift {
		return 0, false
	}
	return n << shift, true
}

// suggest returns a hint at the nearest of the names, or nothing.
func suggest(got string, names []string) string {
	best, distance := "", 3
	for _, name := range names {
		if d := editDistance(strings.ToLower(got), strings.ToLower(name)); d < distance && d < len(name) {
			best, distance = name, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// Suggest returns a hint such as "; did you mean stripe?", or nothing.
func Suggest(got string, names []string) string { return suggest(got, names) }

// editDistance counts insertions, deletions, substitutions and swaps of
// neighbours.
func editDistance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return math.MaxInt
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

// FormatDuration writes a duration as people write it in policies, without units
// that are zero: 5m0s is 5m.
func FormatDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
