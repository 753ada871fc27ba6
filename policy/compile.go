package policy

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/condition"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/source"
	"github.com/hookbastion/hookbastion/authz/tenant"
	"github.com/hookbastion/hookbastion/authz/transport"
	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/scheme"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	"github.com/hookbastion/hookbastion/policy/watermark"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// Defaults of the policy language.
const (
	DefaultTolerance      = 300 * time.Second
	DefaultFuture         = 60 * time.Second
	DefaultWindow         = 24 * time.Hour
	DefaultMaxHeaderBytes = 64 << 10
)

// Deps is what outlives a policy set.
type Deps struct {
	// Store holds the nonces.
	Store replay.Store
	// Settler ends what is reserved in it; nil if nobody tells how.
	Settler *replay.Settler
	// Fingerprinter makes the keys of the store.
	Fingerprinter *authz.Fingerprinter
	// MaxBodyBytes is what Envoy forwards at most.
	MaxBodyBytes int64
	// Assertions says that the service has keys for assertions.
	Assertions bool
	// Strict refuses secrets that are weak or published, unless they are allowed
	// to be.
	Strict bool
	// OnKey, if it is not nil, is told of each secret and token.
	OnKey func(Key)
	// Tenants reads the secrets of tenants; nil: a loader for this table alone.
	Tenants *tenant.Loader
	// Now is the time of the load; Previous the table that served until now,
	// nil at the start. A webhook that accepts older deliveries than before,
	// or that is new, refuses those that could have come before Now: their nonces
	// may be forgotten.
	Now      time.Time
	Previous *authz.Table
	// Kept takes the place of Previous at the start, where the store remembers
	// what an earlier process accepted; nil if it remembers nothing.
	Kept map[string]watermark.Kept
}

// Compile turns a set into a table and loads its secrets. The error is an
// [Errors] with everything that is wrong, also with what Load could not read;
// the table is then nil.
func Compile(set *Set, deps Deps) (*authz.Table, error) {
	defer spareMemory(set.size)()
	c := &compiler{deps: deps, table: authz.NewTable(), places: map[string]position{}, shared: map[any]authz.Check{}, texts: map[string]string{}, files: secret.NewFiles()}
	c.plans = scheme.NewPlans(&c.faults)
	c.table.Digest = set.Digest
	c.marks = watermark.Marks{Now: deps.Now, Previous: deps.Previous, Kept: deps.Kept, Identities: set.identities}
	if err := set.Each(c.webhook); err != nil {
		return nil, Errors{{Message: err.Error()}}
	}
	if c.faults.Len()+len(set.errs) == 0 && len(c.table.Webhooks()) == 0 {
		for _, f := range set.files {
			c.faults.Fail(f.doc.At(), "no file of the set has a webhook")
			break
		}
	}
	errs := slices.Concat(set.errs, c.faults.Errors())
	if err := bounded(errs).Err(); err != nil {
		return nil, err
	}
	c.files.Forget()
	c.table.Secrets = c.files
	if c.cache != nil {
		c.table.Tenants = c.cache.Len
	}
	return c.table, nil
}

// tenantCache returns the table's cache of tenants. Tables without any have none.
func (c *compiler) tenantCache() *tenant.Cache {
	if c.cache == nil {
		if c.deps.Tenants == nil {
			c.deps.Tenants = tenant.NewLoader(tenant.Config{})
		}
		c.cache = c.deps.Tenants.NewCache()
	}
	return c.cache
}

type compiler struct {
	deps   Deps
	table  *authz.Table
	places map[string]position // of webhooks, by name
	former map[string]position // of webhooks, by names that they had
	// marks gives webhooks their watermarks.
	marks  watermark.Marks
	faults strictyaml.Faults
	shared map[any]authz.Check
	// plans are those of schemes, which webhooks share.
	plans *scheme.Plans
	texts map[string]string
	// files are those of secrets; tenants the keys of the webhook at hand of
	// which each tenant has its own.
	files   *secret.Files
	tenants []tenant.Use
	cache   *tenant.Cache
}

