package authz_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
)

func bodyOf(text string) *authz.Body { return &authz.Body{Segments: [][]byte{[]byte(text)}} }

func TestJSONPath(t *testing.T) {
	many := func(n int, item string) string { return strings.Repeat(item+",", n-1) + item }
	for _, c := range []struct {
		name, body, path string
		want             []string // nil: an error
	}{
		{"a text", `{"a":{"b":"x"}}`, "a.b", []string{"x"}},
		{"a number, as it is written", ` { "a" : { "b" : -1.50e+3 } } `, "a.b", []string{"-1.50e+3"}},
		{"absent", `{"a":{}}`, "a.b", []string{}},
		{"absent above", `{}`, "a.b", []string{}},
		{"escapes", `{"\u0061":{"b":"\u00e9\n\""}}`, "a.b", []string{"é\n\""}},
		{"every item", `{"v":[{"c":"1"},{"c":2}]}`, "v[].c", []string{"1", "2"}},
		{"no items", `{"v":[]}`, "v[].c", []string{}},
		{"values beside the path", `{"x":[1,[{}],"]",null,true,false],"a":{"b":"x","c":{"b":1}}}`, "a.b", []string{"x"}},
		{"a key off the path twice", `{"x":1,"x":2,"a":{"b":"x"}}`, "a.b", []string{"x"}},
		{"a key that only looks similar", `{"aa":1,"á":1,"a":{"b":"x"}}`, "a.b", []string{"x"}},
		{"a key twice", `{"a":{"b":"x","b":"x"}}`, "a.b", nil},
		{"a key twice, once with an escape", `{"a":{"b":"x","\u0062":"x"}}`, "a.b", nil},
		{"a key twice above", `{"a":{"b":"x"},"a":1}`, "a.b", nil},
		{"another letter case", `{"a":{"b":"x","B":"y"}}`, "a.b", nil},
		{"another letter case alone", `{"A":{"b":"x"}}`, "a.b", nil},
		{"what folds to the same", `{"k":"x","` + "\u212a" + `":"y"}`, "k", nil},
		{"an item without it", `{"v":[{"c":"1"},{}]}`, "v[].c", nil},
		{"no list", `{"v":{"c":"1"}}`, "v[].c", nil},
		{"a list", `{"a":[{"b":"x"}]}`, "a.b", nil},
		{"a bool", `{"a":{"b":true}}`, "a.b", nil},
		{"null", `{"a":{"b":null}}`, "a.b", nil},
		{"an object", `{"a":{"b":{}}}`, "a.b", nil},
		{"not UTF-8", "{\"a\":{\"b\":\"\xff\"}}", "a.b", nil},
		{"something behind", `{"a":{"b":"x"}}{}`, "a.b", nil},
		{"a comma behind", `{"a":{"b":"x"},}`, "a.b", nil},
		{"open", `{"a":{"b":"x"}`, "a.b", nil},
		{"empty", ``, "a.b", nil},
		{"a list at the top", `[{"a":1}]`, "a", nil},
		{"as many keys as may be", `{` + many(19_999, `"x":1`) + `,"a":1}`, "a", []string{"1"}},
		{"one more", `{` + many(20_000, `"x":1`) + `,"a":1}`, "a", nil},
		{"as many items as may be", `{"v":[` + many(9_999, `{"c":1}`) + `]}`, "v[].c", make([]string, 9_999)},
		{"more items", `{"v":[` + many(10_000, `{"c":1}`) + `]}`, "v[].c", nil},
		{"many keys beside the path", `{"x":[` + many(100_000, `{"c":1}`) + `],"a":1}`, "a", []string{"1"}},
		{"deep beside the path", `{"x":` + strings.Repeat("[", 400) + strings.Repeat("]", 400) + `,"a":1}`, "a", []string{"1"}},
		{"too deep", `{"x":` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + `,"a":1}`, "a", nil},
	} {
		got, err := bodyOf(c.body).JSON(c.path)
		if c.want == nil {
			if err == nil {
				t.Errorf("%s: %.40q", c.name, got)
			}
			continue
		}
		if err != nil || len(got) != len(c.want) || len(got) < 5 && fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %.40q, %v", c.name, got, err)
		}
	}
}

