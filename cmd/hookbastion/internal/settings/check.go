package settings

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/envoy/assertion"
	"github.com/hookbastion/hookbastion/envoy/mtls"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
)

// Check reads a file, or none, and variables, and judges them as serve does at its
// start, with the files that they name. It opens no store and no listener.
func Check(file string, now time.Time) (*Settings, error) {
	v, err := read(file, nil)
	if err != nil {
		return nil, err
	}
	s, err := v.Settings()
	if err != nil {
		return nil, err
	}
	return s, v.Check(s, now)
}

// Check reads the files that the settings name. The error is an [strictyaml.Errors]
// with each that cannot be used, at the setting that names it.
func (v *Values) Check(s *Settings, now time.Time) error {
	var errs strictyaml.Errors
	check := func(err error, path ...any) {
		if err != nil {
			errs = append(errs, v.fault(path, err.Error()))
		}
	}
	listener := func(c *mtls.Config, section string) {
		if c != nil {
			judged := *c
			judged.Now = func() time.Time { return now }
			_, err := mtls.New(judged)
			check(err, section, "tls")
		}
	}
	listener(s.TLS, "grpc")
	listener(s.Admin.TLS, "admin")
	s.Admin.check(check)
	if len(s.Assertion.Files) > 0 {
		_, err := assertion.New(s.Assertion)
		check(err, "assertion", "keys")
	}
	if s.File != nil {
		if info, err := os.Stat(s.File.Path); err == nil && !info.IsDir() {
			check(fmt.Errorf("%s is no directory", s.File.Path), "replay", "file", "path")
		}
	}
	if s.Redis != nil && s.Redis.Keys != "" {
		_, _, err := ReplayKeys(s.Redis.Keys)
		check(err, "replay", "keys", "file")
	}
	check(writable(s.Records), "records", "file")
	_, err := s.Fetch.Roots()
	check(err, "fetch", "ca")
	return errs.Err()
}

// writable says why a file cannot be opened for what is written to its end; "-" is standard
// output. It makes none.
func writable(name string) error {
	if name == "-" {
		return nil
	}
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if info, err = os.Stat(filepath.Dir(name)); err == nil && !info.IsDir() {
			err = fmt.Errorf("%s is no directory", filepath.Dir(name))
		}
		return err
	case err == nil && info.IsDir():
		return fmt.Errorf("%s is a directory", name)
	default:
		return err
	}
}

// ReplayKeys reads the keys that replicas share, and returns the file's text, too.
func ReplayKeys(file string) (secret.Value, []replay.Key, error) {
	value, err := secret.Ref{File: file}.Load()
	if err != nil {
		return value, nil, err
	}
	keys, err := replay.ParseKeys(value.Reveal())
	if err != nil {
		err = fmt.Errorf("%s: %w", file, err)
	}
	return value, keys, err
}

// Roots are the authorities whose certificates are believed when something is fetched;
// nil for those of the machine.
func (f *Fetch) Roots() (*x509.CertPool, error) {
	if f.CA == "" {
		return nil, nil //nolint:nilnil // the machine's own
	}
	text, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate in PEM form", f.CA)
	}
	return roots, nil
}