// position is a webhook in a file.
type position struct {
	doc   *strictyaml.Document
	index int
}

func (p position) String() string { return p.doc.At("webhooks", p.index).String() }

// webhook compiles one webhook and adds it to the table.
func (c *compiler) webhook(w *policyv1.Webhook, at strictyaml.Place) {
	before := c.faults.Len()
	c.names(w, at)
	hook := &authz.Webhook{
		Name:       w.GetName(),
		KeptAs:     watermark.KeptAs(w),
		Provider:   c.text(w.GetProvider()),
		Shadow:     w.GetMode() == policyv1.Webhook_SHADOW,
		Unverified: w.GetUnverified().GetReason(),
	}
	v := c.verification(w, at)
	hook.DeniedStatus, hook.DeniedHeaders, hook.DeniedEmpty = v.deniedStatus, v.deniedHeaders, v.deniedEmpty
	hook.Challenge = v.challenge
	if status := w.GetRespond().GetDeniedStatus(); status != 0 {
		hook.DeniedStatus = int(status)
	}
	if conditions := c.conditions(w, at); conditions != nil {
		v.checks = append(v.checks, known(v.checks, conditions)...)
		v.readsBody = v.readsBody || conditions.ReadsBody()
	}
	if c.assertion(w, at.At("assertion")) {
		hook.Audience = w.GetAssertion().GetAudience()
		v.readsBody = true // the assertion vouches for it
	}
	checks := append([]authz.Check{c.limits(w, at, v.readsBody)}, v.checks...)
	if check := c.source(w.GetSourceIp(), at.At("source_ip")); check != nil {
		checks = append(checks, check)
	}
	if check := c.transport(w.GetTransport(), at.File(), at.At("transport")); check != nil {
		checks = append(checks, check)
	}
	for i := range checks {
		checks[i] = c.share(checks[i])
	}
	hook.Chain = authz.NewChain(checks...)
	match := c.match(w.GetMatch(), at.At("match"))
	if c.faults.Len() > before {
		return
	}
	if tie := c.table.Add(hook, match); tie != nil {
		c.faults.Fail(at.At("match"), "matches the same requests as webhook "+tie.Name+" at "+c.places[tie.Name].String())
	}
}

// known puts a look for copies before conditions, which may cost more: a captured
// delivery can be sent without end. Where there are none it would save nothing.
func known(checks []authz.Check, conditions authz.Check) []authz.Check {
	for _, check := range checks {
		if r, ok := check.(*replay.Check); ok {
			return []authz.Check{replay.Known{Check: r}, conditions}
		}
	}
	return []authz.Check{conditions}
}

// What share uses as keys can be compared.
var (
	_ map[replay.Check]bool
	_ map[replay.Freshness]bool
	_ map[transport.Check]bool
)

// share returns an equal check of another webhook, if there is one: of a
// hundred thousand webhooks most ask for the same. Checks have no state of
// their own.
func (c *compiler) share(check authz.Check) authz.Check {
	var key any
	switch check := check.(type) {
	case *replay.Freshness:
		key = *check
	case *replay.Check:
		key = *check // the store is a pointer
	case replay.Known:
		check.Check, _ = c.share(check.Check).(*replay.Check)
		return check
	case *transport.Check:
		key = *check // what it asks of certificates is a pointer
	case *authz.Limits:
		key = limitsKey{check.MaxBodyBytes, check.MaxHeaderBytes, check.BodySigned, strings.Join(check.ContentTypes, ",")}
	case *source.Check:
		key = sourceKey{prefixesKey(check.Allow), prefixesKey(check.Deny)}
	default:
		return check
	}
	if other := c.shared[key]; other != nil {
		return other
	}
	c.shared[key] = check
	return check
}

// limitsKey has all of authz.Limits, sourceKey of source.Check. A content type
// has no comma.
type (
	limitsKey struct {
		maxBody    int64
		maxHeaders int
		bodySigned bool
		types      string
	}
	sourceKey struct{ allow, deny string }
)

