package explain

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/signature"
	"github.com/hookbastion/hookbastion/authz/signature/cause"
	"github.com/hookbastion/hookbastion/policy/keys"
	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/scheme"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// causes look for why the signature of a request does not hold, or its time is refused.
func causes(table *authz.Table, req *authz.Request, d *authz.Decision, all []keys.Key, now time.Time) ([]cause.Cause, error) {
	if d.Webhook == nil {
		return nil, nil
	}
	switch d.Reason {
	case authz.TimestampTooOld, authz.TimestampInFuture:
		return clock(d, now), nil
	case authz.SignatureInvalid, authz.SignatureMalformed, authz.SignatureMissing:
	default:
		return nil, nil
	}
	named, err := otherSchemes(d.Webhook)
	if err != nil {
		return nil, err
	}
	var found []cause.Cause
	call := callOf(d.Webhook, req, now, d.Tenant)
	for _, s := range schemesOf(d.Webhook, req) {
		subject := &cause.Subject{Request: req, Call: call, Scheme: s, Schemes: named}
		subject.Own, subject.Others = texts(all, d.Webhook.Name, string(d.Tenant))
		found = append(found, cause.Find(subject)...)
	}
	return found, nil
}

// clock says in what way the signed time is off.
func clock(d *authz.Decision, now time.Time) []cause.Cause {
	for _, check := range d.Webhook.Chain {
		if fresh, ok := check.(*replay.Freshness); ok && !d.SignedTime.IsZero() {
			if c, ok := cause.Clock(d.SignedTime, now, max(fresh.Tolerance, fresh.Future)); ok {
				return []cause.Cause{c}
			}
		}
	}
	return nil
}

// schemesOf are the webhook's schemes of which the request has a signature, or all.
func schemesOf(hook *authz.Webhook, req *authz.Request) []signature.Scheme {
	var all, present []signature.Scheme
	for _, check := range hook.Chain {
		c, ok := check.(*signature.Check)
		if !ok {
			continue
		}
		all = append(all, c.Schemes...)
		for _, s := range c.Schemes {
			if s.Present(req) {
				present = append(present, s)
			}
		}
	}
	if len(present) > 0 {
		return present
	}
	return all
}

// callOf is a call as the signature's check has it: with the secrets of the tenant.
func callOf(hook *authz.Webhook, req *authz.Request, now time.Time, tenant authz.View) authz.Call {
	call := authz.Call{Context: context.Background(), Request: req, Now: now, Webhook: hook.Name, Identity: hook.Identity(), Tenant: tenant}
	for _, check := range hook.Chain {
		if holder, ok := check.(authz.SecretHolder); ok {
			call.Secrets, _ = holder.Secrets(call.Context, string(tenant), now) // without any there is nothing to try
		}
	}
	return call
}

// texts are the secrets as their files have them, those of the webhook and others. What
// cannot be read has its own error, and what is public has no text to try.
func texts(all []keys.Key, webhook, tenant string) (own, others []cause.Text) {
	for i := range all {
		k := &all[i]
		if k.IsPublic() || k.Decode() == nil || k.File+k.Env == "" || k.Webhook != webhook && k.PerTenant() {
			continue
		}
		text, err := k.Text(tenant)
		if err != nil {
			continue
		}
		t := cause.Text{Webhook: k.Webhook, ID: k.ID, Text: text, Decode: k.Decode()}
		if k.Webhook == webhook {
			own = append(own, t)
		} else {
			others = append(others, t)
		}
	}
	return own, others
}

// otherSchemes are those of the catalogue with shared secrets.
func otherSchemes(hook *authz.Webhook) ([]cause.Named, error) {
	names, err := provider.Names()
	if err != nil {
		return nil, err
	}
	nowhere := strictyaml.Options{}.Empty("the catalogue").At()
	var all []cause.Named
	for _, name := range names {
		p, err := provider.Get(name)
		if err != nil {
			return nil, err
		}
		for _, s := range p.GetSchemes() {
			hmac := s.GetScheme().GetHmac()
			if hmac == nil {
				continue
			}
			named := cause.Named{Name: name, Mend: "say provider: " + name + " in the policy, if that is who delivers", Decode: decoder(hmac)}
			if s.GetName() != "" {
				named.Name += ", scheme " + s.GetName()
				named.Mend = "say provider: " + name + " and provider_scheme: " + s.GetName() + " in the policy, if that is how it delivers"
			}
			if name == hook.Provider {
				named.Mend = "let " + name + " sign as it does by default, or say provider_scheme: " + s.GetName()
			}
			plans := scheme.NewPlans(&strictyaml.Faults{}) // what an entry lacks without parameters is no concern here
			named.Config = plans.Content(s.GetScheme(), &policyv1.Webhook{Provider: name}, "", nowhere).Config()
			all = append(all, named)
		}
	}
	return all, nil
}

