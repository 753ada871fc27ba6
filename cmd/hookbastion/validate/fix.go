package validate

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/hookbastion/hookbastion/authz/files"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/policy/edit"
	"github.com/hookbastion/hookbastion/policy/finding"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
)

// fix removes from policies what can go without a change of any verdict, shows what it
// changes, and, unless it is only to be shown, writes the files. It reports whether there
// was anything to remove.
func fix(w io.Writer, found []finding.Finding, onlyShow bool) (changed bool, err error) {
	byFile := map[string][]finding.Finding{}
	var names []string
	for _, f := range found {
		if f.Removable == "" || f.Suppressed != "" {
			continue
		}
		if byFile[f.File] == nil {
			names = append(names, f.File)
		}
		byFile[f.File] = append(byFile[f.File], f)
	}
	for _, name := range names {
		before, _, err := files.Read(name, strictyaml.MaxBytes)
		if err != nil {
			return changed, err
		}
		after, removed := removeAll(w, before, byFile[name])
		if removed == 0 {
			continue
		}
		changed = true
		_, _ = w.Write(diff.Diff(name, before, name, after))
		if !onlyShow {
			if err := cli.Replace(name, after); err != nil {
				return changed, err
			}
		}
	}
	return changed, nil
}

// removeAll removes the last ones first, so that the places of the others stay, and says how
// many it could.
func removeAll(w io.Writer, text []byte, found []finding.Finding) (shorter []byte, removed int) {
	slices.SortStableFunc(found, func(a, b finding.Finding) int { return comparePaths(stepsOf(b.Removable), stepsOf(a.Removable)) })
	last := ""
	for _, f := range found {
		if f.Removable == last || strings.HasPrefix(last, f.Removable+".") {
			continue // another finding had it removed
		}
		rest, err := edit.Remove(text, stepsOf(f.Removable)...)
		if err != nil {
			fmt.Fprintf(w, "%s: %s: %v; do it by hand (%s)\n", f.Place, f.Removable, err, f.ID)
			continue
		}
		text, last = rest, f.Removable
		removed++
	}
	return text, removed
}

// stepsOf reads webhooks[0].secrets[1] as it is written in findings.
func stepsOf(path string) []any {
	var steps []any
	for part := range strings.SplitSeq(path, ".") {
		key, rest, _ := strings.Cut(part, "[")
		steps = append(steps, key)
		for rest != "" {
			number, more, _ := strings.Cut(rest, "]")
			if n, err := strconv.Atoi(number); err == nil {
				steps = append(steps, n)
			}
			rest = strings.TrimPrefix(more, "[")
		}
	}
	return steps
}

func comparePaths(a, b []any) int {
	return slices.CompareFunc(a, b, func(x, y any) int {
		i, number := x.(int)
		j, alsoNumber := y.(int)
		if number && alsoNumber {
			return cmp.Compare(i, j)
		}
		return cmp.Compare(fmt.Sprint(x), fmt.Sprint(y))
	})
}
