package transport_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/transport"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

const sender = "spiffe://example.org/sender"

func names(t testing.TB, list ...string) transport.Names {
	t.Helper()
	n, err := transport.ParseNames(list)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func run(check *transport.Check, facts authz.Transport, now time.Time) authz.Reason {
	return check.Run(&authz.Call{Context: context.Background(), Request: &authz.Request{Transport: facts}, Now: now})
}

func TestTLS(t *testing.T) {
	for name, c := range map[string]struct {
		check transport.Check
		facts authz.Transport
		want  authz.Reason
	}{
		"nothing":         {transport.Check{}, authz.Transport{}, authz.TLSRequired},
		"TLS":             {transport.Check{}, authz.Transport{TLS: true}, authz.OK},
		"version unknown": {transport.Check{MinVersion: tls.VersionTLS12}, authz.Transport{TLS: true}, authz.TLSRequired},
		"older":           {transport.Check{MinVersion: tls.VersionTLS13}, authz.Transport{TLS: true, Version: tls.VersionTLS12}, authz.TLSRequired},
		"as old":          {transport.Check{MinVersion: tls.VersionTLS12}, authz.Transport{TLS: true, Version: tls.VersionTLS12}, authz.OK},
		"no TLS, a name":  {transport.Check{Client: &transport.Client{Names: names(t, sender)}}, authz.Transport{Principal: authz.View(sender)}, authz.TLSRequired},
		"empty client":    {transport.Check{Client: &transport.Client{}}, authz.Transport{TLS: true, Principal: authz.View(sender)}, authz.ClientCertificate},
	} {
		if got := run(&c.check, c.facts, time.Now()); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestClient(t *testing.T) {
	now := time.Now()
	ours, err := envoytest.NewAuthority("ours")
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := envoytest.NewAuthority("ours")
	if err != nil {
		t.Fatal(err)
	}
	issue := func(a *envoytest.Authority, i envoytest.Issue) (encoded authz.View, sum [32]byte) {
		t.Helper()
		cert, _, err := a.Issue(i)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(cert)
		return authz.View(url.PathEscape(string(cert))), sha256.Sum256(block.Bytes)
	}
	pool, err := transport.Pool(ours.PEM)
	if err != nil {
		t.Fatal(err)
	}
	good, sum := issue(ours, envoytest.Issue{URIs: []string{sender}, DNS: []string{"sender.example"}})
	forged, _ := issue(theirs, envoytest.Issue{URIs: []string{sender}})
	old, _ := issue(ours, envoytest.Issue{URIs: []string{sender}, NotAfter: now.Add(-time.Minute)})
	byName := &transport.Client{Names: names(t, sender)}
	byDNS := &transport.Client{Names: names(t, "Sender.example")}
	byCA := &transport.Client{Authorities: pool}
	byBoth := &transport.Client{Names: names(t, "other.example"), Authorities: pool}
	pinned := &transport.Client{Fingerprints: [][32]byte{sum}}
	zeroPin := &transport.Client{Fingerprints: [][32]byte{{}}}
	hash := hex.EncodeToString(sum[:])
	for name, c := range map[string]struct {
		client *transport.Client
		facts  authz.Transport
		want   bool
	}{
		"name":                        {byName, authz.Transport{Principal: authz.View(sender)}, true},
		"longer name":                 {byName, authz.Transport{Principal: authz.View(sender + "x")}, false},
		"subject":                     {byName, authz.Transport{Principal: authz.View("CN=" + sender)}, false},
		"DNS name of the certificate": {byDNS, authz.Transport{Principal: authz.View(sender), Certificate: good}, true},
		"the principal is not that":   {byDNS, authz.Transport{Principal: authz.View(sender)}, false},
		"certificate":                 {byCA, authz.Transport{Certificate: good}, true},
		"its name alone":              {byCA, authz.Transport{Principal: authz.View(sender)}, false},
		"of another authority":        {byCA, authz.Transport{Principal: authz.View(sender), Certificate: forged}, false},
		"expired":                     {byCA, authz.Transport{Certificate: old}, false},
		"right authority, wrong name": {byBoth, authz.Transport{Certificate: good}, false},
		"pinned":                      {pinned, authz.Transport{Certificate: good}, true},
		"another":                     {pinned, authz.Transport{Certificate: forged}, false},
		"no certificate, pin of zero": {zeroPin, authz.Transport{Principal: authz.View(sender)}, false},
		"two certificates":            {byCA, authz.Transport{Certificate: append(good[:len(good):len(good)], good...)}, false},
		"bad encoding":                {byCA, authz.Transport{Certificate: authz.View("%")}, false},
		"bad certificate, good name":  {byName, authz.Transport{Principal: authz.View(sender), Certificate: authz.View("x")}, false},
		"huge":                        {byCA, authz.Transport{Certificate: authz.View(strings.Repeat("a", 1<<20))}, false},
		"forwarded hash":              {pinned, authz.Transport{ForwardedCert: authz.View("Hash=" + hash)}, true},
		"forwarded short hash":        {pinned, authz.Transport{ForwardedCert: authz.View("Hash=" + hash[:62])}, false},
		"forwarded two hashes":        {pinned, authz.Transport{ForwardedCert: authz.View("Hash=" + hash + ";Hash=" + hash)}, false},
		"forwarded hash for a CA":     {byCA, authz.Transport{ForwardedCert: authz.View("Hash=" + hash)}, false},
		"forwarded certificate":       {byCA, authz.Transport{ForwardedCert: authz.View(`Cert="` + string(good) + `"`)}, true},
		"forwarded other certificate": {byCA, authz.Transport{ForwardedCert: authz.View(`Cert="` + string(forged) + `"`)}, false},
		"forwarded hash lies":         {pinned, authz.Transport{ForwardedCert: authz.View("Hash=" + hash + `;Cert="` + string(forged) + `"`)}, false},
		"forwarded name":              {byName, authz.Transport{ForwardedCert: authz.View("Subject=\"\";URI=" + sender)}, true},
		"forwarded two elements":      {byName, authz.Transport{ForwardedCert: authz.View("URI=" + sender + ",URI=x")}, false},
		"forwarded two URIs":          {byName, authz.Transport{ForwardedCert: authz.View("URI=spiffe://evil.example/x;URI=" + sender)}, false},
		"forwarded two URIs, turned":  {byName, authz.Transport{ForwardedCert: authz.View("URI=" + sender + ";URI=https://evil.example/x")}, false},
		"forwarded URI and DNS":       {byName, authz.Transport{ForwardedCert: authz.View("URI=" + sender + ";DNS=a.example")}, true},
		"forwarded URI as DNS":        {byName, authz.Transport{ForwardedCert: authz.View("DNS=" + sender)}, false},
		"forwarded DNS":               {byDNS, authz.Transport{ForwardedCert: authz.View("URI=spiffe://a.example/x;DNS=Sender.example")}, true},
		"forwarded DNS as URI":        {byDNS, authz.Transport{ForwardedCert: authz.View("URI=sender.example")}, false},
		"forwarded By":                {byName, authz.Transport{ForwardedCert: authz.View("By=" + sender)}, false},
	} {
		c.facts.TLS = true
		want := authz.ClientCertificate
		if c.want {
			want = authz.OK
		}
		if got := run(&transport.Check{Client: c.client}, c.facts, now); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// FuzzForwardedCert: a name that is not a value of its own in one element is
// not accepted, and nothing panics.
func FuzzForwardedCert(f *testing.F) {
	for _, text := range []string{
		"URI=" + sender, `Subject="a;URI=` + sender + `"`, "By=" + sender + ";URI=x", "URI=" + sender + ",Hash=00", `URI="` + sender + `"`,
		`Subject="\"";URI=` + sender, "uri=" + sender + ";", ";", "=", `a="`, "Cert=%", "Hash=zz",
	} {
		f.Add([]byte(text))
	}
	check := &transport.Check{Client: &transport.Client{Names: names(f, sender)}}
	f.Fuzz(func(t *testing.T, text []byte) {
		got := run(check, authz.Transport{TLS: true, ForwardedCert: text}, time.Now())
		if got != authz.OK {
			return
		}
		lower := strings.ToLower(string(text))
		if !strings.Contains(string(text), sender) && !strings.Contains(lower, `\`) {
			t.Errorf("%q is accepted", text)
		}
		if !strings.Contains(lower, "uri=") && !strings.Contains(lower, "dns=") {
			t.Errorf("%q is accepted without a name", text)
		}
	})
}

func TestPool(t *testing.T) {
	a, err := envoytest.NewAuthority("a")
	if err != nil {
		t.Fatal(err)
	}
	_, key, err := a.Issue(envoytest.Issue{})
	if err != nil {
		t.Fatal(err)
	}
	if p, err := transport.Pool(append(a.PEM, a.PEM...)); err != nil || p.Equal(x509.NewCertPool()) {
		t.Errorf("two certificates: %v", err)
	}
	for _, text := range []string{"", "x", string(key), string(a.PEM) + "x", string(a.PEM) + string(key)} {
		if _, err := transport.Pool([]byte(text)); err == nil {
			t.Errorf("%.40q is read", text)
		}
	}
}
