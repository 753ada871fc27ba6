package httpsig

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"hash"
	"strings"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/secret"
)

// strong are the digests that nobody can forge (RFC 9530 §5).
var strong = map[string]func() hash.Hash{"sha-256": sha256.New, "sha-512": sha512.New}

// ContentDigest compares every strong digest of the field Content-Digest (RFC
// 9530 §2) with the body. There must be one: md5 and its like prove nothing.
func ContentDigest(headers authz.Headers, body *authz.Body, dialect Dialect) Problem {
	d, names, problem := dictionary(headers, "content-digest", dialect)
	if problem.Exists() {
		return Problem{authz.SignatureInvalid, problem.Found}
	}
	if len(names) == 0 {
		return Problem{authz.SignatureMissing, "no content-digest"}
	}
	digests := map[string][]byte{}
	for _, name := range names {
		member, _ := d.Get(name)
		if value, ok := bytesOf(member); ok {
			digests[name] = value
		} else {
			return Problem{authz.SignatureInvalid, "a content-digest that is no byte sequence"}
		}
	}
	return compare(digests, body)
}

// Digest compares every strong digest of the older field Digest (RFC 3230) with
// the body.
func Digest(headers authz.Headers, body *authz.Body) Problem {
	values := lines(headers, "digest")
	if len(values) == 0 {
		return Problem{authz.SignatureMissing, "no digest"}
	}
	digests := map[string][]byte{}
	for item := range strings.SplitSeq(strings.Join(values, ","), ",") {
		name, text, ok := strings.Cut(strings.Trim(item, " \t"), "=")
		name = strings.ToLower(name)
		if _, twice := digests[name]; twice || !ok {
			return Problem{authz.SignatureInvalid, "a digest field that can be read in two ways"}
		}
		value, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil && strong[name] != nil {
			return Problem{authz.SignatureInvalid, "a digest that is not base64"}
		}
		digests[name] = value
	}
	return compare(digests, body)
}

func compare(digests map[string][]byte, body *authz.Body) Problem {
	compared := 0
	for name, newHash := range strong {
		digest, there := digests[name]
		if !there {
			continue
		}
		h := newHash()
		for _, segment := range body.Segments {
			_, _ = h.Write(segment) // hashes never fail
		}
		if !secret.Equal(digest, h.Sum(nil)) {
			return Problem{authz.SignatureInvalid, "another digest of the body"}
		}
		compared++
	}
	if compared == 0 {
		return Problem{authz.SignatureInvalid, "digests that anybody can forge only"}
	}
	return Problem{}
}

// SetDigest gives the request the digest of its body in the field, content-digest or
// digest.
func SetDigest(req *authz.Request, field string, d Dialect) {
	h := sha256.New()
	for _, segment := range req.Body.Segments {
		_, _ = h.Write(segment) // hashes never fail
	}
	if field == "digest" {
		req.Set(field, "SHA-256="+base64.StdEncoding.EncodeToString(h.Sum(nil)))
		return
	}
	req.Set(field, "sha-256=:"+d.encode(h.Sum(nil))+":")
}
