package lesson

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/hookbastion/hookbastion/policy/finding"
	"github.com/hookbastion/hookbastion/policy/lint"
)

// lessons are archives, one for each rule that has one, with the parts that lesson names.
//
//go:embed lessons
var archives embed.FS

// practices are what the lessons exercise, in the order of the course.
var practices = []string{"authentication", "encryption", "rotation", "monitoring", "knowledge"}

// lesson is one attack, with the request that makes it and what stops it.
type lesson struct {
	rule     finding.Rule
	practice string
	// reasons are those with which the request is refused, or by which one comes here.
	reasons []string
	// flags are those of explain: the time, and where the request comes from.
	flags string
	// bad and good are verdict and reason of the request under both policies.
	bad, good string
	// story, mend, question and answer are text; request is the bytes of one.
	story, mend, question, answer, request string
	badPolicy, goodPolicy                  string
	// files are what the policies name beside them.
	files []txtar.File
}

// all are the lessons in the order of the course. The error is one of the program.
var all = sync.OnceValues(func() ([]*lesson, error) {
	rules := map[string]finding.Rule{}
	for _, r := range lint.Rules() {
		rules[r.ID] = r
	}
	names, err := fs.Glob(archives, "lessons/*.txtar")
	if err != nil {
		return nil, err
	}
	var lessons []*lesson
	for _, name := range names {
		data, err := archives.ReadFile(name)
		if err != nil {
			return nil, err
		}
		rule, ok := rules[strings.TrimSuffix(path.Base(name), ".txtar")]
		if !ok {
			return nil, fmt.Errorf("%s: there is no such finding", name)
		}
		l, err := read(txtar.Parse(data))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		l.rule = rule
		lessons = append(lessons, l)
	}
	slices.SortStableFunc(lessons, func(a, b *lesson) int {
		return slices.Index(practices, a.practice) - slices.Index(practices, b.practice)
	})
	return lessons, nil
})

// read takes an archive apart. Each part must be there.
func read(a *txtar.Archive) (*lesson, error) {
	l := &lesson{}
	parts := map[string]*string{
		"story": &l.story, "request": &l.request, "mend": &l.mend, "question": &l.question, "answer": &l.answer,
		"bad.yaml": &l.badPolicy, "good.yaml": &l.goodPolicy,
	}
	for _, f := range a.Files {
		part := parts[f.Name]
		switch {
		case f.Name == "about":
			if err := l.about(string(f.Data)); err != nil {
				return nil, err
			}
		case part != nil:
			*part = string(f.Data)
		default:
			l.files = append(l.files, f)
		}
	}
	for name, part := range parts {
		if *part == "" {
			return nil, errors.New(name + " is missing")
		}
	}
	if l.bad == "" || l.good == "" || !slices.Contains(practices, l.practice) {
		return nil, errors.New("about needs practice, bad and good")
	}
	// A captured request ends as its file does, but a body has no line feed of an editor.
	l.request = strings.TrimSuffix(l.request, "\n")
	if strings.HasSuffix(l.request, "\n") { // no body
		l.request += "\n"
	}
	return l, nil
}

// about reads lines of a name, a colon and a text.
func (l *lesson) about(text string) error {
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch name {
		case "practice":
			l.practice = value
		case "reasons":
			l.reasons = strings.Fields(value)
		case "flags":
			l.flags = value
		case "bad":
			l.bad = value
		case "good":
			l.good = value
		default:
			return fmt.Errorf("about has %q", name)
		}
	}
	return nil
}

// reasonOf is the reason in a verdict such as "deny: replayed, status 409".
func reasonOf(verdict string) string {
	_, reason, _ := strings.Cut(verdict, ": ")
	reason, _, _ = strings.Cut(reason, ",")
	return reason
}

// find returns the lesson of an id, and those that a reason leads to.
func find(word string) ([]*lesson, error) {
	lessons, err := all()
	if err != nil {
		return nil, err
	}
	var found []*lesson
	for _, l := range lessons {
		reason := strings.ToLower(word)
		if l.rule.ID == strings.ToUpper(word) || slices.Contains(l.reasons, reason) || reasonOf(l.good) == reason && reasonOf(l.bad) != reason {
			found = append(found, l)
		}
	}
	return found, nil
}
