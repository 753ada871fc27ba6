package records

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
)

func line(id string) string {
	return fmt.Sprintf(`{"time":"2026-11-24T06:00:00Z","decision_id":%q,"verdict":"allow","reason":"ok"}`+"\n", id)
}

// output is what a command has written by now.
type output struct {
	mu      sync.Mutex
	text    strings.Builder
	changed chan struct{}
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(p)
	close(o.changed)
	o.changed = make(chan struct{})
	return len(p), nil
}

// await waits until there is as much as wanted, and returns it.
func (o *output) await(t *testing.T, want string) string {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	for {
		o.mu.Lock()
		text, changed := o.text.String(), o.changed
		o.mu.Unlock()
		if strings.Contains(text, want) {
			return text
		}
		select {
		case <-changed:
		case <-deadline.C:
			t.Fatalf("%q does not come: %q", want, text)
		}
	}
}

// The file grows in the midst of a line, is replaced, and is cut. Nothing is lost, and
// nothing is shown twice.
func TestFollowingAFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "records")
	write := func(flags int, text string) {
		t.Helper()
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|flags, 0o600)
		if err == nil {
			_, err = f.WriteString(text)
		}
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	write(os.O_APPEND, line("older")+line("first")+line("second")[:30])
	out, said := &output{changed: make(chan struct{})}, &output{changed: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	cmd := New()
	cmd.SetArgs([]string{"--follow", "--last", "1", "--output", "json", name})
	cmd.SetOut(out)
	cmd.SetErr(said)
	go func() { ended <- cmd.ExecuteContext(ctx) }()

	out.await(t, "first")
	write(os.O_APPEND, line("second")[30:]+"nonsense\n"+strings.TrimSpace(line("third")))
	said.await(t, name+":4:1: expected a JSON object")
	if err := os.Rename(name, name+".1"); err != nil {
		t.Fatal(err)
	}
	write(os.O_APPEND, line("fourth"))
	out.await(t, "fourth")
	write(os.O_TRUNC, line("5th"))
	if got, want := out.await(t, "5th"), line("first")+line("second")+line("third")+line("fourth")+line("5th"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	cancel()
	if err := <-ended; !errors.Is(err, cli.Invalid) { // for the nonsense
		t.Error(err)
	}
}
