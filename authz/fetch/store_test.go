package fetch

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookbastion/hookbastion/authz/secret"
)

func TestLastGoodSurvivesARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "directory")
	source := Source{URL: keysURL, Parse: text, Ask: Ask{Credentials: map[string]secret.Ref{"k": {File: filepath.Join(t.TempDir(), "k")}}}}
	if err := os.WriteFile(source.Ask.Credentials["k"].File, []byte("a-secret-value\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	source.Ask.Headers = []Field{{"Authorization", "Bearer {k}"}}
	start := func(t *testing.T, f *fake, want any, after func(*Document)) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			fetcher := running(t, f, Config{Directory: dir})
			use := fetcher.NewUse()
			d := use.Document(source)
			fetcher.Serve(use)
			synctest.Wait()
			if got := value(d); got != want {
				t.Errorf("%v, want %v", got, want)
			}
			if after != nil {
				after(d)
			}
		})
	}
	good, dead := &fake{bodies: map[string]string{keysURL: "one"}}, &fake{err: fail(Connect, "dead")}
	start(t, good, "one", nil)
	if got := good.all()[0].request.Header.Get("Authorization"); got != "Bearer a-secret-value" {
		t.Errorf("the server was told %q", got)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	content, err := os.ReadFile(files[0])
	if err != nil || strings.Contains(string(content), "a-secret-value") {
		t.Fatalf("the file holds a credential, or %v", err)
	}
	start(t, dead, "one", func(d *Document) {
		time.Sleep(time.Minute)
		if dead.count() < 2 || dead.all()[0].etag != "e:one" {
			t.Errorf("it was asked for %d times", dead.count())
		}
		time.Sleep(DefaultMaxStale)
		if value(d) != nil {
			t.Error("a restart made it new")
		}
	})

	// A file that is cut, changed, of another URL or not ours counts as none.
	other := source
	other.URL = "https://keys.example/other"
	for name, broken := range map[string]string{
		"cut":          string(content[:len(content)-5]),
		"changed":      strings.Replace(string(content), `"body":"b25l"`, `"body":"dHdv"`, 1),
		"of another":   strings.Replace(string(content), keysURL, other.URL, 1),
		"empty":        "",
		"no JSON":      "rubbish",
		"without body": `{"url":"` + keysURL + `"}`,
	} {
		if broken == string(content) {
			t.Fatalf("%s: the file is as it was", name)
		}
		if err := os.WriteFile(files[0], []byte(broken), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) { start(t, &fake{err: fail(Connect, "dead")}, nil, nil) })
	}
	start(t, good, "one", nil) // which mends it
	start(t, dead, "one", nil)
}

// A directory that cannot be written to costs what it would have kept, and is said.
func TestStoreThatFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var said notes
		f := &fake{bodies: map[string]string{keysURL: "one"}}
		fetcher := running(t, f, Config{Directory: file, OnEvent: func(e Event) { said.add(fmt.Sprint(e.Err)) }})
		use := fetcher.NewUse()
		d := use.Document(Source{URL: keysURL, Parse: text})
		fetcher.Serve(use)
		synctest.Wait()
		if value(d) != "one" || len(said.all()) != 2 || !strings.Contains(said.all()[0], file) {
			t.Errorf("%v, %v", value(d), said.all())
		}
	})
}

func TestAsk(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "secret")
	if err := os.WriteFile(file, []byte(`va"l{id}ue`), 0o600); err != nil {
		t.Fatal(err)
	}
	a := Ask{
		Method: "POST", Credentials: map[string]secret.Ref{"secret": {File: file}},
		JSON: []Field{{"secret", "{secret}"}, {"key_id", "{id}"}, {"other", "{unknown} {"}},
	}
	r, err := a.request("https://a.example/", "kid")
	if err != nil || string(r.Body) != `{"key_id":"kid","other":"{unknown} {","secret":"va\"l{id}ue"}` || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s, %v", r.Body, err)
	}
	a = Ask{Headers: []Field{{"X", "{secret}"}}, Credentials: map[string]secret.Ref{"secret": {File: file}}}
	if err := os.WriteFile(file, []byte("a\r\nInjected: b"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := a.request("https://a.example/", ""); FailureOf(err) != Credentials || strings.Contains(err.Error(), "Injected") {
		t.Errorf("a line break: %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := a.request("https://a.example/", ""); FailureOf(err) != Credentials || !strings.Contains(err.Error(), file) {
		t.Errorf("no file: %v", err)
	}
}
