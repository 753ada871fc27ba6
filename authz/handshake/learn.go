package handshake

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/secret"
)

// Waiting is the end of the name under which a secret waits to be accepted.
const Waiting = ".new"

// taken is what was found where a secret was taken that is the first.
const taken = "a secret, which waits to be accepted"

// Learner keeps the secret that a provider brings. Of all that is brought, over all
// replicas that share the store or the directory, the first one counts: neither another
// nor a later one takes its place. It is safe for concurrent use.
type Learner struct {
	// File is where the secret stands when it is accepted. Until then its name ends in
	// Waiting.
	File string
	// Until is when the window ends. The zero value is over.
	Until time.Time
	// First takes the window in the store that replicas share, and reports whether nobody
	// had. Nil: nothing is learnt.
	First func(ctx context.Context, now time.Time) (bool, error)
	// Pretend: nothing is written and nothing taken.
	Pretend bool
}

// Learn keeps a secret that came now, and returns OK when it is on disk. The same one may
// come again while it waits, so that a provider that has not heard the answer may repeat.
func (l *Learner) Learn(ctx context.Context, text string, now time.Time) (reason authz.Reason, found string) {
	if !now.Before(l.Until) || l.First == nil {
		return authz.HandshakeRefused, "the window setup_until is not open"
	}
	if _, err := os.Stat(l.File); !errors.Is(err, fs.ErrNotExist) {
		return authz.HandshakeRefused, "a secret that was accepted before"
	}
	if reason, found := l.waiting(text); reason != authz.Unset {
		return reason, found
	}
	if l.Pretend {
		return authz.OK, "a secret, which would wait to be accepted"
	}
	ctx.Done() // what follows waits for a disk and a store
	written, err := l.write(text)
	if err != nil {
		return authz.KeysUnavailable, "the secret cannot be kept: is the directory there, and can the service write to it?"
	}
	defer func() { _ = os.Remove(written) }() // it has another name by then, or is of no use
	first, err := l.First(ctx, now)
	if err != nil {
		return authz.StoreUnavailable, "the store does not answer"
	}
	if first {
		err = os.Link(written, l.File+Waiting) // fails where there is one
		if err == nil {
			err = syncDirectory(filepath.Dir(l.File))
		}
		if err == nil {
			return authz.OK, taken
		}
		if !errors.Is(err, fs.ErrExist) {
			return authz.KeysUnavailable, "the secret cannot be kept; open another window"
		}
	}
	if reason, found := l.waiting(text); reason != authz.Unset {
		return reason, found
	}
	return authz.HandshakeRefused, "another one that came first in this window, to another replica"
}

// waiting compares with the secret that waits. The reason is Unset if there is none.
func (l *Learner) waiting(text string) (reason authz.Reason, found string) {
	kept, err := secret.Ref{File: l.File + Waiting}.Load()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return authz.Unset, ""
	case err == nil && secret.Equal(kept.Reveal(), []byte(text)):
		return authz.OK, "the secret that waits to be accepted, again"
	case err == nil:
		return authz.HandshakeRefused, "another secret than the one that waits to be accepted"
	default:
		return authz.KeysUnavailable, "the secret that waits cannot be read"
	}
}

// write writes the secret to a new file beside the one it is for, which only its owner can
// read.
func (l *Learner) write(text string) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(l.File), "."+filepath.Base(l.File)+".*")
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(text + "\n")
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return f.Name(), err
}

// Accept takes the secret that waits for the name, which must not have one. The caller has
// looked at it. The error is fs.ErrNotExist if none waits, and fs.ErrExist if there is a
// secret already.
func Accept(file string) error {
	if err := os.Link(file+Waiting, file); err != nil {
		return err
	}
	if err := os.Remove(file + Waiting); err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(file))
}

func syncDirectory(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	err = d.Sync()
	if closed := d.Close(); err == nil {
		err = closed
	}
	return err
}

// SeeKeys is how the explanation of NotYet ends.
const SeeKeys = "see hookbastion keys"

// NotYet stands in the place of a signature while the secret is not accepted: deliveries
// are to come again. The zero value denies as well.
type NotYet struct{}

// Stage returns StageSignature.
func (NotYet) Stage() authz.Stage { return authz.StageSignature }

// Run returns KeysUnavailable.
func (NotYet) Run(call *authz.Call) authz.Reason {
	call.Explain("a secret that the provider brought, and that was accepted", "none yet; "+SeeKeys)
	return authz.KeysUnavailable
}
