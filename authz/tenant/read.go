package tenant

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"syscall"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/files"
	"github.com/hookbastion/hookbastion/authz/secret"
)

// content is what became of one file of a tenant.
type content struct {
	text  secret.Value
	stamp files.Stamp
	err   error
	same  bool // as the last time
}

// read reads the files of a tenant that changed. Keys whose file cannot be used
// are as they were before; at least one of each kind must be there. The tenant is
// unknown if there is no file for a kind; the entry is then nil.
func (s *Source) read(l *Loader, tenant string, old *entry, now time.Time) (*entry, authz.Reason) {
	next := &entry{
		held: make(secret.Held, len(s.uses)), stamps: make([]files.Stamp, len(s.files)),
		errs: make([]error, len(s.uses)), checked: now,
	}
	contents := make([]content, len(s.files))
	for i, f := range s.files {
		contents[i] = f.look(l, tenant, old.stamp(i))
		next.stamps[i] = contents[i].stamp
	}
	there, usable := make([]bool, len(s.kinds)), make([]bool, len(s.kinds))
	for i := range s.uses {
		there[s.kind[i]] = there[s.kind[i]] || !absent(contents[s.of[i]].err)
	}
	if slices.Contains(there, false) {
		return nil, authz.TenantUnknown
	}
	for i, use := range s.uses {
		c := &contents[s.of[i]]
		before, err := old.use(i)
		next.held[i], next.errs[i] = filled(use, c, before, err)
		usable[s.kind[i]] = usable[s.kind[i]] || next.held[i] != nil
		s.report(l, tenant, i, err, next.errs[i])
	}
	if slices.Contains(usable, false) {
		return next, authz.KeysUnavailable
	}
	return next, authz.OK
}

// filled returns the version of a use and why it is not what the file says.
func filled(use secret.Use, c *content, before *secret.Version, err error) (*secret.Version, error) {
	switch {
	case absent(c.err):
		return nil, nil //nolint:nilnil // the tenant has no such key
	case c.err != nil:
		return before, c.err
	case c.same:
		return before, err
	}
	key, err := use.Accept(c.text)
	if err != nil {
		return before, err
	}
	if next := secret.NewVersion(key); before == nil || !next.Digest.Same(&before.Digest) {
		return next, nil
	}
	return before, nil
}

func (e *entry) stamp(i int) *files.Stamp {
	if e == nil || len(e.stamps) == 0 {
		return nil
	}
	return &e.stamps[i]
}

func (e *entry) use(i int) (*secret.Version, error) {
	if e == nil {
		return nil, nil //nolint:nilnil // nothing was known
	}
	return e.held[i], e.errs[i]
}

// report tells what is new about a use.
func (s *Source) report(l *Loader, tenant string, i int, before, err error) {
	if (before == nil) == (err == nil) && (err == nil || before.Error() == err.Error()) {
		return
	}
	f := s.files[s.of[i]]
	l.config.OnChange(secret.Change{
		File: path.Join(f.directory, f.of(tenant)), Webhook: s.uses[i].Webhook, Key: s.uses[i].Key, Err: err,
	})
}

// look reads a file unless it is as it was.
func (f file) look(l *Loader, tenant string, before *files.Stamp) content {
	opened, err := l.config.Open(f.directory, f.of(tenant))
	if err != nil {
		return content{err: files.WithoutPath(err)}
	}
	defer func() { _ = opened.Close() }() // only read
	if info, err := opened.Stat(); err == nil && before != nil {
		if stamp := files.StampOf(info, time.Now()); before.Same(stamp) {
			return content{stamp: stamp, same: true}
		}
	}
	text, stamp, err := secret.ReadFrom(opened)
	return content{text: text, stamp: stamp, err: err}
}

// absent reports whether a file is not there. What stands in its place and
// cannot be a secret is no file either: its name is the sender's choice.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ENAMETOOLONG) ||
		errors.Is(err, secret.ErrNotFile)
}
