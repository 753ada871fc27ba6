package signature_test

import (
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/signature"
)

func many(n int, item string) string { return strings.TrimSuffix(strings.Repeat(item+"&", n), "&") }

// What is parsed before a signature held is bounded.
func TestBoundedParameters(t *testing.T) {
	form := several(t, withContent(signature.Part{Kind: signature.URL}, signature.Part{Kind: signature.Form}))
	plivo := several(t, withContent(signature.Part{Kind: signature.PlivoV3}))
	field := several(t, withContent(signature.Part{Kind: signature.FormField, Text: "a"}))
	sorted := several(t, withContent(signature.Part{Kind: signature.SortedQuery}, signature.Part{Kind: signature.Body}))
	shop := several(t, withContent(signature.Part{Kind: signature.MercadoPago}))
	for _, c := range []struct {
		name   string
		scheme signature.Scheme
		sent   sent
		good   bool
	}{
		{"a form", form, sent{target: "/", contentType: formType, body: many(1000, "a=1")}, true},
		{"a form with one more", form, sent{target: "/", contentType: formType, body: many(1001, "a=1")}, false},
		{"a form with empty items", form, sent{target: "/", contentType: formType, body: many(1000, "a=1") + strings.Repeat("&", 9000)}, true},
		{"Plivo's form", plivo, sent{target: "/", contentType: formType, body: many(1001, "a=1")}, false},
		{"Plivo's query", plivo, sent{target: "/?" + many(1001, "a=1")}, false},
		{"a query", sorted, sent{target: "/?" + many(1000, "a=1")}, true},
		{"a query with one more", sorted, sent{target: "/?" + many(1001, "a=1")}, false},
		{"a field in the query", field, sent{target: "/?a=1&" + many(1000, "b=1")}, false},
		{"Mercado Pago's query", shop, sent{target: "/?" + many(1001, "a=1")}, false},
	} {
		req := c.sent.request()
		signed := (&signature.Check{Schemes: []signature.Scheme{c.scheme}}).Sign(req, signing("new"))
		if signed != c.good {
			t.Errorf("%s: signed: %v", c.name, signed)
		}
		req = c.sent.request()
		req.Set("x-sig", macOf(""))
		if reason, _ := run(c.scheme, req); (reason == authz.SignatureInvalid) != c.good || !c.good && reason != authz.SignatureMalformed && reason != authz.MalformedRequest {
			t.Errorf("%s: %s", c.name, reason)
		}
	}
}

// A body that one reader takes for a form and another not is refused where that
// makes a difference.
func TestTwoContentTypes(t *testing.T) {
	base := "https://hooks.example.com/"
	for _, c := range []struct {
		name   string
		types  []string
		part   signature.PartKind
		signed string
		want   authz.Reason
	}{
		{"a form", []string{formType}, signature.Form, base + "a1", authz.OK},
		{"with a parameter", []string{formType + " ; charset=utf-8"}, signature.Form, base + "a1", authz.OK},
		{"joined, the form first", []string{formType + ", " + jsonType}, signature.Form, base + "a1", authz.SignatureMalformed},
		{"joined behind a parameter", []string{formType + ";x=1, " + jsonType}, signature.Form, base + "a1", authz.SignatureMalformed},
		{"joined, the form last", []string{jsonType + "," + formType}, signature.Form, base, authz.SignatureMalformed},
		{"two headers", []string{formType, jsonType}, signature.Form, base + "a1", authz.SignatureMalformed},
		{"the same twice", []string{formType, formType}, signature.Form, base + "a1", authz.SignatureMalformed},
		{"a field as a body", []string{jsonType, formType}, signature.FormField, base + "a=1", authz.SignatureMalformed},
		{"a field, joined", []string{formType + "," + jsonType}, signature.FormField, base + "1", authz.SignatureMalformed},
		{"Plivo", []string{formType, jsonType}, signature.PlivoV3, base + "?a1", authz.SignatureMalformed},
		{"where it makes none", []string{formType, jsonType}, signature.Body, base + "a=1", authz.OK},
	} {
		parts := []signature.Part{{Kind: signature.URL}, {Kind: c.part, Text: "a"}}
		if c.part == signature.PlivoV3 {
			parts = parts[1:]
		}
		req := sent{target: "/", body: "a=1"}.request()
		set(req, "content-type", c.types...)
		req.Set("x-sig", macOf(c.signed))
		if reason, _ := run(several(t, withContent(parts...)), req); reason != c.want {
			t.Errorf("%s: %s, want %s", c.name, reason, c.want)
		}
	}
}

