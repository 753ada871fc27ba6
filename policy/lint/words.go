package lint

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hookbastion/hookbastion/policy/finding"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
)

// texts calls f with each text of a message, and the last key that leads to it.
func texts(m protoreflect.Message, at strictyaml.Place, f func(key protoreflect.Name, text string, at strictyaml.Place)) {
	m.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		here := at.At(string(field.Name()))
		switch {
		case field.Message() != nil && field.Message().FullName() == "google.protobuf.Struct":
			values := v.Message().Interface().(interface{ AsMap() map[string]any }).AsMap() //nolint:forcetypeassert // by its name
			for name, value := range values {
				if text, ok := value.(string); ok {
					f(field.Name(), text, here.At(name))
				}
			}
		case field.IsMap():
		case field.IsList():
			for i := range v.List().Len() {
				if item := v.List().Get(i); field.Kind() == protoreflect.MessageKind {
					texts(item.Message(), here.At(i), f)
				} else if field.Kind() == protoreflect.StringKind {
					f(field.Name(), item.String(), here.At(i))
				}
			}
		case field.Kind() == protoreflect.MessageKind:
			texts(v.Message(), here, f)
		case field.Kind() == protoreflect.StringKind:
			f(field.Name(), v.String(), here)
		}
		return true
	})
}

// fillers are words that stand where a reason should.
var fillers = []string{
	"todo", "tbd", "fixme", "later", "temp", "temporary", "test", "testing", "reason", "none", "nothing", "n/a", "na", "null", "nil",
	"because", "unknown", "legacy", "wip", "placeholder", "lorem", "ipsum", "dolor", "sit", "amet", "foo", "bar", "baz", "asdf", "qwerty", "xxx",
	"no", "a", "the", "for", "now", "yes", "ok", "okay", "fix", "me", "it", "is", "this", "some", "your", "here", "why", "ignore", "ignored", "change", "changeme", "add", "write", "to", "be", "done", "decided", "just", "so", "idk", "dont", "know", "don't", "not",
}

// saysNothing reports whether all words of a reason are such as stand anywhere, or all but
// one of very few.
func saysNothing(reason string) bool {
	words := strings.FieldsFunc(strings.ToLower(reason), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '/' && r != '\'' })
	said := 0
	for _, word := range words {
		if !slices.Contains(fillers, word) && !monotone(word) {
			said++
		}
	}
	const few = 3
	return said == 0 || said == 1 && len(words) < few && !wordy(reason) || placeholder.MatchString(reason)
}

// monotone reports whether a word is one letter again and again, as xxxx.
func monotone(word string) bool { return len(word) > 1 && strings.Trim(word, word[:1]) == "" }

// wordy reports whether a text is in a script that has no spaces between words.
func wordy(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai) })
}

var emptyReason = Rule{
	Rule: finding.Rule{
		ID: "HB004", Severity: finding.Warning,
		Title: "a reason says nothing",
		Risk:  "Whoever looks at the policy in a year, or audits it, cannot tell an exception that was thought about from one that hides a mistake, and leaves it.",
		Fix:   "Say in a few words why it is right here, and who knows.",
		Link:  "policy.md#unverified",
	},
	each: func(p *pass, w *webhook) {
		texts(w.ProtoReflect(), w.at, func(key protoreflect.Name, text string, at strictyaml.Place) {
			if key == "reason" && saysNothing(text) {
				p.report(at, "says nothing of why: "+strings.TrimSpace(text))
			}
		})
	},
}

// placeholder is what templates, shells and pages leave for somebody to fill in.
var placeholder = regexp.MustCompile(`\$\{[^}]*\}|\$\([^)]*\)|\{\{[^}]*\}\}|\{%[^%]*%\}|<%[^%]*%>|#\{[^}]*\}|<[A-Za-z_][A-Za-z0-9 _.-]*>|%[A-Z_][A-Z0-9_]+%|__[A-Z0-9_]+__|@@[A-Za-z0-9_]+@@|\[\[[^\]]*\]\]|` +
	`(?i:\b(?:changeme|change[_-]me|replace[_-]me|replaceme|your[_-](?:secret|id|key|token|account|webhook|domain|host)[a-z_-]*|insert[_-][a-z_-]*here|paste[_-][a-z_-]*here)\b)`)

// patterns are keys whose values have braces or brackets of their own.
var patterns = []protoreflect.Name{"conditions", "literal", "headers", "urls", "issuers", "audiences", "reason", "prefix", "key_prefixes", "value"}

var leftPlaceholder = Rule{
	Rule: finding.Rule{
		ID: "HB005", Severity: finding.Warning,
		Title: "a placeholder stands in a policy",
		Risk:  "What was to be filled in was not: the webhook takes deliveries for nobody's account or host, or its secret is looked for where it is not.",
		Fix:   "Write what is meant, or have the template filled in before the file is checked.",
		Link:  "policy.md#webhook",
	},
	each: func(p *pass, w *webhook) {
		texts(w.ProtoReflect(), w.at, func(key protoreflect.Name, text string, at strictyaml.Place) {
			if found := placeholder.FindString(text); found != "" && !slices.Contains(patterns, key) {
				p.report(at, "has "+found+", which nothing fills in")
			}
		})
	},
}
