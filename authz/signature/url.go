package signature

import (
	"bytes"
	"encoding/hex"
	"slices"

	"github.com/hookbastion/hookbastion/authz"
)

// urlForm is one way to write the signed URL.
type urlForm struct {
	port         URLForm // 0, DefaultPort or NoPort
	browserQuery bool
	noRoot       bool
	lowerID      bool // of Mercado Pago's id
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
	double(BrowserQuery, func(f *urlForm) { f.browserQuery = true })
	double(NoRoot, func(f *urlForm) { f.noRoot = true })
	double(lowerID, func(f *urlForm) { f.lowerID = true })
	return forms
}

var httpsPrefix = []byte("https://")

// appendURL appends the request's URL in a form.
func (h *HMAC) appendURL(dst []byte, req *authz.Request, part *Part, form urlForm) []byte {
	begin := len(dst)
	if h.publicURL != nil {
		dst = append(dst, h.publicURL...)
	} else {
		dst = append(append(dst, httpsPrefix...), req.Host...)
	}
	if form.port != 0 {
		dst = appendPort(dst[:begin], dst[begin:], form.port)
	}
	path, query, hasQuery := bytes.Cut(req.Path, []byte{'?'})
	hasQuery = hasQuery && !part.WithoutQuery
	if !form.noRoot || hasQuery || len(path) != 1 {
		dst = appendDecoded(dst, path, part.Decoded)
	}
	if hasQuery {
		dst = append(dst, '?')
		if form.browserQuery {
			query = bytes.ReplaceAll(query, []byte("'"), []byte("%27"))
		}
		dst = appendDecoded(dst, query, part.Decoded)
	}
	return dst
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