// A digest in the signed URL counts for a form as well.
func TestDigestBesideAForm(t *testing.T) {
	h := several(t, func(c *signature.Config) {
		c.Content = []signature.Part{{Kind: signature.URL}, {Kind: signature.Form}}
		c.BodyDigest = signature.BodyDigest{Query: "sum", Hash: signature.SHA256, Encoding: signature.Hex}
	})
	for query, want := range map[string]authz.Reason{
		"": authz.OK, "?sum=" + digest("a=1"): authz.OK, "?sum=" + digest("a=2"): authz.SignatureInvalid,
		"?sum=": authz.SignatureInvalid, "?sum=" + digest("a=1") + "&sum=" + digest("a=1"): authz.SignatureInvalid,
	} {
		req := sent{target: "/" + query, contentType: formType, body: "a=1"}.request()
		req.Set("x-sig", macOf("https://hooks.example.com/"+query+"a1"))
		if reason, call := run(h, req); reason != want || reason != authz.OK && !call.Fingerprint.IsZero() {
			t.Errorf("%q: %s, want %s", query, reason, want)
		}
	}
}

// No value of Mercado Pago's text may look like two.
func TestMercadoPagoValues(t *testing.T) {
	h := several(t, func(c *signature.Config) {
		c.Grammar, c.Key, c.Separator = signature.KeyValue, "v1", ','
		c.Content = []signature.Part{{Kind: signature.MercadoPago}}
		c.Time = signature.Time{Key: "ts", Unit: signature.Milliseconds}
	})
	const ts = "ts:1795500000000;"
	for _, c := range []struct {
		query, requestID, signed string
		want                     authz.Reason
	}{
		{"data.id=1A&type=payment", "r-1", "id:1A;request-id:r-1;" + ts, authz.OK},
		{"data.id=1A&type=payment", "r-1", "id:1a;request-id:r-1;" + ts, authz.OK},
		{"type=payment", "r-1", "request-id:r-1;" + ts, authz.OK},
		{"data.id=1", "", "id:1;" + ts, authz.OK},
		{"data.id=", "", ts, authz.OK},
		{"data.id=1%3Brequest-id:r-1", "", "id:1;request-id:r-1;" + ts, authz.SignatureMalformed},
		{"type=payment", "r-1;ts:1", "request-id:r-1;ts:1;" + ts, authz.SignatureMalformed},
		{"x=1;data.id=2&data.id=1", "r-1", "id:1;request-id:r-1;" + ts, authz.SignatureMalformed},
		{"data.id=1&data.id=1", "", "id:1;" + ts, authz.SignatureMalformed},
		{"data.id=%zz", "", ts, authz.SignatureMalformed},
	} {
		req := sent{target: "/?" + c.query}.request()
		req.Set("x-sig", "ts=1795500000000,v1="+macOf(c.signed))
		if c.requestID != "" {
			req.Set("x-request-id", c.requestID)
		}
		if reason, _ := run(h, req); reason != c.want {
			t.Errorf("%s, %q: %s, want %s", c.query, c.requestID, reason, c.want)
		}
	}
}

