package tenant_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/authztest"
	"github.com/hookbastion/hookbastion/authz/authztest/leak"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/tenant"
)

func TestMain(m *testing.M) { leak.Main(m) }

var start = time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)

var put = authztest.WriteFile

// opener counts the files that are opened below a directory.
type opener struct {
	opened atomic.Int64
	block  chan struct{} // if it is not nil, opening waits for it
}

func (o *opener) open(directory, name string) (fs.File, error) {
	o.opened.Add(1)
	if o.block != nil {
		<-o.block
	}
	root, err := os.OpenRoot(directory)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

func strong(text secret.Value) (secret.Value, error) {
	return text, secret.Weakness(text.Reveal())
}

// check is the check of a webhook with one key for each of the patterns.
func check(cache *tenant.Cache, patterns ...string) *tenant.Check {
	var uses []tenant.Use
	for i, p := range patterns {
		uses = append(uses, tenant.Use{File: p, Use: secret.Use{Webhook: "hook", Key: fmt.Sprint(i), Accept: strong}})
	}
	return &tenant.Check{Source: cache.NewSource(uses)}
}

func run(c *tenant.Check, name string, now time.Time) (*authz.Call, authz.Reason) {
	call := &authz.Call{Context: context.Background(), Tenant: authz.View(name), Now: now}
	return call, c.Run(call)
}

// texts are the secrets of a call, - where there is none.
func texts(call *authz.Call) string {
	var all []string
	for _, v := range call.Secrets {
		if v == nil {
			all = append(all, "-")
			continue
		}
		all = append(all, string(v.Reveal()))
	}
	return strings.Join(all, " ")
}

const (
	one = "gL7xQ2mVb3YdTnX0pW"
	two = "kR4zJ8sCf6HqUeA1oN"
)

func TestTenants(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "acme"), one)
	put(t, filepath.Join(dir, "both"), one)
	put(t, filepath.Join(dir, "both.next"), two)
	put(t, filepath.Join(dir, "new.next"), two)
	put(t, filepath.Join(dir, "weak"), "password")
	put(t, filepath.Join(dir, "weak.next"), two)
	put(t, filepath.Join(dir, "empty"), "")
	put(t, filepath.Join(dir, "only_weak"), "password")
	put(t, filepath.Join(dir, "deep", "x"), one)
	outside := t.TempDir()
	put(t, filepath.Join(outside, "secret"), one)
	put(t, filepath.Join(dir, "versions", "linked"), one)
	for name, target := range map[string]string{
		"escape": filepath.Join(outside, "secret"), "climb": "../" + filepath.Base(outside) + "/secret",
		"dangling": "nowhere", "loop": "loop", "linked": "versions/linked",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := authztest.Pipe(filepath.Join(dir, "pipe")); err != nil {
		t.Fatal(err)
	}
	c := check(tenant.NewLoader(tenant.Config{}).NewCache(), filepath.Join(dir, "{tenant}"), filepath.Join(dir, "{tenant}.next"))
	for name, want := range map[string]struct {
		reason authz.Reason
		held   string
	}{
		"acme":      {authz.OK, one + " -"},
		"both":      {authz.OK, one + " " + two},
		"new":       {authz.OK, "- " + two},
		"weak":      {authz.OK, "- " + two},
		"linked":    {authz.OK, one + " -"},
		"only_weak": {authz.KeysUnavailable, ""},
		"empty":     {authz.KeysUnavailable, ""},
		"escape":    {authz.KeysUnavailable, ""},
		"climb":     {authz.KeysUnavailable, ""},
		"loop":      {authz.KeysUnavailable, ""},
		"nobody":    {authz.TenantUnknown, ""},
		"deep":      {authz.TenantUnknown, ""},
		"pipe":      {authz.TenantUnknown, ""},
		"dangling":  {authz.TenantUnknown, ""},
	} {
		for range 2 { // from the file, and from memory
			if call, reason := run(c, name, start); reason != want.reason || texts(call) != want.held {
				t.Errorf("%s: %s, %q, want %s, %q", name, reason, texts(call), want.reason, want.held)
			}
		}
	}
	for _, name := range []string{"", ".", "..", "a/b", "../" + filepath.Base(outside), "acme.next", strings.Repeat("a", 129)} {
		if _, reason := c.Secrets(context.Background(), name, start); reason != authz.TenantUnknown {
			t.Errorf("%q: %s", name, reason)
		}
	}
}

// A tenant needs one key of each kind.
func TestKinds(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"both", "secret"} {
		put(t, filepath.Join(dir, name), one)
	}
	for name, text := range map[string]string{"both": two, "token": two, "weak": "password"} {
		put(t, filepath.Join(dir, name+".token"), text)
	}
	put(t, filepath.Join(dir, "weak"), one)
	cache := tenant.NewLoader(tenant.Config{}).NewCache()
	c := &tenant.Check{Source: cache.NewSource([]tenant.Use{
		{File: dir + "/{tenant}", Kind: "secret", Use: secret.Use{Key: "1", Accept: strong}},
		{File: dir + "/{tenant}.token", Kind: "token", Use: secret.Use{Key: "2", Accept: strong}},
	})}
	for name, want := range map[string]authz.Reason{
		"both": authz.OK, "secret": authz.TenantUnknown, "token": authz.TenantUnknown, "weak": authz.KeysUnavailable, "none": authz.TenantUnknown,
	} {
		for range 2 {
			if _, reason := run(c, name, start); reason != want {
				t.Errorf("%s: %s, want %s", name, reason, want)
			}
		}
	}
	// One that loses its token is unknown as well.
	if err := os.Remove(filepath.Join(dir, "both.token")); err != nil {
		t.Fatal(err)
	}
	if _, reason := run(c, "both", start.Add(time.Minute)); reason != authz.TenantUnknown {
		t.Errorf("without its token: %s", reason)
	}
}

