package signature_test

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/signature"
)

func hexOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// A plain hash has the secret where the sender puts it.
func TestHashOfContentWithTheSecret(t *testing.T) {
	secret := string(keys()[0].Secret.Reveal())
	middle := several(t, func(c *signature.Config) {
		c.PlainHash = true
		c.Content = []signature.Part{{Kind: signature.HeaderValue, Text: "x-id", Charset: signature.TokenChars}, {Kind: signature.Secret}, {Kind: signature.Body}}
	})
	last := several(t, func(c *signature.Config) {
		c.PlainHash = true
		c.Content = []signature.Part{{Kind: signature.Body}, {Kind: signature.Secret}}
	})
	extension := body + "\x80\x00\x00 and more"
	for name, c := range map[string]struct {
		h          *signature.Content
		body, hash string
		want       authz.Reason
	}{
		"in the middle":               {middle, body, hexOf("1a" + secret + body), authz.OK},
		"without it":                  {middle, body, hexOf("1a" + body), authz.SignatureInvalid},
		"it at another place":         {middle, body, hexOf(secret + "1a" + body), authz.SignatureInvalid},
		"made longer":                 {middle, extension, hexOf("1a" + secret + extension), authz.SignatureInvalid},
		"last":                        {last, body, hexOf(body + secret), authz.OK},
		"last, which none makes long": {last, extension, hexOf(extension + secret), authz.OK},
		"an HMAC":                     {last, body, macOf(body), authz.SignatureInvalid},
	} {
		req := request()
		req.Body.Segments = [][]byte{[]byte(c.body)}
		req.Set("x-id", "1a")
		req.Set("x-sig", c.hash)
		if reason, _ := run(c.h, req); reason != c.want {
			t.Errorf("%s: %s, want %s", name, reason, c.want)
		}
	}
	if open := last.Config().Open(); len(open) > 0 {
		t.Errorf("open between %q", open)
	}
	two := *middle.Config()
	two.Content = append([]signature.Part{{Kind: signature.HeaderValue, Text: "x-a", Charset: signature.TokenChars}}, two.Content...)
	if open := two.Open(); !slices.Equal(open, []string{"x-a", "x-id"}) {
		t.Errorf("two headers before the secret are open between %q", open)
	}
}

func TestKeySuffixAndMD5(t *testing.T) {
	h := several(t, func(c *signature.Config) { c.KeySuffix, c.Hash = "&", signature.MD5 })
	secret := string(keys()[0].Secret.Reveal())
	for key, want := range map[string]authz.Reason{secret + "&": authz.OK, secret: authz.SignatureInvalid, secret + "&&": authz.SignatureInvalid} {
		mac := hmac.New(md5.New, []byte(key))
		mac.Write([]byte(body))
		req := request()
		req.Set("x-sig", hex.EncodeToString(mac.Sum(nil)))
		if reason, _ := run(h, req); reason != want {
			t.Errorf("%s: %s, want %s", strings.TrimPrefix(key, secret), reason, want)
		}
	}
}

func TestSignatureInTheQuery(t *testing.T) {
	h := several(t, func(c *signature.Config) { c.Headers, c.Query = nil, "signature" })
	good, bad := macOf(body), strings.Repeat("0", 64)
	for query, want := range map[string]authz.Reason{
		"?signature=" + good:                        authz.OK,
		"?a=1&signature=" + good + "&b":             authz.OK,
		"?signature=" + bad:                         authz.SignatureInvalid,
		"?signature=" + good + "&signature=" + good: authz.SignatureMalformed,
		"?signature=" + good[:62]:                   authz.SignatureMalformed,
		"?signature=":                               authz.SignatureMalformed,
		"?Signature=" + good:                        authz.SignatureMissing,
		"?signatur%65=" + good:                      authz.SignatureMissing, // which no sender writes
		"":                                          authz.SignatureMissing,
	} {
		req := request()
		req.Path = authz.View("/hook" + query)
		if reason, _ := run(h, req); reason != want {
			t.Errorf("%s: %s, want %s", query, reason, want)
		}
	}
	req := request()
	req.Path = authz.View("/hook?signature=old&a=1")
	sign(t, h, req)
	if reason, _ := run(h, req); reason != authz.OK {
		t.Errorf("signed anew as %s: %s", req.Path, reason)
	}
}

