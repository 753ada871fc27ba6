// Package policy reads policy files and compiles them to an [authz.Table], or
// reports every error with its place.
//
// All files of a directory and the directories below it make one set: *.yaml,
// *.yml and *.json, except *_test.yaml, which hold test cases, and names that
// begin with a dot, which is how Kubernetes keeps older versions of a mounted
// ConfigMap. Reading does no more than reading; [Compile] loads the secrets.
package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"os"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hookbastion/hookbastion/authz/files"
	"github.com/hookbastion/hookbastion/policy/keys"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// Error and Errors are what is wrong with a policy, with its place.
type (
	Error  = strictyaml.Error
	Errors = strictyaml.Errors
)

// Limits of a set.
const (
	// MaxSetBytes is the size of all files of a set.
	MaxSetBytes = 256 << 20
	// MaxErrors is how many errors of a set are reported.
	MaxErrors = 1000
)

// Set is all policy files of one load.
type Set struct {
	// Digest identifies the content of the files.
	Digest  string
	files   []file
	secrets map[string]bool // files of secrets
	others  map[string]bool // other files that webhooks name
	size    int             // of the files in bytes
	errs    Errors
}

// file keeps each webhook in its encoded form, a tenth of the message, until
// somebody asks for it. The text is read again for the places of errors.
type file struct {
	name     string
	doc      *strictyaml.Document
	webhooks []Entry
	wrong    []wrongEntry
}

// wrongEntry is a webhook that was read with errors. It is compiled to see what else is
// wrong with it, and never served.
type wrongEntry struct {
	Entry
	*strictyaml.Wrong
}

// maxWrong is the size in bytes of an encoded webhook that is looked at although it
// breaks rules: no rule bounds it.
const maxWrong = 64 << 10

// Entry is a webhook of a set as it is kept.
type Entry struct {
	name    string
	index   int // in the file
	encoded []byte
}

// Name returns the webhook's name.
func (e *Entry) Name() string { return e.name }

// Same reports whether the policies of two webhooks say the same.
func (e *Entry) Same(other *Entry) bool { return bytes.Equal(e.encoded, other.encoded) }

// Decode returns the webhook. The error is one of the program.
func (e *Entry) Decode() (*policyv1.Webhook, error) {
	m := &policyv1.Webhook{}
	return m, proto.Unmarshal(e.encoded, m)
}

// Entries are the webhooks that were read without an error.
func (s *Set) Entries() iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		for i := range s.files {
			for j := range s.files[i].webhooks {
				if !yield(&s.files[i].webhooks[j]) {
					return
				}
			}
		}
	}
}

// Each calls f with every webhook that was read without an error, one after the other,
// and with its place.
func (s *Set) Each(f func(w *policyv1.Webhook, at strictyaml.Place)) error {
	for i := range s.files {
		for j := range s.files[i].webhooks {
			hook := &s.files[i].webhooks[j]
			w, err := hook.Decode()
			if err != nil {
				return fmt.Errorf("webhook %s: %w", hook.name, err)
			}
			f(w, s.files[i].doc.At("webhooks", hook.index))
		}
	}
	return nil
}

// Files returns the names of the files.
func (s *Set) Files() []string {
	names := make([]string, len(s.files))
	for i := range s.files {
		names[i] = s.files[i].name
	}
	return names
}

