package sample

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/hookbastion/hookbastion/authz/publickey"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/tenant"
	"github.com/hookbastion/hookbastion/policy/keys"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// Other is a webhook of which one thing is another: what an attacker would have, or would
// ask for.
type Other struct {
	// Policy is the webhook with what is needed to sign, and no more.
	Policy *policyv1.Webhook
	// Private belongs to the public key that it has now; nil: to that which it had.
	Private crypto.Signer

	file, tenant string
	was          crypto.Signer
	public       map[string][]keys.PublicKey
	variables    []string
}

// NewOther copies a webhook of a policy file, so that it can be changed. Private is the key
// that signs for it, or nil, and public lists the webhook's public keys.
func NewOther(hook *policyv1.Webhook, file, tenantName string, private crypto.Signer, public map[string][]keys.PublicKey) *Other {
	o := &Other{file: file, tenant: tenantName, was: private, public: public, Policy: &policyv1.Webhook{
		Name: hook.GetName(), Match: hook.GetMatch(), PublicUrl: hook.GetPublicUrl(), PinnedQuery: hook.PinnedQuery, //nolint:protogetter // it may be absent
		Provider: hook.GetProvider(), ProviderScheme: hook.GetProviderScheme(), Scheme: hook.GetScheme(),
		Parameters: hook.GetParameters(), Credentials: hook.GetCredentials(),
	}}
	for i, k := range hook.GetSecrets() {
		o.Policy.Secrets = append(o.Policy.Secrets, o.secret(k, i))
	}
	if hook.GetToken() != nil {
		o.Policy.Token, _ = proto.Clone(hook.GetToken()).(*policyv1.Token) // it is one
		for _, rule := range o.Policy.GetToken().GetAnyOf() {
			if v := keys.TokenValue(rule); v.GetFile() != "" {
				v.From = &policyv1.TokenValue_File{File: keys.RelativeTo(file, v.GetFile())}
			}
		}
		for i, k := range o.Policy.GetToken().GetJwt().GetKeys() {
			o.Policy.Token.Jwt.Keys[i] = o.secret(k, i)
		}
	}
	if h := hook.GetHandshake(); h != nil {
		o.Policy.Handshake = &policyv1.WebhookHandshake{Mode: h.GetMode()}
		if h.GetVerifyToken() != nil {
			v, _ := proto.Clone(h.GetVerifyToken()).(*policyv1.WebhookHandshake_VerifyToken) // it is one
			if v.GetFile() != "" {
				v.From = &policyv1.WebhookHandshake_VerifyToken_File{File: keys.RelativeTo(file, v.GetFile())}
			}
			o.Policy.Handshake.VerifyToken = v
		}
	}
	return o
}

// secret is a copy of a key that can be read from anywhere.
func (o *Other) secret(old *policyv1.Secret, i int) *policyv1.Secret {
	k, _ := proto.Clone(old).(*policyv1.Secret) // it is one
	if k.GetId() == "" {
		k.Id = fmt.Sprint(i + 1)
	}
	if k.GetFile() != "" {
		k.From = &policyv1.Secret_File{File: keys.RelativeTo(o.file, k.GetFile())}
	}
	return k
}

func (o *Other) read(ref secret.Ref) (string, error) {
	ref.File = strings.ReplaceAll(ref.File, tenant.Placeholder, o.tenant)
	text, err := ref.Load()
	return string(text.Reveal()), err
}

// Secrets gives it other secrets and keys of the same form. They stand in variables of this
// process until Forget, and nowhere on disk.
func (o *Other) Secrets() error {
	if o.was != nil {
		var err error
		if o.Private, err = another(o.was); err != nil {
			return err
		}
	}
	for _, k := range append(slices.Clone(o.Policy.GetSecrets()), o.Policy.GetToken().GetJwt().GetKeys()...) {
		if k.GetUrl() != "" {
			continue
		}
		if err := o.replace(k); err != nil {
			return err
		}
	}
	return nil
}

