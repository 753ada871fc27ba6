package signature

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/authz"
)

// urlForm is one way to write the signed URL.
type urlForm struct {
	port    URLForm // 0, DefaultPort or NoPort
	query   URLForm // 0, BrowserQuery or PlainQuery
	noRoot  bool
	lowerID bool // of Mercado Pago's id
}

// publicURL is the URL as the provider knows it, up to the request's path.
type publicURL struct {
	origin []byte // scheme and host; empty: https and the sender's host
	prefix []byte // what a gateway took off the path
}

func newPublicURL(text string) publicURL {
	scheme, rest, _ := strings.Cut(text, "://")
	host, path, found := strings.Cut(rest, "/")
	if !found {
		return publicURL{origin: []byte(text)}
	}
	return publicURL{origin: []byte(scheme + "://" + host), prefix: []byte("/" + path)}
}

// same reports whether the form writes the request's URL as another one before it
// in the list does.
func (f *urlForm) same(req *authz.Request) bool {
	path, query, _ := bytes.Cut(req.Path, []byte{'?'})
	return f.noRoot && len(path) != 1 ||
		f.query == BrowserQuery && bytes.IndexByte(query, '\'') < 0 ||
		f.query == PlainQuery && bytes.IndexByte(query, '%') < 0
}

// urlForms returns every combination of the forms, the URL as it is first.
func urlForms(also []URLForm) []urlForm {
	forms := []urlForm{{}}
	for _, port := range []URLForm{DefaultPort, NoPort} {
		if slices.Contains(also, port) {
			forms = append(forms, urlForm{port: port})
		}
	}
	double := func(form URLForm, set func(*urlForm)) {
		if !slices.Contains(also, form) {
			return
		}
		for _, f := range slices.Clone(forms) {
			set(&f)
			forms = append(forms, f)
		}
	}
	queries := slices.Clone(forms)
	for _, query := range []URLForm{BrowserQuery, PlainQuery} {
		if slices.Contains(also, query) {
			for _, f := range queries {
				f.query = query
				forms = append(forms, f)
			}
		}
	}
	double(NoRoot, func(f *urlForm) { f.noRoot = true })
	double(lowerID, func(f *urlForm) { f.lowerID = true })
	return forms
}

var httpsPrefix = []byte("https://")

// appendURL appends the request's URL in a form. Without a public URL its host is
// the sender's.
func appendURL(dst []byte, public *publicURL, req *authz.Request, part *Part, form urlForm) []byte {
	begin := len(dst)
	if len(public.origin) > 0 {
		dst = append(dst, public.origin...)
	} else {
		dst = append(append(dst, httpsPrefix...), req.Host...)
	}
	if form.port != 0 {
		dst = appendPort(dst[:begin], dst[begin:], form.port)
	}
	return appendPath(dst, public, req, part, form)
}

// appendPath appends the path as the provider knows it, and the query.
func appendPath(dst []byte, public *publicURL, req *authz.Request, part *Part, form urlForm) []byte {
	path, query, hasQuery := bytes.Cut(req.Path, []byte{'?'})
	dst = appendDecoded(dst, public.prefix, part.Decoded)
	if !form.noRoot || len(path) != 1 {
		dst = appendDecoded(dst, path, part.Decoded)
	}
	if !hasQuery || part.WithoutQuery {
		return dst
	}
	dst = append(dst, '?')
	switch form.query {
	case BrowserQuery:
		query = bytes.ReplaceAll(query, []byte("'"), []byte("%27"))
	case PlainQuery:
		query = appendDecoded(nil, query, plainMarks)
	default:
	}
	return appendDecoded(dst, query, part.Decoded)
}

// plainMarks may stand in a query as they are (RFC 3986 §3.4), and some senders
// escape them after they have signed. None of them divides a query.
const plainMarks = "!'()*"

// plainHost reports whether the host that a sender names can be nothing but a
// host: a name, an IPv4 address or an IPv6 address in brackets, and a port.
// Where the policy does not say the public URL, the sender's host is signed as
// a part of the URL; any other character could move the path or the query.
func plainHost(host authz.View) bool {
	name, allowed := []byte(host), isNameByte
	if len(host) > 0 && host[0] == '[' {
		end := bytes.IndexByte(host, ']')
		if end < 0 {
			return false
		}
		name, allowed = host[1:end], isIPv6Byte
		host = host[end+1:]
	} else if colon := bytes.IndexByte(host, ':'); colon >= 0 {
		name, host = host[:colon], host[colon:]
	} else {
		host = nil
	}
	if len(host) > 0 && (host[0] != ':' || !isPort(host[1:])) {
		return false
	}
	return len(name) > 0 && !slices.ContainsFunc(name, func(c byte) bool { return !allowed(c) })
}

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '-' || c == '_'
}

func isIPv6Byte(c byte) bool {
	return 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F' || '0' <= c && c <= '9' || c == '.' || c == ':'
}

func isPort(text []byte) bool {
	return len(text) > 0 && len(text) <= 5 && !slices.ContainsFunc(text, func(c byte) bool { return c < '0' || c > '9' })
}

func explainHost(call *authz.Call) {
	if call.Explanation != nil {
		call.Explain("a host that can stand in the signed URL, as there is no public_url", fmt.Sprintf("%.60q", call.Request.Host))
	}
}

// appendPort appends scheme and host with another port. dst and origin may
// share memory.
func appendPort(dst, origin []byte, port URLForm) []byte {
	host := origin
	colon := bytes.LastIndexByte(origin, ':')
	// Not the colon of the scheme, of a password, or of an IPv6 address.
	hasPort := colon >= 0 && !bytes.ContainsAny(origin[colon:], "/@]")
	if hasPort && port == NoPort {
		host = origin[:colon]
	}
	dst = append(dst, host...)
	if port == DefaultPort && !hasPort {
		if bytes.HasPrefix(origin, httpsPrefix) {
			return append(dst, ":443"...)
		}
		return append(dst, ":80"...)
	}
	return dst
}

// appendDecoded appends text with those escapes decoded that stand for one of
// the characters.
func appendDecoded(dst, text []byte, characters string) []byte {
	if characters == "" {
		return append(dst, text...)
	}
	for len(text) > 0 {
		var c [1]byte
		if text[0] == '%' && len(text) >= 3 {
			if _, err := hex.Decode(c[:], text[1:3]); err == nil && bytes.IndexByte([]byte(characters), c[0]) >= 0 {
				dst, text = append(dst, c[0]), text[3:]
				continue
			}
		}
		dst, text = append(dst, text[0]), text[1:]
	}
	return dst
}
