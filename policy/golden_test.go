package policy_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/signature"
	"github.com/hookbastion/hookbastion/policy"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestGolden compiles the files of each archive and compares what comes out:
// the errors, one a line, or a summary of the table.
func TestGolden(t *testing.T) {
	archives, err := filepath.Glob("testdata/golden/*.txtar")
	if err != nil || len(archives) < 5 {
		t.Fatalf("%d golden files, error %v", len(archives), err)
	}
	for _, name := range archives {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) { golden(t, name, archive) })
	}
}

func golden(t *testing.T, name string, archive *txtar.Archive) {
	dir := t.TempDir()
	want := -1
	for i, file := range archive.Files {
		if strings.HasPrefix(file.Name, "want") {
			want = i
			continue
		}
		write(t, filepath.Join(dir, file.Name), string(file.Data))
	}
	if want < 0 {
		t.Fatal("the archive wants nothing")
	}
	kind, got := "want", ""
	table, err := compile(dir)
	if err != nil {
		kind, got = "want-errors", strings.ReplaceAll(strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), ""), dir, "DIR")+"\n"
	} else {
		got = summary(table)
	}
	if *update {
		archive.Files[want] = txtar.File{Name: kind, Data: []byte(got)}
		if err := os.WriteFile(name, txtar.Format(archive), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if archive.Files[want].Name != kind || string(archive.Files[want].Data) != got {
		t.Errorf("got %s\n%s\nwant %s\n%s", kind, got, archive.Files[want].Name, archive.Files[want].Data)
	}
}

func summary(table *authz.Table) string {
	var b strings.Builder
	for _, w := range table.Webhooks() {
		fmt.Fprintf(&b, "%s", w.Name)
		if w.Provider != "" {
			fmt.Fprintf(&b, " provider=%s", w.Provider)
		}
		if w.Shadow {
			b.WriteString(" shadow")
		}
		if w.DeniedStatus != 0 {
			fmt.Fprintf(&b, " status=%d", w.DeniedStatus)
		}
		for _, check := range w.Chain {
			fmt.Fprintf(&b, " %s", check.Stage())
		}
		b.WriteString("\n")
	}
	return b.String()
}

// FuzzPolicy: any bytes are a table or errors with a place, quickly, and no
// webhook is without verification unless it says so.
func FuzzPolicy(f *testing.F) {
	archives, err := filepath.Glob("testdata/golden/*.txtar")
	if err != nil || len(archives) == 0 {
		f.Fatalf("no seeds, error %v", err)
	}
	for _, name := range archives {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			if strings.HasSuffix(file.Name, ".yaml") || strings.HasSuffix(file.Name, ".json") {
				f.Add(file.Data)
			}
		}
	}
	dir := f.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("a secret of some length"), 0o600); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file := filepath.Join(dir, fmt.Sprintf("%d.yaml", os.Getpid()))
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		table, err := compile(file)
		for tries := 1; time.Since(begin) > slowness*time.Second; tries++ {
			if tries == 3 { // not because the machine was busy
				t.Fatalf("more than a second for %d bytes, %d times", len(data), tries)
			}
			begin = time.Now()
			table, err = compile(file)
		}
		if err != nil {
			errorsHavePlaces(t, err, data)
			return
		}
		for _, w := range table.Webhooks() {
			verifies := false
			for _, check := range w.Chain {
				verifies = verifies || check.Stage() == authz.StageSignature || check.Stage() == authz.StageToken
			}
			if verifies == (w.Unverified != "") {
				t.Fatalf("webhook %s: verifies %v, unverified %q", w.Name, verifies, w.Unverified)
			}
		}
		for _, w := range table.Webhooks() {
			canSign(t, table, w)
		}
	})
}

// canSign fails for a webhook that would refuse everything: what a scheme
// signs by itself must be let in by it.
func canSign(t *testing.T, table *authz.Table, w *authz.Webhook) {
	t.Helper()
	for _, check := range w.Chain {
		signed, ok := check.(*signature.Check)
		if !ok {
			continue
		}
		for i, scheme := range signed.Schemes {
			now, body := time.Unix(1_800_000_000, 0), "{}"
			hmac, _ := scheme.(*signature.Content)
			if hmac == nil {
				continue
			}
			if path := hmac.Config().Time.JSON; path != "" {
				keys := strings.Split(path, ".")
				stamp := map[signature.Unit]string{
					signature.Seconds: "1800000000", signature.Milliseconds: "1800000000000", signature.RFC3339: `"2027-01-15T08:00:00Z"`, signature.HTTPDate: `"Fri, 15 Jan 2027 08:00:00 GMT"`,
				}[hmac.Config().Time.Unit]
				body = `{"` + strings.Join(keys, `":{"`) + `":` + stamp + strings.Repeat("}", len(keys))
			}
			method, path := table.Sample(w.Name)
			req := &authz.Request{
				Method: authz.View(method), Host: authz.View("h.example"), Path: authz.View(path),
				Body: authz.Body{State: authz.BodyWhole, Segments: [][]byte{[]byte(body)}},
			}
			if !scheme.Sign(req, authz.Signing{Now: now, NewID: func() string { return "id-1" }}) {
				t.Fatalf("webhook %s, scheme %d cannot sign", w.Name, i)
			}
			call := &authz.Call{Context: context.Background(), Request: req, Now: now, Webhook: w.Name}
			reason := (&signature.Check{Schemes: []signature.Scheme{scheme}}).Run(call)
			if reason != authz.OK && reason != authz.KeyNotValidNow {
				t.Fatalf("webhook %s, scheme %d: its own signature is %s; headers %q", w.Name, i, reason, req.Headers)
			}
		}
	}
}

func errorsHavePlaces(t *testing.T, err error, data []byte) {
	t.Helper()
	var errs policy.Errors
	if !errors.As(err, &errs) || len(errs) == 0 {
		t.Fatalf("an error without a place: %v", err)
	}
	lines := strings.Count(strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n").Replace(string(data)), "\n") + 1
	for _, e := range errs {
		if e.Line < 1 || e.Line > lines+1 || e.Column < 1 || e.Message == "" || strings.ContainsAny(e.Message, "\n\x00") {
			t.Fatalf("%d lines: %#v", lines, e)
		}
	}
}