// Names returns the names of the webhooks that could be read, in order.
func (s *Set) Names() []string {
	var names []string
	for w := range s.Entries() {
		names = append(names, w.name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Forget drops what only the places of errors need. A set that has forgotten can
// be compared; it should not be compiled.
func (s *Set) Forget() {
	for i := range s.files {
		s.files[i].doc = options.Empty(s.files[i].name)
	}
}

var options = strictyaml.Options{
	EmptyLists: []protoreflect.FullName{"hookbastion.policy.v1.SourceIP.deny"},
	Advice:     advice,
}

// Load reads the files and directories. The error is an [Errors] with
// everything that is wrong with any file. The set is never nil: it has what is
// right, and [Compile] reports what is wrong with that as well, in one list with
// what Load found.
func Load(paths ...string) (*Set, error) {
	set := &Set{secrets: map[string]bool{}, others: map[string]bool{}}
	names, errs := find(paths)
	set.errs = errs
	defer spareMemory(sizeOf(names))()
	digest := sha256.New()
	for _, name := range names {
		data, err := read(name)
		unread := err != nil
		if set.size += len(data); err == nil && set.size > MaxSetBytes {
			err = fmt.Errorf("with this file, the set is larger than %d MiB", MaxSetBytes>>20)
		}
		if err != nil {
			e := Error{File: name, Message: reason(err), Unread: unread}
			if errors.Is(err, files.ErrTooLarge) {
				e = Error{File: name, Line: 1, Column: 1, Message: strictyaml.TooLarge}
			}
			set.errs = append(set.errs, e)
			continue
		}
		_, _ = fmt.Fprintf(digest, "%d:%s%d:", len(name), name, len(data)) // hashes never fail
		_, _ = digest.Write(data)
		set.add(name, data)
	}
	set.Digest = hex.EncodeToString(digest.Sum(nil)[:8])
	return set, bounded(set.errs).Err()
}

func (s *Set) add(name string, data []byte) {
	f, encode := file{name: name}, proto.MarshalOptions{Deterministic: true}
	var err error
	f.doc, err = options.DecodeEach(name, data, &policyv1.Policy{}, "webhooks", func(i int, item proto.Message, wrong *strictyaml.Wrong) {
		w, _ := item.(*policyv1.Webhook)
		encoded, err := encode.Marshal(w)
		if wrong != nil {
			if err == nil && len(encoded) <= maxWrong {
				f.wrong = append(f.wrong, wrongEntry{Entry{w.GetName(), i, encoded}, wrong})
			}
			return
		}
		if err != nil { // the text was not UTF-8, which YAML has refused
			s.errs = append(s.errs, Error{File: name, Line: 1, Column: 1, Message: "cannot be kept: " + err.Error()})
			return
		}
		s.noteSecrets(name, w)
		f.webhooks = append(f.webhooks, Entry{name: w.GetName(), index: i, encoded: encoded})
	})
	var bad Errors
	if errors.As(err, &bad) {
		s.errs = append(s.errs, bad...)
	}
	f.doc.Release(func() ([]byte, error) { return read(name) })
	f.webhooks = slices.Clip(f.webhooks)
	s.files = append(s.files, f)
}

// read returns the content of a policy file.
func read(name string) ([]byte, error) {
	data, _, err := files.Read(name, strictyaml.MaxBytes)
	return data, err
}

// sizeOf returns how many bytes the files have, as far as that can be known.
func sizeOf(names []string) int {
	size := int64(0)
	for _, name := range names {
		if info, err := os.Stat(name); err == nil {
			size += info.Size()
		}
	}
	return int(size)
}

// bounded leaves out errors beyond MaxErrors, and says so.
func bounded(errs Errors) Errors {
	_ = errs.Err() // puts them in order
	if len(errs) <= MaxErrors {
		return errs
	}
	last := errs[MaxErrors]
	last.Path, last.Message = "", fmt.Sprintf("and %d more errors from here on", len(errs)-MaxErrors)
	return append(errs[:MaxErrors:MaxErrors], last)
}

// reason is the cause of a file error without the path, which the place has.
func reason(err error) string {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return "cannot be read: " + err.Error()
}

// SecretFiles returns the files that the set's secrets and tokens are read
// from, each once. Those of tenants are not among them.
func (s *Set) SecretFiles() []string { return slices.Sorted(maps.Keys(s.secrets)) }

// OtherFiles returns the other files that the set's webhooks name. When one
// changes, the set must be compiled again.
func (s *Set) OtherFiles() []string { return slices.Sorted(maps.Keys(s.others)) }

// noteSecrets takes down the files of a webhook's secrets.
func (s *Set) noteSecrets(policyFile string, w *policyv1.Webhook) {
	add := func(name string) {
		if name != "" && !keys.IsPerTenant(name) {
			s.secrets[keys.RelativeTo(policyFile, name)] = true
		}
	}
	if name := w.GetTransport().GetClientCertificate().GetCa().GetFile(); name != "" {
		s.others[keys.RelativeTo(policyFile, name)] = true
	}
	if name := w.GetHandshake().GetLearnt().GetFile(); name != "" {
		s.others[keys.RelativeTo(policyFile, name)] = true // which appears when it is accepted
		add(name)
	}
	add(w.GetHandshake().GetVerifyToken().GetFile())
	for _, secret := range w.GetSecrets() {
		add(secret.GetFile())
	}
	for _, rule := range w.GetToken().GetAnyOf() {
		add(keys.TokenValue(rule).GetFile())
	}
}
