package envoy_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/source"
	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
	"github.com/hookbastion/hookbastion/policy"
)

const senderID = "spiffe://example.org/sender"

// senders are authorities and certificates of senders.
type senders struct {
	dir             string
	trusted, others *envoytest.Authority
	cert, key       []byte // with senderID, of trusted
	table           *authz.Table
}

func newSenders(t *testing.T) *senders {
	t.Helper()
	s := &senders{dir: t.TempDir()}
	var err error
	for _, a := range []**envoytest.Authority{&s.trusted, &s.others} {
		if *a, err = envoytest.NewAuthority("senders"); err != nil {
			t.Fatal(err)
		}
	}
	if s.cert, s.key, err = s.trusted.Issue(envoytest.Issue{URIs: []string{senderID}}); err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(s.cert)
	sum := sha256.Sum256(block.Bytes)
	text := "webhooks:\n"
	for name, transport := range map[string]string{
		"tls":   "require_tls: true",
		"new":   "min_version: TLSV1_3",
		"names": "client_certificate: {sans: ['" + senderID + "']}",
		"ca":    "client_certificate: {sans: ['" + senderID + "'], ca: {file: senders.crt}}",
		"pin":   "client_certificate: {fingerprints: ['sha256:" + hex.EncodeToString(sum[:]) + "']}",
	} {
		text += fmt.Sprintf("- {name: %s, match: {path: /%s}, provider: github, secrets: [{file: secret}], transport: {%s}}\n", name, name, transport)
	}
	for name, data := range map[string][]byte{"secret": []byte(secrets["github"]), "senders.crt": s.trusted.PEM} {
		if err := os.WriteFile(filepath.Join(s.dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.table = compile(t, s.dir, text, policy.Deps{})
	return s
}

func (s *senders) start(t *testing.T, edge envoy.Edge, hops int, edit func(envoytest.Config)) *gateway {
	t.Helper()
	g := start(t, envoytest.Options{
		Source: fixed{s.table}, Edit: edit, Mapping: envoy.Mapping{Edge: edge, Source: source.Resolver{TrustedHops: hops}},
	})
	g.table = s.table
	return g
}

// reason sends a delivery and returns what became of it.
func (s *senders) reason(t *testing.T, g *gateway, c *http.Client, scheme, webhook string, headers ...string) string {
	t.Helper()
	req := signedAt(t, s.table, webhook, scheme+"://"+g.Address, []byte(t.Name()+webhook+fmt.Sprint(headers)), time.Now())
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	a := g.send(t, c, req)
	if a.status != map[string]int{"ok": 200, "tls_required": 403, "client_certificate": 403}[a.reason] {
		t.Errorf("%s: status %d", a.reason, a.status)
	}
	return a.reason
}

func plaintext(c envoytest.Config) {
	delete(c.Map("static_resources", "listeners", 0, "filter_chains", 0), "transport_socket")
}

func session(c envoytest.Config) { c.ExtAuthz()["include_tls_session"] = true }

func forwarding(c envoytest.Config) {
	c.Manager()["forward_client_cert_details"] = "ALWAYS_FORWARD_ONLY"
}

func all(edits ...func(envoytest.Config)) func(envoytest.Config) {
	return func(c envoytest.Config) {
		for _, edit := range edits {
			edit(c)
		}
	}
}

// TestTLSIsProvenOrRefused: for each place that Envoy can have, with what a
// stranger can write.
func TestTLSIsProvenOrRefused(t *testing.T) {
	s := newSenders(t)
	const refused = "tls_required"
	forged := []string{"X-Forwarded-Proto", "https"}
	hop := func(c envoytest.Config) { c.Manager()["xff_num_trusted_hops"] = 1 }
	open := func(c envoytest.Config) { c.Manager()["use_remote_address"] = false }
	for name, c := range map[string]struct {
		edge    envoy.Edge
		hops    int
		noSNI   bool
		edit    func(envoytest.Config)
		scheme  string
		headers []string
		want    string
	}{
		"session":                                {edit: session, scheme: "https", want: "ok"},
		"session, plaintext":                     {edit: all(session, plaintext), scheme: "http", headers: forged, want: refused},
		"session, no server name":                {edit: session, scheme: "https", noSNI: true, want: refused},
		"nothing told":                           {edit: func(envoytest.Config) {}, scheme: "https", want: refused},
		"edge":                                   {edge: envoy.Edge{First: true}, edit: func(envoytest.Config) {}, scheme: "https", want: "ok"},
		"edge, forged over plaintext":            {edge: envoy.Edge{First: true}, edit: plaintext, scheme: "http", headers: forged, want: refused},
		"no edge, forged over plaintext":         {edit: all(plaintext, open), scheme: "http", headers: forged, want: refused},
		"no edge, forged over plaintext, hop":    {edit: all(plaintext, hop), scheme: "http", headers: forged, want: refused},
		"behind a proxy that says so":            {hops: 1, edit: all(plaintext, hop), scheme: "http", headers: forged, want: "ok"},
		"behind a proxy that says http":          {hops: 1, edit: all(session, hop), scheme: "https", headers: []string{"X-Forwarded-Proto", "http"}, want: refused},
		"behind a proxy that says two things":    {hops: 1, edit: all(plaintext, hop), scheme: "http", headers: append(forged, "X-Forwarded-Proto", "http"), want: refused},
		"behind a proxy, version is the proxy's": {hops: 1, edge: envoy.Edge{TLSVersionHeader: "x-v"}, edit: all(plaintext, hop), scheme: "http", headers: append(forged, "X-V", "TLSv1.3"), want: "ok"},
	} {
		t.Run(name, func(t *testing.T) {
			g := s.start(t, c.edge, c.hops, c.edit)
			h1, h2 := with(t, g, nil, nil, 0), with(t, g, nil, nil, 0)
			transport(h2).ForceAttemptHTTP2 = true
			if c.noSNI {
				h1, h2 = g.HTTP1, g.HTTP2
			}
			if got := s.reason(t, g, h1, c.scheme, "tls", c.headers...); got != c.want {
				t.Errorf("HTTP/1.1: %s, want %s", got, c.want)
			}
			if c.scheme == "http" { // with :scheme https, which a client can write
				h2 = &http.Client{Transport: httpsOverPlaintext{}}
			}
			if got := s.reason(t, g, h2, "https", "tls", append([]string{"X-N", "2"}, c.headers...)...); got != c.want {
				t.Errorf("HTTP/2: %s, want %s", got, c.want)
			}
			if got := s.reason(t, g, h1, c.scheme, "new", c.headers...); got != refused {
				t.Errorf("a version that nobody knows: %s", got)
			}
			if len(g.Upstream.Take()) != map[string]int{"ok": 2}[c.want] {
				t.Error("not what reached the upstream")
			}
		})
	}
}

// httpsOverPlaintext speaks HTTP/2 without TLS and says https.
type httpsOverPlaintext struct{}

func (httpsOverPlaintext) RoundTrip(req *http.Request) (*http.Response, error) {
	//nolint:staticcheck // its successor says https over TLS only
	h2 := &http2.Transport{DialTLSContext: func(ctx context.Context, network, address string, _ *tls.Config) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	response, err := h2.RoundTrip(req) //nolint:staticcheck // the same
	if err == nil {
		response, err = read(response)
	}
	h2.CloseIdleConnections() //nolint:staticcheck // the same
	return response, err
}

func read(response *http.Response) (*http.Response, error) {
	var body bytes.Buffer
	_, err := body.ReadFrom(response.Body)
	_ = response.Body.Close()
	response.Body = http.NoBody
	return response, err
}

// asksFor makes Envoy ask for client certificates; untrusted: of anybody.
func (s *senders) asksFor(untrusted bool) func(envoytest.Config) {
	return func(c envoytest.Config) {
		validation := map[string]any{"trusted_ca": map[string]any{"filename": filepath.Join(s.dir, "senders.crt")}}
		if untrusted {
			validation["trust_chain_verification"] = "ACCEPT_UNTRUSTED"
		}
		c.Map("static_resources", "listeners", 0, "filter_chains", 0, "transport_socket", "typed_config", "common_tls_context")["validation_context"] = validation
	}
}

// with is a client that shows a certificate, and speaks at most this version.
func with(t *testing.T, g *gateway, cert, key []byte, most uint16) *http.Client {
	t.Helper()
	c := &tls.Config{RootCAs: g.Roots, MinVersion: tls.VersionTLS12, MaxVersion: most, ServerName: "hooks.example.com"}
	if cert != nil {
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: c}}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

func transport(c *http.Client) *http.Transport { return c.Transport.(*http.Transport) }

func TestClientCertificates(t *testing.T) {
	s := newSenders(t)
	forgedCert, forgedKey, err := s.others.Issue(envoytest.Issue{URIs: []string{senderID}})
	if err != nil {
		t.Fatal(err)
	}
	otherCert, otherKey, err := s.trusted.Issue(envoytest.Issue{URIs: []string{senderID + "/x"}, DNS: []string{"sender"}})
	if err != nil {
		t.Fatal(err)
	}
	certificates := func(c envoytest.Config) { c.ExtAuthz()["include_peer_certificate"] = true }
	const refused = "client_certificate"
	type wants map[string]string // by webhook
	for name, c := range map[string]struct {
		edit      func(envoytest.Config)
		cert, key []byte
		want      wants
	}{
		"good":                       {all(s.asksFor(false), certificates), s.cert, s.key, wants{"tls": "ok", "names": "ok", "ca": "ok", "pin": "ok"}},
		"good, the name alone told":  {s.asksFor(false), s.cert, s.key, wants{"tls": "ok", "names": "ok", "ca": refused, "pin": refused}},
		"another name":               {all(s.asksFor(false), certificates), otherCert, otherKey, wants{"tls": "ok", "names": refused, "ca": refused, "pin": refused}},
		"another name told":          {s.asksFor(false), otherCert, otherKey, wants{"names": refused, "ca": refused, "pin": refused}},
		"none":                       {all(s.asksFor(false), certificates, session), nil, nil, wants{"tls": "ok", "names": refused, "ca": refused, "pin": refused}},
		"nobody asks":                {all(certificates, session), s.cert, s.key, wants{"tls": "ok", "names": refused, "ca": refused, "pin": refused}},
		"Envoy verifies nothing":     {all(s.asksFor(true), certificates), forgedCert, forgedKey, wants{"ca": refused, "pin": refused}},
		"Envoy tells what it is not": {s.asksFor(true), forgedCert, forgedKey, wants{"names": "ok", "ca": refused, "pin": refused}}, // why a finding asks for ca
	} {
		t.Run(name, func(t *testing.T) {
			g := s.start(t, envoy.Edge{}, 0, c.edit)
			client := with(t, g, c.cert, c.key, 0)
			for webhook, want := range c.want {
				if got := s.reason(t, g, client, "https", webhook); got != want {
					t.Errorf("%s: %s, want %s", webhook, got, want)
				}
			}
		})
	}
}

// TestForwardedClientCert: what a proxy tells counts only behind a proxy.
func TestForwardedClientCert(t *testing.T) {
	s := newSenders(t)
	encoded := url.PathEscape(string(s.cert))
	block, _ := pem.Decode(s.cert)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(leaf.Raw)
	names := fmt.Sprintf(`By=spiffe://example.org/proxy;Hash=%x;Subject="CN=a,O=\"b;c\"";URI=%s;DNS=x`, sum, senderID)
	const refused = "client_certificate"
	hop := func(c envoytest.Config) { c.Manager()["xff_num_trusted_hops"] = 1 }
	for name, c := range map[string]struct {
		hops    int
		headers []string
		want    map[string]string
	}{
		"a stranger's":        {0, []string{"X-Forwarded-Client-Cert", names}, map[string]string{"tls": "ok", "names": refused, "ca": refused, "pin": refused}},
		"a proxy's names":     {1, []string{"X-Forwarded-Client-Cert", names}, map[string]string{"names": "ok", "ca": refused, "pin": "ok"}},
		"a proxy's cert":      {1, []string{"X-Forwarded-Client-Cert", `Cert="` + encoded + `"`}, map[string]string{"names": "ok", "ca": "ok", "pin": "ok"}},
		"two elements":        {1, []string{"X-Forwarded-Client-Cert", names + "," + names}, map[string]string{"names": refused, "pin": refused}},
		"two headers":         {1, []string{"X-Forwarded-Client-Cert", names, "X-Forwarded-Client-Cert", names}, map[string]string{"names": refused}},
		"none":                {1, nil, map[string]string{"names": refused, "ca": refused, "pin": refused}},
		"half a quote":        {1, []string{"X-Forwarded-Client-Cert", `URI="` + senderID}, map[string]string{"names": refused}},
		"a name in a name":    {1, []string{"X-Forwarded-Client-Cert", `Subject="x;URI=` + senderID + `"`}, map[string]string{"names": refused}},
		"another certificate": {1, []string{"X-Forwarded-Client-Cert", `URI=` + senderID + `;Cert="x"`}, map[string]string{"names": refused}},
	} {
		t.Run(name, func(t *testing.T) {
			g := s.start(t, envoy.Edge{}, c.hops, all(session, forwarding, hop))
			client := with(t, g, nil, nil, 0)
			for webhook, want := range c.want {
				if got := s.reason(t, g, client, "https", webhook, append([]string{"X-Forwarded-Proto", "https"}, c.headers...)...); got != want {
					t.Errorf("%s: %s, want %s", webhook, got, want)
				}
			}
		})
	}
}

// TestTLSVersion: Envoy writes the version over what the sender wrote.
func TestTLSVersion(t *testing.T) {
	s := newSenders(t)
	g := s.start(t, envoy.Edge{First: true, TLSVersionHeader: "x-tls-version"}, 0, func(c envoytest.Config) {
		c.Manager()["early_header_mutation_extensions"] = []any{map[string]any{
			"name": "envoy.http.early_header_mutation.header_mutation",
			"typed_config": map[string]any{
				"@type": "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
				"mutations": []any{map[string]any{"append": map[string]any{
					"header":        map[string]any{"key": "x-tls-version", "value": "%DOWNSTREAM_TLS_VERSION%"},
					"append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
				}}},
			},
		}}
	})
	for most, want := range map[uint16]string{tls.VersionTLS12: "tls_required", tls.VersionTLS13: "ok"} {
		client := with(t, g, nil, nil, most)
		if got := s.reason(t, g, client, "https", "new", "X-Tls-Version", "TLSv1.3"); got != want {
			t.Errorf("%s: %s, want %s", tls.VersionName(most), got, want)
		}
	}
}
