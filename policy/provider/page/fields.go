package page

import (
	"strings"

	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// fieldsWords say which texts of a JSON object are signed, and how.
func fieldsWords(f *policyv1.Fields) string {
	var words []string
	for _, key := range f.GetKeys() {
		name, optional := strings.CutSuffix(key, "?")
		if optional {
			name += " if it is there"
		}
		words = append(words, name)
	}
	return "these fields of the JSON body, each as its key, a line break, its text, a line break: " + strings.Join(words, ", ")
}

// whenWords say which deliveries a scheme is for; nothing if for all that are signed so.
func whenWords(s *policyv1.Scheme) string {
	var words []string
	for _, w := range s.GetWhen() {
		place := "the header " + w.GetHeader()
		if w.GetJson() != "" {
			place = w.GetJson() + " of the body"
		}
		words = append(words, place+" is "+strings.Join(w.GetValues(), " or "))
	}
	if len(words) == 0 {
		return ""
	}
	return "; where " + strings.Join(words, " and ")
}
