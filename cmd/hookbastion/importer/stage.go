package importer

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/convert"
)

// stage makes of what was read what has no errors: it writes it to a directory of its own,
// looks at it as validate does, makes a new secret where one cannot be used, and leaves out
// what is wrong otherwise.
type stage struct {
	into   string // where it will be
	file   string // name of the policy file
	result *convert.Result
	dir    string // where it is tried
	names  map[*convert.Secret]string
}

// settle ends when there is no error any more. Each round mends one webhook at least.
func (s *stage) settle() error {
	if err := cli.StillFree(s.into, filepath.Join(cli.DefaultPolicies, s.file)); err != nil {
		return err
	}
	taken, err := s.existing()
	if err != nil {
		return err
	}
	s.result.Name(taken)
	s.nameFiles()
	if s.dir, err = os.MkdirTemp("", "hookbastion-import-"); err != nil { // for its owner alone
		return err
	}
	defer func() { _ = os.RemoveAll(s.dir) }() // of the system's temporary files
	for len(s.result.Webhooks) > 0 {
		wrong, err := s.try()
		if err != nil || len(wrong) == 0 {
			return err
		}
		if err := s.mend(wrong); err != nil {
			return err
		}
	}
	return nil
}

// existing are the names of webhooks that are there already, if they are good.
func (s *stage) existing() ([]string, error) {
	dir := filepath.Join(s.into, cli.DefaultPolicies)
	if _, err := os.Stat(dir); err != nil {
		return nil, nil //nolint:nilerr // there are none
	}
	set, err := policy.Load(dir)
	if err != nil {
		return nil, err
	}
	return set.Names(), nil
}

// nameFiles names the file of each secret by its webhook. Names differ in more than letter
// case, which some file systems do not tell apart.
func (s *stage) nameFiles() {
	s.names = map[*convert.Secret]string{}
	used := map[string]bool{}
	for _, w := range s.result.Webhooks { // the first of each has the webhook's own name
		used[strings.ToLower(w.Policy.GetName())] = true
	}
	for _, w := range s.result.Webhooks {
		number := 2
		for i, secret := range w.Secrets {
			name := strings.ToLower(w.Policy.GetName())
			if i > 0 {
				for ; used[name+"."+strconv.Itoa(number)]; number++ {
				}
				name += "." + strconv.Itoa(number)
				used[name] = true
			}
			s.names[secret] = filepath.Join("secrets", name)
		}
	}
}

