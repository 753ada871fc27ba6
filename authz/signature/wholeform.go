package signature

import (
	"bytes"
	"net/url"
	"slices"
	"strconv"

	"github.com/hookbastion/hookbastion/authz"
)

// The signature may stand in the form that it signs. This file has the ways in which
// senders sign the rest of it.

// rawForm is the form as it came, up to its last field, which must be the one that holds
// the signature: whatever stood behind it would not be signed.
func (h *Content) rawForm(req *authz.Request) ([]byte, bool) {
	all, err := formOf(req)
	if err != nil || len(all) < 2 || all[len(all)-1].name != h.config.Field {
		return nil, false
	}
	body := req.Body.Joined()
	last := bytes.LastIndexByte(body, '&')
	if name, _, _ := bytes.Cut(body[last+1:], []byte{'='}); string(name) != h.config.Field {
		return nil, false // written in another way, or nothing behind it
	}
	return body[:last], true
}

// setLast gives the form a field at its end.
func setLast(req *authz.Request, name, text string) {
	values := url.Values{}
	if all, err := formOf(req); err == nil {
		for _, p := range all {
			if p.name != name {
				values.Add(p.name, p.value)
			}
		}
	}
	if len(values) == 0 {
		values.Set("id", "sample")
	}
	req.Set("content-type", "application/x-www-form-urlencoded")
	req.Body.Segments = [][]byte{[]byte(values.Encode() + "&" + name + "=" + url.QueryEscape(text))}
}

// phpForm writes the fields of a form, but for the one that holds the signature, as
// PHP's serialize writes an array of texts that ksort has sorted. Each length stands
// before its text, so that nothing can move from one to the next. Names that PHP would
// not keep as they are, or would take for numbers, are refused: it is the application's
// PHP that reads the form once more.
// https://www.php.net/manual/en/function.serialize.php
func (h *Content) phpForm(req *authz.Request) ([]byte, bool) {
	all, err := formOf(req)
	if err != nil {
		return nil, false
	}
	all = slices.DeleteFunc(all, func(p parameter) bool { return p.name == h.config.Field })
	sortForm(all)
	b := append(strconv.AppendInt([]byte("a:"), int64(len(all)), 10), ":{"...)
	for i, p := range all {
		if i > 0 && all[i-1].name == p.name || !isPHPName(p.name) {
			return nil, false
		}
		b = appendPHPText(appendPHPText(b, p.name), p.value)
	}
	return append(b, '}'), true
}

func appendPHPText(dst []byte, text string) []byte {
	dst = strconv.AppendInt(append(dst, "s:"...), int64(len(text)), 10)
	return append(append(append(dst, `:"`...), text...), `";`...)
}

// isPHPName reports whether PHP keeps a field's name: a letter or underscore, and then
// letters, digits, underscores and hyphens.
func isPHPName(name string) bool {
	for i, c := range []byte(name) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
		if !letter && (i == 0 || c != '-' && (c < '0' || c > '9')) {
			return false
		}
	}
	return name != ""
}
