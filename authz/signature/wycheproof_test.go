package signature_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/signature"
)

// Wycheproof's HMAC sets: whole tags are judged as they say, cut ones are none.
func TestWycheproof(t *testing.T) {
	for name, hash := range map[string]signature.Hash{
		"hmac_sha1_test.json": signature.SHA1, "hmac_sha256_test.json": signature.SHA256, "hmac_sha512_test.json": signature.SHA512,
	} {
		data, err := os.ReadFile(filepath.Join("testdata/wycheproof", name))
		if err != nil {
			t.Fatal(err)
		}
		var set struct {
			TestGroups []struct {
				TagSize int
				Tests   []struct {
					TcID                           int
					Comment, Key, Msg, Tag, Result string
				}
			}
		}
		if err := json.Unmarshal(data, &set); err != nil {
			t.Fatal(err)
		}
		judged := 0
		for _, group := range set.TestGroups {
			for _, test := range group.Tests {
				judged++
				want := map[string]authz.Reason{"valid": authz.OK, "invalid": authz.SignatureInvalid}[test.Result]
				if group.TagSize < 8*hash.Size() {
					want = authz.SignatureMalformed
				}
				if got := judgeTag(t, hash, test.Key, test.Msg, test.Tag); got != want {
					t.Errorf("%s %d, %s: %s, want %s", name, test.TcID, test.Comment, got, want)
				}
			}
		}
		if judged < 170 {
			t.Errorf("%s: only %d tests", name, judged)
		}
	}
}

// judgeTag asks for the tag, in hex, as a signature of the message as body.
func judgeTag(t *testing.T, hash signature.Hash, key, message, tag string) authz.Reason {
	t.Helper()
	decoded := make([][]byte, 2)
	for i, text := range []string{key, message} {
		var err error
		if decoded[i], err = hex.DecodeString(text); err != nil {
			t.Fatal(err)
		}
	}
	c := config("bare")
	c.Hash = hash
	h, err := signature.New(c, []signature.Key{{ID: "1", Secret: secret.New(decoded[0])}})
	if err != nil {
		t.Fatal(err)
	}
	req := request()
	req.Body.Segments = [][]byte{decoded[1]}
	req.Set("x-sig", tag)
	reason, _ := run(h, req)
	return reason
}
