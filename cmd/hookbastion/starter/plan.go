package starter

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hookbastion/hookbastion/authz/files"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/provider/page"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// maxSecret is the size of the largest file that is copied: a set of keys, at most.
const maxSecret = 1 << 20

// webhook is one of those that are written.
type webhook struct {
	provider   *policyv1.Provider
	name, path string
	parameters map[string][]string
	keys       []*key
}

// key is a file of a secret.
type key struct {
	file string // below secrets
	text []byte
	// credential says that it is shown to the provider, to get the keys that it publishes.
	credential, isNew bool
}

// plan reads the flags, and says all that is wrong with them.
func (o *options) plan() ([]*webhook, error) {
	webhooks, err := o.named()
	if err := errors.Join(err, o.badHost()); err != nil {
		return nil, err
	}
	errs := o.give(webhooks)
	for _, w := range webhooks {
		for _, p := range w.missing(o.parameters) {
			errs = append(errs, fmt.Errorf("%s needs --parameter %s.%s=VALUE: %s", w.provider.GetName(), w.name, p.GetName(), p.GetText()))
		}
		if provider.SignsURL(provider.First(w.provider)) && (o.host == "" || strings.Contains(o.host, "*")) {
			errs = append(errs, fmt.Errorf("%s signs the URL that it delivers to: say with --host which host that is", w.provider.GetName()))
		}
	}
	errs = append(errs, o.fill(webhooks)...)
	return webhooks, errors.Join(errs...)
}

// named are the providers' webhooks, with names and paths alone.
func (o *options) named() ([]*webhook, error) {
	known, err := provider.Names()
	if err != nil {
		return nil, err
	}
	var all []*webhook
	var errs []error
	for _, text := range o.providers {
		name, path, given := strings.Cut(text, "=")
		p, err := provider.Get(name)
		if err != nil {
			return nil, err
		}
		if p == nil {
			errs = append(errs, fmt.Errorf("--provider: %.60q is not in the catalogue%s", name, strictyaml.Suggest(strings.ToLower(name), known)))
			continue
		}
		w := &webhook{provider: p, name: free(name, all), parameters: map[string][]string{}}
		if w.path = "/webhooks/" + w.name; given {
			w.path = path
		}
		switch {
		case !strings.HasPrefix(w.path, "/") || !utf8.ValidString(w.path):
			errs = append(errs, fmt.Errorf("--provider %s: the path %.60q must begin with /, and be ASCII", name, path))
		case policy.PathProblem(w.path) != "":
			errs = append(errs, fmt.Errorf("--provider %s: the path %.60q %s", name, path, policy.PathProblem(w.path)))
		case strings.Contains(w.path, "{tenant}"):
			errs = append(errs, fmt.Errorf("--provider %s: a path with {tenant} needs a secret for each tenant, which init does not write: docs/secrets.md", name))
		}
		if i := slices.IndexFunc(all, func(other *webhook) bool { return other.path == w.path }); i >= 0 {
			errs = append(errs, fmt.Errorf("--provider: %s and %s cannot both have the path %.60q", all[i].name, w.name, w.path))
		}
		w.keys = keysOf(w)
		all = append(all, w)
	}
	return all, errors.Join(errs...)
}

// badHost says what is wrong with the host.
func (o *options) badHost() error {
	if o.host == "" {
		return nil
	}
	if problem := policy.HostProblem(o.host); problem != "" {
		return fmt.Errorf("--host: %.60q %s", o.host, problem)
	}
	return nil
}

// free is the name, or with a number where another webhook has it.
func free(name string, all []*webhook) string {
	taken := func(name string) bool {
		return slices.ContainsFunc(all, func(w *webhook) bool { return w.name == name })
	}
	is := name
	for i := 2; taken(is); i++ {
		is = name + "-" + strconv.Itoa(i)
	}
	return is
}

// keysOf are the files that the webhook's policy names.
func keysOf(w *webhook) (all []*key) {
	published := provider.First(w.provider).GetPublished()
	if published == nil {
		return []*key{{file: w.name}}
	}
	for _, name := range provider.Credentials(published) {
		all = append(all, &key{file: w.name + "-" + name, credential: true})
	}
	return all
}

