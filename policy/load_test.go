package policy_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz/authztest"
	"github.com/hookbastion/hookbastion/policy"
)

const open = "webhooks: [{name: NAME, match: {path: /NAME}, unverified: {reason: a test needs it}}]\n"

func named(name string) string { return strings.ReplaceAll(open, "NAME", name) }

func TestLoadFindsFiles(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, name := range []string{"a.yaml", "b.yml", "c.json", "below/d.yaml", "below/deeper/e.yaml"} {
		write(t, filepath.Join("p", name), named(strings.TrimSuffix(filepath.Base(name), filepath.Ext(name))))
	}
	for _, name := range []string{"a_test.yaml", "b_test.yml", ".c.yaml", ".hidden/d.yaml", "..2026/e.yaml", "f.yaml~", "g.txt", "#h.yaml#"} {
		write(t, filepath.Join("p", name), "not a policy")
	}
	if err := os.MkdirAll("p/dir.yaml", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("p", "link"); err != nil {
		t.Fatal(err)
	}
	if err := authztest.Pipe("p/pipe.yaml"); err != nil {
		t.Fatal(err)
	}
	all := []string{"p/a.yaml", "p/b.yml", "p/below/d.yaml", "p/below/deeper/e.yaml", "p/c.json"}
	linked := []string{"link/a.yaml", "link/b.yml", "link/below/d.yaml", "link/below/deeper/e.yaml", "link/c.json"}
	for _, test := range []struct {
		paths, want []string
	}{
		{[]string{"p"}, all},
		{[]string{"p/"}, all},
		{[]string{"./p", "p/a.yaml", "./p/a.yaml", "p//below"}, all}, // each once
		{[]string{"link"}, linked},
		{[]string{"p/a.yaml"}, all[:1]},
		{[]string{"p/.hidden/../c.json"}, all[4:]},
	} {
		set, err := policy.Load(test.paths...)
		if err != nil {
			t.Errorf("%q: %v", test.paths, err)
			continue
		}
		if got := set.Files(); !slices.Equal(got, test.want) {
			t.Errorf("%q has %q, want %q", test.paths, got, test.want)
		}
	}
}

func TestLoadFails(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "bad.yaml", "webhook: []\n")
	if err := os.MkdirAll("none", 0o700); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{
		"dangling/a.yaml": "nowhere", "piped/a.yaml": "../pipe", "device/a.yaml": os.DevNull, "folder/a.yaml": "../none",
	} {
		if err := os.MkdirAll(filepath.Dir(link), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
	}
	if err := authztest.Pipe("pipe"); err != nil {
		t.Fatal(err)
	}
	write(t, "large.yaml", "")
	if err := os.Truncate("large.yaml", 64<<20+1); err != nil { // takes no room
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"missing":    "missing: cannot be read: no such file or directory",
		"none":       "none: the directory has no policy files (*.yaml, *.yml, *.json)",
		"dangling":   "dangling/a.yaml: cannot be read: no such file or directory",
		"piped":      "piped/a.yaml: cannot be read: not a regular file",
		"device":     "device/a.yaml: cannot be read: not a regular file",
		"folder":     "folder/a.yaml: cannot be read: not a regular file",
		"pipe":       "pipe: cannot be read: not a regular file",
		"large.yaml": "large.yaml:1:1: the file is larger than 64 MiB",
		"bad.yaml":   `bad.yaml:1:1: unknown key "webhook"; did you mean webhooks?`,
	} {
		if _, err := policy.Load(path); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
}

func TestDigestFollowsContent(t *testing.T) {
	dir := t.TempDir()
	digest := func(text string) string {
		write(t, filepath.Join(dir, "a.yaml"), text)
		set, err := policy.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		return set.Digest
	}
	first := digest(named("a"))
	if digest(named("b")) == first || digest(named("a")) != first || len(first) != 16 {
		t.Errorf("the digest %q does not identify the content", first)
	}
}

func TestSecretFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "sub/a.yaml"), `webhooks:
  - {name: a, match: {path: /a}, provider: github, secrets: [{file: s1}, {file: "t/{tenant}"}, {file: ../s2}, {env: X}, {file: /etc/s3}]}
  - {name: b, match: {path: /b}, token: {any_of: [{bearer: {value: {file: s1}}}, {header: {name: x, value: {file: s4}}}]}, transport: {client_certificate: {ca: {file: s5}}}}
`)
	set, err := policy.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"/etc/s3", filepath.Join(dir, "s2"), filepath.Join(dir, "sub/s1"), filepath.Join(dir, "sub/s4")}
	slices.Sort(want)
	if got := set.SecretFiles(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := set.OtherFiles(); !slices.Equal(got, []string{filepath.Join(dir, "sub/s5")}) {
		t.Errorf("other files %q", got)
	}
}
