package sample

import (
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/jose"
	"github.com/hookbastion/hookbastion/authz/publickey"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/policy/keys"
)

// Delivery says of which webhook a delivery is made, and what its policy leaves
// open.
type Delivery struct {
	Webhook string
	Host    string // with its port if it is not 443
	Path    string // empty: that of the webhook
	KeyID   string // empty: the first key signs
	Key     string // a file with what the policy does not hold: the private key, or the token of a digest
	// Handshake is the name of the provider's handshake to make, or FirstHandshake; empty:
	// a delivery.
	Handshake string
	// Private signs in place of the key in Key; nil: that one does.
	Private crypto.Signer
}

// FirstHandshake is any name.
const FirstHandshake = "first"

// sampleTime tells a sample from the one before, which would be its copy. No byte of it
// is escaped in a form.
const sampleTime = "2006-01-02T150405.000000000Z"

// Request makes a request that the webhook accepts. A body that is nil is a
// small sample, or none where the method mostly has none.
func (d *Delivery) Request(table *authz.Table, now time.Time, body []byte) (*authz.Request, error) {
	hook := table.Webhook(d.Webhook)
	if hook == nil {
		return nil, fmt.Errorf("there is no webhook %q", d.Webhook)
	}
	method, path := table.Sample(d.Webhook)
	if d.Path != "" {
		path = d.Path
	}
	if path == "" {
		return nil, fmt.Errorf("the policy of webhook %q has no path, since Envoy selects it; give --path", d.Webhook)
	}
	contentType := "application/json"
	if hook.WantsForm() {
		contentType = "application/x-www-form-urlencoded"
	}
	switch {
	case body != nil || MostlyEmpty(authz.View(method)):
	case hook.WantsForm():
		body = []byte("hello=hookbastion&at=" + now.UTC().Format(sampleTime))
	default:
		body = []byte(`{"hello":"hookbastion","at":"` + now.UTC().Format(sampleTime) + `"}`)
	}
	req := &authz.Request{Method: authz.View(method), Path: authz.View(path), Host: authz.View(d.Host)}
	if len(body) > 0 || !MostlyEmpty(req.Method) {
		req.Set("content-type", contentType)
	}
	if len(body) > 0 {
		req.Body.Segments = [][]byte{body}
	}
	signing := authz.Signing{KeyID: d.KeyID, Now: now, NewID: rand.Text, Tenant: table.Tenant(d.Webhook, string(req.PathOnly()))}
	if d.Key != "" {
		text, err := (secret.Ref{File: d.Key}).Load()
		if err != nil {
			return nil, err
		}
		signing.X5C = jose.X5C(text.Reveal())
		if signing.Private, err = publickey.ReadPrivate(text.Reveal()); err != nil {
			signing.Secret = text // which is then a token
		}
	}
	if d.Private != nil {
		signing.Private = d.Private
	}
	if d.Handshake != "" {
		proven, err := d.shake(hook, req, signing)
		if err != nil || !proven {
			return req, err
		}
	}
	err := hook.Sign(req, signing)
	if errors.Is(err, authz.ErrNoKey) && len(body) == 0 && MostlyEmpty(req.Method) {
		err = fmt.Errorf("%w, or what it signs is not in the request; give --path with a query, or --body", err)
	}
	if tenant := (*authz.NoTenantError)(nil); d.Path == "" && errors.As(err, &tenant) {
		err = fmt.Errorf("%w; give --path with a tenant that has a secret", err)
	}
	return req, err
}

// Needless says why the file in Key would be passed over: the policy has what signs. It is
// empty where the file is needed, and where there is no such webhook or key, as Request says.
func (d *Delivery) Needless(table *authz.Table, all []keys.Key) string {
	if d.Key == "" || table.Webhook(d.Webhook) == nil {
		return ""
	}
	found := false
	for i := range all {
		if k := &all[i]; k.Webhook == d.Webhook && (d.KeyID == "" || k.ID == d.KeyID) {
			if k.Withheld() {
				return ""
			}
			found = true
		}
	}
	switch {
	case d.KeyID == "":
		return fmt.Sprintf("has no use: webhook %s has no public key, and no digest of a token", d.Webhook)
	case found:
		return fmt.Sprintf("has no use: the key %s of webhook %s is no public key, and no digest of a token", d.KeyID, d.Webhook)
	default:
		return ""
	}
}

// shake makes the request a handshake of the webhook.
func (d *Delivery) shake(hook *authz.Webhook, req *authz.Request, with authz.Signing) (proven bool, err error) {
	if hook.Handshakes == nil {
		return false, fmt.Errorf("webhook %q answers no handshake", d.Webhook)
	}
	names, name := hook.Handshakes.Names(), d.Handshake
	if name == FirstHandshake {
		name = names[0]
	}
	req.Headers = nil
	proven, ok := hook.Handshakes.Request(name, req, with)
	if !ok {
		return false, fmt.Errorf("webhook %q answers no handshake %q, but %s", d.Webhook, name, strings.Join(names, ", "))
	}
	return proven, nil
}
