package config

import (
	"bytes"

	"go.yaml.in/yaml/v3"
)

// isConfigMap reports whether a document is a ConfigMap of Kubernetes.
func isConfigMap(document *yaml.Node) bool {
	if document.Kind == yaml.DocumentNode && len(document.Content) == 1 {
		document = document.Content[0]
	}
	kind := get(document, "kind")
	return kind != nil && kind.Value == "ConfigMap" && get(document, "data") != nil
}

// inConfigMap reads the files in a ConfigMap, if a document is one, that are YAML or JSON with
// something in it. Their nodes have the places where the text stands in the file.
func inConfigMap(file []byte, document *yaml.Node) (found []*yaml.Node) {
	if !isConfigMap(document) {
		return nil
	}
	data := get(document.Content[0], "data")
	for i := 1; i < len(data.Content); i += 2 {
		text := data.Content[i]
		var inner yaml.Node
		if yaml.Unmarshal([]byte(text.Value), &inner) != nil || len(inner.Content) != 1 || inner.Content[0].Kind == yaml.ScalarNode {
			continue // a file of another kind
		}
		indent := -1
		if lines := bytes.Split(file, []byte{'\n'}); text.Style&yaml.LiteralStyle != 0 && text.Line < len(lines) {
			indent = len(lines[text.Line]) - len(bytes.TrimLeft(lines[text.Line], " "))
		}
		move(&inner, text, indent, map[*yaml.Node]bool{})
		found = append(found, &inner)
	}
	return found
}

// move gives nodes of a text their places: line by line where it stands so in the file, else
// that of the text.
func move(n, text *yaml.Node, indent int, moved map[*yaml.Node]bool) {
	if moved[n] {
		return
	}
	moved[n] = true
	if indent >= 0 {
		n.Line, n.Column = n.Line+text.Line, n.Column+indent
	} else {
		n.Line, n.Column = text.Line, text.Column
	}
	for _, child := range n.Content {
		move(child, text, indent, moved)
	}
}
