package signature_test

import (
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/jose"
	"github.com/hookbastion/hookbastion/authz/signature"
)

// alike are spellings of id that some framework reads as id.
var alike = []string{
	"id=x", "id", "ID=x", "Id=x", "a=1&id=x", "a=1;id=x", "i%64=x", "%69%64=x", "i%2564=x", "%u0069d=x", "+id=x", "%20id=x", "id+=x",
	"id[]=x", "id%5B%5D=x", "id[a]=x", "id[=x", "id.a=x", "id%00a=x", "%C4%B0d=x", "%EF%BD%89d=x", "a=%zz&id=x",
}

// unlike are not.
var unlike = []string{"", "a=id", "id2=x", "an_id=x", "i=d", "=id", "a=%69d", "-id=x", "%zz=id", "tenant=acme&c[]=1"}

// TestParametersBesideASignedForm: an application that reads query and form as
// one must not find in the query what is signed in the form.
func TestParametersBesideASignedForm(t *testing.T) {
	const multipartType = "multipart/form-data; boundary=b"
	whole := withContent(signature.Part{Kind: signature.Body})
	form := func(contentType, body string) sent { return sent{contentType: contentType, body: body} }
	plain := func(change func(*signature.Config)) signature.Scheme { return several(t, change) }
	token, err := signature.NewJWS(signature.JWSConfig{
		Place: signature.TokenPlace{Header: "x-sig"}, Algorithms: []jose.Algorithm{"HS256"}, Body: signature.ClaimDigest{Claim: "hash", Encoding: signature.Hex},
	}, keys())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		scheme signature.Scheme
		sent   sent
	}{
		{"a whole form", plain(whole), form(formType, "b=2&id=1")},
		{"with a list", plain(whole), form(formType, "id%5Ba%5D=1")},
		{"with an object", plain(whole), form(formType, "id.a=1")},
		{"with a charset", plain(whole), form("Application/X-WWW-Form-urlencoded; charset=utf-8", "id=1")},
		{"of two types", plain(whole), form("text/plain, "+formType, "id=1")},
		{"of no type", plain(whole), form("", "id=1")},
		{"in parts", plain(whole), form(multipartType, multipartOf("b", "2", "id", "1"))},
		{"a digest of a form", plain(withContent(signature.Part{Kind: signature.BodyHash, Digest: signature.Digest{Encoding: signature.Hex}})), form(formType, "id=1")},
		{"the parameters of a form", plain(withContent(signature.Part{Kind: signature.Form})), form(formType, "id=1")},
		{"beside the URL without its query", plain(withContent(signature.Part{Kind: signature.URL, WithoutQuery: true}, signature.Part{Kind: signature.Literal, Text: "\n"}, signature.Part{Kind: signature.Body})), form(formType, "id=1")},
		{"one field", plain(withContent(signature.Part{Kind: signature.FormField, Text: "id"})), form(formType, "id=1")},
		{"one field, or JSON", plain(withContent(signature.Part{Kind: signature.FormField, Text: "id"})), form(jsonType, "{}")},
		{"a token over the body", token, form(formType, "id=1")},
	} {
		for query, want := range queries() {
			req := c.sent
			req.target = "/h?" + query
			signed := sent{target: "/h", contentType: req.contentType, body: req.body}.request()
			sign(t, c.scheme, signed)
			signed.Path = authz.View(req.target)
			reason, call := run(c.scheme, signed)
			if reason != want || reason != authz.OK && (!call.Fingerprint.IsZero() || call.Proof != authz.ProofNone) {
				t.Errorf("%s, query %s: %s, want %s", c.name, query, reason, want)
			}
		}
	}
}

func queries() map[string]authz.Reason {
	all := map[string]authz.Reason{}
	for _, query := range alike {
		all[query] = authz.MalformedRequest
	}
	for _, query := range unlike {
		all[query] = authz.OK
	}
	return all
}

// TestQueriesThatMayHaveAnyName: where the query is signed too, or nothing of the
// body is a form, names stand where they like.
func TestQueriesThatMayHaveAnyName(t *testing.T) {
	url := signature.Part{Kind: signature.URL, RFC3986: true}
	body := signature.Part{Kind: signature.Body}
	line := signature.Part{Kind: signature.Literal, Text: "\n"}
	for _, c := range []struct {
		name string
		h    *signature.Content
		sent sent
	}{
		{"a signed URL", several(t, withContent(url, line, body)), sent{target: "/h?id=2", contentType: formType, body: "id=1"}},
		{"a sorted query", several(t, withContent(signature.Part{Kind: signature.SortedQuery}, line, body)), sent{target: "/h?id=2", contentType: formType, body: "id=1"}},
		{"JSON", several(t, withContent(body)), sent{target: "/h?id=2", contentType: jsonType, body: `{"a":"&id=1"}`}},
		{"JSON of no type", several(t, withContent(body)), sent{target: "/h?id=2", body: `{"a":"&id=1"}`}},
		{"XML of no type", several(t, withContent(body)), sent{target: "/h?id=2", body: `<a b="&id=1"/>`}},
		{"text", several(t, withContent(body)), sent{target: "/h?id=2", contentType: "text/plain", body: "id=1"}},
		{"nothing", several(t, withContent(body)), sent{target: "/h?id=2", contentType: formType}},
	} {
		req := c.sent.request()
		sign(t, c.h, req)
		if reason, _ := run(c.h, req); reason != authz.OK {
			t.Errorf("%s: %s", c.name, reason)
		}
	}
}

