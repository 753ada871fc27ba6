package oracle

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // Twilio signs with it
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

func mac(h func() hash.Hash, key []byte, content string) []byte {
	m := hmac.New(h, key)
	_, _ = m.Write([]byte(content)) // never fails
	return m.Sum(nil)
}

func hexMAC(key, content string) string {
	return hex.EncodeToString(mac(sha256.New, []byte(key), content))
}

func seconds(now time.Time) string { return strconv.FormatInt(now.Unix(), 10) }

func signStripe(_ *Endpoint, q *Request, k Key, now time.Time) {
	t := seconds(now)
	q.Set("Stripe-Signature", "t="+t+",v1="+hexMAC(k.Secret, t+"."+q.Body))
}

func signGitHub(_ *Endpoint, q *Request, k Key, _ time.Time) {
	q.Set("X-Hub-Signature-256", "sha256="+hexMAC(k.Secret, q.Body))
}

func signShopify(_ *Endpoint, q *Request, k Key, _ time.Time) {
	q.Set("X-Shopify-Hmac-Sha256", base64.StdEncoding.EncodeToString(mac(sha256.New, []byte(k.Secret), q.Body)))
}

// signV0 is Slack's and Zoom's.
func signV0(e *Endpoint, q *Request, k Key, now time.Time) {
	t := seconds(now)
	q.Set(e.Time, t)
	q.Set(e.Proven[0], "v0="+hexMAC(k.Secret, "v0:"+t+":"+q.Body))
}

func signSvix(_ *Endpoint, q *Request, k Key, now time.Time) {
	t, id := seconds(now), q.Get("svix-id")
	if id == "" {
		id = "msg_" + q.Get("X-Event-Id")
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(k.Secret, "whsec_"))
	must(err)
	q.Set("svix-id", id)
	q.Set("svix-timestamp", t)
	q.Set("svix-signature", "v1,"+base64.StdEncoding.EncodeToString(mac(sha256.New, key, id+"."+t+"."+q.Body)))
}

// signTwilio covers the URL and the parameters, sorted.
func signTwilio(e *Endpoint, q *Request, k Key, _ time.Time) {
	form, err := url.ParseQuery(q.Body)
	must(err)
	content := "https://hooks.example.com" + e.Target
	names := make([]string, 0, len(form))
	for name := range form {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		content += name + form.Get(name)
	}
	q.Set("X-Twilio-Signature", base64.StdEncoding.EncodeToString(mac(sha1.New, []byte(k.Secret), content)))
}

// signLinear has the time in the body, in milliseconds.
func signLinear(_ *Endpoint, q *Request, k Key, now time.Time) {
	rest, _, _ := strings.Cut(q.Body, `,"webhookTimestamp":`)
	q.Body = strings.TrimSuffix(rest, "}") + fmt.Sprintf(`,"webhookTimestamp":%d}`, now.UnixMilli())
	q.Set("Linear-Signature", hexMAC(k.Secret, q.Body))
}

// signCRM is a scheme that stands in the policy.
func signCRM(_ *Endpoint, q *Request, k Key, now time.Time) {
	t := seconds(now)
	q.Host = "crm.example.com"
	q.Set("X-CRM-Signature", "t="+t+",v1="+hexMAC(k.Secret, t+"."+q.Body))
}
