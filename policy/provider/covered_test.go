package provider_test

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// What of a request counts, read from the description of its scheme alone: the comments of
// scheme.proto, in the slow and obvious way. Nothing here calls what is tested.

// sent is a request as the oracle sees it.
type sent struct {
	method, host, path, source string
	size                       int64
	headers                    [][2]string // names in lower case
	body                       []byte
}

// weight is what of a request counts. Two requests with equal texts and a proof in common
// are the same to a verifier; all else is outside of what is signed.
type weight struct {
	texts  []string
	proofs []string
	// meaning is what the body says to whoever reads it. It may differ where texts are
	// equal, but not if the service says that a signature covers the body.
	meaning string
}

var onePath = regexp.MustCompile(`^/a/[^/?#]+(\?|$)`)

// allowedFrom is the only network that the policy takes deliveries from.
var allowedFrom = netip.MustParsePrefix("198.51.100.0/28")

// weigh returns what counts of a request; ok is false for one that must be denied.
func weigh(s *policyv1.Scheme, r *sent) (w weight, ok bool) {
	defer func() {
		if problem := recover(); problem != nil {
			if _, expected := problem.(unreadable); !expected {
				panic(problem)
			}
			ok = false
		}
	}()
	if r.method != "POST" && r.method != "PUT" || !onePath.MatchString(r.path) {
		return w, false
	}
	if address, err := netip.ParseAddr(r.source); err != nil || !allowedFrom.Contains(address.Unmap()) {
		return w, false
	}
	x := &weigher{scheme: s, r: r}
	for _, when := range s.GetWhen() {
		x.text(x.named(when.GetHeader(), when.GetJson()))
	}
	for _, pin := range s.GetPins() {
		x.text(x.jsonTexts(pin.GetJson())...)
	}
	switch kind := s.GetKind().(type) {
	case *policyv1.Scheme_SharedToken:
		x.token(kind.SharedToken)
	case *policyv1.Scheme_Jws:
		x.jws(kind.Jws)
	case *policyv1.Scheme_HttpSignature:
		x.message(kind.HttpSignature)
	case *policyv1.Scheme_Code:
		x.code(kind.Code.GetName())
	default:
		x.content(s.Signed())
	}
	x.w.meaning = x.meaning()
	return x.w, true
}

// same reports whether a verifier may take m for o.
func (o weight) same(m weight) bool {
	return slices.Equal(o.texts, m.texts) && slices.ContainsFunc(m.proofs, func(p string) bool { return slices.Contains(o.proofs, p) })
}

// header returns the value of a header that may be there once.
func (r *sent) header(name string) (value string, there bool) {
	all := r.all(name)
	if len(all) > 1 {
		fail("%s is there twice", name)
	}
	if len(all) == 0 {
		return "", false
	}
	return all[0], true
}

func (r *sent) all(name string) (values []string) {
	for _, h := range r.headers {
		if h[0] == strings.ToLower(name) {
			values = append(values, h[1])
		}
	}
	return values
}

// body returns the body, which must be whole wherever it counts.
func (x *weigher) body() []byte {
	r := x.r
	if length, there := r.header("content-length"); there && strings.TrimLeft(length, "0") != strings.TrimLeft(strconv.Itoa(len(r.body)), "0") {
		fail("%s bytes of the body are %d", length, len(r.body))
	}
	if mark, there := r.header("x-envoy-auth-partial-body"); !there || mark != "false" || r.size != 0 && r.size != int64(len(r.body)) {
		fail("the body is not whole")
	}
	return r.body
}

type weigher struct {
	scheme *policyv1.Scheme
	r      *sent
	w      weight
}

func (x *weigher) text(texts ...string) { x.w.texts = append(x.w.texts, texts...) }

// must returns the value of a header that must be there.
func (x *weigher) must(name string) string {
	value, there := x.r.header(name)
	if !there {
		fail("no %s", name)
	}
	return value
}

// named returns a header or a text in the body.
func (x *weigher) named(header, path string) string {
	if header != "" {
		return x.must(header)
	}
	return x.jsonText(path)
}

// url returns the URL in the form of which all that count are the same.
func (x *weigher) url(u *policyv1.Url) string {
	host, path := x.r.host, x.r.path
	for _, form := range u.GetAlso() {
		switch form {
		case policyv1.Url_DEFAULT_PORT, policyv1.Url_NO_PORT:
			host = before(host, ":")
		case policyv1.Url_BROWSER_QUERY, policyv1.Url_PLAIN_QUERY:
			path = before(path, "?") + "?" + strings.NewReplacer("%21", "!", "%27", "'", "%28", "(", "%29", ")", "%2A", "*", "%2a", "*").Replace(after(path, "?"))
		default: // a path alone is no other path
		}
	}
	for _, c := range u.GetDecoded() {
		path = strings.NewReplacer(fmt.Sprintf("%%%02X", c), string(c), fmt.Sprintf("%%%02x", c), string(c)).Replace(path)
	}
	if u.GetWithoutQuery() {
		path = before(path, "?")
	}
	return "https://" + host + path
}

