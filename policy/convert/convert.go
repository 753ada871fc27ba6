// Package convert turns what other gateways know of webhooks into policies: traffic policies
// of ngrok with verify-webhook, sources of Hookdeck, Kong's plugin standard-webhooks, and a
// table of providers and secret files.
//
// It reads what such a file says, not what the other gateway would do with it: a condition
// that it does not understand is said and left out, and never taken for true. Whatever is not
// carried over, a key, an action or a whole webhook, is a [Note] with its place. Notes repeat
// names of keys and types, and no values, of which any may be a secret.
//
// Files have at most [MaxBytes], and of what anchors and aliases make of them at most a
// million values are looked at. Nothing is fetched and nothing is written. What it returns may
// still be no policy that serves: whoever writes it must compile it.
package convert

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// MaxBytes is the size of the largest file that is read.
const MaxBytes = 16 << 20

// maxValues is how many values of a file are looked at, each alias anew.
const maxValues = 1_000_000

// Format is whose file it is.
type Format string

// The formats.
const (
	Ngrok    Format = "ngrok"
	Hookdeck Format = "hookdeck"
	Kong     Format = "kong"
	Table    Format = "table"
)

// Formats are all of them.
func Formats() []Format { return []Format{Ngrok, Hookdeck, Kong, Table} }

// Note says what was not carried over, or not as it was, and where it stands.
type Note = strictyaml.Error

// Options change what is made of a file.
type Options struct {
	// Providers has names of our catalogue by those of the other gateway, before the
	// names that are known here.
	Providers map[string]string
}

// Result is what a file says.
type Result struct {
	Webhooks []*Webhook
	Notes    []Note
}

// Webhook is one that is verified there.
type Webhook struct {
	// At is where it stands; its message is empty.
	At Note
	// Policy is what it is here. Its name may be that of another.
	Policy  *policyv1.Webhook
	Secrets []*Secret
}

// Secret is one of a webhook's secrets or tokens.
type Secret struct {
	At Note
	// Value is what the file says; empty where it does not say it.
	Value secret.Value
	// File is where it is already; otherwise it is to be written to a file.
	File string
	// New says that nobody has it yet, and why; "" where it is the one that was used.
	New string
	// scheme is what reads it, place where the policy names its file.
	scheme *policyv1.Scheme
	place  func(file string)
}

// unless says why the secret is not there, where it is empty.
func (s *Secret) unless(why string) {
	if s.Value.Len() == 0 {
		s.New = why
	}
}

// Text is what belongs into the secret's file: of one final line break there, readers take
// none for a part of the secret.
func (s *Secret) Text() []byte {
	text := s.Value.Reveal()
	if s.New == "" && len(text) > 0 && text[len(text)-1] == '\n' {
		return append(slices.Clone(text), '\n')
	}
	return text
}

// Refer has the policy name the file.
func (s *Secret) Refer(file string) { s.place(file) }

// Renew makes a new secret in place of one that cannot be used, or that is not known, and
// returns what there is to say of it.
func (s *Secret) Renew(why string) (Note, error) {
	text, err := provider.NewSecret(s.scheme)
	if err != nil {
		return Note{}, err
	}
	s.Value, s.File, s.New = secret.New(text), "", why
	said := s.At
	said.Message = "the secret is not carried over: " + why + ". Its file has a new one, which nobody else has: nothing passes until provider and file have the same"
	return said, nil
}

// renew makes the secrets that the file does not have. A webhook of which none can be made
// is left out.
func (c *converter) renew() {
	c.out.Webhooks = slices.DeleteFunc(c.out.Webhooks, func(w *Webhook) bool {
		for _, s := range w.Secrets {
			if s.New == "" {
				continue
			}
			said, err := s.Renew(s.New)
			if err != nil {
				c.note(w.At, "is left out: %s, and %v", s.New, err)
				return true
			}
			c.out.Notes = append(c.out.Notes, said)
		}
		return false
	})
}