// TestQueriesBesideFields: where the signature itself is in a form.
func TestQueriesBesideFields(t *testing.T) {
	h := fields(t)
	for query, want := range map[string]authz.Reason{
		"": authz.OK, "domain=example.com&event=x": authz.OK, "token=x": authz.MalformedRequest, "Token[]=x": authz.MalformedRequest,
		"signature=x": authz.MalformedRequest, "a=1&time%73tamp=1": authz.MalformedRequest, "timestamps=1": authz.OK,
		strings.Repeat("a&", 1100): authz.MalformedRequest,
	} {
		req := sent{target: "/"}.request()
		sign(t, h, req)
		req.Path = authz.View("/?" + query)
		if reason, _ := run(h, req); reason != want {
			t.Errorf("query %.40s: %s, want %s", query, reason, want)
		}
	}
}

// TestQueriesBesideTheirSignedParameter: of a query that is signed in part,
// nothing else may be read as that part, nor may a form, which nobody has signed.
func TestQueriesBesideTheirSignedParameter(t *testing.T) {
	shop := several(t, func(c *signature.Config) {
		c.Content = []signature.Part{{Kind: signature.MercadoPago}}
		c.Time = signature.Time{Header: "x-time", Unit: signature.Seconds}
	})
	field := several(t, withContent(signature.Part{Kind: signature.FormField, Text: "data.id"}))
	for _, c := range []struct {
		query, contentType, body string
		want                     authz.Reason
	}{
		{"data.id=1&type=payment", jsonType, `{"data":{"id":"1"}}`, authz.OK},
		{"data.id=1&type=payment", "", `{"data":{"id":"1"}}`, authz.OK},
		{"data.id=1&data_id=2", "", "", authz.MalformedRequest},
		{"data_id=2&data.id=1", "", "", authz.MalformedRequest},
		{"data.id=1&Data.Id=2", "", "", authz.MalformedRequest},
		{"data.id=1&data[id]=2", "", "", authz.MalformedRequest},
		{"data.id=1&%64ata%2eid[]=2", "", "", authz.MalformedRequest},
		{"data.id=1&my_data_id=2&datas=3", "", "", authz.OK},
		{"data.id=1", formType, "data.id=2", authz.MalformedRequest},
		{"data.id=1", "multipart/form-data; boundary=b", multipartOf("data_id", "2"), authz.MalformedRequest},
	} {
		for name, h := range map[string]*signature.Content{"Mercado Pago": shop, "a field": field} {
			req := sent{target: "/?data.id=1", contentType: c.contentType}.request()
			if name == "a field" {
				if req.Method = authz.View("GET"); c.body != "" {
					continue // the field would be one of the body
				}
			}
			sign(t, h, req)
			req.Path = authz.View("/?" + c.query)
			req.Body.Segments = [][]byte{nil, []byte(c.body)}
			if reason, _ := run(h, req); reason != c.want {
				t.Errorf("%s: %s with %q: %s, want %s", name, c.query, c.body, reason, c.want)
			}
		}
	}
}

// TestNothingIsSignedAmbiguously: what would be refused is not made for a test.
func TestNothingIsSignedAmbiguously(t *testing.T) {
	check := signature.Check{Schemes: []signature.Scheme{several(t, withContent(signature.Part{Kind: signature.Body}))}}
	for query, want := range map[string]bool{"a=1": true, "id=1": false} {
		if got := check.Sign(sent{target: "/?" + query, contentType: formType, body: "id=1"}.request(), signing("new")); got != want {
			t.Errorf("%s: %v", query, got)
		}
	}
}

// TestPartsThatCannotBeTold: without a query they may be as they like.
func TestPartsThatCannotBeTold(t *testing.T) {
	h := several(t, withContent(signature.Part{Kind: signature.Body}))
	for _, contentType := range []string{"multipart/form-data", "multipart/form-data; boundary=other", "multipart/form-data; boundary=b; boundary=c"} {
		for query, want := range map[string]authz.Reason{"": authz.OK, "?": authz.OK, "?id=1": authz.MalformedRequest} {
			req := sent{target: "/" + query, contentType: contentType, body: multipartOf("id", "1")}.request()
			sign(t, h, req)
			if reason, _ := run(h, req); reason != want {
				t.Errorf("%s%s: %s, want %s", contentType, query, reason, want)
			}
		}
	}
}
