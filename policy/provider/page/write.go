package page

import (
	"fmt"
	"strings"
)

// writer writes an entry, as Markdown or plain.
type writer struct {
	strings.Builder
	plain bool
}

// width is the length of a line in columns, where a text can be broken.
const width = 80

func (to *writer) heading(level, text string) {
	if to.plain {
		text = strings.ReplaceAll(text, "`", "")
	}
	fmt.Fprintf(to, "%s%s\n\n", level, text)
}

func (to *writer) paragraph(text string) {
	if to.plain {
		text = strings.ReplaceAll(text, "`", "")
	}
	to.fold("", "", text)
	fmt.Fprintln(to)
}

func (to *writer) link(address string) string {
	if to.plain {
		return address
	}
	return "<" + address + ">"
}

func (to *writer) code(text string) {
	if !to.plain {
		fmt.Fprintf(to, "```yaml\n%s```\n\n", text)
		return
	}
	for line := range strings.Lines(text) {
		fmt.Fprint(to, "    "+line)
	}
	fmt.Fprintln(to)
}

// table writes rows of a name and a text, and leaves out those without a text.
func (to *writer) table(rows [][2]string) {
	if !to.plain {
		fmt.Fprint(to, "| | |\n| --- | --- |\n")
	}
	for _, row := range rows {
		switch {
		case row[1] == "":
		case to.plain:
			to.fold(fmt.Sprintf("  %-13s", row[0]), strings.Repeat(" ", 15), row[1])
		default:
			fmt.Fprintf(to, "| %s | %s |\n", row[0], strings.NewReplacer("|", "\\|", "<", "&lt;").Replace(row[1]))
		}
	}
	fmt.Fprintln(to)
}

func (to *writer) list(title string, items []string) {
	if len(items) == 0 {
		return
	}
	to.heading("## ", title)
	for _, item := range items {
		to.fold("- ", "  ", item)
	}
	fmt.Fprintln(to)
}

// fold writes a text in lines of the width. What begins the lines stands first,
// and rest before those that follow.
func (to *writer) fold(first, rest, text string) {
	line := first
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
			line += word
		case len([]rune(line))+1+len([]rune(word)) > width:
			fmt.Fprint(to, line+"\n")
			line = rest + word
		default:
			line += " " + word
		}
	}
	fmt.Fprint(to, line+"\n")
}
