package signature

import (
	"bytes"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/secret"
)

// What follows is for tools that explain a request that was captured. Nothing that serves
// calls it.

// KeysNow returns the keys with the values that count now, those of a tenant where each has
// its own. They make the same scheme with another plan.
func (h *Content) KeysNow(held secret.Held) []Key {
	var all []Key
	for _, slot := range h.keys {
		k := slot.Key
		if k.Source == nil {
			version := k.Cell.Load(held)
			if version == nil {
				continue
			}
			k.Cell, k.Secret = nil, version.Value
		}
		all = append(all, k)
	}
	return all
}

// Piece is one part of the signed content. What is taken from the key is not shown, and has
// no bytes.
type Piece struct {
	// Part names it, as url, body or the name of a header; empty for fixed text.
	Part  string
	Bytes []byte
	// Open: it says nothing of the content, such as fixed text, method and time.
	Open bool
}

// Pieces returns the content that a signature of the request would be made over, with the
// URL in its first form. It returns false if the request lacks something of it.
func (h *Content) Pieces(call *authz.Call) ([]Piece, bool) {
	s := &scratch{parts: make([][]byte, len(h.config.Content)), candidates: make([]candidate, 0, h.config.MaxSignatures)}
	if h.collect(call.Request, s) != authz.OK || h.checkHeaders(call) != authz.OK {
		return nil, false
	}
	if _, reason := h.findTime(call, s); reason != authz.OK {
		return nil, false
	}
	if reason, _ := h.prepare(call.Request, s); reason != authz.OK {
		return nil, false
	}
	var all []Piece
	whole := h.config.Content
	one := &Content{Plan: &Plan{config: h.config, forms: h.forms, public: h.public}} // of one part
	for i := range whole {
		part := &whole[i]
		piece := Piece{Part: part.describe(), Open: part.Kind == Literal || part.Kind == Method || part.Kind == Timestamp}
		if part.Kind == Literal {
			piece.Part = ""
		}
		if part.Kind != Secret {
			var text bytes.Buffer
			one.config.Content = whole[i : i+1]
			parts := s.parts
			s.parts = parts[i : i+1]
			one.write(call.Request, s, h.forms[0], &text, nil)
			s.parts = parts
			piece.Bytes = text.Bytes()
		}
		all = append(all, piece)
	}
	return all, true
}

// Overflows reports whether the request has more signatures than are looked at.
func (h *Content) Overflows(req *authz.Request) bool {
	s := &scratch{candidates: make([]candidate, 0, h.config.MaxSignatures)}
	return h.collect(req, s) != authz.OK && s.overflow
}
