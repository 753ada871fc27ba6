package model

import (
	"regexp"
	"slices"
	"strings"
)

// Condition is one thing that must hold of a request.
type Condition struct {
	// Holds tells whether it does.
	Holds func(View) Truth
	// Meet changes a request so that it holds, as far as that is known, Also are other ways
	// to do that. Misses change one so that it does not, each by itself. Any may be nil.
	Meet         func(*Request)
	Also, Misses []func(*Request)
}

// Unknown is a condition of which nothing is known.
func Unknown() Condition { return Condition{Holds: func(View) Truth { return Maybe }} }

// Always is a condition that has one truth for all requests.
func Always(t Truth) Condition { return Condition{Holds: func(View) Truth { return t }} }

// SetByFilters is a condition on metadata, or filter state, which nothing has unless a
// filter has set it.
func SetByFilters(state, invert bool) Condition {
	return Condition{Holds: func(v View) Truth {
		if state && v.LooseState || !state && v.LooseMetadata {
			return Maybe
		}
		return Known(invert)
	}}
}

// MetadataIs is a condition on one value of dynamic metadata.
func MetadataIs(namespace, key string, text Text, invert bool) Condition {
	return Condition{Holds: func(v View) Truth {
		value, known := v.Metadata[namespace+" "+key]
		switch {
		case known:
			return Known(text.Matches(value) != invert)
		case v.LooseMetadata:
			return Maybe
		default:
			return Known(invert)
		}
	}}
}

// Not is the opposite of a condition.
func Not(c Condition) Condition {
	n := Condition{Holds: func(v View) Truth { return c.Holds(v).Not() }}
	if len(c.Misses) > 0 {
		n.Meet, n.Also = c.Misses[0], c.Misses[1:]
	}
	if c.Meet != nil {
		n.Misses = append([]func(*Request){c.Meet}, c.Also...)
	}
	return n
}

// All holds if all do.
func All(list ...Condition) Condition {
	if len(list) == 1 {
		return list[0]
	}
	whole := Condition{Holds: func(v View) Truth {
		t := Yes
		for i := 0; i < len(list) && t != No; i++ {
			t = min(t, list[i].Holds(v))
		}
		return t
	}}
	whole.Meet = func(r *Request) {
		for _, c := range list {
			if c.Meet != nil {
				c.Meet(r)
			}
		}
	}
	for i, c := range list {
		whole.Misses = append(whole.Misses, c.Misses...)
		for _, also := range c.Also {
			whole.Also = append(whole.Also, func(r *Request) {
				for j, other := range list {
					if i != j && other.Meet != nil {
						other.Meet(r)
					}
				}
				also(r)
			})
		}
	}
	return whole
}

// Any holds if one does.
func Any(list ...Condition) Condition {
	if len(list) == 1 {
		return list[0]
	}
	whole := Condition{Holds: func(v View) Truth {
		t := No
		for _, c := range list {
			t = max(t, c.Holds(v))
		}
		return t
	}}
	for _, c := range list {
		if c.Meet == nil {
			continue
		}
		if whole.Meet == nil {
			whole.Meet = c.Meet
		} else {
			whole.Also = append(whole.Also, c.Meet)
		}
		whole.Also = append(whole.Also, c.Also...)
	}
	whole.Misses = []func(*Request){func(r *Request) {
		for _, c := range list {
			if len(c.Misses) > 0 {
				c.Misses[0](r)
			}
		}
	}}
	return whole
}

// Text is Envoy's StringMatcher, and what it has in other places.
type Text struct {
	// Kind is exact, prefix, suffix, contains, regex, present, or "" for one that
	// nothing is known of.
	Kind, Value string
	Fold        bool
	regex       *regexp.Regexp
}

// NewText makes one. A regex that Go does not take is not known.
func NewText(kind, value string, fold bool) Text {
	t := Text{Kind: kind, Value: value, Fold: fold}
	if kind == "regex" {
		_, alone := regexp.Compile(value) // one that closes our group is none
		var err error
		if t.regex, err = regexp.Compile(`^(?:` + value + `)$`); err != nil || alone != nil {
			t.Kind = ""
		}
	}
	if fold && kind != "regex" {
		t.Value = strings.ToLower(value)
	}
	return t
}

// Matches tells whether a value has what is asked for; also where nothing is known.
func (t Text) Matches(value string) bool {
	if t.Fold && t.Kind != "regex" {
		value = strings.ToLower(value)
	}
	switch t.Kind {
	case "exact":
		return value == t.Value
	case "prefix":
		return strings.HasPrefix(value, t.Value)
	case "suffix":
		return strings.HasSuffix(value, t.Value)
	case "contains":
		return strings.Contains(value, t.Value)
	case "regex":
		return t.regex.MatchString(value)
	default:
		return true
	}
}

