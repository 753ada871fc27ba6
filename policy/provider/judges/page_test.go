package judges_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/providers/judges.md")

const page = "../../../docs/providers/judges.md"

// evidence is what a difference was seen with.
type evidence struct{ libraries, cases map[string]bool }

// checkPage holds the page equal to what was seen.
func checkPage(t *testing.T, used map[int]*evidence) {
	t.Helper()
	want := writePage(t, used)
	if *update {
		if err := os.MkdirAll(filepath.Dir(page), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(page, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile(page)
	if err != nil || string(have) != want {
		t.Errorf("docs/providers/judges.md is not what the judges say; go test ./policy/provider/judges -update writes it: %v", err)
	}
}

func writePage(t *testing.T, used map[int]*evidence) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(`# Judged by the providers' own libraries

<!-- Written by go test ./policy/provider/judges -update. -->

Many providers publish a library that verifies their deliveries. A test compares our
verdict with theirs: what a library signs we accept, what ` + "`hookbastion sign`" + ` makes the
library accepts, and on altered deliveries (other bodies, secrets, addresses, times,
spoiled and repeated headers, several signatures, forms in another order, tokens with
other claims, random changes) both say the same, or the table of differences says why not.
The libraries are pinned by hash, fetched by ` + "`make judges`" + ` and run unmodified.

The issuer of Atlassian's and LiveKit's tokens is the account, which a policy does not
know; it is filled in first. Tokens of public keys are signed here with keys of the test,
since nobody has the provider's; jose is called as the provider's page, or a receiver that
it names, does.

## Libraries

| library | version | entry | signs too |
| --- | --- | --- | --- |
`)
	versions := pinned(t)
	rows := map[string]string{}
	for i := range judges {
		j := &judges[i]
		version := versions[j.host+" "+strings.ToLower(j.library())]
		if version == "" {
			t.Errorf("%s is not pinned", j.library())
		}
		signs := ""
		if j.signs {
			signs = "yes"
		}
		key := j.library() + " " + j.host + " " + j.provider + " " + j.scheme
		if j.variant == "" {
			rows[key] = fmt.Sprintf("| %s (%s) | %s | %s, %s | %s |\n", j.library(), j.host, version, j.provider, j.scheme, signs)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(rows)) {
		b.WriteString(rows[key])
	}
	b.WriteString(`
nuxt-webhook-validators, @hookflo/tern, django-anymail and jose are not of the providers whose
deliveries they verify.

## Differences

Where a library refuses and we accept, the bytes that were signed are the same, or what
differs is not signed. Where a library accepts and we refuse, we are stricter.

| library | case | it | we | why |
| --- | --- | --- | --- | --- |
`)
	for i := range differences {
		d := &differences[i]
		it, we := "refuses", "accept"
		if d.accept {
			it, we = "accepts", "refuse"
		}
		libraries := strings.Join(slices.Sorted(maps.Keys(used[i].libraries)), "; ")
		if n := len(used[i].libraries); n > 12 {
			libraries = fmt.Sprintf("%d of them", n)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", libraries, caseText(used[i].cases), it, we, d.why)
	}
	return b.String()
}

var timed = regexp.MustCompile(`^time: (-?\d+)s (earlier|later)$`)

// caseText lists cases, times as a range and random ones as one.
func caseText(cases map[string]bool) string {
	times := map[string][]int{}
	seen := map[string]bool{}
	for name := range cases {
		if m := timed.FindStringSubmatch(name); m != nil {
			n, _ := strconv.Atoi(m[1])
			times[m[2]] = append(times[m[2]], n)
			continue
		}
		if strings.HasPrefix(name, "random: ") {
			name = "random changes"
		}
		seen[name] = true
	}
	for word, list := range times {
		name := fmt.Sprintf("time: %d s to %d s %s", slices.Min(list), slices.Max(list), word)
		if len(list) == 1 {
			name = fmt.Sprintf("time: %d s %s", list[0], word)
		}
		seen[name] = true
	}
	if len(seen) > 12 {
		return "all that are signed"
	}
	return strings.Join(slices.Sorted(maps.Keys(seen)), "; ")
}

// pinned returns the versions of all libraries, by registry and name in small
// letters.
func pinned(t *testing.T) map[string]string {
	t.Helper()
	versions := map[string]string{}
	text, err := os.ReadFile(pins[0])
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if name, rest, ok := strings.Cut(line, "=="); ok {
			version, _, _ := strings.Cut(rest, " ")
			versions["PyPI "+name] = version
		}
	}
	var file struct {
		Dependencies map[string]string `json:"dependencies"`
	}
	text, err = os.ReadFile(pins[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for name, version := range file.Dependencies {
		versions["npm "+strings.ToLower(name)] = version
	}
	return versions
}
