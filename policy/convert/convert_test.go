package convert_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/convert"
	"github.com/hookbastion/hookbastion/policy/provider"
)

var update = flag.Bool("update", false, "rewrite what the files of testdata say is made of them")

// read reads a file, and returns policy, notes and secrets as one text each.
func read(t *testing.T, format convert.Format, name string, data []byte) (made, notes string, r *convert.Result) {
	t.Helper()
	r, err := convert.Read(format, name, data, convert.Options{Providers: map[string]string{"mailchimp": "mandrill"}})
	if err != nil {
		return "", err.Error() + "\n", nil
	}
	r.Name(nil)
	for _, w := range r.Webhooks {
		for i, s := range w.Secrets {
			file := s.File
			if file == "" {
				file = fmt.Sprintf("../secrets/%s.%d", w.Policy.GetName(), i)
				if s.New != "" {
					file += ".new"
				}
			}
			s.Refer(file)
		}
	}
	var b strings.Builder
	for _, n := range r.Notes {
		fmt.Fprintln(&b, n.Error())
	}
	if len(r.Webhooks) == 0 {
		return "", b.String(), r
	}
	text, err := r.Policy()
	if err != nil {
		t.Fatal(err)
	}
	return string(text), b.String(), r
}

// Each file of testdata has what another gateway has, and what is made of it.
func TestFiles(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) < 8 {
		t.Fatalf("%d files, %v", len(names), err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			format, _, _ := strings.Cut(filepath.Base(name), "-")
			in := archive.Files[0]
			made, notes, r := read(t, convert.Format(strings.TrimSuffix(format, ".txtar")), in.Name, in.Data)
			if r != nil {
				keepSecrets(t, r, made+notes)
			}
			want := &txtar.Archive{Comment: archive.Comment, Files: []txtar.File{in, {Name: "policy", Data: []byte(made)}, {Name: "notes", Data: []byte(notes)}}}
			if *update {
				if err := os.WriteFile(name, txtar.Format(want), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if !bytes.Equal(txtar.Format(archive), txtar.Format(want)) {
				t.Errorf("run go test ./policy/convert -update, and look at the difference; now:\n%s%s", made, notes)
			}
		})
	}
}

// keepSecrets: none stands in what is printed.
func keepSecrets(t *testing.T, r *convert.Result, printed string) {
	t.Helper()
	for _, w := range r.Webhooks {
		for _, s := range w.Secrets {
			if s.Value.Len() > 4 && strings.Contains(printed, string(s.Value.Reveal())) {
				t.Errorf("the secret of %s is printed", w.Policy.GetName())
			}
		}
	}
}

// Every name that we know of others is one of the catalogue, and every secret that stands
// there is kept, byte for byte.
func TestNamesOfOthers(t *testing.T) {
	for _, name := range convert.OurNames() {
		if p, err := provider.Get(name); err != nil || p == nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, secret := range []string{"plain-and-long-enough-to-be-one", "ends in a line\n", "  spaces  ", "whsec_x\"'\\", "ünïcode"} {
		text := fmt.Sprintf(`{"on_http_request": [{"actions": [{"type": "verify-webhook", "config": {"provider": "github", "secret": %q}}]}]}`, secret)
		r, err := convert.Read(convert.Ngrok, "a.json", []byte(text), convert.Options{})
		if err != nil || len(r.Webhooks) != 1 {
			t.Fatalf("%q: %v", secret, err)
		}
		got := string(r.Webhooks[0].Secrets[0].Text())
		if cut, broken := strings.CutSuffix(got, "\n"); broken != strings.HasSuffix(secret, "\n") || broken && cut != secret || !broken && got != secret {
			t.Errorf("%q became %q", secret, got)
		}
	}
}

// What would take for ever is an error.
func TestBounds(t *testing.T) {
	var b strings.Builder
	b.WriteString("x: &x {name: a, routes: []}\nservices: &s\n")
	for range 1100 {
		b.WriteString("- *x\n")
	}
	b.WriteString("plugins: [{name: standard-webhooks}]\nroutes:\n")
	for range 2000 {
		b.WriteString("- {paths: *s}\n")
	}
	for name, c := range map[string]struct{ data, want string }{
		"aliases":        {b.String(), "has more than 1000000 values"},
		"size":           {strings.Repeat("#", convert.MaxBytes+1), "is larger than 16 MiB"},
		"empty":          {"", "the file is empty"},
		"no YAML":        {"a: [", "cannot be read as YAML or JSON"},
		"two documents":  {"a: 1\n---\nb: 2\n", "2:1: a second document begins"},
		"an unknown one": {"a: *b", "cannot be read"},
	} {
		if _, err := convert.Read(convert.Kong, "k", []byte(c.data), convert.Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is said of something that is not there has the place of what it is missing in, and
// a table that is not text is told where.
func TestPlaces(t *testing.T) {
	for name, c := range map[string]struct {
		format     convert.Format
		data, want string
	}{
		"no config": {convert.Ngrok, "on_http_request:\n  - actions:\n      - type: verify-webhook\n", "k:3:9: on_http_request[0].actions[0].config.provider: "},
		"null":      {convert.Ngrok, "# nothing\n!\n", "k:2:1: has no verify-webhook"},
		"latin 1":   {convert.Table, "provider,path,secret_file\n# \xe9\ngithub,/caf\xe9,s\n", "k:3:8: is not UTF-8"},
	} {
		r, err := convert.Read(c.format, "k", []byte(c.data), convert.Options{})
		got := ""
		if err != nil {
			got = err.Error()
		} else if len(r.Notes) > 0 {
			got = r.Notes[0].Error()
		}
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// Whatever a file has: each note has a place in it, and what is made can be read back.
func FuzzRead(f *testing.F) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for i, format := range convert.Formats() {
			if strings.HasPrefix(filepath.Base(name), string(format)) {
				f.Add(i, archive.Files[0].Data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, n int, data []byte) {
		formats := convert.Formats()
		made, _, r := read(t, formats[uint(n)%uint(len(formats))], "in", data)
		if r == nil {
			return
		}
		for _, note := range r.Notes {
			if note.File != "in" || note.Line < 1 || note.Message == "" || strings.ContainsAny(note.Error(), "\n\x1b") {
				t.Errorf("%q", note.Error())
			}
		}
		if made == "" {
			return
		}
		file := filepath.Join(t.TempDir(), "p.yaml")
		if err := os.WriteFile(file, []byte(made), 0o600); err != nil {
			t.Fatal(err)
		}
		set, err := policy.Load(file)
		if err != nil && strings.Contains(err.Error(), "cannot be read as YAML") || set.Names() == nil && err == nil {
			t.Errorf("%v\n%s", err, made)
		}
	})
}