func TestStrictJSON(t *testing.T) {
	for _, c := range []struct {
		name, text string
		good       bool
	}{
		{"an object", `{"a":[1,{"b":null}]}`, true},
		{"a text", ` "x" `, true},
		{"one key in two objects", `[{"a":1},{"a":1}]`, true},
		{"a key twice", `{"a":1,"a":1}`, false},
		{"but for letter case", `{"x":{"a":1,"A":1}}`, false},
		{"but for an escape", `{"a":1,"\u0061":1}`, false},
		{"what folds to the same", `{"s":1,"ſ":1}`, false},
		{"not UTF-8", "{\"a\":\"\xff\"}", false},
		{"two values", `{}{}`, false},
		{"no value", ``, false},
		{"as many as may be", `[` + strings.Repeat("1,", 9_998) + `1]`, true},
		{"one more", `[` + strings.Repeat("1,", 9_999) + `1]`, false},
		{"as many keys as may be", `{"` + keysOf(4_999) + `":1}`, true},
		{"one key more", `{"` + keysOf(5_000) + `":1}`, false},
		{"deep", strings.Repeat("[", 65) + strings.Repeat("]", 65), true},
		{"too deep", strings.Repeat("[", 66) + strings.Repeat("]", 66), false},
	} {
		var value any
		if err := authz.StrictJSON([]byte(c.text), &value); (err == nil) != c.good {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// keysOf is n keys of one object, without the first and the last quotes.
func keysOf(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(`":1,"`)
		}
		fmt.Fprint(&b, "k", i)
	}
	return b.String()
}

// FuzzJSON: a path is found in JSON only, what is beside it does not matter, and
// the text is the one that encoding/json finds.
func FuzzJSON(f *testing.F) {
	for _, seed := range []string{
		`{"a":{"b":"x"}}`, `{"a":{"b":1e5}}`, `{"x":[1,-0.5E+7,"\ud800",{}],"a":{"b":"\u0041\/"}}`, `{"a":{"b":"x"},"A":1}`, `{"a":1`, `[01]`, `{"a":{"b":-}}`,
		"{\"a\":{\"b\":\"\xff\"}}", `{"\u0061":{"b":"x"}}`, "{\"\xff\":1,\"a\":{\"b\":\"\"}}", `{"a" :{ "b": 0 }} `, "{\"a\":{\"b\":\"\x00\"}}", `{"":tru}`, `1,"a":{"b":1}`, `1,"":{}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		found, err := (&authz.Body{Segments: [][]byte{text}}).JSON("a.b")
		if err == nil {
			if !json.Valid(text) {
				t.Fatalf("found %q in what is no JSON: %q", found, text)
			}
			var tree struct {
				A struct {
					B any `json:"b"`
				} `json:"a"`
			}
			decoder := json.NewDecoder(bytes.NewReader(text))
			decoder.UseNumber()
			if err := decoder.Decode(&tree); err != nil || len(found) == 1 && fmt.Sprint(tree.A.B) != found[0] || len(found) == 0 && tree.A.B != nil {
				t.Fatalf("%q: found %q, encoding/json %v, %v", text, found, tree.A.B, err)
			}
		}
		// Any JSON value may stand beside the path, and nothing that makes the
		// whole another thing than JSON.
		beside := slicesOf(`{"x":`, string(text), `,"a":{"b":"y"}}`)
		found, err = beside.JSON("a.b")
		switch {
		case err == nil && (!json.Valid(beside.Joined()) || !reflect.DeepEqual(found, []string{"y"})):
			t.Fatalf("found %q beside %q", found, text)
		case err != nil && json.Valid(text) && nesting(text) < 400:
			t.Fatalf("not found beside %q", text)
		}
	})
}

func slicesOf(texts ...string) *authz.Body {
	body := &authz.Body{}
	for _, text := range texts {
		body.Segments = append(body.Segments, []byte(text))
	}
	return body
}

func nesting(text []byte) int {
	deepest, depth := 0, 0
	decoder := json.NewDecoder(bytes.NewReader(text))
	for {
		token, err := decoder.Token()
		if err == io.EOF || err != nil {
			return deepest
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		deepest = max(deepest, depth)
	}
}

// BenchmarkJSONPath finds a text at the end of a body of one MiB that has many
// keys and items beside the path.
func BenchmarkJSONPath(b *testing.B) {
	for name, item := range map[string]string{"keys": `{"id":12345,"ok":true},`, "texts": `"0123456789abcdef0123456789abcdef",`, "numbers": `1,`} {
		b.Run(name, func(b *testing.B) {
			text := `{"items":[` + strings.Repeat(item, (1<<20)/len(item)) + `0],"a":{"b":"x"}}`
			body := bodyOf(text)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if found, err := body.JSON("a.b"); err != nil || found[0] != "x" {
					b.Fatal(found, err)
				}
			}
		})
	}
}

// BenchmarkStrictJSON refuses a body of one MiB for its number of values.
func BenchmarkStrictJSON(b *testing.B) {
	text := []byte(`[` + strings.Repeat("{\"a\":1},", 1<<17) + `0]`)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		var value any
		if authz.StrictJSON(text, &value) == nil {
			b.Fatal("accepted")
		}
	}
}
