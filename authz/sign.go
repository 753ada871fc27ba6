package authz

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hookbastion/hookbastion/authz/secret"
)

// Signing says how a delivery is to be signed.
type Signing struct {
	// KeyID names the key or token; the first one if it is empty.
	KeyID string
	// Now is the time of the delivery.
	Now time.Time
	// Secret is a key or token whose text the policy does not hold; empty if it
	// holds all.
	Secret secret.Value
	// Private is the private key where the policy holds only the public one; nil if it
	// holds all.
	Private crypto.Signer
	// X5C are the certificates of the private key in base64, the leaf first, where a
	// delivery brings them along.
	X5C []string
	// Tenant is the tenant of the delivery, where its path has one.
	Tenant string
	// Secrets are those of the tenant; Webhook.Sign finds them.
	Secrets secret.Held
	// NewID makes ids that the scheme signs and the request lacks.
	NewID func() string
}

// Signer is a check that can make what it asks for, so that a test has a valid
// delivery.
type Signer interface {
	// Sign changes the request into one that the check lets through: it adds
	// headers and, where the proof stands there, replaces path and body. It
	// returns false if it has no key of that ID whose text is known.
	Sign(req *Request, s Signing) bool
	// WantsForm reports whether only a form can be signed.
	WantsForm() bool
}

// SecretHolder is a check that finds the secrets of tenants.
type SecretHolder interface {
	// Secrets returns those of one tenant, or the reason why there are none.
	Secrets(ctx context.Context, tenant string, now time.Time) (secret.Held, Reason)
}

// NoTenantError says why a tenant has no secrets.
type NoTenantError struct{ Reason Reason }

func (e *NoTenantError) Error() string { return e.Reason.String() }

// ErrNoKey says that a webhook has no key with which it could sign.
var ErrNoKey = errors.New("no such key, or one whose text is not known")

// Sign makes the request a valid delivery of the webhook, as far as its
// signature and token go. What it replaces is not written to: the caller's
// headers and body stay as they are.
func (w *Webhook) Sign(req *Request, s Signing) error {
	req.Headers = slices.Clone(req.Headers)
	for _, check := range w.Chain {
		holder, ok := check.(SecretHolder)
		if !ok {
			continue
		}
		held, reason := holder.Secrets(context.Background(), s.Tenant, s.Now)
		if reason != OK {
			return fmt.Errorf("webhook %s: tenant %q: %w", w.Name, s.Tenant, &NoTenantError{reason})
		}
		s.Secrets = held
	}
	for _, check := range w.Chain {
		if signer, ok := check.(Signer); ok && !signer.Sign(req, s) {
			return fmt.Errorf("webhook %s: %s: %w", w.Name, check.Stage(), ErrNoKey)
		}
	}
	return nil
}

// WantsForm reports whether a delivery of the webhook must have a form as body.
func (w *Webhook) WantsForm() bool {
	for _, check := range w.Chain {
		if signer, ok := check.(Signer); ok && signer.WantsForm() {
			return true
		}
	}
	return false
}

// Set gives the request one header of that name, in place of those it had. The
// name is in lower case.
func (r *Request) Set(name, value string) {
	r.Headers = slices.DeleteFunc(r.Headers, func(h Header) bool { return string(h.Name) == name })
	r.Headers = append(r.Headers, Header{Name: View(name), Value: View(value)})
}
