package oracle

import (
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"
)

// message is what a signature of an HTTP message says of itself (RFC 9421).
type message struct {
	cover   []string
	created time.Time
	expires time.Time
	tag     string
	digest  string // of the body; "" is the right one
}

// adcp is a signature as AdCP wants it.
func adcp(now time.Time) message {
	return message{
		cover:   []string{"@method", "@target-uri", "@authority", "content-type", "content-digest"},
		created: now, expires: now.Add(5 * time.Minute), tag: "adcp/webhook-signing/v1",
	}
}

func signAdCP(_ *Endpoint, q *Request, k Key, now time.Time) { adcp(now).sign(q, k) }

// sign writes Content-Digest (RFC 9530), Signature-Input and Signature.
func (m message) sign(q *Request, k Key) {
	sum := sha256.Sum256([]byte(q.Body))
	if m.digest == "" {
		m.digest = "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
	}
	q.Set("Content-Digest", m.digest)
	list, base := "", ""
	for i, name := range m.cover {
		if i > 0 {
			list += " "
		}
		list += `"` + name + `"`
		value := ""
		switch name {
		case "@method":
			value = q.Method
		case "@target-uri":
			value = "https://hooks.example.com" + q.Target
		case "@authority":
			value = "hooks.example.com"
		default:
			value = q.Get(name)
		}
		base += fmt.Sprintf("%q: %s\n", name, value)
	}
	parameters := fmt.Sprintf(`(%s);created=%d;expires=%d;keyid="%s";alg="ed25519";nonce="%s";tag="%s"`,
		list, m.created.Unix(), m.expires.Unix(), k.Kid, base64.RawURLEncoding.EncodeToString(random(16)), m.tag)
	signature, err := k.Signer.Sign(nil, []byte(base+`"@signature-params": `+parameters), crypto.Hash(0))
	must(err)
	q.Set("Signature-Input", "sig1="+parameters)
	q.Set("Signature", "sig1=:"+base64.RawURLEncoding.EncodeToString(signature)+":")
}

// otherMessage signs another thing than the provider does.
func otherMessage(alter func(*message)) change {
	return func(c *Case) {
		m := adcp(c.Now)
		alter(&m)
		m.sign(c.Request, c.Key)
	}
}
