package policy

import (
	"crypto/x509"
	"slices"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/condition"
	"github.com/hookbastion/hookbastion/authz/fetch"
	"github.com/hookbastion/hookbastion/authz/ranges"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/tenant"
	"github.com/hookbastion/hookbastion/policy/keys"
	"github.com/hookbastion/hookbastion/policy/scheme"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	"github.com/hookbastion/hookbastion/policy/verification"
	"github.com/hookbastion/hookbastion/policy/watermark"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// DefaultMaxHeaderBytes bounds the headers of a request whose webhook says nothing.
const DefaultMaxHeaderBytes = 64 << 10

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
	OnKey func(keys.Key)
	// Tenants reads the secrets of tenants; nil: a loader for this table alone.
	Tenants *tenant.Loader
	// Fetcher fetches what providers publish; nil: nothing is fetched for this table,
	// and keys by URL are not there.
	Fetcher *fetch.Fetcher
	// Ranges judges the addresses that providers publish; nil: those in the program alone
	// count.
	Ranges *ranges.Keeper
	// Roots are the authorities of signing certificates; nil: those of the machine.
	Roots *x509.CertPool
	// Lasting says that the store outlives the process and is that of all replicas.
	Lasting bool
	// Pretend: handshakes are answered, and the secrets that they bring are not kept.
	Pretend bool
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
	c := newCompiler(set, deps)
	if err := c.all(set); err != nil {
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

func newCompiler(set *Set, deps Deps) *compiler {
	c := &compiler{
		deps: deps, table: authz.NewTable(), places: map[string]position{}, again: map[*authz.Webhook]position{}, shared: map[any]authz.Check{},
		lists: map[string]*ranges.List{}, texts: map[string]string{}, files: secret.NewFiles(),
	}
	c.table.Digest = set.Digest
	if deps.Fetcher == nil {
		deps.Fetcher = fetch.New(fetch.Config{})
	}
	c.table.Fetched = deps.Fetcher.NewUse()
	c.verification = verification.Compiler{
		Faults: &c.faults,
		Keys:   &keys.Loader{Faults: &c.faults, Strict: deps.Strict, OnKey: deps.OnKey, Files: c.files, Text: c.text, Use: c.table.Fetched},
		Plans:  scheme.NewPlans(&c.faults),
		Marks:  &watermark.Marks{Now: deps.Now, Previous: deps.Previous, Kept: deps.Kept, Identities: set.identities},
		Store:  deps.Store, Settler: deps.Settler, Fingerprinter: deps.Fingerprinter,
		Tenants: c.tenantCache, Roots: deps.Roots, Lasting: deps.Lasting, Pretend: deps.Pretend, Named: set.secrets,
	}
	return c
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
	places map[string]position         // of webhooks, by name
	again  map[*authz.Webhook]position // of those whose name another one has already
	former map[string]position         // of webhooks, by names that they had
	faults strictyaml.Faults
	// verification compiles what webhooks ask for as proof.
	verification verification.Compiler
	// shared are checks and texts that many webhooks have.
	shared map[any]authz.Check
	texts  map[string]string
	// eventIDsOf are those of providers.
	eventIDsOf map[string][]authz.EventID
	lists      map[string]*ranges.List // by the names that policies have for them
	files      *secret.Files           // of secrets
	cache      *tenant.Cache
}

// position is a webhook in a file.
type position struct {
	doc   *strictyaml.Document
	index int
}

func (p position) String() string { return p.doc.At("webhooks", p.index).String() }

// webhook compiles one webhook and adds it to the table.
func (c *compiler) webhook(w *policyv1.Webhook, at strictyaml.Place) {
	c.names(w, at)
	hook := &authz.Webhook{
		Name:       w.GetName(),
		KeptAs:     watermark.KeptAs(w),
		Provider:   c.text(w.GetProvider()),
		Shadow:     w.GetMode() == policyv1.Webhook_SHADOW,
		Unverified: w.GetUnverified().GetReason(),
		EventIDs:   c.eventIDs(w),
	}
	v := c.verification.Webhook(w, at)
	hook.DeniedStatus, hook.DeniedHeaders, hook.DeniedEmpty = v.DeniedStatus, v.DeniedHeaders, v.DeniedEmpty
	hook.Challenge = v.Challenge
	if status := w.GetRespond().GetDeniedStatus(); status != 0 {
		hook.DeniedStatus = int(status)
	}
	if conditions := c.conditions(w, at); conditions != nil {
		v.Checks = append(v.Checks, known(v.Checks, conditions)...)
		v.ReadsBody = v.ReadsBody || conditions.ReadsBody()
	}
	if c.assertion(w, at.At("assertion")) {
		hook.Audience = w.GetAssertion().GetAudience()
		v.ReadsBody = true // the assertion vouches for it
	}
	checks := append([]authz.Check{c.limits(w, at, v.ReadsBody)}, v.Checks...)
	if check := c.source(w.GetSourceIp(), at.At("source_ip")); check != nil {
		checks = append(checks, check)
	}
	if check := c.transport(w.GetTransport(), at.File(), at.At("transport")); check != nil {
		checks = append(checks, check)
	}
	for i := range checks {
		checks[i] = c.share(checks[i])
	}
	if v.Handshakes != nil {
		hook.Handshakes = v.Handshakes
	}
	hook.Chain = authz.NewChain(checks...)
	unmatched := c.faults.Len()
	match := c.match(w.GetMatch(), at.At("match"))
	if c.faults.Len() > unmatched || w.GetName() == "" {
		return
	}
	// Also after an error elsewhere, so that one round says of a tie, too: no table with an
	// error serves.
	index, _ := at.Step(1).(int)
	if here := (position{at.Document(), index}); c.places[w.GetName()] != here {
		c.again[hook] = here
	}
	if tie := c.table.Add(hook, match); tie != nil {
		place, ok := c.again[tie]
		if !ok {
			place = c.places[tie.Name]
		}
		c.faults.Fail(at.At("match"), "matches the same requests as webhook "+tie.Name+" at "+place.String())
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