func TestListOfKeyHashAndSignature(t *testing.T) {
	h := several(t, func(c *signature.Config) { c.Grammar, c.Prefix = signature.KeyHashList, "SHA256" })
	good, bad := macOf(body), strings.Repeat("0", 64)
	for value, want := range map[string]authz.Reason{
		"1/SHA256/" + good:                             authz.OK,
		"2/SHA256/" + bad + ", 1/SHA256/" + good:       authz.OK,
		"2/SHA512/" + good + bad + ",1/SHA256/" + good: authz.OK,
		"1/SHA256/" + bad:                              authz.SignatureInvalid,
		"1/SHA512/" + good:                             authz.SignatureMissing,
		"SHA256/" + good:                               authz.SignatureMissing,
		good:                                           authz.SignatureMissing,
		"1/SHA256/" + good + "/more":                   authz.SignatureMalformed,
	} {
		req := request()
		req.Set("x-sig", value)
		if reason, _ := run(h, req); reason != want {
			t.Errorf("%s: %s, want %s", value, reason, want)
		}
	}
	req := request()
	sign(t, h, req)
	if reason, _ := run(h, req); reason != authz.OK {
		t.Errorf("signed: %s", reason)
	}
}

// Each set is judged by itself: a time of one is no time of another.
func TestSetsOfItems(t *testing.T) {
	h := several(t, func(c *signature.Config) {
		c.Grammar, c.Key, c.Sets, c.Separator = signature.KeyValue, "v1", true, ','
		c.Time = signature.Time{Key: "t", Unit: signature.Seconds}
		c.Content = []signature.Part{{Kind: signature.Timestamp}, {Kind: signature.Literal, Text: "."}, {Kind: signature.Body}}
	})
	bad := "t=1700000001,v1=" + strings.Repeat("0", 64)
	good := "t=1700000000,v1=" + macOf("1700000000."+body)
	for value, want := range map[string]authz.Reason{
		good:                              authz.OK,
		good + " " + bad:                  authz.OK,
		bad + " " + good:                  authz.OK,
		bad + " " + bad + " " + good:      authz.OK,
		bad:                               authz.SignatureInvalid,
		bad + " " + bad:                   authz.SignatureInvalid,
		strings.Repeat(bad+" ", 4) + good: authz.SignatureMalformed, // more than four
		"t=1700000001 v1=" + macOf("1700000001."+body):                       authz.SignatureMissing,
		"t=1700000001,v1=" + macOf("1700000000."+body) + " t=1700000000,v1=": authz.SignatureInvalid,
	} {
		req := request()
		req.Set("x-sig", value)
		if reason, _ := run(h, req); want == authz.OK && reason != want || want != authz.OK && reason == authz.OK {
			t.Errorf("%s: %s, want %s", value, reason, want)
		}
	}
}

func TestDateOfHTTP(t *testing.T) {
	h := several(t, func(c *signature.Config) {
		c.Time = signature.Time{Header: "x-time", Unit: signature.HTTPDate}
		c.Content = []signature.Part{{Kind: signature.Body}, {Kind: signature.Timestamp}}
	})
	if open := h.Config().Open(); len(open) > 0 {
		t.Errorf("open between %q", open)
	}
	for text, want := range map[string]authz.Reason{
		"Tue, 14 Nov 2023 22:13:20 GMT":      authz.OK,
		"Mon, 14 Nov 2023 22:13:20 GMT":      authz.TimestampMalformed, // a Tuesday
		"Tue, 14 Nov 2023 22:13:20 UTC":      authz.TimestampMalformed,
		"Tue, 14 Nov 2023 22:13:20 +0000":    authz.TimestampMalformed,
		"Tue, 14 nov 2023 22:13:20 GMT":      authz.TimestampMalformed,
		"Tuesday, 14-Nov-23 22:13:20 GMT":    authz.TimestampMalformed,
		"Tue Nov 14 22:13:20 2023":           authz.TimestampMalformed,
		"Tue, 14 Nov 2023 22:13:20 GMT junk": authz.TimestampMalformed,
		"1700000000":                         authz.TimestampMalformed,
	} {
		req := request()
		req.Set("x-time", text)
		req.Set("x-sig", macOf(body+text))
		reason, call := run(h, req)
		if reason != want {
			t.Errorf("%q: %s, want %s", text, reason, want)
		}
		if want == authz.OK && !call.SignedTime.Equal(time.Unix(1_700_000_000, 0)) {
			t.Errorf("%q is read as %s", text, call.SignedTime)
		}
	}
	req := request()
	sign(t, h, req)
	if reason, _ := run(h, req); reason != authz.OK {
		t.Errorf("signed: %s", reason)
	}
}
