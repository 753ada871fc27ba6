package watch_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/policy/watch"
)

// mount is a directory that is filled as Kubernetes does: a whole version is written
// beside, and one rename of a link makes it the one that counts.
type mount struct {
	t   *testing.T
	dir string
}

// swap puts a version in the place of the one before, which it removes.
func (m mount) swap(version int, files map[string]string) {
	m.t.Helper()
	name := func(version int) string { return fmt.Sprintf("..v%d", version) }
	for file, text := range files {
		write(m.t, filepath.Join(m.dir, name(version), file), text)
	}
	link := filepath.Join(m.dir, "..data")
	for _, err := range []error{
		os.Symlink(name(version), link+"_tmp"), os.Rename(link+"_tmp", link), os.RemoveAll(filepath.Join(m.dir, name(version-1))),
	} {
		if err != nil {
			m.t.Fatal(err)
		}
	}
	for file := range files {
		if err := os.Symlink(filepath.Join("..data", file), filepath.Join(m.dir, file)); err != nil && !errors.Is(err, os.ErrExist) {
			m.t.Fatal(err)
		}
	}
}

// A mounted ConfigMap is swapped 200 times while deliveries come, most of the time while
// the version before is still being read. Each delivery is judged by one version, whole:
// that which was in force when it came or one that came into force meanwhile. The policy
// of each version names the webhook by it and asks for it in a condition, and its secret
// has its number. Some versions are broken, and the last good one serves.
func TestSwapsUnderLoad(t *testing.T) {
	const swaps, senders = 200, 2
	key := func(version int) string { return fmt.Sprintf("the secret of version %06d", version) }
	m := mount{t, t.TempDir()}
	broken := func(version int) bool { return version%20 == 10 }
	version := func(v int) map[string]string {
		text := fmt.Sprintf("webhooks:\n- name: v%d\n  match: {path: /hook}\n  provider: github\n  secrets: [{file: secret, id: k%[1]d}]\n  conditions: [body.version == %[1]d]\n", v)
		if broken(v) { // its secret would count all the same: it needs no policy to be changed
			return map[string]string{"p.yaml": strings.Replace(text, "github", "githup", 1), "secret": key(v - 1)}
		}
		return map[string]string{"p.yaml": text, "secret": key(v)}
	}
	m.swap(0, version(0))
	w := start(t, m.dir)

	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer func() { cancel(); all.Wait() }()
	var judged atomic.Int64
	for sender := range senders {
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				judged.Add(1)
				if err := deliver(w.Watcher, fmt.Sprintf("%d-%d", sender, n), key); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for v := 1; v <= swaps && !t.Failed(); v++ {
		m.swap(v, version(v))
		switch {
		case broken(v):
			w.await("a broken version", func(o outcome) bool { return o.Err != nil && strings.Contains(o.Err.Error(), "githup") })
		case v%20 == 0, broken(v + 1): // the last good one is the one before
			w.await("a version", serves(fmt.Sprintf("v%d", v)))
		}
	}
	if n := judged.Load(); n < swaps {
		t.Errorf("only %d deliveries were judged during %d swaps", n, swaps)
	}
}

// deliver sends a delivery that is good by the table which serves now, and one that is
// signed by the secret of the version before. The first is allowed unless another
// table has come into force since.
func deliver(w *watch.Watcher, id string, key func(int) string) error {
	before := w.Table()
	hook := before.Webhooks()[0]
	var version int
	if _, err := fmt.Sscanf(hook.Name, "v%d", &version); err != nil {
		return err
	}
	send := func(signedBy int) (authz.Decision, error) {
		body := fmt.Appendf(nil, `{"version":%d,"id":%q}`, version, fmt.Sprint(id, "-", signedBy))
		req := &authz.Request{
			Method: authz.View("POST"), Host: authz.View("h"), Path: authz.View("/hook"),
			Body: authz.Body{State: authz.BodyWhole, Segments: [][]byte{body}},
		}
		var d authz.Decision
		mac, err := githubSignature(key(signedBy), body)
		if err != nil {
			return d, err
		}
		req.Set("x-hub-signature-256", mac)
		w.Table().Decide(context.Background(), req, time.Now(), &d)
		return d, nil
	}
	d, err := send(version)
	if err != nil {
		return err
	}
	switch same := w.Table() == before; {
	case same && (d.Reason != authz.OK || d.Webhook == nil || d.Webhook.Name != hook.Name || d.KeyID != fmt.Sprintf("k%d", version)):
		return fmt.Errorf("version %d was in force all the time, and its delivery got %s by key %q", version, d.Reason, d.KeyID)
	case !same && d.Reason != authz.OK && d.Reason != authz.SignatureInvalid:
		return fmt.Errorf("a delivery of version %d amid a swap got %s: half of one version and half of another?", version, d.Reason)
	}
	d, err = send(version - 1)
	if err == nil && d.Reason != authz.SignatureInvalid {
		err = fmt.Errorf("the secret before that of version %d got %s", version, d.Reason)
	}
	return err
}

// What stands behind a path that is itself a link is seen as soon as the link.
func TestPathThatIsALink(t *testing.T) {
	for name, c := range map[string]struct {
		path, to string
		change   func(t *testing.T, dir string)
	}{
		"the file behind the link": {"p.yaml", "releases/1/p.yaml", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "releases", "1", "p.yaml"), hook("b"))
		}},
		"a link behind the link": {"p.yaml", "current/p.yaml", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "releases", "2", "p.yaml"), hook("b"))
			relink(t, filepath.Join("releases", "2"), filepath.Join(dir, "current"))
		}},
		"the directory by another": {"policies", "releases/1", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "releases", "2", "p.yaml"), hook("b"))
			for _, err := range []error{
				os.Rename(filepath.Join(dir, "releases", "1"), filepath.Join(dir, "releases", "0")),
				os.Rename(filepath.Join(dir, "releases", "2"), filepath.Join(dir, "releases", "1")),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, at := range []string{"secret", "releases/1/secret", "releases/2/secret"} {
				write(t, filepath.Join(dir, at), "a secret of some length")
			}
			write(t, filepath.Join(dir, "releases", "1", "p.yaml"), hook("a"))
			relink(t, filepath.Join("releases", "1"), filepath.Join(dir, "current"))
			relink(t, c.to, filepath.Join(dir, c.path))
			w := start(t, filepath.Join(dir, c.path))
			c.change(t, dir)
			w.await(name, serves("b"))
		})
	}
}

