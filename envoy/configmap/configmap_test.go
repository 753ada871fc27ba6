package configmap_test

import (
	"fmt"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/hookbastion/hookbastion/envoy/configmap"
)

// TestPlace: what is sought stands, in the file, at the place that its node has, or where its
// text begins.
func TestPlace(t *testing.T) {
	for file, want := range map[string]string{
		"data:\n  envoy.yaml: |\n    a:\n      - sought\n":            "4:9",
		"data:\n  envoy.yaml: |\n\n    a: [1, sought]\n":              "4:12",
		"data:\n  envoy.yaml: |2\n      a: [1, sought]\n":             "3:14",
		"data:\n  envoy.yaml: |-\n    # first\n    a: sought":         "4:8",
		"data:\n    envoy.json: |\n      {\"a\":\n \n      sought}\n": "5:7",
		"data:\n  envoy.yaml: >\n    a:\n\n      - sought\n":          "2:15",
		"data:\n  envoy.yaml: \"a: sought\"\n":                        "2:15",
		"data:\n  envoy.yaml: |\n    b: &x sought\n    a: *x\n":       "3:8",
	} {
		var outer, inner yaml.Node
		if err := yaml.Unmarshal([]byte(file), &outer); err != nil {
			t.Fatal(err)
		}
		text := outer.Content[0].Content[1].Content[1]
		if err := yaml.Unmarshal([]byte(text.Value), &inner); err != nil {
			t.Fatal(err)
		}
		configmap.Place([]byte(file), &inner, text)
		found := find(&inner)
		if found == nil {
			t.Fatalf("%q has nothing that is sought", file)
		}
		if got := fmt.Sprintf("%d:%d", found.Line, found.Column); got != want {
			t.Errorf("%q: %s, want %s", file, got, want)
		}
		if text.Style&yaml.LiteralStyle != 0 {
			line := strings.Split(file, "\n")[found.Line-1]
			if rest := strings.TrimPrefix(line[found.Column-1:], "&x "); !strings.HasPrefix(rest, "sought") {
				t.Errorf("%q: %q stands there", file, rest)
			}
		}
	}
}

// TestTwice: a node that stands at two places is moved once.
func TestTwice(t *testing.T) {
	one := &yaml.Node{Kind: yaml.ScalarNode, Line: 1, Column: 2}
	list := &yaml.Node{Kind: yaml.SequenceNode, Line: 1, Column: 1, Content: []*yaml.Node{one, one}}
	configmap.Place([]byte("a: |\n  [x]\n"), list, &yaml.Node{Line: 1, Column: 4, Style: yaml.LiteralStyle, Value: "[x]\n"})
	if one.Line != 2 || one.Column != 4 || list.Line != 2 || list.Column != 3 {
		t.Errorf("%d:%d in %d:%d", one.Line, one.Column, list.Line, list.Column)
	}
}

func find(n *yaml.Node) *yaml.Node {
	if n.Value == "sought" {
		return n
	}
	for _, child := range n.Content {
		if found := find(child); found != nil {
			return found
		}
	}
	return nil
}
