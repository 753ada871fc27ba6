package verification

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz/handshake"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/policy/keys"
	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	"github.com/hookbastion/hookbastion/policy/watermark"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// maxWindow is how long a provider may bring its secret at most, from the time of a load
// on.
const maxWindow = 24 * time.Hour

// learns compiles what a provider may bring itself.
func (s *shaking) learns(at strictyaml.Place, off bool) {
	until, file := s.rules.GetSetupUntil(), s.rules.GetLearnt().GetFile()
	if until == nil && file == "" {
		return
	}
	p, _ := provider.Get(s.w.GetProvider()) // read before
	switch {
	case !slices.ContainsFunc(p.GetHandshakes(), func(h *policyv1.Handshake) bool { return h.GetLearns() }):
		s.Faults.Fail(at, "setup_until and learnt have no use: "+s.w.GetProvider()+" brings no secret")
		return
	case file == "":
		s.Faults.Fail(at.At("setup_until"), "needs learnt: {file: …}, where the secret is kept")
		return
	case keys.IsPerTenant(file):
		s.Faults.Fail(at.At("learnt", "file"), "cannot be one for each tenant")
		return
	case !s.ownFile(at.At("learnt", "file"), file):
		return
	case until == nil:
		return // it was learnt before
	case off:
		s.Faults.Fail(at.At("setup_until"), "has no use with mode: OFF")
	case s.w.GetMode() == policyv1.Webhook_SHADOW:
		s.Faults.Fail(at.At("setup_until"), "contradicts mode: SHADOW of the webhook, in which nothing is answered")
	case until.AsTime().Sub(s.Marks.Now) > maxWindow:
		s.Faults.Fail(at.At("setup_until"), "must be at most 24h from now: whoever comes first until then sets the secret")
	case !s.Lasting:
		s.Faults.Fail(at.At("setup_until"), "needs the setting replay.store FILE or REDIS, by which the first secret counts over restarts and replicas")
	}
	s.learner = &handshake.Learner{File: keys.RelativeTo(at.File(), file), Until: until.AsTime(), First: s.first(until.AsTime()), Pretend: s.Pretend}
}

// ownFile looks whether the file is the webhook's alone. Of two that share one, each would
// have the other's secret, and nobody could tell whose provider brought it; and a secret
// that waits must be nobody's.
func (s *shaking) ownFile(at strictyaml.Place, file string) bool {
	file = filepath.Clean(keys.RelativeTo(at.File(), file))
	other, taken := s.learners[file]
	switch {
	case strings.HasSuffix(file, handshake.Waiting):
		s.Faults.Fail(at, "cannot end in "+handshake.Waiting+", as the name of a secret that waits does")
	case taken && other != s.w.GetName():
		s.Faults.Fail(at, "is the file of webhook "+other+" as well; each learns a secret of its own")
	case s.Named[file+handshake.Waiting]:
		s.Faults.Fail(at, "is followed by "+handshake.Waiting+" until somebody accepts it, and that file is a secret of this set: it would count at once")
	default:
		if s.learners == nil {
			s.learners = map[string]string{}
		}
		s.learners[file] = s.w.GetName()
		return true
	}
	return false
}

// first takes the window in the store.
func (s *shaking) first(until time.Time) func(ctx context.Context, now time.Time) (bool, error) {
	store, fingerprints, identity := s.Store, s.Fingerprinter, watermark.KeptAs(s.w)
	return func(ctx context.Context, now time.Time) (bool, error) {
		begun := fingerprints.Begin(identity, nil)
		begun.Framed([]byte("a secret that the provider brings"))
		begun.Framed(until.UTC().AppendFormat(nil, time.RFC3339Nano))
		// For as long as the window can last, and clocks differ.
		span := maxWindow + time.Hour
		nonce := replay.Nonce{Webhook: identity + "/setup", Expires: now.Add(span), Span: span}
		nonce.Fingerprint, nonce.Alternate = fingerprints.End(begun)
		answer, err := store.Reserve(ctx, nonce, replay.Claim{Owner: rand.Uint64()}, now) //nolint:gosec // it tells attempts apart
		if err == nil && (answer.Outcome == replay.Failed || answer.Outcome == replay.Full || answer.Outcome == replay.Busy || answer.Outcome == replay.Uncertain) {
			err = errNotReserved
		}
		return answer.Outcome == replay.Reserved, err
	}
}

// notYet takes the place of a signature that waits for its secret.
func notYet(v *Verification) {
	v.Checks = append(v.Checks, handshake.NotYet{})
	v.ReadsBody = true
}

// learnt returns the secret that the provider brought and somebody accepted; false if it is
// not there yet. It is one of the webhook's.
func (c *Compiler) learnt(w *policyv1.Webhook, at strictyaml.Place) (key keys.Loaded, there bool) {
	file := w.GetHandshake().GetLearnt().GetFile()
	if file == "" || keys.IsPerTenant(file) || strings.HasSuffix(file, handshake.Waiting) {
		return key, false
	}
	return c.Keys.Learnt(w.GetName(), file, at.At("handshake", "learnt"))
}

// errNotReserved says that the store could not tell whether the window was free.
var errNotReserved = errors.New("the store cannot tell")

// learntBeside looks whether the webhook's other secrets can stand beside a learnt one.
func (c *Compiler) learntBeside(w *policyv1.Webhook, at strictyaml.Place) {
	if w.GetHandshake().GetLearnt() == nil {
		return
	}
	for i, s := range w.GetSecrets() {
		switch {
		case keys.IsPerTenant(s.GetFile()):
			c.Faults.Fail(at.At("handshake", "learnt"), "is the same for all tenants, and secrets are not")
			return
		case s.GetId() == keys.LearntID:
			c.Faults.Fail(at.At("secrets", i, "id"), "is that of the secret in handshake.learnt")
		}
	}
}
