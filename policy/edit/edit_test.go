package edit_test

import (
	"errors"
	"testing"

	"github.com/hookbastion/hookbastion/policy/edit"
)

func TestRemove(t *testing.T) {
	for _, c := range []struct {
		name, text string
		steps      []any
		want       string // empty: by hand
	}{
		{"item of a block", "a:\n  # one\n  - x # first\n  # two\n  - y # second\n  - z\n", []any{"a", 1}, "a:\n  # one\n  - x # first\n  # two\n  - z\n"},
		{"last item of a block", "a:\n- x\n- y: 1\n  z: 2\nb: 1\n", []any{"a", 1}, "a:\n- x\nb: 1\n"},
		{"block text", "a:\n- x\n- |\n  one\n\n  two\n- z\n", []any{"a", 1}, "a:\n- x\n- z\n"},
		{"first item of a flow", "a: [x, {b: 1}, z] # why\n", []any{"a", 0}, "a: [{b: 1}, z] # why\n"},
		{"middle of a flow", "a: [x, {b: [1, 2]}, z] # why\n", []any{"a", 1}, "a: [x, z] # why\n"},
		{"last of a flow", "a: [x, {b: [1, 2]}] # why ]\n", []any{"a", 1}, "a: [x] # why ]\n"},
		{"quotes", "a: [\"x, ]\", 'y]', z]\n", []any{"a", 1}, "a: [\"x, ]\", z]\n"},
		{"only item", "a: [x]\nb: 1\n", []any{"a", 0}, "b: 1\n"},
		{"only key of the only item", "a: 1\nb: {c: [{d: 1}]}\n", []any{"b", "c", 0, "d"}, "a: 1\n"},
		{"key of a block", "a:\n  b: 1\n  c: # why\n    d: 2\n  # of e\n  e: 3\n", []any{"a", "c"}, "a:\n  b: 1\n  # of e\n  e: 3\n"},
		{"key of a flow", "- {name: a, b: {c: 1}, d: 2}\n", []any{0, "b"}, "- {name: a, d: 2}\n"},
		{"last key of a flow", "- {name: a, b: {c: 1}}\n", []any{0, "b"}, "- {name: a}\n"},
		{"over lines", "a: [x,\n    y, # why\n    z]\n", []any{"a", 0}, "a: [y, # why\n    z]\n"},
		{"JSON", `{"a": [{"b": 1}, {"b": 2}], "c": "a"}`, []any{"a", 1}, `{"a": [{"b": 1}], "c": "a"}`},
		{"value like a key", "c: a\na: 1\n", []any{"a"}, "c: a\n"},
		{"letters of several bytes", "ä: [ü, \"é\", x]\n", []any{"ä", 1}, "ä: [ü, x]\n"},
		{"carriage returns", "a:\r\n- x\r\n- y\r\n", []any{"a", 0}, "a:\r\n- y\r\n"},
		{"no line feed at the end", "a:\n- x\n- y", []any{"a", 1}, "a:\n- x\n"},
		{"first key behind a dash", "- a: 1\n  b: 2\n", []any{0, "a"}, ""},
	} {
		got, err := edit.Remove([]byte(c.text), c.steps...)
		if string(got) != c.want || (c.want == "") != errors.Is(err, edit.ErrByHand) {
			t.Errorf("%s: %q, %v; want %q", c.name, got, err, c.want)
		}
	}
}

func TestRemoveNothing(t *testing.T) {
	for _, steps := range [][]any{{"x"}, {"a", 7}, {"a", "b"}, {"a", -1}, {1.5}, {}, {"a", 0, "b"}} {
		if got, err := edit.Remove([]byte("a: [1, 2]\nb: 3\n"), steps...); err == nil {
			t.Errorf("%v: %q", steps, got)
		}
	}
	for _, text := range []string{"", "# nothing\n", "a: [", "\x00"} {
		if got, err := edit.Remove([]byte(text), "a"); err == nil {
			t.Errorf("%q: %q", text, got)
		}
	}
}

// FuzzRemove: what comes back lacks the value, or nothing does; it never panics.
func FuzzRemove(f *testing.F) {
	f.Add("a:\n  # one\n  - x\n  - y\n", 1)
	f.Add("a: [x, {b: 1}, z] # why\n", 1)
	f.Add("a: {b: 1}\n", 0)
	f.Fuzz(func(t *testing.T, text string, i int) {
		got, err := edit.Remove([]byte(text), "a", i)
		if err == nil && len(got) >= len(text) {
			t.Errorf("%q: %q", text, got)
		}
	})
}

func TestReplace(t *testing.T) {
	for _, c := range []struct {
		name, text, word string
		steps            []any
		want             string // empty: by hand
	}{
		{"key of a flow", "- {a: x, b: x} # x\n", "y", []any{0, "b"}, "- {a: x, b: y} # x\n"},
		{"key of a block", "a: x # why\nb:\n  c: x\n", "y", []any{"b", "c"}, "a: x # why\nb:\n  c: y\n"},
		{"item", "a: [x, x]\n", "y", []any{"a", 1}, "a: [x, y]\n"},
		{"single quotes", "a: 'x'\n", "y", []any{"a"}, "a: 'y'\n"},
		{"double quotes", "a: \"x\"\n", "y", []any{"a"}, "a: \"y\"\n"},
		{"number", "a: 401\n", "403", []any{"a"}, "a: 403\n"},
		{"JSON", `{"a": {"b": "x"}}`, "y", []any{"a", "b"}, `{"a": {"b": "y"}}`},
		{"letters of several bytes", "ä: {é: x}\n", "y", []any{"ä", "é"}, "ä: {é: y}\n"},
		{"escapes", "a: \"\\x78\"\n", "y", []any{"a"}, ""},
		{"block text", "a: |\n  x\n", "y", []any{"a"}, ""},
		{"list", "a: [x]\n", "y", []any{"a"}, ""},
		{"word of another kind", "a: x\n", "1", []any{"a"}, ""},
		{"word that is none", "a: {b: x}\n", "}", []any{"a", "b"}, ""},
	} {
		got, err := edit.Replace([]byte(c.text), c.word, c.steps...)
		if string(got) != c.want || (c.want == "") != errors.Is(err, edit.ErrByHand) {
			t.Errorf("%s: %q, %v; want %q", c.name, got, err, c.want)
		}
	}
	if got, err := edit.Replace([]byte("a: x\n"), "y", "b"); err == nil {
		t.Errorf("%q of what is not there", got)
	}
}
