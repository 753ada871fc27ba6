// Package keys reads the secrets and tokens that webhooks name, makes keys of them, and
// says which are weak or known to everybody.
//
// A secret that stands in a file gets a cell, which package secret fills again when the
// file changes. Where each tenant has its own, there is nothing to read yet: the cell is
// filled for each request.
package keys

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookbastion/hookbastion/authz/fetch"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/signature"
	"github.com/hookbastion/hookbastion/authz/tenant"
	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// ErrPublished says that everybody can know a secret.
var ErrPublished = errors.New("the secret is published")

// Loader loads the keys of one set. It is not safe for concurrent use.
type Loader struct {
	// Faults is told of what is wrong.
	Faults *strictyaml.Faults
	// Strict refuses secrets that are weak or published, unless they are allowed
	// to be.
	Strict bool
	// OnKey, if it is not nil, is told of each secret and token.
	OnKey func(Key)
	// Files are those of secrets.
	Files *secret.Files
	// Text returns one copy of equal texts.
	Text func(string) string
	// Use is what the set needs of what providers publish.
	Use *fetch.Use
	// Tenants are the keys of the webhook at hand of which each tenant has its own.
	Tenants []tenant.Use

	alikeKey []byte
}

// Loaded is a secret or token that was read, with its place.
type Loaded struct {
	signature.Key
	// At is where the policy names it.
	At strictyaml.Place
	// Named says that the policy gives its id.
	Named bool

	webhook, kind string
	text          secret.Value // empty where each tenant has its own
	file, env     string       // both are empty where there is a url
	url           string       // of public keys
	format        policyv1.Secret_Format
	allowWeak     string
	noted         bool
	source        strictyaml.Place // of what says where it is
}

func (k *Loaded) perTenant() bool { return IsPerTenant(k.file) }

// IsPerTenant reports whether each tenant has a file of its own.
func IsPerTenant(file string) bool { return strings.Contains(file, tenant.Placeholder) }

// Secrets loads the secrets of a webhook, which must have some if they are needed.
// Those with an error are left out.
func (l *Loader) Secrets(w *policyv1.Webhook, at strictyaml.Place, needed bool) []Loaded {
	if (w.GetProvider() != "" || w.GetScheme() != nil) && needed && len(w.GetSecrets()) == 0 {
		l.Faults.Fail(at, "needs secrets: the keys that deliveries are signed with")
	}
	keys := l.secrets(w.GetName(), w.GetSecrets(), at.At("secrets"))
	l.perTenant(w, keys, "secret")
	return keys
}

// secrets loads a list of secrets.
func (l *Loader) secrets(webhook string, secrets []*policyv1.Secret, at strictyaml.Place) []Loaded {
	var keys []Loaded
	ids := map[string]int{}
	for i, s := range secrets {
		here := at.At(i)
		key := Loaded{At: here, Named: s.GetId() != "", format: s.GetFormat(), webhook: webhook, kind: "secret", allowWeak: s.GetAllowWeak().GetReason()}
		if key.ID = l.Text(s.GetId()); key.ID == "" {
			key.ID = strconv.Itoa(i + 1)
		}
		if first, ok := ids[key.ID]; ok {
			l.Faults.Fail(here.At("id"), key.ID+" is the id of another secret, at "+at.At(first).String())
		}
		ids[key.ID] = i
		key.NotBefore, key.NotAfter = l.validity(s, here)
		if key.KID = s.GetKid(); key.KID != "" && s.GetFormat() == policyv1.Secret_JWKS {
			l.Faults.Fail(here.At("kid"), "has no use: each key of a set has its own")
		}
		if key.url = s.GetUrl(); key.url != "" || l.load(&key, s.GetFile(), s.GetEnv(), here) {
			keys = append(keys, key)
		}
	}
	return keys
}

// perTenant looks whether the secrets or tokens of tenants can be found.
func (l *Loader) perTenant(w *policyv1.Webhook, keys []Loaded, kind string) {
	some := slices.ContainsFunc(keys, func(k Loaded) bool { return k.perTenant() })
	for i := range keys {
		k := &keys[i]
		switch {
		case !some:
		case !k.perTenant():
			l.Faults.Fail(k.At, "is the same for all tenants, and another "+kind+" is not; all must have {tenant} in file, or none")
		case !slices.Contains(strings.Split(w.GetMatch().GetPath(), "/"), tenant.Placeholder):
			l.Faults.Fail(k.source, "has {tenant}, and match.path has none to take it from")
		default:
			directory, _ := tenant.Directory(k.file)
			if info, err := os.Stat(directory); err != nil || !info.IsDir() {
				l.Faults.Fail(k.source, printable(directory)+": not a directory")
			}
		}
	}
}

// validity returns the times at which a secret or token is accepted.
func (l *Loader) validity(s interface {
	GetNotBefore() *timestamppb.Timestamp
	GetNotAfter() *timestamppb.Timestamp
}, at strictyaml.Place) (notBefore, notAfter time.Time) {
	if s.GetNotBefore() != nil {
		notBefore = s.GetNotBefore().AsTime()
	}
	if s.GetNotAfter() != nil {
		if notAfter = s.GetNotAfter().AsTime(); !notAfter.After(notBefore) {
			l.Faults.Fail(at.At("not_after"), "must be later than not_before")
		}
	}
	return notBefore, notAfter
}

