package probe

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/policy/probe"
	"github.com/hookbastion/hookbastion/policy/provider"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// rsaKey is one for all, since it takes long to make.
var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// privateOf is a key of a kind that the scheme verifies; nil for shared secrets.
func privateOf(t *testing.T, s *policyv1.Scheme) crypto.Signer {
	t.Helper()
	kind := ""
	switch k := s.GetKind().(type) {
	case *policyv1.Scheme_Rsa:
		kind = "RS256"
	case *policyv1.Scheme_Ecdsa:
		kind = map[policyv1.PublicKey_Curve]string{policyv1.PublicKey_P256: "ES256", policyv1.PublicKey_P384: "ES384", policyv1.PublicKey_P521: "ES512"}[k.Ecdsa.GetCurve()]
	case *policyv1.Scheme_Ed25519:
		kind = "EdDSA"
	case *policyv1.Scheme_Jws:
		kind = k.Jws.GetAlgorithms()[0].String()
	case *policyv1.Scheme_HttpSignature:
		kind = map[policyv1.HttpSignature_Algorithm]string{
			policyv1.HttpSignature_ED25519: "EdDSA", policyv1.HttpSignature_ECDSA_P256_SHA256: "ES256", policyv1.HttpSignature_ECDSA_P521_SHA512: "ES512",
		}[k.HttpSignature.GetAlgorithms()[0]]
		if kind == "" {
			kind = "RS256"
		}
	}
	var key crypto.Signer
	var err error
	switch {
	case strings.HasPrefix(kind, "RS"), strings.HasPrefix(kind, "PS"):
		key, err = rsaKey()
	case kind == "ES256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case kind == "ES384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case kind == "ES512":
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case kind == "EdDSA":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// parametersOf are those of the provider's example.
func parametersOf(p *policyv1.Provider, s *policyv1.Scheme) string {
	var given []string
	for _, parameter := range p.GetParameters() {
		// What the scheme itself fixes has one value.
		if slices.ContainsFunc(s.GetPins(), func(pin *policyv1.Pin) bool {
			return pin.GetParameter() == parameter.GetName() && slices.ContainsFunc(s.GetWhen(), func(w *policyv1.When) bool { return w.GetJson() == pin.GetJson() })
		}) {
			continue
		}
		if parameter.GetSeveral() {
			given = append(given, fmt.Sprintf("%s: [%q, other]", parameter.GetName(), parameter.GetExample()))
		} else {
			given = append(given, fmt.Sprintf("%s: %q", parameter.GetName(), parameter.GetExample()))
		}
	}
	if len(given) == 0 {
		return ""
	}
	return ", parameters: {" + strings.Join(given, ", ") + "}"
}

// TestEveryScheme: of each scheme of the catalogue a delivery is made and delivered, and
// nothing gets through, or it is said why there is none.
func TestEveryScheme(t *testing.T) {
	b := newBench(t)
	names, err := provider.Names()
	if err != nil {
		t.Fatal(err)
	}
	var policies strings.Builder
	policies.WriteString("webhooks:\n")
	var args []string
	for _, name := range names {
		p, err := provider.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, named := range p.GetSchemes() {
			s := named.GetScheme()
			id := strings.ToLower(name + "." + named.GetName())
			text := strings.Repeat("5365637265745365", 4)
			if n := len(s.GetHmac().GetKeyPrefixes()); n > 0 {
				text = s.GetHmac().GetKeyPrefixes()[n-1] + text
			}
			if s.GetSharedToken().GetBasic() != nil {
				text = "user:" + text
			}
			if private := privateOf(t, s); private != nil {
				public, err := x509.MarshalPKIXPublicKey(private.Public())
				if err != nil {
					t.Fatal(err)
				}
				text = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
				der, err := x509.MarshalPKCS8PrivateKey(private)
				if err != nil {
					t.Fatal(err)
				}
				args = append(args, "--key", id+"="+b.write("private/"+id, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))))
			}
			if s.GetJws().GetX5C() != nil {
				text = string(b.authority.PEM)
			}
			b.write("secrets/all/"+id, text)
			fmt.Fprintf(&policies, "  - {name: %s, match: {path: /%[1]s}, provider: %s, provider_scheme: %s, secrets: [{id: a, file: ../../secrets/all/%[1]s, allow_weak: {reason: for a test}}]%[4]s}\n",
				id, name, named.GetName(), parametersOf(p, s))
		}
	}
	b.add("all", b.service(policies.String(), ""), false, true, func(g *gateway) {
		g.manager()["preserve_external_request_id"] = true // Mercado Pago signs it
	})
	b.start()
	for _, attack := range []string{
		"no-proof", "wrong-secret", "wrong-token", "changed-body", "alg-none", "alg-public-key", "copy",
	} {
		args = append(args, "--attack", attack)
	}
	r, exit := b.run(t, "all", policies.String(), "", false, args...)
	delivered := map[string]bool{}
	for _, result := range r.Results {
		if result.Verdict == probe.Passed || result.Verdict == probe.Unclear || result.Verdict == probe.Refused {
			t.Errorf("%+v", result)
		}
		delivered[result.Webhook] = delivered[result.Webhook] || result.Verdict == probe.Delivered
		if result.Attack == "delivery" && result.Verdict != probe.Delivered && notHere[result.Webhook] == "" {
			t.Errorf("%+v", result)
		}
	}
	for _, u := range r.Unsigned {
		if notHere[u.Webhook] == "" {
			t.Errorf("%+v", u)
		}
	}
	// One that could not be probed is no success, however well all others did.
	if exit != cli.CaseFailed || len(r.Unsigned) != len(notHere) || len(delivered) < 280 {
		t.Errorf("exit %d, %d webhooks, and %d not probed", exit, len(delivered), len(r.Unsigned))
	}
	for name, why := range notHere {
		if delivered[name] {
			t.Errorf("%s is delivered, though %s", name, why)
		}
	}
}

// notHere are schemes of which no delivery is made, and why.
var notHere = map[string]string{
	"apple-app-store-v2.apple-asn2": "its key file must hold a chain of certificates",
}
