package oracle

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"time"
)

func signWise(_ *Endpoint, q *Request, k Key, _ time.Time) {
	digest := sha256.Sum256([]byte(q.Body))
	signature, err := k.Signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	must(err)
	q.Set("X-Signature-SHA256", base64.StdEncoding.EncodeToString(signature))
}

// signPSS is a scheme that stands in the policy.
func signPSS(e *Endpoint, q *Request, k Key, now time.Time) {
	t := seconds(now)
	digest := sha512.Sum512([]byte(t + "." + q.Body))
	signature, err := k.Signer.Sign(rand.Reader, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA512})
	must(err)
	q.Set(e.Time, t)
	q.Set(e.Proven[0], base64.StdEncoding.EncodeToString(signature))
}

func signSendGrid(e *Endpoint, q *Request, k Key, now time.Time) {
	t := seconds(now)
	digest := sha256.Sum256([]byte(t + q.Body))
	signature, err := k.Signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	must(err)
	q.Set(e.Time, t)
	q.Set(e.Proven[0], base64.StdEncoding.EncodeToString(signature))
}

// signRaw is ECDSA as two numbers, a scheme that stands in the policy.
func signRaw(e *Endpoint, q *Request, k Key, now time.Time) {
	t := seconds(now)
	digest := sha256.Sum256([]byte(t + "." + q.Body))
	q.Set(e.Time, t)
	q.Set(e.Proven[0], hex.EncodeToString(rawECDSA(k, digest[:])))
}

// numbers are the two of an ECDSA signature.
type numbers struct{ R, S *big.Int }

// rawECDSA writes them one after the other (IEEE P1363).
func rawECDSA(k Key, digest []byte) []byte {
	der, err := k.Signer.Sign(rand.Reader, digest, nil)
	must(err)
	var n numbers
	_, err = asn1.Unmarshal(der, &n)
	must(err)
	size := 32
	if p, ok := k.Signer.Public().(*ecdsa.PublicKey); ok {
		size = (p.Params().BitSize + 7) / 8
	}
	return append(n.R.FillBytes(make([]byte, size)), n.S.FillBytes(make([]byte, size))...)
}

// mirrored is the other signature of the same content, (r, n-s), that anybody can make.
func mirrored(signature string, k Key) string {
	p, ok := k.Signer.Public().(*ecdsa.PublicKey)
	der, err := base64.StdEncoding.DecodeString(signature)
	if !ok || err != nil {
		return signature
	}
	var n numbers
	if _, err := asn1.Unmarshal(der, &n); err != nil {
		return signature
	}
	n.S.Sub(p.Params().N, n.S)
	der, err = asn1.Marshal(n)
	must(err)
	return base64.StdEncoding.EncodeToString(der)
}

func signDiscord(_ *Endpoint, q *Request, k Key, now time.Time) {
	t := seconds(now)
	signature, err := k.Signer.Sign(nil, []byte(t+q.Body), crypto.Hash(0))
	must(err)
	q.Set("X-Signature-Timestamp", t)
	q.Set("X-Signature-Ed25519", hex.EncodeToString(signature))
}

func signTelnyx(_ *Endpoint, q *Request, k Key, now time.Time) {
	t := seconds(now)
	signature, err := k.Signer.Sign(nil, []byte(t+"|"+q.Body), crypto.Hash(0))
	must(err)
	q.Set("telnyx-timestamp", t)
	q.Set("telnyx-signature-ed25519", base64.StdEncoding.EncodeToString(signature))
}
