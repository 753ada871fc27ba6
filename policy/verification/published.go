package verification

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hookbastion/hookbastion/authz/fetch"
	"github.com/hookbastion/hookbastion/authz/publickey"
	"github.com/hookbastion/hookbastion/authz/published"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/signature"
	"github.com/hookbastion/hookbastion/policy/keys"
	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/scheme"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// publishes reports whether a webhook needs no secrets, since each of its schemes says
// where the provider publishes its keys.
func publishes(schemes []*policyv1.Scheme) bool {
	return len(schemes) > 0 && !slices.ContainsFunc(schemes, func(s *policyv1.Scheme) bool { return s.GetPublished() == nil })
}

// Published returns the key of a scheme whose keys the provider publishes; none after an
// error. named says that deliveries name their key.
func (c *Compiler) Published(s *policyv1.Scheme, w *policyv1.Webhook, reader publickey.Reader, named bool, at strictyaml.Place) []signature.Key {
	p, here := s.GetPublished(), at.At("scheme", "published")
	before := c.Faults.Len()
	patterns := c.patterns(p, w, at)
	if len(patterns) == 0 || !c.checkPublished(p, patterns, named, here) || c.Faults.Len() > before {
		return nil
	}
	ask := fetch.Ask{Credentials: c.credentials(p, w, at)}
	for _, h := range p.GetHeaders() {
		ask.Headers = append(ask.Headers, fetch.Field{Name: h.GetName(), Value: h.GetValue()})
	}
	for _, text := range p.GetPost() {
		ask.Method = "POST"
		ask.JSON = append(ask.JSON, fetch.Field{Name: text.GetName(), Value: text.GetValue()})
	}
	format := published.Format{Reader: reader, Key: p.GetKey(), List: p.GetList(), ID: p.GetId()}
	kind := fmt.Sprintf("%+v", format)
	if names := p.GetCertificate().GetNames(); len(names) > 0 {
		format.Trust = &fetch.Trust{Roots: c.Roots, Names: names, LeafAlone: p.GetCertificate().GetAlone()}
		kind += fmt.Sprint(names, p.GetCertificate().GetAlone())
	}
	key := signature.Key{ID: keys.PublishedID}
	if byID(p, patterns) {
		key.Source = &published.ByID{Asker: c.Keys.Use.Family(fetch.FamilySource{
			Patterns: patterns, Named: names[p.GetName()], Ask: ask, Kind: kind, Parse: format.Parse,
		}, w.GetName())}
	} else {
		key.Source = &published.Set{Document: c.Keys.Use.Document(fetch.Source{URL: patterns[0].String(), Ask: ask, Kind: kind, Parse: format.Parse})}
	}
	c.Keys.NotePublished(w.GetName(), patterns[0].String(), at)
	return []signature.Key{key}
}

var names = map[policyv1.Published_Name]fetch.Named{
	policyv1.Published_URL: fetch.NamedByURL, policyv1.Published_PATH: fetch.NamedByPath,
}

// byID reports whether each key is fetched by its name.
func byID(p *policyv1.Published, patterns []fetch.Pattern) bool {
	inPost := slices.ContainsFunc(p.GetPost(), func(t *policyv1.Published_Text) bool { return strings.Contains(t.GetValue(), "{id}") })
	return !patterns[0].Fixed() || inPost
}

func (c *Compiler) checkPublished(p *policyv1.Published, patterns []fetch.Pattern, named bool, at strictyaml.Place) bool {
	before := c.Faults.Len()
	each := byID(p, patterns)
	certificates := p.GetForm() == policyv1.Published_CERTIFICATES
	for _, check := range []struct {
		wrong   bool
		place   strictyaml.Place
		message string
	}{
		{slices.ContainsFunc(patterns, func(other fetch.Pattern) bool { return other.Fixed() != patterns[0].Fixed() }), at.At("urls"), "must all have {id} or {hex32}, or none"},
		{!each && len(patterns) > 1, at.At("urls"), "must be one: a set of keys has one URL"},
		{each && !named, at, "needs key_id: keys are fetched by the name that deliveries give"},
		{!each && p.GetName() != 0, at.At("name"), "has no use: there is one URL, whatever deliveries name"},
		{certificates != (p.GetCertificate() != nil), at.At("form"), "CERTIFICATES and certificate belong together"},
		{(p.GetList() == "") != (p.GetId() == ""), at.At("list"), "and id belong together"},
		{p.GetList() != "" && (p.GetKey() == "" || certificates || each), at.At("list"), "needs key, and one URL, and no certificates"},
	} {
		if check.wrong {
			c.Faults.Fail(check.place, check.message)
		}
	}
	return c.Faults.Len() == before
}

