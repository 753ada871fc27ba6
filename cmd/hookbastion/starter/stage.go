package starter

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/edge"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/policytest"
	"github.com/hookbastion/hookbastion/envoy/config"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/finding"
	"github.com/hookbastion/hookbastion/policy/lint"
	"github.com/hookbastion/hookbastion/policy/provider/page"
)

// The files that are written, beside tests and secrets.
const (
	policyFile   = "webhooks.yaml"
	settingsFile = "hookbastion.yaml"
	envoyFile    = "envoy.yaml"
	ignoreFile   = ".gitignore"
	secretsDir   = "secrets"
)

// stage makes the files in a directory of its own, where they are judged as validate does,
// before any is written.
type stage struct {
	dir      string // where they will be
	host     string
	webhooks []*webhook
	options  config.Options
	// said are warnings, and the tests that do not hold, with why.
	said []string
	// tested says that there is a test.
	tested bool
	tried  string // where they are tried
}

// files are all that is to be written.
func (s *stage) files() (all []cli.NewFile, err error) {
	if s.tried, err = os.MkdirTemp("", "hookbastion-init-"); err != nil { // for its owner alone
		return nil, err
	}
	defer func() { _ = os.RemoveAll(s.tried) }() // of the system's temporary files
	add := func(name, text string, secret bool) error {
		all = append(all, cli.NewFile{Name: name, Data: []byte(text), Secret: secret})
		return s.try(name, text)
	}
	err = add(filepath.Join(cli.DefaultPolicies, policyFile), s.policy(), false)
	for _, w := range s.webhooks {
		for _, k := range w.keys {
			err = errors.Join(err, add(filepath.Join(secretsDir, k.file), string(k.text), true))
		}
	}
	if err != nil {
		return nil, err
	}
	p := cli.Policies{AsServed: true, Paths: []string{filepath.Join(s.tried, cli.DefaultPolicies)}}
	needs, err := edge.Read(p.Paths)
	if err != nil {
		return nil, s.placed(err)
	}
	// What providers may send is more than the service takes by default: both must know.
	limit := config.Limit(needs.Webhooks)
	if err := add(settingsFile, fmt.Sprintf("# Envoy shows the service bodies up to this size, as %s says.\nenvoy: {max_request_bytes: %d}\n", envoyFile, limit), false); err != nil {
		return nil, err
	}
	p.Config = filepath.Join(s.tried, settingsFile)
	if wrong, err := p.Wrong(); err != nil || len(wrong) > 0 {
		return nil, s.placed(errors.Join(err, wrong.Err()))
	}
	if err := s.warn(&p); err != nil {
		return nil, err
	}
	tests, envoy, err := s.derived(&p, needs, limit)
	if err != nil {
		return nil, err
	}
	name, text := s.ignored()
	return append(append(all, tests...), envoy, cli.NewFile{Name: name, Data: []byte(text)}), nil
}

func (s *stage) try(name, text string) error {
	name = filepath.Join(s.tried, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	return os.WriteFile(name, []byte(text), 0o600)
}

// policy is the file of all webhooks.
func (s *stage) policy() string {
	text := "webhooks:\n"
	for _, w := range s.webhooks {
		text += page.Webhook(w.provider, page.Endpoint{Name: w.name, Path: w.path, Host: s.host, PublicURL: "https://" + s.host, Parameters: w.parameters})
	}
	return text
}

// warn says what is left weak, though it serves: what flags have chosen.
func (s *stage) warn(p *cli.Policies) error {
	settings, err := p.Settings()
	if err != nil {
		return err
	}
	table, keys, err := p.Keys()
	if err != nil {
		return s.placed(err)
	}
	found, err := p.Lint(settings, table, keys, lint.Store{}, time.Now())
	for _, f := range found {
		if f.Severity == finding.Warning {
			at := policy.Error{File: f.File, Line: f.Line, Column: f.Column, Path: f.Path, Message: f.Message + " (warning " + f.ID + ")"}
			s.said = append(s.said, s.placed(policy.Errors{at}).Error())
		}
	}
	return err
}

// derived are the files that are made of policies and settings: their tests, and Envoy's
// configuration.
func (s *stage) derived(p *cli.Policies, needs *edge.Needs, limit uint64) (tests []cli.NewFile, envoy cli.NewFile, err error) {
	settings, err := p.Settings()
	if err != nil {
		return nil, envoy, err
	}
	runner, err := policytest.NewRunner(p, settings)
	if err != nil {
		return nil, envoy, s.placed(err)
	}
	drafts, err := runner.Drafts(time.Now(), p.Paths...)
	if err != nil {
		return nil, envoy, err
	}
	for i := range drafts {
		d := &drafts[i]
		for _, line := range d.LeftOut {
			if why, unsigned := strings.CutPrefix(line, "a delivery: "); unsigned { // nor can any other be
				s.said = append(s.said, fmt.Sprintf("webhook %s: no delivery can be signed here, so that its tests have none: %s", d.Webhook, why))
				break
			}
			s.said = append(s.said, fmt.Sprintf("webhook %s: no test of it, since it does not hold: %s", d.Webhook, line))
		}
		if d.Text == "" {
			continue
		}
		s.tested = true
		tests = append(tests, cli.NewFile{Name: filepath.Join(cli.DefaultPolicies, filepath.Base(d.Name)), Data: []byte(d.Text)})
	}
	o := edge.Options(settings)
	o.Target, o.MaxRequestBytes = config.Envoy, limit
	o.Listen, o.Application, o.Service = s.options.Listen, s.options.Application, s.options.Service
	o.ServiceName = o.Service.Host
	o.RequireTLS, o.RequireCertificate = needs.Transport.TLS, needs.Transport.Certificate
	text, err := config.Generate(needs.Webhooks, o)
	return tests, cli.NewFile{Name: envoyFile, Data: text}, err
}

// ignored is what keeps secrets out of a repository: beside them where the directory has a
// .gitignore of its own, which stays as it is.
func (s *stage) ignored() (name, text string) {
	if _, err := os.Lstat(filepath.Join(s.dir, ignoreFile)); errors.Is(err, fs.ErrNotExist) {
		return ignoreFile, "/" + secretsDir + "/\n"
	}
	return filepath.Join(secretsDir, ignoreFile), "*\n"
}

// placed says of errors where they would be.
func (s *stage) placed(err error) error {
	var wrong policy.Errors
	if !errors.As(err, &wrong) {
		return err
	}
	for i := range wrong {
		if name, err := filepath.Rel(s.tried, wrong[i].File); err == nil {
			wrong[i].File = filepath.Join(s.dir, name)
		}
		wrong[i].Message = strings.ReplaceAll(wrong[i].Message, s.tried, s.dir)
	}
	return wrong
}