// A directory for each tenant, and no directory at all.
func TestPatterns(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "acme", "stripe"), one)
	put(t, filepath.Join(dir, "file"), one)
	cache := tenant.NewLoader(tenant.Config{}).NewCache()
	c := check(cache, dir+"/{tenant}/stripe")
	for name, want := range map[string]authz.Reason{"acme": authz.OK, "file": authz.TenantUnknown, "none": authz.TenantUnknown} {
		if _, reason := run(c, name, start); reason != want {
			t.Errorf("%s: %s, want %s", name, reason, want)
		}
	}
	// That nothing is mounted says nothing about a tenant.
	if _, reason := run(check(cache, dir+"/none/{tenant}"), "acme", start); reason != authz.KeysUnavailable {
		t.Errorf("no directory: %s", reason)
	}
}

// A file that changes counts soon; one that cannot be used changes nothing; one
// that is gone is gone.
func TestChanges(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "acme")
	put(t, file, one)
	var mu sync.Mutex
	var told []error
	o := &opener{}
	loader := tenant.NewLoader(tenant.Config{Open: o.open, OnChange: func(c secret.Change) {
		mu.Lock()
		defer mu.Unlock()
		if c.File != file || c.Webhook != "hook" {
			t.Errorf("%+v", c)
		}
		told = append(told, c.Err)
	}})
	c := check(loader.NewCache(), dir+"/{tenant}")
	now := start
	for _, step := range []struct {
		what   string
		do     func()
		pass   time.Duration
		reason authz.Reason
		held   string
		told   []error
	}{
		{"at first", func() {}, 0, authz.OK, one, nil},
		{"too early to look", func() { put(t, file, two) }, 4 * time.Second, authz.OK, one, nil},
		{"late", func() {}, 11 * time.Second, authz.OK, two, nil},
		{"weak", func() { put(t, file, "password") }, 11 * time.Second, authz.OK, two, []error{secret.ErrShort}},
		{"weak still", func() {}, 11 * time.Second, authz.OK, two, nil},
		{"empty", func() { put(t, file, "") }, 11 * time.Second, authz.OK, two, []error{secret.ErrEmpty}},
		{"good", func() { put(t, file, one) }, 11 * time.Second, authz.OK, one, []error{nil}},
		{"gone", func() { _ = os.Remove(file) }, 11 * time.Second, authz.TenantUnknown, "", nil},
		{"unusable", func() { put(t, file, "password") }, 11 * time.Second, authz.KeysUnavailable, "", []error{secret.ErrShort}},
		{"unusable still", func() {}, 2 * time.Second, authz.KeysUnavailable, "", nil},
		{"back", func() { put(t, file, two) }, 2 * time.Second, authz.OK, two, []error{nil}},
	} {
		step.do()
		now = now.Add(step.pass)
		told = nil
		call, reason := run(c, "acme", now)
		mu.Lock()
		if reason != step.reason || texts(call) != step.held || len(told) != len(step.told) {
			t.Errorf("%s: %s, %q, told %v", step.what, reason, texts(call), told)
		}
		for i := range told {
			if i < len(step.told) && !errors.Is(told[i], step.told[i]) {
				t.Errorf("%s: told %v, want %v", step.what, told[i], step.told[i])
			}
		}
		mu.Unlock()
	}
	before := o.opened.Load()
	for range 100 {
		run(c, "acme", now)
	}
	if n := o.opened.Load() - before; n != 0 {
		t.Errorf("%d looks at a file that is known", n)
	}
}

// A key whose file is gone does not stay because another file cannot be used, and
// that one is left alone for a moment.
func TestKeyThatIsGone(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "acme"), one)
	put(t, filepath.Join(dir, "acme.next"), "password")
	o := &opener{}
	c := check(tenant.NewLoader(tenant.Config{Open: o.open}).NewCache(), dir+"/{tenant}", dir+"/{tenant}.next")
	if call, reason := run(c, "acme", start); reason != authz.OK || texts(call) != one+" -" {
		t.Fatalf("%s, %q", reason, texts(call))
	}
	if err := os.Remove(filepath.Join(dir, "acme")); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if call, reason := run(c, "acme", start.Add(time.Minute)); reason != authz.KeysUnavailable || call.Secrets != nil {
			t.Errorf("%s, %q", reason, texts(call))
		}
	}
	if n := o.opened.Load(); n != 4 {
		t.Errorf("%d files were opened", n)
	}
}

func TestExplanation(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "acme"), one)
	c := check(tenant.NewLoader(tenant.Config{}).NewCache(), dir+"/{tenant}")
	call := &authz.Call{Context: context.Background(), Tenant: authz.View("nobody"), Now: start, Explanation: &authz.Explanation{}}
	if c.Run(call) != authz.TenantUnknown || c.Stage() != authz.StageTenant {
		t.Error("not unknown")
	}
}

func TestList(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"acme.key", "b_2.key", "not.a.name.key", "other", "d.key/x"} {
		put(t, filepath.Join(dir, name), one)
	}
	var names []string
	if err := tenant.List(dir+"/{tenant}.key", func(name string, info fs.FileInfo) { names = append(names, name+fmt.Sprint(info.Size())) }); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(names, " "); got != "acme18 b_218" && got != "b_218 acme18" {
		t.Errorf("%q", got)
	}
	if text, err := tenant.Read(dir+"/{tenant}.key", "acme"); err != nil || string(text.Reveal()) != one {
		t.Errorf("%v", err)
	}
	if err := tenant.List(dir+"/none/{tenant}", nil); err == nil {
		t.Error("a directory that is not there has tenants")
	}
}
