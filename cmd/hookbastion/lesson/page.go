package lesson

import (
	"fmt"
	"strings"

	"github.com/hookbastion/hookbastion/policy/finding"
)

// The names of the files that --write makes.
const (
	badFile     = "bad/policy.yaml"
	goodFile    = "good/policy.yaml"
	requestFile = "request.http"
)

// command is how the request is judged by one of both policies.
func (l *lesson) command(policy string) string {
	dir, _, _ := strings.Cut(policy, "/")
	flags := l.flags
	if flags != "" {
		flags += " "
	}
	return "hookbastion explain --policy lesson/" + dir + " " + flags + "lesson/" + requestFile
}

// text is the lesson as it is printed. The answer is left out unless it is asked for.
func (l *lesson) text(answer bool) string {
	var b strings.Builder
	title := l.rule.ID + ": " + l.rule.Title
	fmt.Fprintf(&b, "%s\n%s\n\n%s\n", title, strings.Repeat("=", len([]rune(title))), l.story)
	fmt.Fprintf(&b, "The request:\n\n%s\n", indented(l.request))
	fmt.Fprintf(&b, "With the policy as it was (%s):\n\n%s\n", l.bad, indented(l.badPolicy))
	fmt.Fprintf(&b, "The mend:\n\n%s\n", l.mend)
	fmt.Fprintf(&b, "With the policy mended (%s):\n\n%s\n", l.good, indented(l.goodPolicy))
	fmt.Fprintf(&b, "See for yourself:\n\n%s\n", indented("hookbastion lesson "+l.rule.ID+" --write lesson\n"+l.command(badFile)+"\n"+l.command(goodFile)+"\n"))
	fmt.Fprintf(&b, "A question to yourself:\n\n%s\n", l.question)
	if answer {
		fmt.Fprintf(&b, "The answer:\n\n%s\n", l.answer)
	}
	return b.String()
}

func indented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimRight("    "+line, " \r\n") + "\n")
	}
	return b.String()
}

// markdown is the lesson as a page of docs/lessons.
func (l *lesson) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s: %s\n\n%s, %s · [all lessons](README.md) · [more](../%s)\n\n%s\n", l.rule.ID, l.rule.Title, l.practice, severityOf(l.rule), l.rule.Link, l.story)
	fmt.Fprintf(&b, "## The request\n\n%s", fenced("http", l.request))
	fmt.Fprintf(&b, "## The policy as it was\n\n%s", fenced("yaml", l.badPolicy))
	fmt.Fprintf(&b, "## The mend\n\n%s\n%s", l.mend, fenced("yaml", l.goodPolicy))
	fmt.Fprintf(&b, "## See for yourself\n\n%s", fenced("sh", "hookbastion lesson "+l.rule.ID+" --write lesson\n"+
		l.command(badFile)+"   # "+l.bad+"\n"+l.command(goodFile)+"   # "+l.good+"\n"))
	fmt.Fprintf(&b, "## A question to yourself\n\n%s\n<details><summary>The answer</summary>\n\n%s\n</details>\n", l.question, l.answer)
	return b.String()
}

func severityOf(r finding.Rule) string {
	if r.Else == "" {
		return string(r.Severity)
	}
	return string(r.Severity) + ", or " + r.Else
}

func fenced(language, text string) string {
	return "```" + language + "\n" + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\r", "") + "\n```\n\n"
}

// index is the page that lists the lessons in the order of the course.
func index(lessons []*lesson) string {
	var b strings.Builder
	b.WriteString("# Lessons\n\nEach tells of one attack or one accident, with a request, what mends it, and a question to\n" +
		"oneself. `hookbastion lesson HB012` prints one, `hookbastion lesson signature_invalid` those that a\n" +
		"[reason](../reasons.md) leads to, and `hookbastion lesson --course` goes through all of them, those first\n" +
		"that your own policies have. Of [findings](../findings.md) without a story, `hookbastion lesson` says what can\nhappen and how to mend it.\n")
	practice := ""
	for _, l := range lessons {
		if l.practice != practice {
			practice = l.practice
			fmt.Fprintf(&b, "\n## %s%s\n\n", strings.ToUpper(practice[:1]), practice[1:])
		}
		fmt.Fprintf(&b, "- [%s](%[1]s.md): %s\n", l.rule.ID, l.rule.Title)
	}
	return b.String()
}