func relink(t *testing.T, to, at string) {
	t.Helper()
	for _, err := range []error{os.Symlink(filepath.FromSlash(to), at+"~"), os.Rename(at+"~", at)} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A secret that is written in place goes through states that are no secret. The last
// good one serves, each fault is told once, and the whole one is taken.
func TestSecretInPieces(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "secret")
	write(t, name, "a secret of some length")
	write(t, filepath.Join(dir, "p.yaml"), hook("a"))
	w := start(t, dir)
	inPlace := func(text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		what   string
		change func()
		err    error
	}{
		{"emptied", func() { inPlace("") }, secret.ErrEmpty},
		{"a line break alone is as empty", func() { inPlace("\n") }, nil},
		{"too large", func() { inPlace(strings.Repeat("x", secret.MaxBytes+1)) }, secret.ErrTooLarge},
		{"removed", func() { _ = os.Remove(name) }, os.ErrNotExist},
		{"a directory", func() { _ = os.Mkdir(name, 0o700) }, secret.ErrNotFile},
		{"a loop of links", func() { _ = os.Remove(name); relink(t, "secret", name) }, errLoop},
		{"whole", func() { _ = os.Remove(name); inPlace("another secret of some length") }, nil},
	} {
		step.change()
		if step.what == "a line break alone is as empty" {
			continue // the next one would be told after it
		}
		timeout := time.After(generous)
		select {
		case changes := <-w.secrets:
			if len(changes) != 1 || changes[0].File != name || step.err != nil && !errors.Is(changes[0].Err, step.err) || step.err == nil && changes[0].Err != nil {
				t.Errorf("%s: %+v", step.what, changes)
			}
		case <-timeout:
			t.Fatalf("%s: nothing was told", step.what)
		}
		if w.Table().Webhook("a") == nil || w.Err() != nil {
			t.Errorf("%s: the policy does not serve: %v", step.what, w.Err())
		}
	}
}
