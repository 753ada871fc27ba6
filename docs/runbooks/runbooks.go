// Package runbooks has the pages of this directory that say what a reason or an anomaly
// means, how to check it and what to do, for those who look at a running service.
//
// A page has three parts of paragraphs, in which there is code and there are links; a
// test holds them to that. Of a link its words are left, since the page it leads to may
// not be at hand.
package runbooks

import (
	"embed"
	"regexp"
	"strings"
	"sync"
)

//go:embed reasons/*.md anomalies/*.md
var files embed.FS

// Page is one page.
type Page struct {
	Means, Check, Do []Paragraph
}

// Paragraph is text, some of which is code.
type Paragraph []Span

// Span is a run of text.
type Span struct {
	Text string
	Code bool
}

// all are the pages by their paths, without .md.
var all = sync.OnceValue(func() map[string]*Page {
	pages := map[string]*Page{}
	for _, dir := range []string{"reasons", "anomalies"} {
		entries, err := files.ReadDir(dir)
		if err != nil {
			panic(err) // it is embedded
		}
		for _, e := range entries {
			name := dir + "/" + e.Name()
			text, err := files.ReadFile(name)
			if err != nil {
				panic(err)
			}
			pages[strings.TrimSuffix(name, ".md")] = parse(string(text))
		}
	}
	return pages
})

// Reason returns the page of a reason, by its word; nil if there is none.
func Reason(word string) *Page { return all()["reasons/"+word] }

// Anomaly returns the page of a kind of anomaly, by its word; nil if there is none.
func Anomaly(kind string) *Page { return all()["anomalies/"+kind] }

func parse(text string) *Page {
	p := &Page{}
	for _, part := range strings.Split(text, "\n## ")[1:] {
		title, body, _ := strings.Cut(part, "\n")
		var paragraphs []Paragraph
		for _, block := range strings.Split(strings.TrimSpace(body), "\n\n") {
			paragraphs = append(paragraphs, spans(block))
		}
		switch title {
		case "What it means":
			p.Means = paragraphs
		case "How to check":
			p.Check = paragraphs
		case "What to do":
			p.Do = paragraphs
		}
	}
	return p
}

var link = regexp.MustCompile(`\[([^\]]+)\]\([^)]+\)`)

// spans divides a paragraph into text and code.
func spans(block string) (p Paragraph) {
	block = link.ReplaceAllString(strings.Join(strings.Fields(block), " "), "$1")
	for i, text := range strings.Split(block, "`") {
		if text != "" {
			p = append(p, Span{Text: text, Code: i%2 == 1})
		}
	}
	return p
}
