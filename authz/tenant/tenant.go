// Package tenant finds the secrets of webhooks of which each tenant has its own.
//
// The path of a request names the tenant, and the tenant the file. Files are
// read when they are first asked for and kept in a bounded cache, the least
// recently used going first, so that it does not matter how many tenants there
// are. A name that has no file is remembered as well, in a cache of its own, so
// that unknown names put no known tenant out; and how often files of unknown
// names are looked for in a second is bounded. Beyond that bound a tenant that is
// not in the cache gets keys_unavailable, which is a 503: senders come again.
//
// Files are opened below their directory with [os.Root]: neither a name nor a
// symbolic link leads out of it.
//
// A file that changes counts after five seconds if requests come all the time,
// after ten at the latest. One that becomes empty, unreadable or weak changes
// nothing as long as the tenant is in the cache. One that is gone is gone.
package tenant

import (
	"context"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/files"
	"github.com/hookbastion/hookbastion/authz/secret"
)

// Placeholder stands in the name of a file where the tenant's name goes.
const Placeholder = "{tenant}"

// Defaults of Config.
const (
	DefaultEntries = 10_000
	DefaultTimeout = time.Second
)

// Limits that are not settings.
const (
	// MissesPerSecond is how many names without a file are looked for at most.
	MissesPerSecond = 1000
	// UnknownEntries is how many names without a file are remembered.
	UnknownEntries = 10_000
	// unknownTime is how long they are: a new tenant is known after it.
	unknownTime = 10 * time.Second
	// failedTime is how long a file that cannot be read is left alone.
	failedTime = time.Second
	// freshTime is how long a file counts without a look at it, staleTime how
	// long it does while it is looked at.
	freshTime = 5 * time.Second
	staleTime = 2 * freshTime
	// maxLoads is how many tenants are read at once.
	maxLoads = 64
)

// Opener opens a file below a directory, and nothing outside it.
type Opener func(directory, name string) (fs.File, error)

// Config says how secrets are read.
type Config struct {
	// Entries is how many tenants are kept in memory, for all webhooks
	// together.
	Entries int
	// Timeout is how long a request waits for a file.
	Timeout time.Duration
	// Open opens files; nil: those of the file system.
	Open Opener
	// OnChange is told what cannot be used, and what can be again; nil: nobody.
	OnChange func(secret.Change)
}

// Loader reads secrets for the webhooks of all tables, so that its bounds hold
// for all together. It is safe for concurrent use.
type Loader struct {
	config Config
	misses budget
	loads  chan struct{}
	stats  counters
}

// NewLoader returns a loader. What the configuration leaves out has its default.
func NewLoader(config Config) *Loader {
	if config.Entries <= 0 {
		config.Entries = DefaultEntries
	}
	if config.Timeout <= 0 {
		config.Timeout = DefaultTimeout
	}
	if config.Open == nil {
		config.Open = openBelow
	}
	if config.OnChange == nil {
		config.OnChange = func(secret.Change) {}
	}
	return &Loader{config: config, loads: make(chan struct{}, maxLoads)}
}

// Stats are numbers of looks for the files of tenants since the start.
type Stats struct {
	// Loaded were read, Unknown had none, Failed could not be used, Refused were
	// not looked for, since too many were unknown before.
	Loaded, Unknown, Failed, Refused int64
	// Held are in memory now, Missed are names without a usable file that are
	// remembered. They are those of a table: Cache.Len.
	Held, Missed int64
}

type counters struct{ loaded, unknown, failed, refused atomic.Int64 }

// Stats returns the numbers.
func (l *Loader) Stats() Stats {
	return Stats{
		Loaded: l.stats.loaded.Load(), Unknown: l.stats.unknown.Load(), Failed: l.stats.failed.Load(), Refused: l.stats.refused.Load(),
	}
}

// openBelow opens a regular file. A pipe must not block.
func openBelow(directory, name string) (fs.File, error) {
	root, err := os.OpenRoot(directory)
	if err != nil { // which says nothing about the tenant
		return nil, errDirectory{files.WithoutPath(err)}
	}
	defer func() { _ = root.Close() }() // the file stays open
	return root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// errDirectory is not what it is made of: that no directory is there does not
// mean that a tenant is unknown.
type errDirectory struct{ cause error }

func (e errDirectory) Error() string { return "the directory cannot be opened: " + e.cause.Error() }

// Use is a key that is made of a tenant's file.
type Use struct {
	secret.Use
	// File is its path with the placeholder.
	File string
	// Kind parts the keys of a webhook: a tenant needs one of each kind.
	Kind string
}

// Source finds the secrets of one webhook. It is immutable.
type Source struct {
	cache *cache
	files []file
	uses  []secret.Use
	of    []int // the file of each use
	kinds []string
	kind  []int // of each use
}

// file is a path, parted where what depends on the tenant begins.
type file struct{ directory, name string }

func parse(path string) file {
	before, after, _ := strings.Cut(path, Placeholder)
	slash := strings.LastIndexByte(before, '/')
	if slash < 0 {
		return file{".", path}
	}
	return file{max(before[:slash], "/"), before[slash+1:] + Placeholder + after}
}

// of returns the path below the directory of a tenant's file.
func (f file) of(tenant string) string { return strings.ReplaceAll(f.name, Placeholder, tenant) }

// Directory returns the part of a path that does not depend on the tenant, and
// the rest.
func Directory(path string) (directory, rest string) {
	f := parse(path)
	return f.directory, f.name
}

// Check puts the secrets of the request's tenant into the call. It is safe for
// concurrent use.
type Check struct {
	Source *Source
}

// Stage returns StageTenant.
func (c *Check) Stage() authz.Stage { return authz.StageTenant }

// Run looks for the secrets.
func (c *Check) Run(call *authz.Call) authz.Reason {
	held, reason := c.Source.get(call.Context, call.Tenant, call.Now)
	call.Secrets = held
	if call.Explanation != nil {
		found := "one"
		if reason != authz.OK {
			found = "none that can be used"
		}
		call.Explain("a secret of the tenant "+string(call.Tenant), found)
	}
	return reason
}

// Secrets returns the secrets of one tenant.
func (c *Check) Secrets(ctx context.Context, tenant string, now time.Time) (secret.Held, authz.Reason) {
	if !isName(tenant) {
		return nil, authz.TenantUnknown
	}
	return c.Source.get(ctx, authz.View(tenant), now)
}
