// Package policy reads policy files and compiles them to an [authz.Table], or
// reports every error with its place.
//
// All files of a directory and the directories below it make one set: *.yaml,
// *.yml and *.json, except *_test.yaml, which hold test cases, and names that
// begin with a dot, which is how Kubernetes keeps older versions of a mounted
// ConfigMap. Reading does no more than reading; [Compile] loads the secrets.
package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// Error and Errors are what is wrong with a policy, with its place.
type (
	Error  = strictyaml.Error
	Errors = strictyaml.Errors
)

// Set is all policy files of one load.
type Set struct {
	// Digest identifies the content of the files.
	Digest string
	files  []file
}

type file struct {
	name   string
	doc    *strictyaml.Document
	policy *policyv1.Policy
}

// Files returns the names of the files.
func (s *Set) Files() []string {
	names := make([]string, len(s.files))
	for i := range s.files {
		names[i] = s.files[i].name
	}
	return names
}

var options = strictyaml.Options{EmptyLists: []protoreflect.FullName{"hookbastion.policy.v1.SourceIP.deny"}}

// Load reads the files and directories. The error is an [Errors] with
// everything that is wrong with any file.
func Load(paths ...string) (*Set, error) {
	names, err := find(paths)
	if err != nil {
		return nil, err
	}
	set := &Set{}
	digest := sha256.New()
	var errs Errors
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			errs = append(errs, Error{File: name, Message: "cannot be read: " + reason(err)})
			continue
		}
		_, _ = fmt.Fprintf(digest, "%d:%s%d:", len(name), name, len(data)) // hashes never fail
		_, _ = digest.Write(data)
		f := file{name: name, policy: &policyv1.Policy{}}
		f.doc, err = options.Decode(name, data, f.policy)
		var bad Errors
		if errors.As(err, &bad) {
			errs = append(errs, bad...)
		}
		set.files = append(set.files, f)
	}
	set.Digest = hex.EncodeToString(digest.Sum(nil)[:8])
	return set, errs.Err()
}

// find lists the policy files below the paths, each once, in order.
func find(paths []string) ([]string, error) {
	var names []string
	for _, path := range paths {
		before := len(names)
		info, err := os.Stat(path)
		if err != nil {
			return nil, Errors{{File: path, Message: "cannot be read: " + reason(err)}}
		}
		if !info.IsDir() {
			names = append(names, filepath.Clean(path))
			continue
		}
		// A symbolic link to a directory is followed at the root only.
		root, err := filepath.EvalSymlinks(path)
		if err == nil {
			err = filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
				if err != nil {
					return err
				}
				hidden := name != root && strings.HasPrefix(entry.Name(), ".")
				switch {
				case entry.IsDir() && hidden:
					return fs.SkipDir
				case entry.IsDir() || hidden || !isPolicyFile(entry.Name()):
					return nil
				case entry.Type()&^fs.ModeSymlink != 0:
					return nil // a pipe or a device could be read for ever
				}
				if rel, err := filepath.Rel(root, name); err == nil {
					names = append(names, filepath.Join(path, rel))
				}
				return nil
			})
		}
		if err != nil {
			return nil, Errors{{File: path, Message: "cannot be read: " + reason(err)}}
		}
		if len(names) == before {
			return nil, Errors{{File: path, Message: "the directory has no policy files (*.yaml, *.yml, *.json)"}}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

func isPolicyFile(name string) bool {
	ext := filepath.Ext(name)
	return (ext == ".yaml" || ext == ".yml" || ext == ".json") &&
		!strings.HasSuffix(strings.TrimSuffix(name, ext), "_test")
}

// reason is the cause of a file error without the path, which the place has.
func reason(err error) string {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err.Error()
	}
	return err.Error()
}

// SecretFiles returns the files that the set's secrets and tokens are read
// from, each once.
func (s *Set) SecretFiles() []string {
	var names []string
	for _, f := range s.files {
		add := func(name string) {
			if name != "" {
				names = append(names, relativeTo(f.name, name))
			}
		}
		for _, w := range f.policy.GetWebhooks() {
			add(w.GetTransport().GetClientCertificate().GetCa().GetFile())
			for _, secret := range w.GetSecrets() {
				add(secret.GetFile())
			}
			for _, rule := range w.GetToken().GetAnyOf() {
				_, value, _ := rulePlace(rule)
				add(value.GetFile())
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
