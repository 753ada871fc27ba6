package config

import (
	"go.yaml.in/yaml/v3"

	"github.com/hookbastion/hookbastion/envoy/configmap"
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
		configmap.Place(file, &inner, text)
		found = append(found, &inner)
	}
	return found
}