func (t Text) truth(value string) Truth {
	if t.Kind == "" {
		return Maybe
	}
	return Known(t.Matches(value))
}

// Samples are values that match, one at least.
func (t Text) Samples() []string {
	switch t.Kind {
	case "regex":
		return samples(t.Value)
	case "present", "":
		return []string{"1"}
	default:
		if t.Fold {
			return []string{t.Value, strings.ToUpper(t.Value)}
		}
		return []string{t.Value}
	}
}

// met makes the ways to meet a condition by the samples of a text.
func met(text Text, set func(r *Request, value string)) (meet func(*Request), also []func(*Request)) {
	for i, value := range text.Samples() {
		how := func(r *Request) { set(r, value) }
		if i == 0 {
			meet = how
		} else {
			also = append(also, how)
		}
	}
	return meet, also
}

// otherText is a value that hardly anything matches.
const otherText = "other-0"

// Header is a condition on a header: the text that it must have, or must not with
// invert. A header that is not there counts as empty with empty, and does not match
// otherwise, not even inverted, unless the condition is on presence.
func Header(name string, text Text, invert, empty bool) Condition {
	holds := func(v View) Truth {
		value, ok := v.Get(name)
		switch {
		case text.Kind == "present":
			return Known(ok != invert)
		case !ok && !empty:
			return No
		case invert:
			return text.truth(value).Not()
		default:
			return text.truth(value)
		}
	}
	meet, also := met(text, func(r *Request, value string) { r.Set(name, value) })
	miss := func(r *Request) {
		if strings.HasPrefix(name, ":") {
			if name == ":method" {
				r.Method = "PUT"
			}
			return
		}
		delete(r.Header, name)
		if text.Kind != "present" && empty {
			r.Header[name] = otherText
		}
	}
	other := func(r *Request) {
		if name != ":path" {
			r.Set(name, otherText)
		} else {
			r.Path = "/" + otherText
		}
	}
	if name == ":method" {
		other = func(r *Request) { r.Method = "PUT" }
	}
	c := Condition{Holds: holds, Meet: meet, Also: also, Misses: []func(*Request){miss}}
	if text.Kind != "present" {
		c.Misses = append(c.Misses, other)
	}
	if invert {
		misses := append([]func(*Request){meet}, also...)
		if c.Meet, c.Also = miss, nil; text.Kind != "present" {
			c.Meet = other
			if empty {
				c.Also = []func(*Request){miss}
			} else {
				misses = append(misses, miss) // one that is not there does not match either
			}
		}
		c.Misses = misses
	}
	return c
}

// Query is a condition on a parameter of the query.
func Query(name string, text Text) Condition {
	return Condition{
		Holds: func(v View) Truth {
			_, query, _ := strings.Cut(v.Path, "?")
			for pair := range strings.SplitSeq(query, "&") {
				if key, value, _ := strings.Cut(pair, "="); query != "" && key == name {
					return text.truth(value)
				}
			}
			return No
		},
		Meet: func(r *Request) {
			join := "?"
			if strings.Contains(r.Path, "?") {
				join = "&"
			}
			r.Path += join + name + "=" + text.Samples()[0]
		},
		Misses: []func(*Request){func(r *Request) { r.Path = r.BarePath() }},
	}
}

// Path is a condition on the path without its query.
func Path(text Text) Condition {
	c := Condition{
		Holds:  func(v View) Truth { return text.truth(v.BarePath()) },
		Misses: []func(*Request){func(r *Request) { r.Path = "/" + otherText }},
	}
	c.Meet, c.Also = met(text, func(r *Request, value string) { r.Path = absolute(value) })
	return c
}

// Beneath is a condition that the path is one, or stands below it.
func Beneath(path string, fold bool) Condition {
	exact, below := NewText("exact", path, fold), NewText("prefix", path+"/", fold)
	return Condition{
		Holds:  func(v View) Truth { return Known(exact.Matches(v.BarePath()) || below.Matches(v.BarePath())) },
		Meet:   func(r *Request) { r.Path = path },
		Also:   []func(*Request){func(r *Request) { r.Path = strings.ToUpper(path) }},
		Misses: []func(*Request){func(r *Request) { r.Path = "/" + otherText }},
	}
}

func absolute(path string) string {
	if !strings.HasPrefix(path, "/") {
		return "/" + path
	}
	return path
}

// GRPC is a condition that the request looks like a call of gRPC.
func GRPC() Condition {
	return Header("content-type", NewText("regex", `application/grpc(\+.*)?`, false), false, false)
}

// IsMethod is a condition on the method.
func IsMethod(method string) Condition {
	return Condition{
		Holds:  func(v View) Truth { return Known(v.Method == method) },
		Meet:   func(r *Request) { r.Method = method },
		Misses: []func(*Request){func(r *Request) { r.Method = "POST" }},
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
