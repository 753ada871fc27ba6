package tenant

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/hookbastion/hookbastion/authz/files"
	"github.com/hookbastion/hookbastion/authz/secret"
)

// File returns the path of a tenant's file.
func File(pattern, name string) string { return strings.ReplaceAll(pattern, Placeholder, name) }

// Read reads the secret of one tenant, as requests do. It is for tools: nothing
// is kept.
func Read(pattern, name string) (secret.Value, error) {
	f := parse(pattern)
	opened, err := openBelow(f.directory, f.of(name))
	if err != nil {
		return secret.Value{}, files.WithoutPath(err)
	}
	defer func() { _ = opened.Close() }() // only read
	text, _, err := secret.ReadFrom(opened)
	return text, err
}

// List calls f with each tenant that has a file, in order of the directory. It
// does not keep the names.
func List(pattern string, f func(name string, info fs.FileInfo)) error {
	where := parse(pattern)
	first, rest, _ := strings.Cut(where.name, "/")
	before, after, _ := strings.Cut(first, Placeholder)
	directory, err := os.Open(where.directory)
	if err != nil {
		return err
	}
	defer func() { _ = directory.Close() }() // only read
	for {
		entries, err := directory.ReadDir(1000)
		for _, entry := range entries {
			name, ok := strings.CutPrefix(entry.Name(), before)
			name, ok2 := strings.CutSuffix(name, after)
			if !ok || !ok2 || !isName(name) {
				continue
			}
			info, err := os.Stat(filepath.Join(where.directory, entry.Name(), path.Clean("/"+strings.ReplaceAll(rest, Placeholder, name))))
			if err == nil && info.Mode().IsRegular() {
				f(name, info)
			}
		}
		if len(entries) == 0 || err != nil {
			return nil //nolint:nilerr // io.EOF ends it
		}
	}
}

// isName reports whether a segment of a path can be a tenant: 1 to 128 of A-Z
// a-z 0-9 _ -.
func isName(name string) bool {
	return len(name) > 0 && len(name) <= 128 &&
		strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}
