package signature

import (
	"encoding/base64"
	"encoding/hex"
	"hash"
	"strconv"
	"time"

	"github.com/hookbastion/hookbastion/authz"
)

// Sign returns the headers that make the request a valid delivery at that
// time, signed with the key of that ID, or with the first one if it is empty.
// Signed headers that the request lacks, such as a delivery's id, are made by
// newID. It returns nil if there is no such key.
func (h *HMAC) Sign(req *authz.Request, keyID string, now time.Time, newID func() string) authz.Headers {
	k := h.key(keyID)
	if k == nil {
		return nil
	}
	c := &h.config
	var added authz.Headers
	add := func(name, value string) {
		added = append(added, authz.Header{Name: authz.View(name), Value: authz.View(value)})
	}
	for _, constant := range c.Constants {
		add(constant.Name, constant.Value)
	}
	stamp := string(appendTime(nil, now, c.Time.Unit))
	if c.Time.Header != "" {
		add(c.Time.Header, stamp)
	}
	for _, part := range c.Content {
		if part.Kind != HeaderValue {
			continue
		}
		_, there := req.Headers.Lookup(part.Text)
		_, made := added.Lookup(part.Text) // a constant, the time, or signed twice
		if there+made == 0 {
			add(part.Text, newID())
		}
	}

	signed := *req
	signed.Headers = append(append(authz.Headers{}, req.Headers...), added...)
	mac, _ := k.macs.Get().(hash.Hash)
	mac.Reset()
	h.write(&authz.Call{Request: &signed}, &scratch{time: authz.View(stamp)}, mac, nil)
	text := c.Encoding.encode(mac.Sum(nil))
	k.macs.Put(mac)
	name := c.Headers[0]
	if c.Numbered {
		name += "-1"
	}
	add(name, c.headerValue(stamp, text))
	return added
}

func (h *HMAC) key(id string) *key {
	for _, k := range h.keys {
		if id == "" || k.ID == id {
			return k
		}
	}
	return nil
}

func (e Encoding) encode(mac []byte) string {
	switch e {
	case Base64:
		return base64.StdEncoding.EncodeToString(mac)
	case Base64URL:
		return base64.RawURLEncoding.EncodeToString(mac)
	default:
		return hex.EncodeToString(mac)
	}
}

// headerValue writes the signature header in its grammar.
func (c *Config) headerValue(stamp, mac string) string {
	switch c.Grammar {
	case Prefix, PrefixList:
		return c.Prefix + mac
	case SpaceList:
		return c.Prefix + "," + mac
	case KeyValue:
		value := c.Key + "=" + mac
		if c.Time.Key != "" {
			value = c.Time.Key + "=" + stamp + string(c.Separator) + value
		}
		return value
	case Positional:
		return stamp + string(c.Separator) + mac
	default:
		return mac
	}
}

func appendInt(dst []byte, n int64) []byte { return strconv.AppendInt(dst, n, 10) }
