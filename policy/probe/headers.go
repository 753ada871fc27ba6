package probe

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
)

func forgedVerified(s *session) ([]shot, error) {
	var all []shot
	for _, name := range []string{verified, "X-Hookbastion-Verified", "x_hookbastion_verified"} {
		req := s.bare()
		req.Headers = append(req.Headers, raw(name, "signature"))
		all = append(all, shot{detail: name, req: req})
	}
	return all, nil
}

// forgedNames are headers of ours, and what something behind may take for them.
var forgedNames = [2][]string{{
	verified, ours + "tenant", ours + "webhook", ours + "key-id", ours + "replay", ours + "assertion", decisionID, ours + "anything",
}, {
	"X-Hookbastion-Verified", "x_hookbastion_verified", "x-hookbastion_tenant", "x-envoy-auth-failure-mode-allowed",
}}

// forgedHeaders sends them in two deliveries: each is one that the application takes.
func forgedHeaders(s *session) ([]shot, error) {
	var all []shot
	for i, detail := range []string{"as they are", "in other letters"} {
		sh := shot{detail: detail, req: s.fresh(), expect: clean}
		for _, name := range forgedNames[i] {
			text := "forged-" + nonce()
			sh.req.Headers = append(sh.req.Headers, raw(name, text))
			sh.forged = append(sh.forged, text)
			sh.wire.shown = sh.wire.shown || name == verified
		}
		all = append(all, sh)
	}
	return all, nil
}

func forgedTrailers(s *session) ([]shot, error) {
	var all []shot
	for _, http2 := range []bool{false, true} {
		req, text := s.fresh(), "forged-"+nonce()
		trailers := []authz.Header{raw(verified, text), raw(ours+"tenant", text), raw("x_hookbastion_verified", text)}
		if http2 {
			trailers = trailers[:2] // the library that sends it takes no others
		}
		sh := shot{detail: "HTTP/1.1", req: req, expect: clean, forged: []string{text}}
		sh.wire = wire{trailers: trailers, http2: http2}
		if http2 {
			sh.detail = "HTTP/2"
		} else {
			sh.wire.pieces = [][]byte{req.Body.Joined()}
		}
		all = append(all, sh)
	}
	return all, nil
}

func connectionVerified(s *session) ([]shot, error) {
	req := s.fresh()
	return []shot{{req: req, expect: told, wire: wire{lines: []string{"connection: close, " + verified + ", " + ours + "webhook"}}}}, nil
}

func obeyedHeaders(s *session) ([]shot, error) {
	path := string(s.control.PathOnly())
	headers := [][2]string{
		{"x-original-url", path}, {"x-rewrite-url", path}, {"x-envoy-original-path", path}, {"x-forwarded-uri", path},
		{"x-http-method-override", string(s.control.Method)}, {"x-envoy-internal", "true"}, {"x-envoy-auth-failure-mode-allowed", "true"},
		{"x-envoy-original-dst-host", "127.0.0.1:80"}, {"x-envoy-decorator-operation", "probe"}, {"x-forwarded-host", string(s.control.Host)},
		{"x-ext-authz-check-result", "allowed"}, {"x-verified", "true"},
	}
	all := make([]shot, 0, 2)
	for _, here := range []bool{true, false} {
		req := s.bare()
		if !here {
			req.Path = authz.View("/" + nonce())
		}
		for _, h := range headers {
			req.Headers = append(req.Headers, raw(h[0], h[1]))
		}
		detail := "on another path"
		if here {
			detail = "on its path"
		}
		all = append(all, shot{detail: detail, req: req})
	}
	return all, nil
}

func extensionHeaders(s *session) ([]shot, error) {
	req := s.bare()
	for _, h := range [][2]string{
		{"hookbastion.webhook", s.hook.Name}, {ours + "webhook", s.hook.Name}, {ours + "request-duration", "1"},
		{"x-envoy-auth-partial-body", "false"},
	} {
		req.Headers = append(req.Headers, raw(h[0], h[1]))
	}
	return []shot{{req: req}}, nil
}

// strange is an address that no policy should allow, RFC 5737.
var strange = netip.AddrFrom4([4]byte{192, 0, 2, 66})

func addressed(req *authz.Request, addr netip.Addr) *authz.Request {
	// However many proxies are passed over, it is the sender's own word.
	list := strings.TrimSuffix(strings.Repeat(addr.String()+", ", 4), ", ")
	for _, h := range [][2]string{
		{"x-forwarded-for", list}, {"x-real-ip", addr.String()}, {"forwarded", "for=" + addr.String()},
		{"x-envoy-external-address", addr.String()}, {"true-client-ip", addr.String()}, {"cf-connecting-ip", addr.String()},
	} {
		req.Headers = append(req.Headers, raw(h[0], h[1]))
	}
	return req
}

