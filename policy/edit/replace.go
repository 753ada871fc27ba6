package edit

import (
	"reflect"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Replace returns the text with another word in place of the single value that the steps
// lead to, in the quotes that the old one had. The word must mean itself without quotes.
func Replace(text []byte, word string, steps ...any) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	if len(doc.Content) == 0 || len(steps) == 0 {
		return nil, errNowhere
	}
	parent, i, err := find(doc.Content[0], steps)
	if err != nil {
		return nil, err
	}
	value := parent.Content[i+width(parent)-1]
	if value.Kind != yaml.ScalarNode {
		return nil, ErrByHand
	}
	start := offset(text, value)
	if value.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
		start++
	}
	end := start + len(value.Value)
	if end > len(text) || string(text[start:end]) != value.Value {
		return nil, ErrByHand // it is written in another way than it reads
	}
	result := slices.Concat(text[:start], []byte(word), text[end:])
	value.Value = word
	var after yaml.Node
	if yaml.Unmarshal(result, &after) != nil || len(after.Content) == 0 || !reflect.DeepEqual(tree(after.Content[0]), tree(doc.Content[0])) {
		return nil, ErrByHand
	}
	return result, nil
}
