package audit

import (
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Limits of what is read. Aliases can make a small file a large tree.
const (
	maxBytes = 64 << 20
	maxDepth = 200
	maxNodes = 2_000_000
)

// ignored is the tag of keys that Envoy skips, with what stands under them.
const ignored = "!ignore"

// node is a value and its place. An absent value keeps the place of what it is
// absent from.
type node struct {
	file string
	path *step
	at   *yaml.Node // the key or the list item
	val  *yaml.Node // nil if absent; never an alias
}

// step is the last step of a path: a key, or a place in a list.
type step struct {
	up    *step
	key   string
	index int
}

// String writes the path as static_resources.listeners[0].name.
func (s *step) String() string {
	switch {
	case s == nil:
		return ""
	case s.key == "":
		return s.up.String() + "[" + strconv.Itoa(s.index) + "]"
	case s.up == nil:
		return s.key
	default:
		return s.up.String() + "." + s.key
	}
}

func (n node) ok() bool { return n.val != nil }

// get walks to a value by names of fields. Like Envoy it takes snake_case and
// lowerCamelCase, the last of doubled keys, and null as absent.
func (n node) get(names ...string) node {
	for _, name := range names {
		next := node{file: n.file, path: n.path, at: n.at}
		if n.val != nil && n.val.Kind == yaml.MappingNode {
			for i := 0; i+1 < len(n.val.Content); i += 2 {
				if key := n.val.Content[i]; key.Tag != ignored && (key.Value == name || snake(key.Value) == name) {
					next = n.child(key, n.val.Content[i+1], key.Value)
				}
			}
		}
		n = next
	}
	return n
}

func (n node) child(key, value *yaml.Node, name string) node {
	return node{file: n.file, path: &step{up: n.path, key: name}, at: key, val: resolve(value)}
}

// each calls f with the values of a mapping and their keys.
func (n node) each(f func(key string, value node)) {
	if n.val == nil || n.val.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(n.val.Content); i += 2 {
		if key := n.val.Content[i]; key.Kind == yaml.ScalarNode && key.Tag != ignored {
			f(key.Value, n.child(key, n.val.Content[i+1], key.Value))
		}
	}
}

// items returns the values of a list.
func (n node) items() []node {
	if n.val == nil || n.val.Kind != yaml.SequenceNode {
		return nil
	}
	items := make([]node, len(n.val.Content))
	for i, item := range n.val.Content {
		items[i] = node{file: n.file, path: &step{up: n.path, index: i}, at: item, val: resolve(item)}
	}
	return items
}

// resolve follows an alias and drops null.
func resolve(n *yaml.Node) *yaml.Node {
	for range maxDepth {
		if n.Kind != yaml.AliasNode {
			break
		}
		n = n.Alias
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil
	}
	return n
}

// text returns the text of a single value, "" if it is none.
func (n node) text() string {
	if n.val == nil || n.val.Kind != yaml.ScalarNode {
		return ""
	}
	return n.val.Value
}

// truth reads a Boolean as Envoy does, which takes yes and "true" as well.
func (n node) truth() bool {
	switch strings.ToLower(n.text()) {
	case "true", "yes", "y", "on", "1", "t":
		return true
	default:
		return false
	}
}

// number reads a whole number.
func (n node) number() (uint64, bool) {
	v, err := strconv.ParseUint(n.text(), 0, 64)
	return v, err == nil
}

// numberOr reads a whole number that has a default.
func (n node) numberOr(fallback uint64) uint64 {
	if v, ok := n.number(); ok {
		return v
	}
	return fallback
}

// duration reads a protobuf duration such as 0.25s.
func (n node) duration() (time.Duration, bool) {
	if !strings.HasSuffix(n.text(), "s") {
		return 0, false
	}
	d, err := time.ParseDuration(n.text())
	return d, err == nil
}

// typed returns the message of an Any and the last part of its type's name.
func (n node) typed() (name string, body node) {
	if strings.HasSuffix(n.get("@type").text(), ".TypedStruct") {
		return lastPart(n.typeName()), n.get("value")
	}
	return lastPart(n.typeName()), n
}

// typeName returns the full name of an Any's type.
func (n node) typeName() string {
	url := n.get("@type").text()
	if strings.HasSuffix(url, ".TypedStruct") {
		url = n.get("type_url").text()
	}
	return url[strings.LastIndexByte(url, '/')+1:]
}

func lastPart(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// snake turns lowerCamelCase into snake_case.
func snake(s string) string {
	if strings.ToLower(s) == s {
		return s
	}
	var b strings.Builder
	for _, c := range s {
		if 'A' <= c && c <= 'Z' {
			b.WriteByte('_')
			c += 'a' - 'A'
		}
		b.WriteRune(c)
	}
	return b.String()
}
