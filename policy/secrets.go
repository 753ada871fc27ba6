package policy

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/signature"
	"github.com/hookbastion/hookbastion/authz/tenant"
	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// ErrPublished says that everybody can know a secret.
var ErrPublished = errors.New("the secret is published")

// loaded is a secret or token with its place.
type loaded struct {
	signature.Key
	webhook, kind string
	text          secret.Value // empty where each tenant has its own
	file, env     string       // one is empty
	format        policyv1.Secret_Format
	allowWeak     string
	noted         bool
	at            strictyaml.Place
	source        strictyaml.Place // of what says where it is
}

func (k *loaded) perTenant() bool { return isPerTenant(k.file) }

func isPerTenant(file string) bool { return strings.Contains(file, tenant.Placeholder) }

func (c *compiler) secrets(w *policyv1.Webhook, at strictyaml.Place) []loaded {
	needed := w.GetProvider() != "" || w.GetScheme() != nil
	if needed && len(w.GetSecrets()) == 0 {
		c.faults.Fail(at, "needs secrets: the keys that deliveries are signed with")
	}
	var keys []loaded
	ids := map[string]int{}
	for i, s := range w.GetSecrets() {
		here := at.At("secrets", i)
		key := loaded{at: here, format: s.GetFormat(), webhook: w.GetName(), kind: "secret", allowWeak: s.GetAllowWeak().GetReason()}
		if key.ID = c.text(s.GetId()); key.ID == "" {
			key.ID = strconv.Itoa(i + 1)
		}
		if first, ok := ids[key.ID]; ok {
			c.faults.Fail(here.At("id"), key.ID+" is the id of another secret, at "+at.At("secrets", first).String())
		}
		ids[key.ID] = i
		key.NotBefore, key.NotAfter = c.validity(s, here)
		if c.load(&key, s.GetFile(), s.GetEnv(), here) {
			keys = append(keys, key)
		}
	}
	c.perTenant(w, keys, "secret")
	return keys
}

// perTenant looks whether the secrets or tokens of tenants can be found.
func (c *compiler) perTenant(w *policyv1.Webhook, keys []loaded, kind string) {
	some := slices.ContainsFunc(keys, func(k loaded) bool { return k.perTenant() })
	for i := range keys {
		k := &keys[i]
		switch {
		case !some:
		case !k.perTenant():
			c.faults.Fail(k.at, "is the same for all tenants, and another "+kind+" is not; all must have {tenant} in file, or none")
		case !slices.Contains(strings.Split(w.GetMatch().GetPath(), "/"), tenant.Placeholder):
			c.faults.Fail(k.source, "has {tenant}, and match.path has none to take it from")
		default:
			directory, _ := tenant.Directory(k.file)
			if info, err := os.Stat(directory); err != nil || !info.IsDir() {
				c.faults.Fail(k.source, printable(directory)+": not a directory")
			}
		}
	}
}

// validity returns the times at which a secret or token is accepted.
func (c *compiler) validity(s interface {
	GetNotBefore() *timestamppb.Timestamp
	GetNotAfter() *timestamppb.Timestamp
}, at strictyaml.Place) (notBefore, notAfter time.Time) {
	if s.GetNotBefore() != nil {
		notBefore = s.GetNotBefore().AsTime()
	}
	if s.GetNotAfter() != nil {
		if notAfter = s.GetNotAfter().AsTime(); !notAfter.After(notBefore) {
			c.faults.Fail(at.At("not_after"), "must be later than not_before")
		}
	}
	return notBefore, notAfter
}

// load reads a secret, unless each tenant has its own. A relative path begins at
// the policy file's directory.
func (c *compiler) load(k *loaded, file, env string, at strictyaml.Place) bool {
	var err error
	step := "file"
	if file != "" {
		k.file, k.source = relativeTo(at.File(), file), at.At("file")
		if k.perTenant() {
			return true
		}
		k.text, err = c.files.Read(k.file)
	} else {
		step, k.env = "env", env
		k.text, err = secret.Ref{Env: env}.Load()
	}
	if err != nil {
		name := k.file
		if name == "" {
			name = "$" + k.env
		}
		c.faults.Fail(at.At(step), strings.Replace(err.Error(), name, printable(name), 1))
		return false
	}
	return true
}

// relativeTo resolves a path that stands in a policy file.
func relativeTo(policyFile, path string) string {
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
func (c *compiler) cell(k *loaded, decode secret.Accept, finish func(secret.Value) secret.Value) *secret.Cell {
	strict := c.deps.Strict && k.allowWeak == ""
	use := secret.Use{Webhook: k.webhook, Key: k.ID}
	use.Accept = func(text secret.Value) (secret.Value, error) {
		if k.allowWeak == "" {
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
	c.note(k, decode)
	if k.perTenant() {
		c.tenants = append(c.tenants, tenant.Use{Use: use, File: k.file, Kind: k.kind})
		return secret.TenantCell(len(c.tenants) - 1)
	}
	cell, err := c.fill(k, use)
	switch {
	case err == nil:
		return cell
	case errors.As(err, new(secret.Oddity)):
		c.faults.Fail(k.at, "the "+k.kind+" "+err.Error()+"; mend it, or say allow_weak: {reason: …}")
	case isWeak(err):
		c.faults.Fail(k.at, err.Error()+"; use another one, or say allow_weak: {reason: …}")
	default:
		c.faults.Fail(k.at, "cannot be a key of this scheme: "+err.Error())
	}
	return nil
}

func (c *compiler) fill(k *loaded, use secret.Use) (*secret.Cell, error) {
	if k.file != "" {
		return c.files.Add(k.file, use)
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

// note tells of a key, once.
func (c *compiler) note(k *loaded, decode secret.Accept) {
	if c.deps.OnKey == nil || k.noted {
		return
	}
	k.noted = true
	key := Key{
		Webhook: k.webhook, ID: k.ID, Kind: k.kind, File: k.file, Env: k.env, NotBefore: k.NotBefore, NotAfter: k.NotAfter,
		AllowWeak: k.allowWeak, Place: k.at.Error(""), decode: decode,
	}
	if decoded, err := decode(k.text); err == nil && !k.perTenant() {
		key.Bytes, key.Weakness = decoded.Len(), Weakness(k.text, decoded)
	}
	c.deps.OnKey(key)
}