// forgedAddress says that it comes from where deliveries may come from, or, from an address
// that may deliver, that it comes from elsewhere: what refuses that would believe the other.
func forgedAddress(s *session) ([]shot, error) {
	if s.hook.Policy.GetSourceIp() == nil {
		return nil, nil
	}
	if !s.delivered {
		return []shot{{detail: s.allowedSource().String(), req: addressed(s.fresh(), s.allowedSource())}}, nil
	}
	if s.decide(s.hook.Trials, s.fresh(), wire{source: strange}).Allows() {
		return nil, nil
	}
	return []shot{{detail: strange.String(), req: addressed(s.fresh(), strange), expect: believed}}, nil
}

func plain(s *session) ([]shot, error) {
	if s.gateway.TLS != nil || s.hook.Policy.GetTransport() == nil {
		return nil, nil
	}
	req := s.fresh()
	for _, h := range [][2]string{{"x-forwarded-proto", "https"}, {"x-forwarded-ssl", "on"}, {"x-forwarded-scheme", "https"}, {"front-end-https", "on"}} {
		req.Headers = append(req.Headers, raw(h[0], h[1]))
	}
	return []shot{{req: req}, {detail: "without the headers", req: s.fresh()}}, nil
}

// oldTLS matters where the policy asks for TLS 1.3.
func oldTLS(s *session) ([]shot, error) {
	if s.gateway.TLS == nil || s.hook.Policy.GetTransport().GetMinVersion() == 0 {
		return nil, nil
	}
	all := []shot{{req: s.fresh(), wire: wire{oldTLS: true}}}
	if s.gateway.VersionHeader != "" {
		req := s.fresh()
		req.Headers = append(req.Headers, raw(s.gateway.VersionHeader, "TLSv1.3"))
		all = append(all, shot{detail: "with " + s.gateway.VersionHeader, req: req, wire: wire{oldTLS: true}})
	}
	return all, nil
}

func noCertificate(s *session) ([]shot, error) {
	client := s.hook.Policy.GetTransport().GetClientCertificate()
	if s.gateway.TLS == nil || client == nil {
		return nil, nil
	}
	subject := "URI=spiffe://probe"
	if names := client.GetSans(); len(names) > 0 {
		subject = "URI=" + names[0] + ";DNS=" + names[0]
	}
	req := s.fresh()
	req.Headers = append(req.Headers, raw("x-forwarded-client-cert", "By=spiffe://gateway;Hash="+strings.Repeat("0", 64)+`;Subject="";`+subject))
	return []shot{{req: req, wire: wire{anonymous: true}}, {detail: "without the header", req: s.fresh(), wire: wire{anonymous: true}}}, nil
}

func ownCertificate(s *session) ([]shot, error) {
	client := s.hook.Policy.GetTransport().GetClientCertificate()
	if s.gateway.TLS == nil || client == nil {
		return nil, nil
	}
	names := slices.Clone(client.GetSans())
	if own := s.gateway.TLS.Certificates; len(own) > 0 {
		if cert, err := x509.ParseCertificate(own[0].Certificate[0]); err == nil {
			names = append(names, cert.DNSNames...)
			for _, u := range cert.URIs {
				names = append(names, u.String())
			}
		}
	}
	slices.Sort(names)
	forged, err := selfIssued(slices.Compact(names))
	if err != nil {
		return nil, err
	}
	return []shot{{req: s.fresh(), wire: wire{certificate: forged}}}, nil
}

// selfIssued is a certificate that says of itself what it is.
func selfIssued(names []string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "probe"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, name := range names {
		if u, err := url.Parse(name); err == nil && u.Scheme != "" {
			template.URIs = append(template.URIs, u)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// transport is what the policies would know of the connection: of a certificate that nobody
// has issued, nothing.
func (s *session) transport(w wire) authz.Transport {
	config := s.gateway.TLS
	if config == nil {
		return authz.Transport{}
	}
	t := authz.Transport{TLS: true, Version: tls.VersionTLS13}
	if w.oldTLS {
		t.Version = tls.VersionTLS12
	}
	if w.anonymous || w.certificate != nil || len(config.Certificates) == 0 {
		return t
	}
	cert, err := x509.ParseCertificate(config.Certificates[0].Certificate[0])
	if err != nil {
		return t
	}
	switch {
	case len(cert.URIs) > 0:
		t.Principal = authz.View(cert.URIs[0].String())
	case len(cert.DNSNames) > 0:
		t.Principal = authz.View(cert.DNSNames[0])
	default:
		t.Principal = authz.View(cert.Subject.String())
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	t.Certificate = authz.View(url.PathEscape(string(text)))
	return t
}

// handshakes are those of somebody who has neither secret nor token, and those that the
// policy does not want answered.
func handshakes(s *session) ([]shot, error) {
	var all []shot
	add := func(v Variant, name string) {
		if shots, err := s.signed(How{Handshake: name, Variant: v}); err == nil {
			shots[0].detail, shots[0].expect = name, unanswered
			all = append(all, shots...)
		}
	}
	for _, name := range s.hook.Asks {
		add(Asked, name)
	}
	if shaker := s.hook.Rules.Webhook(s.hook.Name).Handshakes; shaker != nil {
		for _, name := range shaker.Names() {
			add(OtherSecret, name)
			add(OtherToken, name)
		}
	}
	return all, nil
}
