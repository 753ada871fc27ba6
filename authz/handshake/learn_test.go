package handshake_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/handshake"
)

func free(context.Context, time.Time) (bool, error) { return true, nil }

func TestLearn(t *testing.T) {
	write := func(suffix, text string) func(file string) {
		return func(file string) { _ = os.WriteFile(file+suffix, []byte(text), 0o600) }
	}
	until := now.Add(time.Hour)
	for name, row := range map[string]struct {
		before func(file string)
		l      handshake.Learner
		want   authz.Reason
		keeps  string
	}{
		"first":             {nil, handshake.Learner{Until: until, First: free}, authz.OK, "brought\n"},
		"over":              {nil, handshake.Learner{Until: now, First: free}, authz.HandshakeRefused, ""},
		"no window":         {nil, handshake.Learner{First: free}, authz.HandshakeRefused, ""},
		"no store":          {nil, handshake.Learner{Until: until}, authz.HandshakeRefused, ""},
		"pretended":         {nil, handshake.Learner{Until: until, First: free, Pretend: true}, authz.OK, ""},
		"again":             {write(handshake.Waiting, "brought\n"), handshake.Learner{Until: until, First: free}, authz.OK, "brought\n"},
		"another":           {write(handshake.Waiting, "earlier\n"), handshake.Learner{Until: until, First: free}, authz.HandshakeRefused, "earlier\n"},
		"half written":      {write(handshake.Waiting, ""), handshake.Learner{Until: until, First: free}, authz.KeysUnavailable, ""},
		"accepted":          {write("", "accepted\n"), handshake.Learner{Until: until, First: free}, authz.HandshakeRefused, ""},
		"accepted the same": {write("", "brought\n"), handshake.Learner{Until: until, First: free}, authz.HandshakeRefused, ""},
		"taken by another replica": {nil, handshake.Learner{Until: until, First: func(context.Context, time.Time) (bool, error) { return false, nil }},
			authz.HandshakeRefused, ""},
		"store away": {nil, handshake.Learner{Until: until, First: func(context.Context, time.Time) (bool, error) { return false, errors.New("away") }},
			authz.StoreUnavailable, ""},
		"no directory": {func(file string) { _ = os.Remove(filepath.Dir(file)) }, handshake.Learner{Until: until, First: free}, authz.KeysUnavailable, ""},
	} {
		t.Run(name, func(t *testing.T) {
			row.l.File = filepath.Join(t.TempDir(), "learnt", "secret")
			if err := os.Mkdir(filepath.Dir(row.l.File), 0o700); err != nil {
				t.Fatal(err)
			}
			if row.before != nil {
				row.before(row.l.File)
			}
			if reason, found := row.l.Learn(context.Background(), "brought", now); reason != row.want {
				t.Errorf("%s: %s", reason, found)
			}
			kept, _ := os.ReadFile(row.l.File + handshake.Waiting)
			if string(kept) != row.keeps {
				t.Errorf("%q waits, want %q", kept, row.keeps)
			}
			left, _ := filepath.Glob(filepath.Join(filepath.Dir(row.l.File), ".secret.*"))
			if len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// Of many at once, one is kept: over replicas that share a directory, and over those that
// share only a store.
func TestFirstSecretWins(t *testing.T) {
	for _, shared := range []bool{true, false} {
		var taken, answered atomic.Int64
		first := func(context.Context, time.Time) (bool, error) { return shared || taken.Add(1) == 1, nil }
		dirs := []string{t.TempDir(), t.TempDir()}
		var wait sync.WaitGroup
		for i := range 64 {
			dir := dirs[i%2]
			if shared {
				dir = dirs[0]
			}
			l := &handshake.Learner{File: filepath.Join(dir, "secret"), Until: now.Add(time.Hour), First: first}
			wait.Go(func() {
				if reason, _ := l.Learn(context.Background(), fmt.Sprintf("secret number %d", i), now); reason == authz.OK {
					answered.Add(1)
				} else if reason != authz.HandshakeRefused {
					t.Errorf("%s", reason)
				}
			})
		}
		wait.Wait()
		if answered.Load() != 1 {
			t.Errorf("shared %v: %d secrets were answered", shared, answered.Load())
		}
		kept := 0
		for _, dir := range dirs {
			names, _ := os.ReadDir(dir)
			kept += len(names)
		}
		if kept != 1 {
			t.Errorf("shared %v: %d files", shared, kept)
		}
	}
}

func TestAccept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := handshake.Accept(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nothing waits: %v", err)
	}
	for _, text := range []string{"one", "two"} {
		if err := os.WriteFile(file+handshake.Waiting, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := handshake.Accept(file); (err == nil) != (text == "one") || err != nil && !errors.Is(err, os.ErrExist) {
			t.Errorf("%s: %v", text, err)
		}
		if kept, _ := os.ReadFile(file); string(kept) != "one" {
			t.Errorf("%q is the secret", kept)
		}
	}
}
