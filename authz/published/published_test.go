package published_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/fetch"
	"github.com/hookbastion/hookbastion/authz/publickey"
	"github.com/hookbastion/hookbastion/authz/published"
)

func newKey(t testing.TB) (private *ecdsa.PrivateKey, der []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if der, err = x509.MarshalPKIXPublicKey(private.Public()); err != nil {
		t.Fatal(err)
	}
	return private, der
}

func inPEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func quoted(text string) string {
	return `"` + strings.NewReplacer("\n", `\n`).Replace(text) + `"`
}

// Answers as providers give them, and others.
func TestFormats(t *testing.T) {
	_, der := newKey(t)
	plain, oneLine, base := inPEM(der), strings.ReplaceAll(inPEM(der), "\n", ""), base64.StdEncoding.EncodeToString(der)
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	okp := `{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"` + base64.RawURLEncoding.EncodeToString(edwards) + `"}`
	private, err := x509.MarshalPKCS8PrivateKey(must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)))
	if err != nil {
		t.Fatal(err)
	}
	secret := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	p256 := publickey.Reader{Kind: publickey.ECDSA, Curve: publickey.P256}
	list := published.Format{Reader: p256, List: "public_keys", ID: "key_identifier", Key: "key"}
	for _, tt := range []struct {
		name   string
		format published.Format
		body   string
		want   string // ids of the keys, or none
		err    error
	}{
		{"PEM", published.Format{Reader: p256}, plain, "", nil},
		{"PEM in one line", published.Format{Reader: p256}, oneLine, "", nil},
		{"DER", published.Format{Reader: p256}, string(der), "", nil},
		{"base64", published.Format{Reader: p256}, base, "", nil},
		{"inside", published.Format{Reader: p256, Key: "data.publicKey"}, `{"data":{"algorithm":"ECDSA_SHA_256","publicKey":"` + base + `"}}`, "", nil},
		{"inside, in one line", published.Format{Reader: p256, Key: "key"}, `{"algorithm":"ECDSA","key":` + quoted(oneLine) + `}`, "", nil},
		{"a JWK inside", published.Format{Reader: publickey.Reader{Kind: publickey.Ed25519}, Key: "key"}, `{"key":` + okp + `}`, "ed", nil},
		{"a set", published.Format{Reader: publickey.Reader{Kind: publickey.Ed25519}}, `{"keys":[` + okp + `]}`, "ed", nil},
		{"a list", list, `{"public_keys":[{"key_identifier":"a","key":` + quoted(plain) + `},{"key_identifier":"b","key":` + quoted(plain) + `}]}`, "a b", nil},
		{"a list with other keys", list, `{"public_keys":[{"key_identifier":"o","key":"` + base64.StdEncoding.EncodeToString(edwards) + `"},{"key_identifier":"b","key":` + quoted(plain) + `}]}`, "b", nil},
		{"another kind", published.Format{Reader: publickey.Reader{Kind: publickey.RSA}}, plain, "", publickey.ErrKind},
		{"another kind in a list", list, `{"public_keys":[{"key_identifier":"o","key":"` + base64.StdEncoding.EncodeToString(edwards) + `"}]}`, "", publickey.ErrNone},
		{"an empty list", list, `{"public_keys":[]}`, "", publickey.ErrNone},
		{"too long a list", list, `{"public_keys":[` + strings.TrimSuffix(strings.Repeat(`{"key_identifier":"a"},`, publickey.MaxKeys+1), ",") + `]}`, "", publickey.ErrTooMany},
		{"no list", list, `{"public_keys":{}}`, "", published.ErrPath},
		{"an id twice", list, `{"public_keys":[{"key_identifier":"a","key":` + quoted(plain) + `},{"key_identifier":"a","key":` + quoted(plain) + `}]}`, "", published.ErrIDs},
		{"no id", list, `{"public_keys":[{"key":` + quoted(plain) + `}]}`, "", published.ErrIDs},
		{"a private key", list, `{"public_keys":[{"key_identifier":"a","key":` + quoted(secret) + `}]}`, "", publickey.ErrPrivate},
		{"no key", published.Format{Reader: p256, Key: "key"}, `{"other":1}`, "", published.ErrPath},
		{"another letter case", published.Format{Reader: p256, Key: "key"}, `{"Key":"` + base + `"}`, "", published.ErrPath},
		{"the key twice", published.Format{Reader: p256, Key: "key"}, `{"key":"` + base + `","key":"` + base + `"}`, "", published.ErrPath},
		{"a number", published.Format{Reader: p256, Key: "key"}, `{"key":1}`, "", published.ErrPath},
		{"behind it more", published.Format{Reader: p256, Key: "key"}, `{"key":"` + base + `"}{`, "", published.ErrPath},
		{"HTML", published.Format{Reader: p256}, `<html>blocked</html>`, "", publickey.ErrFormat},
		{"HTML for JSON", published.Format{Reader: p256, Key: "key"}, `<html>blocked</html>`, "", published.ErrPath},
		{"nothing", published.Format{Reader: p256}, ``, "", publickey.ErrFormat},
	} {
		t.Run(tt.name, func(t *testing.T) {
			value, err := tt.format.Parse([]byte(tt.body), time.Now())
			if tt.err != nil || err != nil {
				if !errors.Is(err, tt.err) {
					t.Fatalf("%v, want %v", err, tt.err)
				}
				return
			}
			var ids []string
			for _, key := range value.(*published.Keys).All {
				ids = append(ids, key.ID)
			}
			if got := strings.Join(ids, " "); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// server is what stands at URLs.
type server struct {
	mu     sync.Mutex
	bodies map[string]string
	asked  int
}

func (s *server) get(_ context.Context, r *fetch.Request) (*fetch.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	body, ok := s.bodies[r.URL]
	if !ok {
		return nil, &fetch.Error{Failure: fetch.NotFound}
	}
	return &fetch.Response{Body: []byte(body)}, nil
}

func (s *server) set(url, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bodies[url] = body
}

// running runs a fetcher for what use asks it for.
func running(t *testing.T, s *server, use func(*fetch.Use)) {
	t.Helper()
	f := fetch.New(fetch.Config{Get: s.get})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); f.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	u := f.NewUse()
	use(u)
	f.Serve(u)
}

func find(s interface {
	Find(*authz.Call, authz.View) ([]publickey.Key, authz.Reason)
}, id string) (int, authz.Reason) {
	var view authz.View
	if id != "" {
		view = authz.View(id)
	}
	keys, reason := s.Find(&authz.Call{Now: time.Now(), Explanation: &authz.Explanation{}}, view)
	return len(keys), reason
}

func set(t testing.TB, ids ...string) string {
	var keys []string
	for _, id := range ids {
		private, _ := newKey(t)
		point, err := private.PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		encode := base64.RawURLEncoding.EncodeToString
		keys = append(keys, `{"kty":"EC","crv":"P-256","kid":"`+id+`","x":"`+encode(point[1:33])+`","y":"`+encode(point[33:])+`"}`)
	}
	return `{"keys":[` + strings.Join(keys, ",") + `]}`
}

// A key that stands alone at its URL, without an id, is meant by every id, as one in a file
// is; one with an id by its own.
func TestOneKeyAtURL(t *testing.T) {
	const url = "https://keys.example/key"
	_, der := newKey(t)
	for body, want := range map[string]int{inPEM(der): 1, set(t, "a"): 0} {
		synctest.Test(t, func(t *testing.T) {
			s := &server{bodies: map[string]string{url: body}}
			format := published.Format{Reader: publickey.Reader{Kind: publickey.ECDSA}}
			keys := &published.Set{}
			running(t, s, func(u *fetch.Use) { keys.Document = u.Document(fetch.Source{URL: url, Parse: format.Parse}) })
			synctest.Wait()
			if n, reason := find(keys, "b"); n != want || (reason == authz.OK) != (want == 1) {
				t.Errorf("%d, %v", n, reason)
			}
		})
	}
}

// A rotation of a set: the new key is refused with 503 once, and then known.
func TestSetOfKeys(t *testing.T) {
	const url = "https://keys.example/jwks"
	synctest.Test(t, func(t *testing.T) {
		s := &server{bodies: map[string]string{url: set(t, "a", "b")}}
		format := published.Format{Reader: publickey.Reader{Kind: publickey.ECDSA}}
		keys := &published.Set{}
		running(t, s, func(u *fetch.Use) { keys.Document = u.Document(fetch.Source{URL: url, Parse: format.Parse}) })
		if n, reason := find(keys, "a"); n != 0 || reason != authz.KeysUnavailable {
			t.Errorf("before anything came: %d, %v", n, reason)
		}
		synctest.Wait()
		if n, reason := find(keys, ""); n != 2 || reason != authz.OK {
			t.Errorf("all: %d, %v", n, reason)
		}
		if n, reason := find(keys, "b"); n != 1 || reason != authz.OK {
			t.Errorf("by id: %d, %v", n, reason)
		}
		if n, reason := find(keys, "c"); n != 0 || reason != authz.SignatureInvalid {
			t.Errorf("unknown in a new set: %d, %v", n, reason)
		}
		time.Sleep(fetch.AskInterval)
		if n, reason := find(keys, strings.Repeat("c", 200)); n != 0 || reason != authz.SignatureInvalid || s.asked != 1 {
			t.Errorf("what is no id: %d, %v", n, reason)
		}
		s.set(url, set(t, "b", "c"))
		if _, reason := find(keys, "c"); reason != authz.KeysUnavailable {
			t.Errorf("while a refresh is due: %v", reason)
		}
		synctest.Wait()
		if n, reason := find(keys, "c"); n != 1 || reason != authz.OK {
			t.Errorf("after it: %d, %v", n, reason)
		}
		if n, reason := find(keys, "a"); n != 0 || reason != authz.SignatureInvalid {
			t.Errorf("one that was taken back: %d, %v", n, reason)
		}
	})
}

func TestKeysByID(t *testing.T) {
	pattern := must(fetch.ParsePattern("https://api.example/keys/{id}"))
	_, der := newKey(t)
	synctest.Test(t, func(t *testing.T) {
		s := &server{bodies: map[string]string{"https://api.example/keys/a": inPEM(der)}}
		format := published.Format{Reader: publickey.Reader{Kind: publickey.ECDSA}}
		keys := &published.ByID{}
		running(t, s, func(u *fetch.Use) {
			keys.Asker = u.Family(fetch.FamilySource{Patterns: []fetch.Pattern{pattern}, Parse: format.Parse}, "webhook")
		})
		for _, step := range []struct {
			id   string
			want authz.Reason
		}{{"a", authz.KeysUnavailable}, {"a", authz.OK}, {"../b", authz.SignatureInvalid}, {"b", authz.KeysUnavailable}, {"b", authz.KeysUnavailable}} {
			if _, reason := find(keys, step.id); reason != step.want {
				t.Errorf("%s: %v, want %v", step.id, reason, step.want)
			}
			synctest.Wait()
		}
		time.Sleep(fetch.AskInterval)
		synctest.Wait()
		if _, reason := find(keys, "b"); reason != authz.SignatureInvalid || s.asked != 2 {
			t.Errorf("what does not exist: %v after %d", reason, s.asked)
		}
		keys.Proved(authz.View("a"), time.Now())
	})
}

// A certificate counts for as long as its chain is valid, whatever is kept of it.
func TestCertificatesEnd(t *testing.T) {
	pattern := must(fetch.ParsePattern("https://certs.example/{id}.pem"))
	const url = "https://certs.example/one.pem"
	synctest.Test(t, func(t *testing.T) {
		roots, chain := chainOf(t, 3*24*time.Hour)
		s := &server{bodies: map[string]string{url: chain}}
		format := published.Format{Trust: &fetch.Trust{Roots: roots, Names: []string{"sign.example"}}}
		keys := &published.ByID{}
		running(t, s, func(u *fetch.Use) {
			keys.Asker = u.Family(fetch.FamilySource{Patterns: []fetch.Pattern{pattern}, Named: fetch.NamedByURL, Parse: format.Parse}, "webhook")
		})
		find(keys, url)
		synctest.Wait()
		if n, reason := find(keys, url); n != 1 || reason != authz.OK {
			t.Fatalf("%d, %v", n, reason)
		}
		for _, other := range []string{url + "?", "http" + url[5:], "https://certs.example.evil.example/one.pem", "https://certs.example/../one.pem"} {
			if _, reason := find(keys, other); reason != authz.SignatureInvalid {
				t.Errorf("%s: %v", other, reason)
			}
		}
		time.Sleep(4 * 24 * time.Hour)
		synctest.Wait()
		if n, reason := find(keys, url); n != 0 || reason != authz.SignatureInvalid {
			t.Errorf("after its end: %d, %v", n, reason)
		}
	})
}

func chainOf(t *testing.T, life time.Duration) (*x509.CertPool, string) {
	t.Helper()
	root, leaf := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	signing := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "sign"}, DNSNames: []string{"sign.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(life), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	var all bytes.Buffer
	for _, der := range [][]byte{
		must(x509.CreateCertificate(rand.Reader, signing, authority, leaf.Public(), root)), must(x509.CreateCertificate(rand.Reader, authority, authority, root.Public(), root)),
	} {
		if err := pem.Encode(&all, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
			t.Fatal(err)
		}
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(all.Bytes()) {
		t.Fatal("no certificates")
	}
	return roots, all.String()
}

// Whatever an answer is, what is read of it are keys that the scheme verifies with.
func FuzzFormat(f *testing.F) {
	_, der := newKey(f)
	base := base64.StdEncoding.EncodeToString(der)
	for _, seed := range []string{inPEM(der), base, `{"keys":[]}`, set(f, "a"), `{"data":{"key":"` + base + `"}}`, `{"list":[{"id":"a","data":{"key":"` + base + `"}}]}`, `<html>`} {
		f.Add([]byte(seed))
	}
	reader := publickey.Reader{Kind: publickey.ECDSA, Curve: publickey.P256}
	formats := []published.Format{{Reader: reader}, {Reader: reader, Key: "data.key"}, {Reader: reader, List: "list", ID: "id", Key: "data.key"}}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, format := range formats {
			value, err := format.Parse(body, time.Time{})
			if err != nil {
				if strings.ContainsFunc(err.Error(), func(c rune) bool { return c < ' ' && c != '\n' }) || len(err.Error()) > 400 {
					t.Fatalf("an error that a server can write: %q", err)
				}
				continue
			}
			keys := value.(*published.Keys).All
			if len(keys) == 0 || len(keys) > publickey.MaxKeys {
				t.Fatalf("%d keys", len(keys))
			}
			for i := range keys {
				if keys[i].Curve() != publickey.P256 {
					t.Fatal("a key of another kind")
				}
			}
		}
	})
}