// partOf is {name#4} in a URL.
var partOf = regexp.MustCompile(`\{([a-z][a-z0-9_]*)#([1-9])\}`)

// patterns returns the URLs with parts of parameters put in.
func (c *Compiler) patterns(p *policyv1.Published, w *policyv1.Webhook, at strictyaml.Place) []fetch.Pattern {
	parameters := scheme.ParametersOf(w)
	var all []fetch.Pattern
	for i, text := range p.GetUrls() {
		texts := []string{text}
		if m := partOf.FindStringSubmatch(text); m != nil {
			n, _ := strconv.Atoi(m[2]) // a digit
			texts = nil
			for _, value := range parameters[m[1]] {
				parts := strings.Split(value, ":")
				if len(parts) < n || parts[n-1] == "" || strings.Trim(parts[n-1], "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
					c.Faults.Fail(at.At("parameters", m[1]), fmt.Sprintf("%q has no part %d, between colons, that can stand in a host's name", value, n))
					return nil
				}
				texts = append(texts, strings.ReplaceAll(text, m[0], parts[n-1]))
			}
		}
		for _, text := range texts {
			pattern, err := fetch.ParsePattern(text)
			switch {
			case err != nil:
				c.Faults.Fail(at.At("scheme", "published", "urls", i), err.Error())
			case !slices.Contains(all, pattern):
				all = append(all, pattern)
			}
		}
	}
	return all
}

// credentials returns what is sent to the provider, by reference. The files are
// looked at now, so that one that is missing is seen, and read when they are needed.
func (c *Compiler) credentials(p *policyv1.Published, w *policyv1.Webhook, at strictyaml.Place) map[string]secret.Ref {
	asked, given := provider.Credentials(p), map[string]secret.Ref{}
	for i, credential := range w.GetCredentials() {
		here, name := at.At("credentials", i), credential.GetName()
		if _, twice := given[name]; twice {
			c.Faults.Fail(here.At("name"), name+" is the name of another credential")
		}
		ref := secret.Ref{Env: credential.GetEnv()}
		if file := credential.GetFile(); file != "" {
			ref.File = keys.RelativeTo(at.File(), file)
		}
		if _, err := ref.Load(); err != nil && slices.Contains(asked, name) {
			c.Faults.Fail(here, err.Error())
		}
		given[name] = ref
	}
	for _, name := range asked {
		if _, there := given[name]; !there {
			c.Faults.Fail(at, "needs credentials: [{name: "+name+", file: …}], which the provider asks for before it gives its keys")
		}
	}
	if len(given) == 0 {
		return nil
	}
	return given
}

// credentialsUsed looks for credentials that nothing sends.
func (c *Compiler) credentialsUsed(w *policyv1.Webhook, schemes []*policyv1.Scheme, at strictyaml.Place) {
	for i, credential := range w.GetCredentials() {
		sent := len(w.GetSecrets()) == 0 && slices.ContainsFunc(schemes, func(s *policyv1.Scheme) bool {
			return slices.Contains(provider.Credentials(s.GetPublished()), credential.GetName())
		})
		if !sent {
			why := cmp.Or(map[bool]string{true: "the keys in secrets take the place of those that the provider publishes"}[len(w.GetSecrets()) > 0], "the scheme sends no such credential")
			c.Faults.Fail(at.At("credentials", i), "has no use: "+why)
		}
	}
}