// load reads a secret, unless each tenant has its own. A relative path begins at
// the policy file's directory.
func (l *Loader) load(k *Loaded, file, env string, at strictyaml.Place) bool {
	var err error
	step := "file"
	if file != "" {
		k.file, k.source = RelativeTo(at.File(), file), at.At("file")
		if k.perTenant() {
			return true
		}
		k.text, err = l.Files.Read(k.file)
	} else {
		step, k.env = "env", env
		k.text, err = secret.Ref{Env: env}.Load()
	}
	if err != nil {
		name := k.file
		if name == "" {
			name = "$" + k.env
		}
		l.Faults.Fail(at.At(step), strings.Replace(err.Error(), name, printable(name), 1))
		return false
	}
	return true
}

// RelativeTo resolves a path that stands in a policy file.
func RelativeTo(policyFile, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(policyFile), path)
}

// printable quotes a name that would not print as one.
func printable(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(name)
	}
	return name
}

// cell returns the cell of a key: decode reads the text, and finish, if it is
// not nil, makes the key of what it reads. After an error there is none.
func (l *Loader) cell(k *Loaded, decode secret.Accept, finish func(secret.Value) secret.Value) *secret.Cell {
	plain, strict := k.allowWeak == "", l.Strict && k.allowWeak == ""
	use := secret.Use{Webhook: k.webhook, Key: k.ID}
	// It lives as long as the cell, and must not keep k, which is large.
	use.Accept = func(text secret.Value) (secret.Value, error) {
		if plain {
			if err := secret.Plain(text); err != nil {
				return secret.Value{}, err
			}
		}
		key, err := decode(text)
		if err != nil {
			return secret.Value{}, err
		}
		if strict {
			if err := Weakness(text, key); err != nil {
				return secret.Value{}, err
			}
		}
		if finish != nil {
			key = finish(key)
		}
		return key, nil
	}
	l.note(k, decode)
	if k.perTenant() {
		l.Tenants = append(l.Tenants, tenant.Use{Use: use, File: k.file, Kind: k.kind})
		return secret.TenantCell(len(l.Tenants) - 1)
	}
	cell, err := l.fill(k, use)
	switch {
	case err == nil:
		return cell
	case errors.As(err, new(secret.Oddity)):
		l.Faults.Fail(k.At, "the "+k.kind+" "+err.Error()+"; mend it, or say allow_weak: {reason: …}")
	case isWeak(err):
		l.Faults.Fail(k.At, err.Error()+"; use another one, or say allow_weak: {reason: …}")
	default:
		l.Faults.Fail(k.At, "cannot be a key of this scheme: "+err.Error())
	}
	return nil
}

func (l *Loader) fill(k *Loaded, use secret.Use) (*secret.Cell, error) {
	if k.file != "" {
		return l.Files.Add(k.file, use)
	}
	key, err := use.Accept(k.text)
	if err != nil {
		return nil, err
	}
	return secret.NewCell(key), nil
}

func isWeak(err error) bool {
	return errors.Is(err, secret.ErrShort) || errors.Is(err, secret.ErrGuessable) || errors.Is(err, ErrPublished)
}

// Weakness says why a secret with this text, decoded to this key, should not be
// used, or nil.
func Weakness(text, key secret.Value) error {
	if source := provider.Published(text); source != "" {
		return fmt.Errorf("%w: %s", ErrPublished, source)
	}
	return secret.Weakness(key.Reveal())
}

// partPlaceholder is what templates and shells leave within a text.
var partPlaceholder = regexp.MustCompile(`\$\{[A-Za-z_][A-Za-z0-9_.:-]*\}|\$\([a-z][^)]*\)|\{\{[^{}]+\}\}|\{%[^{}%]+%\}|<%[^<>%]+%>|` +
	`<[A-Za-z][A-Za-z]*(?:[ _-][A-Za-z]+)+>|<(?:secret|key|token|password|value)>|%\([A-Za-z_]+\)s|__[A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+__`)

// note tells of a key, once.
func (l *Loader) note(k *Loaded, decode secret.Accept) {
	l.tell(k, func(key *Key) {
		key.decode = decode
		if k.text.Len() > 0 {
			digest := secret.DigestOf(k.text.Reveal())
			key.Alike = l.alike(&digest)
			key.Placeholder = partPlaceholder.Match(k.text.Reveal())
		}
		if k.allowWeak != "" {
			key.Odd = secret.Plain(k.text)
		}
		if decoded, err := decode(k.text); err == nil && !k.perTenant() {
			key.Bytes, key.Weakness = decoded.Len(), Weakness(k.text, decoded)
		}
	})
}

// alike is what Key.Alike says of a text with this digest.
func (l *Loader) alike(digest *secret.Digest) string {
	if l.alikeKey == nil {
		l.alikeKey = make([]byte, sha256.Size)
		_, _ = rand.Read(l.alikeKey) // never fails
	}
	sum := digest.Sum()
	mac := hmac.New(sha256.New, l.alikeKey)
	_, _ = mac.Write(sum[:]) // hashes never fail
	return string(mac.Sum(nil))
}

func (l *Loader) tell(k *Loaded, more func(*Key)) {
	if l.OnKey == nil || k.noted {
		return
	}
	k.noted = true
	key := Key{
		Webhook: k.webhook, ID: k.ID, Kind: k.kind, File: k.file, Env: k.env, URL: k.url, NotBefore: k.NotBefore, NotAfter: k.NotAfter,
		AllowWeak: k.allowWeak, Place: k.At.Error(""),
	}
	more(&key)
	l.OnKey(key)
}
