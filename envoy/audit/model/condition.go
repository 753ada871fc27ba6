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
	// Meet changes a request so that it holds, as far as that is known. It may be nil.
	Meet func(*Request)
	// Miss changes one so that it does not. It may be nil.
	Miss func(*Request)
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
	return Condition{Holds: func(v View) Truth { return c.Holds(v).Not() }, Meet: c.Miss, Miss: c.Meet}
}

// All holds if all do.
func All(list ...Condition) Condition {
	if len(list) == 1 {
		return list[0]
	}
	return Condition{
		Holds: func(v View) Truth {
			t := Yes
			for _, c := range list {
				t = min(t, c.Holds(v))
			}
			return t
		},
		Meet: func(r *Request) { change(r, list, func(c Condition) func(*Request) { return c.Meet }) },
		Miss: first(list, func(c Condition) func(*Request) { return c.Miss }),
	}
}

// Any holds if one does.
func Any(list ...Condition) Condition {
	if len(list) == 1 {
		return list[0]
	}
	return Condition{
		Holds: func(v View) Truth {
			t := No
			for _, c := range list {
				t = max(t, c.Holds(v))
			}
			return t
		},
		Meet: first(list, func(c Condition) func(*Request) { return c.Meet }),
		Miss: func(r *Request) { change(r, list, func(c Condition) func(*Request) { return c.Miss }) },
	}
}

func change(r *Request, list []Condition, how func(Condition) func(*Request)) {
	for _, c := range list {
		if f := how(c); f != nil {
			f(r)
		}
	}
}

func first(list []Condition, how func(Condition) func(*Request)) func(*Request) {
	for _, c := range list {
		if f := how(c); f != nil {
			return f
		}
	}
	return nil
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
		var err error
		if t.regex, err = regexp.Compile(`^(?:` + value + `)$`); err != nil {
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

// Sample is a value that matches.
func (t Text) Sample() string {
	switch t.Kind {
	case "regex":
		return sample(t.Value)
	case "present", "":
		return "1"
	default:
		return t.Value
	}
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
	meet := func(r *Request) { r.Set(name, text.Sample()) }
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
	if invert {
		meet, miss = miss, meet
		if text.Kind != "present" && !empty {
			meet = func(r *Request) { r.Set(name, otherText) }
		}
	}
	return Condition{Holds: holds, Meet: meet, Miss: miss}
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
			r.Path += join + name + "=" + text.Sample()
		},
		Miss: func(*Request) {},
	}
}

// Path is a condition on the path without its query.
func Path(text Text) Condition {
	return Condition{
		Holds: func(v View) Truth { return text.truth(v.BarePath()) },
		Meet:  func(r *Request) { r.Path = absolute(text.Sample()) },
		Miss:  func(r *Request) { r.Path = "/" + otherText },
	}
}

// Beneath is a condition that the path is one, or stands below it.
func Beneath(path string, fold bool) Condition {
	exact, below := NewText("exact", path, fold), NewText("prefix", path+"/", fold)
	return Condition{
		Holds: func(v View) Truth { return Known(exact.Matches(v.BarePath()) || below.Matches(v.BarePath())) },
		Meet:  func(r *Request) { r.Path = path },
		Miss:  func(r *Request) { r.Path = "/" + otherText },
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
		Holds: func(v View) Truth { return Known(v.Method == method) },
		Meet:  func(r *Request) { r.Method = method },
		Miss:  func(r *Request) { r.Method = "POST" },
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