// try writes what there is, and returns what validate would call an error.
func (s *stage) try() (policy.Errors, error) {
	for _, w := range s.result.Webhooks {
		for _, secret := range w.Secrets {
			name := filepath.Join(s.dir, s.names[secret])
			if secret.File != "" {
				var err error
				if name, err = filepath.Abs(secret.File); err != nil {
					return nil, err
				}
			} else if err := write(name, secret.Text(), 0o600); err != nil {
				return nil, err
			}
			secret.Refer(name)
		}
	}
	text, err := s.result.Policy()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(s.dir, "policies", s.file)
	if err := write(file, text, 0o600); err != nil {
		return nil, err
	}
	p := cli.Policies{AsServed: true}
	p.Paths = []string{file}
	if dir := filepath.Join(s.into, cli.DefaultPolicies); exists(dir) {
		p.Paths = append(p.Paths, dir)
	}
	wrong, err := p.Wrong()
	if err != nil {
		return nil, err
	}
	return s.ours(wrong, file)
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// ours are the errors of what was read. Of two webhooks that cannot stand beside each other,
// the one that was there already is right, wherever the error is said. Other errors of
// other files are for their owner to mend.
func (s *stage) ours(wrong policy.Errors, file string) (ours policy.Errors, err error) {
	conflict := regexp.MustCompile(`webhook (\S+) at ` + regexp.QuoteMeta(file))
	var theirs policy.Errors
	for _, e := range wrong {
		if e.File == file {
			e.Message = strings.ReplaceAll(e.Message, s.dir, filepath.Clean(s.into)) // where it will be
			ours = append(ours, e)
			continue
		}
		i := -1
		if m := conflict.FindStringSubmatch(e.Message); m != nil {
			i = slices.IndexFunc(s.result.Webhooks, func(w *convert.Webhook) bool { return w.Policy.GetName() == m[1] })
		}
		if i >= 0 {
			ours = append(ours, policy.Error{File: file, Path: fmt.Sprintf("webhooks[%d].match", i), Message: "cannot stand beside the webhook at " + e.Position()})
		} else {
			theirs = append(theirs, e)
		}
	}
	if len(ours) == 0 {
		return nil, theirs.Err()
	}
	return ours, nil
}

var (
	ofWebhook = regexp.MustCompile(`^webhooks\[(\d+)\]`)
	ofSecret  = regexp.MustCompile(`^webhooks\[\d+\]\.secrets\[(\d+)\]`)
)

// mend renews the secrets that are wrong, and leaves out webhooks that are wrong otherwise.
func (s *stage) mend(wrong policy.Errors) error {
	out := map[*convert.Webhook]bool{}
	mended := map[*convert.Secret]bool{}
	for _, e := range wrong {
		w := s.webhook(e.Path)
		if w == nil {
			continue // nobody knows whose it is, or it says that there are more
		}
		secret := secretOf(w, e.Path)
		if mended[secret] || out[w] {
			continue
		}
		if secret != nil && secret.File == "" && secret.New == "" {
			said, err := secret.Renew(plain(e.Message))
			if err == nil {
				s.result.Notes = append(s.result.Notes, said)
				mended[secret] = true
				continue
			}
		}
		out[w] = true
		at := w.At
		if secret != nil {
			at = secret.At
		}
		at.Message = "is left out: " + strings.TrimPrefix(e.Path, ofWebhook.FindString(e.Path)+".") + ": " + e.Message
		s.result.Notes = append(s.result.Notes, at)
	}
	if len(out)+len(mended) == 0 {
		return wrong.Err()
	}
	s.result.Webhooks = slices.DeleteFunc(s.result.Webhooks, func(w *convert.Webhook) bool { return out[w] })
	slices.SortStableFunc(s.result.Notes, func(a, b convert.Note) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return nil
}

// plain leaves out what is said for people who write policies.
func plain(message string) string {
	for _, advice := range []string{"; use another one, or say allow_weak: {reason: …}", "; mend it, or say allow_weak: {reason: …}"} {
		message = strings.TrimSuffix(message, advice)
	}
	return message
}

func (s *stage) webhook(path string) *convert.Webhook {
	m := ofWebhook.FindStringSubmatch(path)
	if m == nil {
		return nil
	}
	i, err := strconv.Atoi(m[1])
	if err != nil || i >= len(s.result.Webhooks) {
		return nil
	}
	return s.result.Webhooks[i]
}

// secretOf is the one that an error is about; nil: none.
func secretOf(w *convert.Webhook, path string) *convert.Secret {
	if strings.Contains(path, "].token.") && strings.Contains(path, ".value") && len(w.Secrets) == 1 {
		return w.Secrets[0]
	}
	m := ofSecret.FindStringSubmatch(path)
	if m == nil {
		return nil
	}
	i, err := strconv.Atoi(m[1])
	if err != nil || i >= len(w.Secrets) {
		return nil
	}
	return w.Secrets[i]
}

// files are what is to be written, the policy first, and what is said of it.
func (s *stage) files() ([]cli.NewFile, *imported, error) {
	r := &imported{Webhooks: []webhook{}}
	var secrets []cli.NewFile
	for _, w := range s.result.Webhooks {
		hook := webhook{Name: w.Policy.GetName(), Provider: w.Policy.GetProvider(), From: w.At.Position(), Secrets: []string{}, New: []string{}}
		for _, secret := range w.Secrets {
			name := s.names[secret]
			if secret.File == "" {
				secret.Refer("../" + filepath.ToSlash(name))
				secrets = append(secrets, cli.NewFile{Name: name, Data: secret.Text(), Secret: true})
				name = filepath.Join(s.into, name)
			} else {
				name = secret.File
				path, err := fromPolicies(s.into, name)
				if err != nil {
					return nil, nil, err
				}
				secret.Refer(path)
			}
			hook.Secrets = append(hook.Secrets, name)
			if secret.New != "" {
				hook.New = append(hook.New, name)
			}
		}
		r.Webhooks = append(r.Webhooks, hook)
	}
	text, err := s.result.Policy()
	if err != nil {
		return nil, nil, err
	}
	all := append([]cli.NewFile{{Name: filepath.Join(cli.DefaultPolicies, s.file), Data: text}}, secrets...)
	for _, f := range all {
		r.Files = append(r.Files, filepath.Join(s.into, f.Name))
	}
	return all, r, nil
}

// fromPolicies is how a policy names a file that is elsewhere.
func fromPolicies(into, name string) (string, error) {
	if filepath.IsAbs(name) {
		return name, nil
	}
	here, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	dir, err := filepath.Abs(filepath.Join(into, cli.DefaultPolicies))
	if err != nil {
		return "", err
	}
	path, err := filepath.Rel(dir, here)
	if err != nil {
		return here, nil //nolint:nilerr // on another drive
	}
	return filepath.ToSlash(path), nil
}

// write writes a file into the stage.
func write(name string, data []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(name, data, mode); err != nil {
		return fmt.Errorf("cannot be tried: %w", err)
	}
	return nil
}