func prefixesKey(prefixes []netip.Prefix) string {
	var b []byte
	for _, p := range prefixes {
		b = append(p.AppendTo(b), ' ')
	}
	return string(b)
}

// text returns one copy of equal texts.
func (c *compiler) text(s string) string {
	if other, ok := c.texts[s]; ok {
		return other
	}
	c.texts[s] = s
	return s
}

func (c *compiler) limits(w *policyv1.Webhook, at strictyaml.Place, readsBody bool) *authz.Limits {
	p := w.GetLimits()
	limits := &authz.Limits{
		MaxBodyBytes:   c.deps.MaxBodyBytes,
		MaxHeaderBytes: DefaultMaxHeaderBytes,
		ContentTypes:   p.GetContentTypes(),
		BodySigned:     readsBody,
	}
	if p.GetMaxBodyBytes() != 0 {
		if p.GetMaxBodyBytes() > uint64(c.deps.MaxBodyBytes) {
			c.faults.Fail(at.At("limits", "max_body_bytes"), "is more than Envoy forwards; see the setting envoy.max_request_bytes")
		} else {
			limits.MaxBodyBytes = int64(p.GetMaxBodyBytes())
		}
	}
	if p.GetMaxHeaderBytes() != 0 {
		limits.MaxHeaderBytes = int(p.GetMaxHeaderBytes())
	}
	return limits
}

func (c *compiler) source(p *policyv1.SourceIP, at strictyaml.Place) authz.Check {
	if p == nil {
		return nil
	}
	if len(p.GetAllow()) == 0 && len(p.GetDeny()) == 0 && len(p.GetRanges()) == 0 {
		c.faults.Fail(at, "needs allow, ranges or deny")
	}
	return &source.Check{
		Allow: append(c.prefixes(p.GetAllow(), at.At("allow")), c.ranges(p.GetRanges(), at.At("ranges"))...),
		Deny:  c.prefixes(p.GetDeny(), at.At("deny")),
	}
}

func (c *compiler) conditions(w *policyv1.Webhook, at strictyaml.Place) *condition.Check {
	check := &condition.Check{}
	for i, text := range w.GetConditions() {
		expression, err := condition.Compile(text)
		if err != nil {
			c.faults.Fail(at.At("conditions", i), err.Error())
			continue
		}
		check.Expressions = append(check.Expressions, expression)
	}
	if len(check.Expressions) == 0 {
		return nil
	}
	return check
}

// ranges returns the networks that providers publish.
func (c *compiler) ranges(names []string, at strictyaml.Place) []netip.Prefix {
	var prefixes []netip.Prefix
	for i, name := range names {
		p, err := provider.Get(name)
		switch {
		case err != nil:
			c.faults.Fail(at.At(i), "the catalogue cannot be read: "+err.Error())
		case p == nil:
			all, _ := provider.Names() // read without an error above
			c.faults.Fail(at.At(i), strconv.Quote(name)+" is not in the catalogue"+strictyaml.Suggest(name, all))
		case len(p.GetRanges().GetNetworks()) == 0:
			c.faults.Fail(at.At(i), "the catalogue has no networks of "+name+"; list them in allow"+publishedAt(p))
		default:
			prefixes = append(prefixes, c.prefixes(p.GetRanges().GetNetworks(), at.At(i))...)
		}
	}
	return prefixes
}

func publishedAt(p *policyv1.Provider) string {
	if page := p.GetRanges().GetDocumentation(); page != "" {
		return ", from " + page
	}
	return ""
}

func (c *compiler) prefixes(list []string, at strictyaml.Place) []netip.Prefix {
	var prefixes []netip.Prefix
	for i, text := range list {
		prefix, err := source.ParsePrefix(text)
		switch {
		case errors.Is(err, source.ErrZone), errors.Is(err, source.ErrMixed):
			c.faults.Fail(at.At(i), err.Error())
			continue
		case err != nil:
			c.faults.Fail(at.At(i), "is not a network such as 203.0.113.0/24 or an address")
			continue
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes
}
