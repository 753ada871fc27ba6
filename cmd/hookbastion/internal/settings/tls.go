package settings

import (
	"crypto/tls"

	"github.com/hookbastion/hookbastion/authz/transport"
	"github.com/hookbastion/hookbastion/envoy/mtls"
	settingsv1 "github.com/hookbastion/hookbastion/proto/hookbastion/settings/v1"
)

// listenerTLS reads the tls of a listener's settings; nil if there is none.
func listenerTLS(t *settingsv1.Tls, section, listen, protocol string, fail func(string, ...any)) *mtls.Config {
	if t == nil {
		return nil
	}
	for name, value := range map[string]string{"cert": t.GetCert(), "key": t.GetKey()} {
		if value == "" {
			fail("is missing", section, "tls", name)
		}
	}
	if listen == "" {
		fail("has no use without "+section+".listen", section, "tls")
	}
	if len(t.GetClientSans()) > 0 && t.GetClientCa() == "" {
		fail("has no use without client_ca", section, "tls", "client_sans")
	}
	if _, err := transport.ParseNames(t.GetClientSans()); err != nil {
		fail(err.Error(), section, "tls", "client_sans")
	}
	c := &mtls.Config{
		Cert: t.GetCert(), Key: t.GetKey(), ClientCA: t.GetClientCa(), ClientSANs: t.GetClientSans(),
		NextProtos: []string{protocol},
	}
	if t.GetMinVersion() == settingsv1.Tls_TLSV1_2 {
		c.MinVersion = tls.VersionTLS12
	}
	return c
}

// Mutual reports whether clients must show a certificate.
func Mutual(c *mtls.Config) bool { return c != nil && c.ClientCA != "" }
