package main

import (
	"bytes"
	"fmt"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hookbastion/hookbastion/policy/strictyaml"
)

// page is one reference page, made of the comments in .proto files.
type page struct {
	file, title string
	protos      []string
}

var pages = []page{
	{"docs/policy.md", "The policy language", []string{"hookbastion/policy/v1/policy.proto", "hookbastion/policy/v1/scheme.proto", "hookbastion/policy/v1/handshake.proto"}},
	{"docs/settings.md", "The server's settings", []string{"hookbastion/settings/v1/settings.proto"}},
	{"docs/policy-tests.md", "Tests of policies", []string{"hookbastion/test/v1/test.proto"}},
}

// writePage renders a page. Messages stand in the order of the files, those of a file
// behind what it says of itself; enums stand with the message that holds them.
func writePage(p page, files map[string]protoreflect.FileDescriptor) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "<!-- Generated from the .proto files by `make generate`. -->\n\n# %s\n\n", p.title)
	for _, name := range p.protos {
		file := files[name]
		text := paragraphs(file.SourceLocations().ByPath(protoreflect.SourcePath{12}).LeadingComments)
		if title, rest, ok := strings.Cut(text, ": "); ok && !strings.Contains(title, "\n") {
			if title != p.title {
				fmt.Fprintf(&b, "## %s\n\n", title)
			}
			text = strings.ToUpper(rest[:1]) + rest[1:]
		}
		fmt.Fprintf(&b, "%s\n\n", text)
		for i := range file.Messages().Len() {
			writeMessage(&b, file.Messages().Get(i))
		}
	}
	return append(bytes.TrimRight(b.Bytes(), "\n"), '\n')
}

func writeMessage(b *bytes.Buffer, m protoreflect.MessageDescriptor) {
	fmt.Fprintf(b, "## %s\n\n%s\n\n", heading(m), comment(m))
	if m.Fields().Len() > 0 {
		writeOneofs(b, m)
		b.WriteString("| key | value | |\n| --- | --- | --- |\n")
		for i := range m.Fields().Len() {
			field := m.Fields().Get(i)
			fmt.Fprintf(b, "| `%s` | %s | %s |\n", field.Name(), kind(field), cell(comment(field)))
		}
		b.WriteString("\n")
	}
	for i := range m.Enums().Len() {
		e := m.Enums().Get(i)
		fmt.Fprintf(b, "| %s | |\n| --- | --- |\n", heading(e))
		for j := range e.Values().Len() {
			if v := e.Values().Get(j); v.Number() != 0 {
				fmt.Fprintf(b, "| `%s` | %s |\n", strictyaml.Word(v), cell(comment(v)))
			}
		}
		b.WriteString("\n")
	}
	for i := range m.Messages().Len() {
		writeMessage(b, m.Messages().Get(i))
	}
}

// writeOneofs says which keys exclude each other.
func writeOneofs(b *bytes.Buffer, m protoreflect.MessageDescriptor) {
	for i := range m.Oneofs().Len() {
		oneof := m.Oneofs().Get(i)
		if oneof.IsSynthetic() {
			continue
		}
		var names []string
		for j := range oneof.Fields().Len() {
			names = append(names, "`"+string(oneof.Fields().Get(j).Name())+"`")
		}
		fmt.Fprintf(b, "Exactly one of %s is given.\n\n", strings.Join(names, ", "))
	}
}

// heading is the name without the package.
func heading(d protoreflect.Descriptor) string {
	return strings.TrimPrefix(string(d.FullName()), string(d.ParentFile().Package())+".")
}

func comment(d protoreflect.Descriptor) string {
	return paragraphs(d.ParentFile().SourceLocations().ByDescriptor(d).LeadingComments)
}

func paragraphs(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

// cell makes text fit into a table.
func cell(text string) string {
	text = strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
	return strings.ReplaceAll(strings.ReplaceAll(text, "<", "&lt;"), ">", "&gt;")
}

func kind(field protoreflect.FieldDescriptor) string {
	name := ""
	switch {
	case field.Enum() != nil:
		name = heading(field.Enum())
	case field.Message() != nil && field.Message().FullName() == "google.protobuf.Duration":
		name = "duration"
	case field.Message() != nil && field.Message().FullName() == "google.protobuf.Timestamp":
		name = "time"
	case field.Message() != nil && field.Message().FullName() == "google.protobuf.Empty":
		name = "`{}`"
	case field.Message() != nil && field.Message().FullName() == "google.protobuf.Struct":
		name = "text or list of text, by name"
	case field.Message() != nil:
		h := heading(field.Message())
		name = "[" + h + "](#" + strings.ToLower(strings.ReplaceAll(h, ".", "")) + ")"
	default:
		name = map[protoreflect.Kind]string{
			protoreflect.StringKind: "text", protoreflect.BoolKind: "true or false",
			protoreflect.Uint32Kind: "number", protoreflect.Uint64Kind: "number or size",
		}[field.Kind()]
	}
	if field.IsList() {
		name = "list of " + name
	}
	return name
}
