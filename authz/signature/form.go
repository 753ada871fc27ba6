package signature

import (
	"bytes"
	"cmp"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/authz"
)

// parameter is one of a form or query, decoded.
type parameter struct{ name, value string }

// maxParameters bounds the parameters of a form or query.
const maxParameters = 1000

var errForm = errors.New("not a form: a percent sign without two hexadecimal digits, or more than 1000 parameters")

// parseForm reads application/x-www-form-urlencoded text, in its order. It
// decodes what it finds and guesses nothing. More than a thousand parameters are
// refused: they would be decoded and sorted for whoever sends them.
func parseForm(text string) ([]parameter, error) {
	var all []parameter
	for item := range strings.SplitSeq(text, "&") {
		if item == "" {
			continue
		}
		name, value, _ := strings.Cut(item, "=")
		n, err1 := url.QueryUnescape(name)
		v, err2 := url.QueryUnescape(value)
		if err1 != nil || err2 != nil || len(all) == maxParameters {
			return nil, errForm
		}
		all = append(all, parameter{n, v})
	}
	return all, nil
}

// sortForm sorts by name and then by value, byte by byte.
func sortForm(all []parameter) {
	slices.SortFunc(all, func(a, b parameter) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.value, b.value))
	})
}

// isForm reports whether the body is a form by its one content type.
func isForm(req *authz.Request) bool {
	return !twoTypes(req) && strings.EqualFold(mediaType(req), "application/x-www-form-urlencoded")
}

// twoTypes reports whether the request has two content types, in two headers or
// joined by a comma, so that one reader takes the body for a form and another
// not.
func twoTypes(req *authz.Request) bool {
	value, count := req.Headers.Lookup("content-type")
	return count > 1 || bytes.IndexByte(value, ',') >= 0
}

// formOf returns the parameters of a form in the body; none if the body is
// empty or no form.
func formOf(req *authz.Request) ([]parameter, error) {
	if !isForm(req) || req.Body.Len() == 0 {
		return nil, nil
	}
	return parseForm(string(req.Body.Joined()))
}

// queryOf returns the parameters of the query.
func queryOf(req *authz.Request) ([]parameter, error) {
	_, query, _ := strings.Cut(string(req.Path), "?")
	return parseForm(query)
}

// only returns the value of the one parameter of that name.
func only(all []parameter, name string) (value string, ok bool) {
	for _, p := range all {
		if p.name != name {
			continue
		}
		if ok {
			return "", false // two readers could take different ones
		}
		value, ok = p.value, true
	}
	return value, ok
}

// appendForm appends the parameters in their order, names and values with
// nothing between.
func appendForm(dst []byte, all []parameter, distinct bool) []byte {
	for i, p := range all {
		if distinct && i > 0 && p == all[i-1] {
			continue
		}
		dst = append(append(dst, p.name...), p.value...)
	}
	return dst
}

// bodyOrField returns the body, or the one field of a form in its place, or the
// field of the query of a GET, which has no body.
func bodyOrField(req *authz.Request, name string) ([]byte, bool) {
	if fromQuery(req) {
		query, err := queryOf(req)
		value, ok := only(query, name)
		return []byte(value), ok && err == nil
	}
	if !isForm(req) {
		return req.Body.Joined(), true
	}
	// A form with another field has something that nobody signed.
	all, err := formOf(req)
	if err != nil || len(all) != 1 || all[0].name != name {
		return nil, false
	}
	return []byte(all[0].value), true
}

// fromQuery reports whether a field that stands for the body is one of the query.
func fromQuery(req *authz.Request) bool {
	return req.Body.Len() == 0 && (string(req.Method) == "GET" || string(req.Method) == "HEAD")
}

// sortedQuery returns the query's parameters sorted by name, in their order
// under one name, and encoded as Go's url.Values.Encode writes them.
func sortedQuery(req *authz.Request) ([]byte, bool) {
	all, err := queryOf(req)
	if err != nil {
		return nil, false
	}
	slices.SortStableFunc(all, func(a, b parameter) int { return strings.Compare(a.name, b.name) })
	var b []byte
	for i, p := range all {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(append(b, url.QueryEscape(p.name)...), '=')
		b = append(b, url.QueryEscape(p.value)...)
	}
	return b, true
}