// Read reads a file of that format. The error is a [strictyaml.Errors] where the file cannot
// be read as one.
func Read(format Format, file string, data []byte, options Options) (*Result, error) {
	c := &converter{file: file, options: options, left: maxValues}
	if len(data) > MaxBytes {
		return nil, strictyaml.Errors{{File: file, Line: 1, Column: 1, Message: fmt.Sprintf("is larger than %d MiB", MaxBytes>>20)}}
	}
	var err error
	switch format {
	case Ngrok:
		err = c.ngrok(data)
	case Hookdeck:
		err = c.hookdeck(data)
	case Kong:
		err = c.kong(data)
	case Table:
		err = c.table(data)
	default:
		return nil, errors.New("no such format")
	}
	if err == nil && c.left < 0 {
		err = strictyaml.Errors{{File: file, Line: 1, Column: 1, Message: fmt.Sprintf("has more than %d values, aliases among them", maxValues)}}
	}
	if err != nil {
		return nil, err
	}
	c.renew()
	slices.SortStableFunc(c.out.Notes, func(a, b Note) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	c.out.Notes = slices.CompactFunc(c.out.Notes, func(a, b Note) bool { return a == b }) // of a list of paths
	return &c.out, nil
}

type converter struct {
	file    string
	options Options
	out     Result
	left    int
}

func (c *converter) note(at Note, format string, args ...any) {
	at.Message = fmt.Sprintf(format, args...)
	c.out.Notes = append(c.out.Notes, at)
}

func (c *converter) add(w *Webhook) { c.out.Webhooks = append(c.out.Webhooks, w) }

// provided is the entry of our catalogue for a name of theirs. Without one it says why.
func (c *converter) provided(at Note, theirs string, known map[string]string) *policyv1.Provider {
	name, chosen := c.options.Providers[theirs]
	if !chosen {
		name = strings.ReplaceAll(strings.ToLower(theirs), "_", "-")
		if other, ok := known[theirs]; ok {
			name = other
		}
	}
	if one, another, several := strings.Cut(name, "|"); several {
		c.note(at, "%.60q may be %s or %s of the catalogue: say which, as in --provider %s=%s; the webhook is left out", theirs, one, strings.ReplaceAll(another, "|", " or "), theirs, one)
		return nil
	}
	p, err := provider.Get(name)
	if err != nil || p == nil {
		c.note(at, "%.60q is not in the catalogue, and the webhook is left out: describe it as a scheme, by docs/providers/adding.md, or name an entry with --provider", theirs)
		return nil
	}
	return p
}

// missing lists what the catalogue needs to know and the file does not say.
func missing(p *policyv1.Provider, given map[string]string) []string {
	var names []string
	for _, parameter := range p.GetParameters() {
		if _, ok := given[parameter.GetName()]; !ok && !parameter.GetOptional() {
			names = append(names, parameter.GetName())
		}
	}
	return names
}

// published reports whether a webhook of the provider needs no secret.
func published(p *policyv1.Provider) bool {
	for _, s := range provider.Accepted(p, "") {
		if s.GetPublished() == nil {
			return false
		}
	}
	return true
}

// ofProvider makes the policy of a provider's webhook, for requests that match.
func ofProvider(name string, p *policyv1.Provider, m *policyv1.Match) *policyv1.Webhook {
	w := &policyv1.Webhook{Name: slug(name), Match: m, Provider: p.GetName()}
	if provider.SignsURL(provider.First(p)) && len(m.GetHosts()) == 1 {
		w.PublicUrl = "https://" + m.GetHosts()[0]
	}
	return w
}

// keep gives a webhook a secret that its scheme reads.
func (w *Webhook) keep(at Note, value string, s *policyv1.Scheme) *Secret {
	file := &policyv1.Secret_File{}
	w.Policy.Secrets = append(w.Policy.Secrets, &policyv1.Secret{From: file})
	kept := &Secret{At: at, Value: secret.New([]byte(value)), scheme: s, place: func(name string) { file.File = name }}
	w.Secrets = append(w.Secrets, kept)
	return kept
}

// token gives a webhook a token in place of a signature.
func (w *Webhook) token(at Note, value, header string) {
	file := &policyv1.TokenValue_File{}
	v := &policyv1.TokenValue{From: file}
	rule := &policyv1.TokenRule{Rule: &policyv1.TokenRule_Basic_{Basic: &policyv1.TokenRule_Basic{Value: v}}}
	shared := &policyv1.SharedToken{Place: &policyv1.SharedToken_Basic{}}
	if header != "" {
		rule.Rule = &policyv1.TokenRule_Header_{Header: &policyv1.TokenRule_Header{Name: header, Value: v}}
		shared.Place = &policyv1.SharedToken_Header{Header: header}
	}
	w.Policy.Token = &policyv1.Token{AnyOf: []*policyv1.TokenRule{rule}}
	w.Secrets = append(w.Secrets, &Secret{
		At: at, Value: secret.New([]byte(value)), scheme: &policyv1.Scheme{Kind: &policyv1.Scheme_SharedToken{SharedToken: shared}},
		place: func(name string) { file.File = name },
	})
}

// slug makes a webhook's name of any text.
func slug(text string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '.', r == '-', r == '_':
			return r
		case 'A' <= r && r <= 'Z':
			return r - 'A' + 'a'
		default:
			return '-'
		}
	}, text)
	if name = strings.Trim(name, "._-"); name == "" {
		name = "webhook"
	}
	return name[:min(len(name), 56)] // there is room for a number
}