// Tokens gives it other tokens of the same form, as Secrets. It returns false if it has none.
func (o *Other) Tokens() (bool, error) {
	for _, rule := range o.Policy.GetToken().GetAnyOf() {
		v := keys.TokenValue(rule)
		text := rand.Text()
		if v.GetDigest() == "" {
			old, err := o.read(secret.Ref{File: v.GetFile(), Env: v.GetEnv()})
			if err != nil {
				return true, err
			}
			text = alike(old)
		}
		v.From, rule.AllowWeak, rule.NotBefore, rule.NotAfter = &policyv1.TokenValue_Env{Env: o.variable(text)}, weak, nil, nil
	}
	if v := o.Policy.GetHandshake().GetVerifyToken(); v != nil {
		text, err := o.read(secret.Ref{File: v.GetFile(), Env: v.GetEnv()})
		if err != nil {
			return true, err
		}
		v.From, v.AllowWeak = &policyv1.WebhookHandshake_VerifyToken_Env{Env: o.variable(alike(text))}, weak
	}
	return len(o.Policy.GetToken().GetAnyOf()) > 0 || o.Policy.GetHandshake().GetVerifyToken() != nil, nil
}

// weak: what is made from a short secret is short.
var weak = &policyv1.AllowWeak{Reason: "made to be refused"}

// replace gives a key another text of its form.
func (o *Other) replace(k *policyv1.Secret) error {
	public, text := o.public[k.GetId()], ""
	if len(public) > 0 {
		if o.Private == nil {
			return fmt.Errorf("key %s is a public one, and no private key was named", k.GetId())
		}
		der, err := x509.MarshalPKIXPublicKey(o.Private.Public())
		if err != nil {
			return err
		}
		text, k.Format = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), policyv1.Secret_FORMAT_UNSPECIFIED
		was := (&publickey.Key{Public: o.was.Public()}).Thumbprint()
		for i := range public {
			if public[i].KID != "" && (len(public) == 1 || public[i].Thumbprint == was) {
				k.Kid = public[i].KID
			}
		}
	} else {
		old, err := o.read(secret.Ref{File: k.GetFile(), Env: k.GetEnv()})
		if err != nil {
			return err
		}
		text, k.AllowWeak = alike(old), weak
	}
	k.From, k.NotBefore, k.NotAfter = &policyv1.Secret_Env{Env: o.variable(text)}, nil, nil
	return nil
}

func (o *Other) variable(text string) string {
	name := "HOOKBASTION_PROBE_" + rand.Text()
	_ = os.Setenv(name, text) // the name is one, and no secret has a NUL
	o.variables = append(o.variables, name)
	return name
}

// Forget takes the secrets out of the process' variables.
func (o *Other) Forget() {
	for _, name := range o.variables {
		_ = os.Unsetenv(name) // it is there
	}
}

// alike is another text in which each digit, and each letter of hexadecimal and of other
// alphabets, is one of its kind, so that it is read as the first one is. A prefix such as
// whsec_ and a user's name before a colon stay.
func alike(text string) string {
	begin := 0
	if i := strings.IndexByte(text, ':'); i >= 0 {
		begin = i + 1
	} else if i := strings.LastIndexByte(text[:min(len(text), 12)], '_'); i >= 0 {
		begin = i + 1
	}
	out := []byte(text)
	for i := begin; i < len(out); i++ {
		for _, kind := range []string{"0123456789", "abcdef", "ghijklmnopqrstuvwxyz", "ABCDEF", "GHIJKLMNOPQRSTUVWXYZ"} {
			// The last characters of base64 may hold bits that must be zero.
			if bytes.IndexByte([]byte(kind), out[i]) >= 0 && len(out)-i > 4 {
				n, _ := rand.Int(rand.Reader, big.NewInt(int64(len(kind)))) // never fails
				out[i] = kind[n.Int64()]
				break
			}
		}
	}
	return string(out)
}

// another is a new private key of the same kind.
func another(private crypto.Signer) (crypto.Signer, error) {
	switch key := private.(type) {
	case *rsa.PrivateKey:
		return rsa.GenerateKey(rand.Reader, max(2048, key.N.BitLen()))
	case *ecdsa.PrivateKey:
		return ecdsa.GenerateKey(key.Curve, rand.Reader)
	case ed25519.PrivateKey:
		_, other, err := ed25519.GenerateKey(rand.Reader)
		return other, err
	default:
		return nil, fmt.Errorf("no other key of the kind %T can be made", private)
	}
}

// Private reads a private key.
func Private(text secret.Value) (crypto.Signer, error) { return publickey.ReadPrivate(text.Reveal()) }