// missing are the parameters that none of the texts gives.
func (w *webhook) missing(texts []string) (missing []*policyv1.Parameter) {
	for _, p := range page.Parameters(w.provider) {
		if !slices.ContainsFunc(texts, func(text string) bool { return strings.HasPrefix(text, w.name+"."+p.GetName()+"=") }) {
			missing = append(missing, p)
		}
	}
	return missing
}

// give gives the webhooks their parameters.
func (o *options) give(webhooks []*webhook) (errs []error) {
	for _, text := range o.parameters {
		left, value, ok := strings.Cut(text, "=")
		name, parameter, dotted := strings.Cut(left, ".")
		i := slices.IndexFunc(webhooks, func(w *webhook) bool { return w.name == name })
		switch {
		case !ok || !dotted || value == "" || !utf8.ValidString(value):
			errs = append(errs, fmt.Errorf("--parameter must be NAME.PARAMETER=VALUE, not %.60q", text))
			continue
		case i < 0:
			errs = append(errs, fmt.Errorf("--parameter %.60q: there is no webhook %.60q%s", left, name, strictyaml.Suggest(name, names(webhooks))))
			continue
		}
		w := webhooks[i]
		var known []string
		for _, p := range w.provider.GetParameters() {
			known = append(known, p.GetName())
			if p.GetName() == parameter && !p.GetSeveral() && len(w.parameters[parameter]) > 0 {
				errs = append(errs, fmt.Errorf("--parameter %s is given twice, and takes one value", left))
			}
		}
		if !slices.Contains(known, parameter) {
			errs = append(errs, fmt.Errorf("--parameter %.60q: %s has no such parameter%s", left, w.provider.GetName(), strictyaml.Suggest(parameter, known)))
			continue
		}
		w.parameters[parameter] = append(w.parameters[parameter], value)
	}
	return errs
}

func names(webhooks []*webhook) (all []string) {
	for _, w := range webhooks {
		all = append(all, w.name)
	}
	return all
}

// hasSecret reports whether a flag names the file.
func (o *options) hasSecret(file string) bool {
	return slices.ContainsFunc(o.secrets, func(text string) bool { return strings.HasPrefix(text, file+"=") })
}

// fill reads the secrets that are there, and makes those that are not.
func (o *options) fill(webhooks []*webhook) (errs []error) {
	var known []string
	byFile := map[string]*key{}
	for _, w := range webhooks {
		for _, k := range w.keys {
			byFile[k.file], known = k, append(known, k.file)
		}
	}
	for _, text := range o.secrets {
		name, file, ok := strings.Cut(text, "=")
		k := byFile[name]
		switch {
		case !ok || file == "":
			errs = append(errs, fmt.Errorf("--secret must be NAME=FILE, not %.60q", name))
		case k == nil:
			errs = append(errs, fmt.Errorf("--secret %.60q: no webhook here has such a secret%s", name, strictyaml.Suggest(name, known)))
		case k.text != nil:
			errs = append(errs, fmt.Errorf("--secret %s is given twice", name))
		default:
			var err error
			if k.text, _, err = files.Read(file, maxSecret); err != nil {
				errs = append(errs, fmt.Errorf("--secret %s: %s: %w", name, file, err))
			}
		}
	}
	for _, w := range webhooks {
		for _, k := range w.keys {
			if o.hasSecret(k.file) {
				continue
			}
			var err error
			if k.isNew, k.text, err = true, random(), nil; !k.credential {
				k.text, err = provider.NewSecret(provider.First(w.provider))
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("%s needs --secret %s=FILE, since %w: %s", w.name, k.file, err, w.provider.GetSecret()))
			}
		}
	}
	return errs
}

// random is a credential that nobody knows.
func random() []byte {
	var bytes [32]byte
	_, _ = rand.Read(bytes[:]) // never fails
	return []byte(hex.EncodeToString(bytes[:]) + "\n")
}

// stillFree says what is there already.
func (o *options) stillFree() error {
	for _, name := range []string{"envoy.yaml", "hookbastion.yaml"} {
		if err := cli.StillFree(o.dir, name); err != nil {
			return err
		}
	}
	dir := filepath.Join(o.dir, cli.DefaultPolicies)
	switch there, err := os.ReadDir(dir); {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(there) > 0:
		return fmt.Errorf("%s has %s already, and nothing is written: init writes a first directory; name another one with --dir, or add to the policies that are there", dir, there[0].Name())
	default:
		return nil
	}
}
