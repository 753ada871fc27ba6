package model

import (
	"regexp/syntax"
	"slices"
	"strings"
)

// letters are what samples are made of where an expression leaves it open, each of a
// sample's own, so that routes before the one that is wanted do not take all.
var letters = []string{"a1-_/", "z9-_/", "q5Q_-"}

// samples are short texts that an expression matches as a whole, as far as its anchors
// and word boundaries allow.
func samples(expression string) []string {
	tree, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return []string{""}
	}
	var found []string
	add := func(s sampler) {
		s.write(tree, 0)
		if text := s.String(); !slices.Contains(found, text) {
			found = append(found, text)
		}
	}
	for _, l := range letters {
		add(sampler{letters: l, steps: new(int), Builder: &strings.Builder{}})
	}
	for branch := range branches {
		add(sampler{letters: letters[1], branch: branch, more: 1, steps: new(int), Builder: &strings.Builder{}})
	}
	return found
}

const (
	deepest  = 100
	maxSteps = 10_000
	// maxSample is the longest part of a path that is tried. Longer ones may not match.
	maxSample = 4096
	branches  = 8 // of alternatives that are tried
)

// sampler writes one sample: of alternatives the one of that number, and so many more
// repetitions than needed.
type sampler struct {
	letters      string
	branch, more int
	steps        *int // that were taken; repetitions within repetitions multiply
	*strings.Builder
}

func (s sampler) write(tree *syntax.Regexp, depth int) {
	if *s.steps++; depth > deepest || *s.steps > maxSteps || s.Len() > maxSample {
		return
	}
	switch tree.Op {
	case syntax.OpLiteral:
		_, _ = s.WriteString(string(tree.Rune)) // a builder takes all
	case syntax.OpCharClass:
		_, _ = s.WriteRune(s.member(tree.Rune))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		_ = s.WriteByte(s.letters[0])
	case syntax.OpConcat, syntax.OpCapture:
		for _, part := range tree.Sub {
			s.write(part, depth+1)
		}
	case syntax.OpAlternate:
		s.write(tree.Sub[min(s.branch, len(tree.Sub)-1)], depth+1)
	case syntax.OpPlus, syntax.OpStar, syntax.OpQuest:
		times := s.more
		if tree.Op == syntax.OpPlus {
			times++
		}
		for range times {
			s.write(tree.Sub[0], depth+1)
		}
	case syntax.OpRepeat:
		for range max(tree.Min, 0) {
			s.write(tree.Sub[0], depth+1)
		}
	default: // what takes no text
	}
}

// member is one of a class, a letter of the sample's own if there is one.
func (s sampler) member(ranges []rune) rune {
	for _, want := range s.letters {
		for i := 0; i+1 < len(ranges); i += 2 {
			if ranges[i] <= want && want <= ranges[i+1] {
				return want
			}
		}
	}
	if len(ranges) == 0 {
		return 'a'
	}
	return ranges[0]
}