// What Contentful's list names is there, and is not too much.
func TestContentfulList(t *testing.T) {
	h := several(t, func(c *signature.Config) {
		c.Content = []signature.Part{{Kind: signature.Contentful}}
		c.Time = signature.Time{Header: "x-time", Unit: signature.Milliseconds}
	})
	const must = "x-contentful-signed-headers,x-time"
	others := func(n int) (list string, headers [][2]string) {
		for i := range n {
			name := fmt.Sprintf("h-%02d", i)
			list, headers = list+","+name, append(headers, [2]string{name, "v"})
		}
		return list, headers
	}
	for _, c := range []struct {
		name         string
		count, there int
		want         authz.Reason
	}{
		{"no others", 0, 0, authz.OK},
		{"one", 1, 1, authz.OK},
		{"one that is not there", 1, 0, authz.SignatureMalformed},
		{"as many as may be", 62, 62, authz.OK},
		{"one more", 63, 63, authz.SignatureMalformed},
	} {
		list, _ := others(c.count)
		_, headers := others(c.there)
		signed := "POST\n/\n"
		for _, header := range headers {
			signed += header[0] + ":" + header[1] + ";"
		}
		signed += "x-contentful-signed-headers:" + must + list + ";x-time:1795500000000\n"
		headers = append(headers, [2]string{"x-contentful-signed-headers", must + list}, [2]string{"x-time", "1795500000000"}, [2]string{"x-sig", macOf(signed)})
		if reason, _ := run(h, sent{target: "/", headers: headers}.request()); reason != c.want {
			t.Errorf("%s: %s, want %s", c.name, reason, c.want)
		}
	}
}

// A key's header without a value must not open the choice of all keys.
func TestKeyHeaderWithoutAValue(t *testing.T) {
	h := several(t, func(c *signature.Config) { c.KeyID.Headers = []string{"x-key"} })
	for _, id := range []authz.View{nil, {}} {
		req := request()
		sign(t, h, req)
		set(req, "x-key")
		req.Headers = append(req.Headers, authz.Header{Name: authz.View("x-key"), Value: id})
		if reason, _ := run(h, req); reason != authz.SignatureMalformed {
			t.Errorf("%#v: %s", id, reason)
		}
	}
}

// A denial has no proof and nothing for the replay store, whatever the scheme.
func TestDenialsProveNothing(t *testing.T) {
	braintree, err := signature.NewBraintree(keys())
	if err != nil {
		t.Fatal(err)
	}
	timed := func(c *signature.Config) {
		c.URLForms = []signature.URLForm{signature.NoPort}
		c.Content = []signature.Part{{Kind: signature.URL}, {Kind: signature.Body}}
	}
	for name, s := range map[string]signature.Scheme{
		"HMAC": scheme(t, "bare"), "HMAC over forms of the URL": several(t, timed), "JWS": jws(t, nil), "Adyen": adyen(t), "Braintree": braintree,
	} {
		for _, key := range []string{"new", "gone"} {
			req := request()
			req.Set("content-type", formType)
			if !s.Sign(req, signing(key)) {
				t.Fatalf("%s: no key %s", name, key)
			}
			reason, call := run(s, req)
			proves := call.Proof != authz.ProofNone
			if good := key == "new"; proves != good || call.Fingerprint.IsZero() == good || (reason == authz.OK) != good {
				t.Errorf("%s, key %s: %s, proof %s", name, key, reason, call.Proof)
			}
		}
	}
}

// Braintree's list of signatures is bounded.
func TestBraintreePairs(t *testing.T) {
	b, err := signature.NewBraintree(keys())
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range map[int]authz.Reason{1000: authz.SignatureInvalid, 1001: authz.SignatureMalformed} {
		pairs := many(n, "new|"+hex.EncodeToString(make([]byte, 20)))
		form := url.Values{"bt_payload": {"AAAA"}, "bt_signature": {pairs}}.Encode()
		if reason, _ := run(b, sent{target: "/", contentType: formType, body: form}.request()); reason != want {
			t.Errorf("%d pairs: %s, want %s", n, reason, want)
		}
	}
}
