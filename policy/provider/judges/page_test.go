package judges_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/policy/provider"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

var update = flag.Bool("update", false, "write docs/providers/judges.md")

const (
	page       = "../../../docs/providers/judges.md"
	judgedFile = "../page/judged.json"
)

// evidence is what a difference was seen with.
type evidence struct{ libraries, cases map[string]bool }

// checkPage holds the page equal to what was seen.
func checkPage(t *testing.T, used map[int]*evidence) {
	t.Helper()
	for name, want := range map[string]string{page: writePage(t, used), judgedFile: writeJudged(t)} {
		if *update {
			if err := os.WriteFile(name, []byte(want), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		have, err := os.ReadFile(name)
		if err != nil || string(have) != want {
			t.Errorf("%s is not what the judges say; go test ./policy/provider/judges -update writes it, and then make generate: %v", name, err)
		}
	}
}

// writeJudged is what the pages of the providers say.
func writeJudged(t *testing.T) string {
	t.Helper()
	all := map[string]map[string][]string{}
	for i := range judges {
		j := &judges[i]
		if all[j.provider] == nil {
			all[j.provider] = map[string][]string{}
		}
		library := fmt.Sprintf("%s (%s)", j.library(), j.host)
		if have := all[j.provider][j.scheme]; !slices.Contains(have, library) {
			all[j.provider][j.scheme] = append(have, library)
		}
	}
	for _, schemes := range all {
		for _, libraries := range schemes {
			slices.Sort(libraries)
		}
	}
	text, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n"
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
nuxt-webhook-validators, @hookflo/tern, django-anymail, jose, jsrsasign, starkbank-ecdsa,
http-message-signatures, alexa-verifier, verify-paddle-webhook and wechatpay-axios-plugin are
not of the providers whose deliveries they verify. Of those, jose, jsrsasign, starkbank-ecdsa and
http-message-signatures know no webhooks: the test tells them the header, and the rules
that the provider's page has for receivers. @copilot-extensions/preview-sdk is GitHub's,
and verifies what GitHub signs in the same way for another service.

Some libraries fetch the provider's keys or certificates. Their client for HTTP is stood in
for by one that answers with the test's key at the provider's address, as are their caches
and logs: @adobe/aio-lib-events, @copilot-extensions/preview-sdk, @kinde/webhooks,
alexa-verifier, botframework-connector, event-notification-nodejs-sdk, google-auth-library
and sns-validator. So what they say of a chain of certificates is not asked.

`)
	judged, others := publicEntries(t)
	fmt.Fprintf(&b, "## Public keys and tokens\n\n"+
		"Of the %d entries that sign with a private key, or send a token, %d have a judge:\n%s.\n\n"+
		"These have none, since no library of theirs was found that can be run here:\n%s.\n",
		len(judged)+len(others), len(judged), strings.Join(judged, ", "), strings.Join(others, ", "))
	b.WriteString(`
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

// publicEntries are the entries of the catalogue with a scheme of public keys or tokens:
// those that have a judge for such a scheme, and the others.
func publicEntries(t *testing.T) (judged, others []string) {
	t.Helper()
	names, err := provider.Names()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		p, err := provider.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		public := p.GetSchemes()
		public = slices.DeleteFunc(slices.Clone(public), func(s *policyv1.NamedScheme) bool {
			return !s.GetScheme().Public() && s.GetScheme().GetJws() == nil
		})
		has := slices.ContainsFunc(judges, func(j judge) bool {
			return j.provider == name && slices.ContainsFunc(public, func(s *policyv1.NamedScheme) bool { return s.GetName() == j.scheme })
		})
		switch {
		case has:
			judged = append(judged, name)
		case len(public) > 0:
			others = append(others, name)
		}
	}
	return judged, others
}
