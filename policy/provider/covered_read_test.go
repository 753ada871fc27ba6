package provider_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/url"
	"slices"
	"strings"

	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// How the oracle of covered_test.go reads forms and JSON.

// unreadable is the panic of a reader, for requests that must be denied.
type unreadable string

func fail(format string, args ...any) { panic(unreadable(fmt.Sprintf(format, args...))) }

// query returns the parameters of the query.
func (x *weigher) query() url.Values { return values(after(x.r.path, "?")) }

// values splits a form at & alone, as the standard does today: a semicolon is text.
func values(text string) url.Values {
	v := url.Values{}
	for pair := range strings.SplitSeq(text, "&") {
		name, err := url.QueryUnescape(before(pair, "="))
		value, problem := url.QueryUnescape(after(pair, "="))
		if err != nil || problem != nil {
			fail("%q cannot be decoded", pair)
		}
		if pair != "" {
			v.Add(name, value)
		}
	}
	return v
}

func one(all []string, name string) string {
	if len(all) != 1 {
		fail("%d times %s", len(all), name)
	}
	return all[0]
}

func after(text, sep string) string {
	_, rest, _ := strings.Cut(text, sep)
	return rest
}

func before(text, sep string) string {
	first, _, _ := strings.Cut(text, sep)
	return first
}

// isForm reports whether the body is a form.
func (x *weigher) isForm() bool {
	kind, _, _ := mime.ParseMediaType(strings.Join(x.r.all("content-type"), ","))
	return kind == "application/x-www-form-urlencoded"
}

// form returns the fields of a form in the body.
func (x *weigher) form() url.Values {
	if !x.isForm() {
		fail("the body is no form")
	}
	return values(string(x.body()))
}

// sorted writes fields so that their order does not count.
func sorted(v url.Values, but ...string) string {
	for _, name := range but {
		v.Del(name)
	}
	for name := range v {
		slices.Sort(v[name])
	}
	return v.Encode()
}

// member is one of an object. Go's maps would hide a key that is there twice.
type member struct {
	key   string
	value any
}

func (x *weigher) tree() any { return parse(x.body()) }

func parse(text []byte) any {
	if !json.Valid(text) {
		fail("no JSON")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return branch(d)
}

func branch(d *json.Decoder) any {
	token, err := d.Token()
	if err != nil {
		fail("%v", err)
	}
	switch token {
	case json.Delim('{'):
		object := []member{}
		for d.More() {
			key, err := d.Token()
			if err != nil {
				fail("%v", err)
			}
			object = append(object, member{fmt.Sprint(key), branch(d)})
		}
		_, _ = d.Token() // the brace, which json.Valid has seen
		return object
	case json.Delim('['):
		list := []any{}
		for d.More() {
			list = append(list, branch(d))
		}
		_, _ = d.Token()
		return list
	default:
		return token
	}
}

// at returns what stands at a path of keys; key[] stands for all items of a list.
func at(tree any, path []string) []any {
	if len(path) == 0 {
		return []any{tree}
	}
	object, isObject := tree.([]member)
	if !isObject {
		fail("no object")
	}
	key, list := strings.CutSuffix(path[0], "[]")
	var found []any
	for _, m := range object {
		if m.key == key {
			found = append(found, m.value)
		}
	}
	if len(found) != 1 {
		fail("%d times %s", len(found), key)
	}
	if !list {
		return at(found[0], path[1:])
	}
	items, isList := found[0].([]any)
	if !isList || len(items) == 0 {
		fail("no list")
	}
	var all []any
	for _, item := range items {
		all = append(all, at(item, path[1:])...)
	}
	return all
}

func (x *weigher) jsonTexts(path string) (texts []string) {
	for _, value := range at(x.tree(), strings.Split(path, ".")) {
		switch value.(type) {
		case string, json.Number:
			texts = append(texts, fmt.Sprint(value))
		default:
			fail("%s is no text", path)
		}
	}
	return texts
}

func (x *weigher) jsonText(path string) string { return one(x.jsonTexts(path), path) }

// joined is names and values with nothing between, so that characters can move from one to
// the next under the same signature: a webhook of such a scheme proves less, or pins.
func joined(v url.Values, distinct bool) (text string) {
	for _, name := range names(v) {
		slices.Sort(v[name])
		if distinct {
			v[name] = slices.Compact(v[name])
		}
		for _, value := range v[name] {
			text += name + value
		}
	}
	return text
}

func names(v url.Values) (list []string) {
	for name := range v {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

func first(tree any, key string) any { return at(tree, []string{key})[0] }

// meaning is the body as a reader of its kind understands it.
func (x *weigher) meaning() (text string) {
	defer func() {
		if recover() != nil {
			text = string(x.r.body)
		}
	}()
	place := x.scheme.Signed().GetSignature()
	if x.isForm() {
		form := x.form()
		for i, text := range form["bt_signature"] {
			form["bt_signature"][i] = strings.ToLower(text)
		}
		if all := form[place.GetField()]; len(all) == 1 && x.scheme.Signed().GetEncoding() == policyv1.Hmac_HEX {
			all[0] = strings.ToLower(all[0]) // either letter case is the same signature
		}
		return sorted(form)
	}
	text = written(x.tree())
	if path := place.GetJson(); path != "" && x.scheme.Signed().GetEncoding() == policyv1.Hmac_HEX {
		text = strings.Replace(text, x.jsonText(path), strings.ToLower(x.jsonText(path)), 1)
	}
	return text
}

func written(tree any) string {
	switch v := tree.(type) {
	case []member:
		parts := make([]string, len(v))
		for i, m := range v {
			parts[i] = fmt.Sprintf("%q:%s", m.key, written(m.value))
		}
		slices.Sort(parts)
		return "{" + strings.Join(parts, ",") + "}"
	case []any:
		parts := make([]string, len(v))
		for i, item := range v {
			parts[i] = written(item)
		}
		return "[" + strings.Join(parts, ",") + "]"
	default:
		return fmt.Sprintf("%T %q", tree, fmt.Sprint(tree))
	}
}
