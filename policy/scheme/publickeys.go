package scheme

import (
	"crypto"
	"strings"

	"github.com/hookbastion/hookbastion/authz/publickey"
	"github.com/hookbastion/hookbastion/authz/signature"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// Algorithm is how a scheme of public keys verifies; the zero value for others.
func Algorithm(s *policyv1.Scheme) publickey.Algorithm {
	switch kind := s.GetKind().(type) {
	case *policyv1.Scheme_Rsa:
		return publickey.Algorithm{Kind: publickey.RSA, Hash: publicHashes[kind.Rsa.GetHash()], PSS: kind.Rsa.GetPadding() == policyv1.Rsa_PSS}
	case *policyv1.Scheme_Ecdsa:
		return publickey.Algorithm{
			Kind: publickey.ECDSA, Hash: publicHashes[kind.Ecdsa.GetHash()], Curve: curves[kind.Ecdsa.GetCurve()],
			Raw: kind.Ecdsa.GetFormat() == policyv1.Ecdsa_RAW,
		}
	case *policyv1.Scheme_Ed25519:
		return publickey.Algorithm{Kind: publickey.Ed25519}
	default:
		return publickey.Algorithm{}
	}
}

var (
	publicHashes = map[policyv1.PublicKey_Hash]crypto.Hash{
		policyv1.PublicKey_SHA256: crypto.SHA256, policyv1.PublicKey_SHA384: crypto.SHA384,
		policyv1.PublicKey_SHA512: crypto.SHA512, policyv1.PublicKey_SHA1: crypto.SHA1,
	}
	curves = map[policyv1.PublicKey_Curve]publickey.Curve{
		policyv1.PublicKey_P256: publickey.P256, policyv1.PublicKey_P384: publickey.P384, policyv1.PublicKey_P521: publickey.P521,
	}
)

// digestFirst returns the digest of the content that is signed in its place, or nil.
func digestFirst(s *policyv1.Scheme) *signature.Digest {
	first, ok := s.Signed().(interface{ GetDigestFirst() *policyv1.Digest })
	if !ok || first.GetDigestFirst() == nil {
		return nil
	}
	d := digest(first.GetDigestFirst())
	return &d
}

func (c *Plans) checkDigestFirst(s *policyv1.Scheme, at strictyaml.Place) {
	first, ok := s.Signed().(interface{ GetDigestFirst() *policyv1.Digest })
	if !ok || first.GetDigestFirst() == nil {
		return
	}
	c.checkDigest(first.GetDigestFirst(), at.At("digest_first"))
	switch first.GetDigestFirst().GetHash() {
	case policyv1.Digest_CRC32, policyv1.Digest_MD5:
		c.faults.Fail(at.At("digest_first", "hash"), "is broken: other content with the same digest can be made")
	default:
	}
}

// checkDigest looks for digests in a form that they do not have.
func (c *Plans) checkDigest(d *policyv1.Digest, at strictyaml.Place) {
	if (d.GetHash() == policyv1.Digest_CRC32) != (d.GetEncoding() == policyv1.Digest_DECIMAL) {
		c.faults.Fail(at, "CRC32 and DECIMAL belong together")
	}
}

// keyID says where a delivery names its key.
func keyID(s *policyv1.Scheme) signature.KeyID {
	id := s.Signed().GetKeyId()
	return signature.KeyID{Headers: lower(s.KeyIDHeaders()), JSON: id.GetJson(), Item: id.GetKey()}
}

func (c *Plans) checkKeyID(config *signature.Config, s *policyv1.Scheme, at strictyaml.Place) {
	id := s.Signed().GetKeyId()
	if id == nil {
		return
	}
	here := at.At("key_id")
	places := 0
	for _, there := range []bool{len(id.GetHeaders()) > 0, id.GetJson() != "", id.GetKey() != ""} {
		if there {
			places++
		}
	}
	switch {
	case places != 1:
		c.faults.Fail(here, "needs one of headers, json and key")
	case s.GetHmac().GetKeyIdHeader() != "":
		c.faults.Fail(here, "contradicts key_id_header; give one of them")
	case len(id.GetHeaders()) > 1 && len(id.GetHeaders()) != len(config.Headers):
		c.faults.Fail(here.At("headers"), "needs one header, or as many as signature.headers")
	case id.GetKey() != "" && (config.Grammar != signature.KeyValue && config.Grammar != signature.Base64JSON || len(config.Headers) != 1):
		c.faults.Fail(here.At("key"), "needs one signature header with grammar KEY_VALUE or BASE64_JSON")
	}
	for i, name := range id.GetHeaders() {
		for _, other := range config.Headers {
			if strings.EqualFold(name, other) {
				c.faults.Fail(here.At("headers", i), "is the header of the signature already")
			}
		}
	}
}
