package signature_test

import (
	"compress/gzip"
	"crypto"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/publickey"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/signature"
)

// Wycheproof's sets of Ed25519, ECDSA in both forms and RSA in both paddings, each
// signature as a header in hexadecimal and each message as a body.
func TestWycheproofPublicKeys(t *testing.T) {
	for name, algorithm := range map[string]publickey.Algorithm{
		"ed25519":                      {Kind: publickey.Ed25519},
		"ecdsa_secp256r1_sha256":       {Kind: publickey.ECDSA, Curve: publickey.P256, Hash: crypto.SHA256},
		"ecdsa_secp256r1_sha256_p1363": {Kind: publickey.ECDSA, Curve: publickey.P256, Hash: crypto.SHA256, Raw: true},
		"ecdsa_secp384r1_sha384":       {Kind: publickey.ECDSA, Curve: publickey.P384, Hash: crypto.SHA384},
		"ecdsa_secp384r1_sha384_p1363": {Kind: publickey.ECDSA, Curve: publickey.P384, Hash: crypto.SHA384, Raw: true},
		"ecdsa_secp521r1_sha512":       {Kind: publickey.ECDSA, Curve: publickey.P521, Hash: crypto.SHA512},
		"ecdsa_secp521r1_sha512_p1363": {Kind: publickey.ECDSA, Curve: publickey.P521, Hash: crypto.SHA512, Raw: true},
		"rsa_signature_2048_sha256":    {Kind: publickey.RSA, Hash: crypto.SHA256},
		"rsa_signature_4096_sha512":    {Kind: publickey.RSA, Hash: crypto.SHA512},
		"rsa_pss_2048_sha256_mgf1_32":  {Kind: publickey.RSA, Hash: crypto.SHA256, PSS: true},
		"rsa_pss_4096_sha512_mgf1_64":  {Kind: publickey.RSA, Hash: crypto.SHA512, PSS: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := readPacked(t, name)
			c := config("bare")
			c.Algorithm = algorithm
			plan, good, judged := signature.NewPlan(c), 0, 0
			for _, group := range set.TestGroups {
				h, err := plan.With([]signature.Key{{
					ID: "1", Secret: secret.New([]byte(group.PublicKeyPem)),
					Reader: &publickey.Reader{Format: publickey.PEM, Kind: algorithm.Kind, Curve: algorithm.Curve},
				}})
				if err != nil {
					t.Fatal(err)
				}
				for _, test := range group.Tests {
					judged++
					message, err := hex.DecodeString(test.Msg)
					if err != nil {
						t.Fatal(err)
					}
					req := request()
					req.Body.Segments = [][]byte{message}
					req.Path = authz.View("/") // no query, which a message that is a form could be taken for
					req.Set("x-sig", test.Sig)
					reason, _ := run(h, req)
					// What is only acceptable, an old form of PKCS #1, is refused.
					if (reason == authz.OK) != (test.Result == "valid") {
						t.Errorf("%d, %s: %s, want %s", test.TcID, test.Comment, reason, test.Result)
					}
					if reason == authz.OK {
						good++
					} else if reason != authz.SignatureInvalid && reason != authz.SignatureMalformed {
						t.Errorf("%d, %s: %s", test.TcID, test.Comment, reason)
					}
				}
			}
			if judged != set.NumberOfTests || judged < 100 || good == 0 {
				t.Errorf("%d of %d tests, %d good", judged, set.NumberOfTests, good)
			}
		})
	}
}

type packedSet struct {
	NumberOfTests int
	TestGroups    []struct {
		PublicKeyPem string
		Tests        []struct {
			TcID                      int
			Comment, Msg, Sig, Result string
		}
	}
}

func readPacked(t *testing.T, name string) *packedSet {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata/wycheproof", name+"_test.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }() // only read
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	set := &packedSet{}
	if err := json.NewDecoder(unpacked).Decode(set); err != nil {
		t.Fatal(err)
	}
	return set
}
