package signature

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"slices"

	"github.com/hookbastion/hookbastion/authz"
)

// Frameworks put the parameters of the query and those of a form into one map,
// and which one counts differs from one to the next. So where only one of the two
// is signed, the other must not have a parameter of the same name, nor of one
// that a framework takes for the same.

// parameters says which parameters of a request a signature covers.
type parameters struct {
	query   bool     // the whole query
	form    bool     // all fields of a form in the body
	fields  []string // these of a form alone
	inQuery []string // these of the query alone
}

func (h *Content) parameters(req *authz.Request) parameters {
	c := &h.config
	p := parameters{form: c.signsWhole() || c.signsForm()}
	for i := range c.Content {
		part := &c.Content[i]
		switch part.Kind {
		case URL, Path:
			p.query = p.query || !part.WithoutQuery
		case SortedQuery, PlivoV3, Contentful:
			p.query = true
		case FieldText:
			p.fields = append(p.fields, part.Text)
		case FormField:
			if fromQuery(req) {
				p.inQuery = append(p.inQuery, part.Text)
			} else {
				p.fields = append(p.fields, part.Text)
			}
		case MercadoPago:
			p.inQuery = append(p.inQuery, mercadoPagoID)
		default:
		}
	}
	for _, name := range []string{c.Field, c.Time.Field} {
		if name != "" {
			p.fields = append(p.fields, name)
		}
	}
	return p
}

func (j *JWS) parameters(*authz.Request) parameters {
	return parameters{query: j.config.URL.Claim != "" || j.config.QueryHash || j.config.Detached != nil && j.config.Detached.RequestLine, form: j.SignsBody()}
}

func (b *Braintree) parameters(*authz.Request) parameters {
	return parameters{fields: []string{braintreePayload, braintreeSignature}}
}

// parameters of JSON: none.
func (a *Adyen) parameters(*authz.Request) parameters { return parameters{} }

// names is a set of names of parameters as frameworks may read them.
type names map[string]bool

func (n names) add(name []byte) {
	whole, first := authz.FoldName(name)
	if whole != "" {
		n[whole], n[first] = true, true
	}
}

func (n names) has(name []byte) bool {
	whole, first := authz.FoldName(name)
	return n[whole] || n[first]
}

func namesOf(all []string) names {
	set := names{}
	for _, name := range all {
		set.add([]byte(name))
	}
	return set
}

// ambiguous names a parameter that stands beside a signed one and could be taken
// for it; nothing if there is none.
func (p parameters) ambiguous(req *authz.Request) string {
	_, query, _ := bytes.Cut(req.Path, []byte{'?'})
	form := p.form && req.Body.Len() > 0 && mayBeForm(req)
	if p.query || len(query) == 0 || !form && len(p.fields)+len(p.inQuery) == 0 {
		return ""
	}
	if bytes.Count(query, []byte{'&'})+bytes.Count(query, []byte{';'}) >= maxParameters {
		return "one of more than 1000 parameters" // each is work
	}
	if len(p.inQuery) > 0 {
		return p.besideQuery(req, query)
	}
	if signed := namesOf(p.fields); len(signed) > 0 {
		if name := find(query, signed.has); name != nil {
			return string(name)
		}
	}
	if !form {
		return ""
	}
	asked := names{}
	find(query, func(name []byte) bool {
		asked.add(name)
		return false
	})
	return findInForm(req, asked.has)
}

// besideQuery looks beside the signed ones of the query, in the query itself. A
// form has fields that nobody has signed.
func (p parameters) besideQuery(req *authz.Request, query []byte) string {
	signed, seen := namesOf(p.inQuery), 0
	name := find(query, func(name []byte) bool {
		if signed.has(name) {
			seen++
		}
		return seen > len(p.inQuery) || signed.has(name) && !slices.Contains(p.inQuery, string(name))
	})
	if name == nil && seen > 0 && req.Body.Len() > 0 && mayBeForm(req) {
		return "a form"
	}
	return string(name)
}

// find returns the first name of a query or form that the function reports. Some
// readers take a semicolon for an ampersand.
func find(text []byte, wanted func(name []byte) bool) []byte {
	for len(text) > 0 {
		item := text
		if end := bytes.IndexAny(text, "&;"); end >= 0 {
			item, text = text[:end], text[end+1:]
		} else {
			text = nil
		}
		if name, _, _ := bytes.Cut(item, []byte{'='}); len(name) > 0 && wanted(name) {
			return name
		}
	}
	return nil
}

// mayBeForm reports whether any framework would take the body for a form: by one
// of its content types, or because it has none and does not begin as JSON and XML do.
func mayBeForm(req *authz.Request) bool {
	if hasType(req, "form-urlencoded") || hasType(req, "form-data") {
		return true
	}
	_, types := req.Headers.Lookup("content-type")
	return types == 0 && bytes.IndexByte([]byte("{[\"<"), firstByte(&req.Body)) < 0
}

// firstByte returns the first byte of a body that is not empty.
func firstByte(body *authz.Body) byte {
	for _, segment := range body.Segments {
		if len(segment) > 0 {
			return segment[0]
		}
	}
	return 0
}

// hasType reports whether any content type has the text, in any case of letters.
func hasType(req *authz.Request, text string) bool {
	return slices.ContainsFunc(req.Headers, func(h authz.Header) bool {
		return string(h.Name) == "content-type" && bytes.Contains(bytes.ToLower(h.Value), []byte(text))
	})
}

// findInForm is find for a body that may be a form of either type. Where the
// parts of one cannot be told, that is its answer.
func findInForm(req *authz.Request, wanted func(name []byte) bool) string {
	const unreadable = "a part without a name"
	if !hasType(req, "form-data") {
		return string(find(req.Body.Joined(), wanted))
	}
	value, count := req.Headers.Lookup("content-type")
	_, fields, err := mime.ParseMediaType(string(value))
	if err != nil || count != 1 || fields["boundary"] == "" {
		return unreadable
	}
	for reader := multipart.NewReader(req.Body.Reader(), fields["boundary"]); ; {
		part, err := reader.NextRawPart()
		if err == io.EOF { //nolint:errorlint // as in multipartTexts
			return ""
		}
		if err != nil || part.FormName() == "" {
			return unreadable
		}
		if name := part.FormName(); wanted([]byte(name)) {
			return name
		}
	}
}

// readOneWay refuses a request whose signature held, and which has a parameter that
// could be taken for a signed one.
func readOneWay(call *authz.Call, scheme Scheme) authz.Reason {
	if bytes.IndexByte(call.Request.Path, '?') < 0 {
		return authz.OK
	}
	name := scheme.parameters(call.Request).ambiguous(call.Request)
	if name == "" {
		return authz.OK
	}
	if call.Explanation != nil {
		call.Explain("signed parameters that stand in the request once, as some frameworks read query and form together",
			fmt.Sprintf("%.60q beside a signed one that is read alike", name))
	}
	disprove(call)
	return authz.MalformedRequest
}