// decoder makes keys of texts as a scheme of the catalogue does.
func decoder(hmac *policyv1.Hmac) secret.Accept {
	read := map[policyv1.Key_Encoding]secret.Encoding{policyv1.Key_BASE64: secret.Base64, policyv1.Key_HEX: secret.Hex}[hmac.GetKeyEncoding()]
	return func(text secret.Value) (secret.Value, error) { return text.Decode(read, hmac.GetKeyPrefixes()...) }
}

// limit is the bound that a request has met.
type limit struct {
	// Name is the key of the policy or the setting that has it.
	Name  string `json:"name"`
	Value string `json:"value"`
	Found string `json:"found"`
}

// limitHit says which bound refused the request; nil if none did.
func limitHit(d *authz.Decision, req *authz.Request, maxRequest int64, now time.Time) *limit {
	if d.Webhook == nil {
		return nil
	}
	for _, check := range d.Webhook.Chain {
		switch c := check.(type) {
		case *authz.Limits:
			if l := ofLimits(c, d.Reason, req, maxRequest); l != nil {
				return l
			}
		case *replay.Freshness:
			off := now.Sub(d.SignedTime)
			switch d.Reason {
			case authz.TimestampTooOld:
				return &limit{"freshness.tolerance of the policy", c.Tolerance.String(), off.String()}
			case authz.TimestampInFuture:
				return &limit{"freshness.future of the policy", c.Future.String(), (-off).String()}
			default: // it is fresh
			}
		case *signature.Check:
			if d.Reason != authz.SignatureMalformed {
				continue
			}
			for _, s := range c.Schemes {
				if content, ok := s.(*signature.Content); ok && content.Overflows(req) {
					return &limit{"limits.max_signatures of the policy", fmt.Sprint(content.Config().MaxSignatures), "more"}
				}
			}
		}
	}
	return nil
}

func ofLimits(c *authz.Limits, reason authz.Reason, req *authz.Request, maxRequest int64) *limit {
	switch reason {
	case authz.BodyTooLarge:
		name := "limits.max_body_bytes of the policy"
		if c.MaxBodyBytes == maxRequest {
			name = "the setting envoy.max_request_bytes, which is with_request_body.max_request_bytes of Envoy's filter"
		}
		return &limit{name, fmt.Sprint(c.MaxBodyBytes), fmt.Sprint(max(req.Body.Size, int64(req.Body.Len())))}
	case authz.MalformedRequest:
		if n := headerBytes(req); n > c.MaxHeaderBytes {
			return &limit{"limits.max_header_bytes of the policy", fmt.Sprint(c.MaxHeaderBytes), fmt.Sprint(n)}
		}
	case authz.ContentType:
		value, _ := req.Headers.Lookup("content-type")
		return &limit{"limits.content_types of the policy", strings.Join(c.ContentTypes, ", "), fmt.Sprintf("%.100q", value)}
	default: // another check's
	}
	return nil
}

func headerBytes(req *authz.Request) (n int) {
	for _, h := range req.Headers {
		n += len(h.Name) + len(h.Value)
	}
	return n
}

// signed is the content that a signature should be over.
type signed struct {
	// Signature says where the signature stands that was looked at.
	Signature string  `json:"signature"`
	Bytes     int     `json:"bytes"`
	Pieces    []piece `json:"pieces"`
}

type piece struct {
	// Part names it; empty for fixed text.
	Part  string `json:"part"`
	Bytes int    `json:"bytes"`
	// SHA256 of what is not shown, in hexadecimal, to be compared with the sender's.
	SHA256 string `json:"sha256,omitempty"`
	// Text is what is shown: fixed text, method and time, and all where it was asked for.
	Text *string `json:"text,omitempty"`
}

// contentOf shows the content of the first scheme of which the request has a signature, and
// its texts where they were asked for.
func contentOf(hook *authz.Webhook, req *authz.Request, call authz.Call, whole bool) *signed {
	for _, s := range schemesOf(hook, req) {
		content, ok := s.(*signature.Content)
		if !ok {
			continue
		}
		pieces, ok := content.Pieces(&call)
		if !ok {
			continue
		}
		out := &signed{Signature: content.Place(), Pieces: []piece{}}
		for _, p := range slices.All(pieces) {
			out.Bytes += len(p.Bytes)
			out.Pieces = append(out.Pieces, shown(p, whole))
		}
		return out
	}
	return nil
}
