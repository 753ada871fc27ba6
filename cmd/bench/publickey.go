package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/proto"
)

// presigned is how many deliveries are signed ahead: to sign one costs the sender half
// of what it costs the service to verify it. They come again and again; a copy costs what
// the first one did, but for a nonce.
const presigned = 20_000

// publicKeyDeliveries writes a policy that verifies ECDSA, and returns what makes
// deliveries for it.
func (f *field) publicKeyDeliveries() (message func() []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	public := filepath.Join(f.dir, "public.pem")
	f.ecdsaPolicy = filepath.Join(f.dir, "ecdsa.yaml")
	err = errors.Join(os.WriteFile(public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600),
		os.WriteFile(f.ecdsaPolicy, []byte(`webhooks:
- name: ecdsa
  match: {hosts: [hooks.example.com], path: /ecdsa}
  scheme:
    ecdsa:
      curve: P256
      hash: SHA256
      format: DER
      encoding: BASE64
      signature: {headers: [X-Signature]}
      content: [{timestamp: {}}, {literal: "."}, {body: {}}]
      timestamp: {header: X-Time, unit: SECONDS, tolerance: 1h}
  secrets: [{file: `+public+`}]
`), 0o600))
	if err != nil {
		return nil, err
	}
	messages := make([][]byte, presigned)
	second := time.Now().Unix()
	for i := range messages {
		body := fmt.Appendf(nil, `{"id":"%d","data":"%s"}`, i, bytes.Repeat([]byte("abcdefgh"), 125))
		digest := sha256.Sum256(fmt.Appendf(nil, "%d.%s", second, body))
		signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
		if err != nil {
			return nil, err
		}
		d := &deliveries{form: rawHeaders}
		check := d.check(second, body)
		http := check.GetAttributes().GetRequest().GetHttp()
		http.Path = "/ecdsa"
		for _, h := range http.GetHeaderMap().GetHeaders() {
			if h.GetKey() == ":path" {
				h.RawValue = []byte("/ecdsa")
			}
		}
		http.HeaderMap.Headers = append(http.HeaderMap.Headers,
			&corev3.HeaderValue{Key: "x-signature", RawValue: []byte(base64.StdEncoding.EncodeToString(signature))},
			&corev3.HeaderValue{Key: "x-time", RawValue: fmt.Append(nil, second)})
		if messages[i], err = proto.Marshal(check); err != nil {
			return nil, err
		}
	}
	var next atomic.Uint64
	return func() []byte { return messages[next.Add(1)%presigned] }, nil
}