// content weighs an ordered list of parts with a signature.
func (x *weigher) content(s policyv1.Signed) {
	if kind := x.scheme.GetHmac(); kind != nil {
		if name := kind.GetKeyIdHeader(); name != "" {
			x.text(x.must(name))
		}
		if d := kind.GetBodyDigest(); d != nil && (!x.isForm() || x.query().Has(d.GetQuery())) {
			x.text(string(x.body()))
		}
	}
	for _, h := range s.GetConstantHeaders() {
		x.text(x.must(h.GetName()))
	}
	if id := s.GetKeyId(); id != nil {
		switch {
		case len(id.GetHeaders()) > 0:
			for _, name := range id.GetHeaders() {
				x.text(x.r.all(name)...)
			}
		case id.GetJson() != "":
			x.text(x.jsonText(id.GetJson()))
		default:
			x.text(x.item(s.GetSignature(), id.GetKey()))
		}
	}
	x.proof(s)
	if stamp := s.GetTimestamp(); stamp != nil {
		switch from := stamp.GetFrom().(type) {
		case *policyv1.Timestamp_Header:
			x.text(x.must(from.Header))
		case *policyv1.Timestamp_Key:
			x.text(x.item(s.GetSignature(), from.Key))
		case *policyv1.Timestamp_First:
			x.text(before(x.must(s.GetSignature().GetHeaders()[0]), ","))
		case *policyv1.Timestamp_Json:
			x.text(x.jsonText(from.Json))
		case *policyv1.Timestamp_Field:
			x.text(one(x.form()[from.Field], from.Field))
		}
	}
	for _, part := range s.GetContent() {
		x.part(s, part)
	}
}

func (x *weigher) part(s policyv1.Signed, part *policyv1.Part) {
	switch p := part.GetPart().(type) {
	case *policyv1.Part_Body:
		if field := p.Body.GetFormField(); field != "" && x.isForm() {
			x.text(one(x.form()[field], field), strings.Join(names(x.form()), " "))
			return
		}
		x.text(string(x.body()))
	case *policyv1.Part_Digest:
		if p.Digest.GetHash() == policyv1.Digest_CRC32 {
			x.text(fmt.Sprint(crc32.ChecksumIEEE(x.r.body)))
			return
		}
		x.text(string(x.body()))
	case *policyv1.Part_Header:
		x.text(x.must(p.Header.GetName()))
	case *policyv1.Part_Method:
		x.text(x.r.method)
	case *policyv1.Part_Url:
		x.text(x.url(p.Url))
	case *policyv1.Part_Path:
		x.text(before(x.r.path, "?"))
		if !p.Path.GetWithoutQuery() {
			x.text(x.r.path)
		}
	case *policyv1.Part_Form:
		if x.isForm() {
			x.text(joined(x.form(), p.Form.GetDistinct()))
		}
	case *policyv1.Part_Json:
		x.text(x.jsonText(p.Json))
	case *policyv1.Part_Item:
		x.text(x.item(s.GetSignature(), p.Item.GetKey()))
	case *policyv1.Part_SortedQuery:
		x.text(sorted(x.query()))
	case *policyv1.Part_Code:
		x.codePart(p.Code, s)
	case *policyv1.Part_Field:
		x.text(one(x.form()[p.Field], p.Field))
	case *policyv1.Part_Fields:
		for _, key := range p.Fields.GetKeys() {
			name, optional := strings.CutSuffix(key, "?")
			if optional && !bytes.Contains(x.body(), []byte(name)) {
				continue
			}
			x.text(name, x.jsonText(name))
		}
	case *policyv1.Part_PhpForm:
		x.text(sorted(x.form(), s.GetSignature().GetField()))
	case *policyv1.Part_RawForm:
		x.text(before(string(x.body()), "&"+s.GetSignature().GetField()+"="))
		_ = x.form()
	case *policyv1.Part_Listed:
		names := x.item(s.GetSignature(), p.Listed.GetKey())
		x.text(names)
		for name := range strings.FieldsSeq(names) {
			x.text(x.must(name))
		}
	}
}

func (x *weigher) codePart(part policyv1.Part_CodePart, s policyv1.Signed) {
	switch part {
	case policyv1.Part_PLIVO_V3:
		x.text(x.r.host, before(x.r.path, "?"), sorted(x.query()))
		if x.isForm() {
			x.text(joined(x.form(), false))
		}
	case policyv1.Part_CONTENTFUL:
		names := x.must("x-contentful-signed-headers")
		x.text(x.r.method, x.r.path, names)
		for name := range strings.SplitSeq(names, ",") {
			x.text(x.must(name))
		}
	case policyv1.Part_MERCADO_PAGO:
		x.text(strings.ToLower(strings.Join(x.query()["data.id"], ",")), strings.Join(x.r.all("x-request-id"), ","))
	default:
		fail("a part that nobody knows")
	}
}
