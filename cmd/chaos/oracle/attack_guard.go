package oracle

import (
	"encoding/base64"
	"strings"
	"time"
)

func signBasic(_ *Endpoint, q *Request, k Key, _ time.Time) {
	q.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(k.Secret)))
}

var basicAttacks = []Attack{
	{"another user", every, func(c *Case) {
		_, word, _ := strings.Cut(c.Key.Secret, ":")
		signBasic(nil, c.Request, Key{Secret: "root:" + word}, c.Now)
	}, []string{"token_invalid"}, nil},
	{"no password", every, func(c *Case) { signBasic(nil, c.Request, Key{Secret: "sender:"}, c.Now) }, []string{"token_invalid"}, nil},
	{"a token where a password is due", every, func(c *Case) { c.Request.Set("Authorization", "Bearer "+c.Key.Secret) }, []string{"token_missing", "token_invalid"}, nil},
}

// from sends it from another address.
func from(address string) change {
	return func(c *Case) { c.Request.Via.Source = address }
}

// claiming sends it from an address and says that it was another.
func claiming(address, claimed string) change {
	return func(c *Case) {
		c.Request.Via.Source = address
		c.Request.Set("X-Forwarded-For", claimed)
		c.Request.Set("X-Real-IP", claimed)
		c.Request.Set("X-Envoy-External-Address", claimed)
		c.Request.Set("Forwarded", "for="+claimed)
	}
}

var (
	strange = []string{"source_denied"}
	plain   = []string{"tls_required"}
)

var sourceAttacks = []Attack{
	{"from elsewhere", every, from("198.51.100.7"), strange, nil},
	{"from the machine itself", every, from(""), strange, nil},
	{"from an address that is denied", every, from("203.0.113.66"), strange, nil},
	{"from just beside", every, from("203.0.114.9"), strange, nil},
	{"from elsewhere, which it denies", every, claiming("198.51.100.7", "203.0.113.9"), strange, nil},
	{"an address in IPv6 that holds another", every, from("::ffff:c633:6407"), strange, nil},
	{"from elsewhere without a token", every, func(c *Case) {
		from("198.51.100.7")(c)
		c.Request.Delete("Authorization")
	}, strange, nil},
}

var rangesAttacks = []Attack{
	{"from elsewhere", every, from("198.51.100.7"), strange, nil},
	{"from elsewhere, which it denies", every, claiming("198.51.100.7", "140.82.112.7"), strange, nil},
	{"from a machine that anybody rents", every, from("20.1.2.3"), strange, nil},
}

var tlsAttacks = []Attack{
	{"without TLS", every, func(c *Case) { c.Request.Via = Via{} }, plain, nil},
	{"without TLS, which it denies", every, func(c *Case) {
		c.Request.Via = Via{}
		c.Request.Set("X-Forwarded-Proto", "https")
		c.Request.Set("X-Forwarded-Scheme", "https")
		c.Request.Set("Forwarded", "proto=https")
		c.Request.Set("X-Forwarded-Client-Cert", "By=spiffe://example.org/edge;URI=spiffe://example.org/sender")
	}, plain, nil},
	{"without TLS from afar", every, func(c *Case) { c.Request.Via = Via{Source: "198.51.100.7"} }, plain, nil},
}

var mtlsAttacks = []Attack{
	{"without a certificate", every, func(c *Case) { c.Request.Via.Certificate = false }, []string{"client_certificate"}, nil},
	{"another's certificate", every, func(c *Case) { c.Request.Via.Stranger = true }, []string{"client_certificate"}, nil},
	{"a certificate that it only names", every, func(c *Case) {
		c.Request.Via.Certificate = false
		c.Request.Set("X-Forwarded-Client-Cert", "Hash=00;URI=spiffe://example.org/sender")
	}, []string{"client_certificate"}, nil},
	{"without TLS", every, func(c *Case) {
		c.Request.Via = Via{}
		c.Request.Set("X-Forwarded-Proto", "https")
		c.Request.Set("X-Forwarded-Client-Cert", "Hash=00;URI=spiffe://example.org/sender")
	}, []string{"client_certificate", "tls_required"}, nil},
}

var tenantAttacks = []Attack{
	{"a delivery of another tenant", every, func(c *Case) { c.Request.Target = "/tenants/globex/hook" }, invalid, nil},
	{"a tenant that nobody knows", every, func(c *Case) { c.Request.Target = "/tenants/nobody/hook" }, []string{"tenant_unknown"}, nil},
	{"a tenant that climbs", every, func(c *Case) { c.Request.Target = "/tenants/..%2Fstripe.current/hook" }, nowhere, []int{400}},
	{"no tenant", every, func(c *Case) { c.Request.Target = "/tenants//hook" }, nowhere, nil},
	{"a tenant in the query", every, func(c *Case) { c.Request.Target = "/tenants/globex/hook?tenant=acme" }, invalid, nil},
}
