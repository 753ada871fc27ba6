package convert

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"
)

// Name gives each webhook a name of its own, besides those that are taken.
func (r *Result) Name(taken []string) {
	used, next := map[string]bool{}, map[string]int{}
	for _, name := range taken {
		used[name] = true
	}
	for _, w := range r.Webhooks {
		first := w.Policy.GetName()
		name := first
		for n := max(2, next[first]); used[name]; n++ { // of many alike, each begins behind the one before
			name = first + "-" + strconv.Itoa(n)
			next[first] = n + 1
		}
		used[name] = true
		w.Policy.Name = name
	}
}

// Policy writes the webhooks as a policy file. Where each stands in the file that it was read
// from is said above it.
func (r *Result) Policy() ([]byte, error) {
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for _, w := range r.Webhooks {
		text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(w.Policy)
		if err != nil {
			return nil, err
		}
		var doc yaml.Node
		if err := yaml.Unmarshal(escaped(text), &doc); err != nil {
			return nil, err
		}
		n := doc.Content[0]
		plain(n)
		n.Style = 0 // a key a line, and what stands behind it in one
		n.HeadComment = "# " + cut(w.At.Position())
		list.Content = append(list.Content, n)
	}
	root := &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Value: "webhooks"}, list}}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(root); err != nil {
		return nil, err
	}
	if err := e.Close(); err != nil {
		return nil, err
	}
	if len(r.Webhooks) == 0 {
		return nil, fmt.Errorf("there is no webhook")
	}
	return b.Bytes(), nil
}

// escaped escapes the characters in JSON's strings that JSON allows there and YAML does not
// (YAML 1.2, section 5.1).
func escaped(text []byte) []byte {
	var out []byte
	for _, r := range string(text) {
		if r >= 0x7f && r <= 0x9f && r != 0x85 || r == '\ufeff' || r == '\ufffe' || r == '\uffff' {
			out = fmt.Appendf(out, `\u%04x`, r)
		} else {
			out = utf8.AppendRune(out, r)
		}
	}
	return out
}

// plain takes the quotes away that JSON needs and YAML does not.
func plain(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode {
		n.Style = 0
	}
	for _, child := range n.Content {
		plain(child)
	}
}
