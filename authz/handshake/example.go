package handshake

import (
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"

	"github.com/hookbastion/hookbastion/authz"
)

// Names returns the names of the handshakes.
func (s *Set) Names() []string {
	var names []string
	for _, h := range s.Handshakes {
		names = append(names, h.Name)
	}
	return names
}

// Request makes the request the handshake of that name, for tests. It must have the
// webhook's path. proven says that it must still be signed as a delivery. It fails if there
// is no such handshake, or if it has a token whose text is not known.
func (s *Set) Request(name string, req *authz.Request, with authz.Signing) (proven, ok bool) {
	for _, h := range s.Handshakes {
		if h.Name == name {
			return h.Verify == Delivery, h.request(req, with)
		}
	}
	return false, false
}

func (h *Handshake) request(req *authz.Request, with authz.Signing) bool {
	req.Method = authz.View(h.Method)
	path, query, _ := strings.Cut(string(req.Path), "?")
	if h.PathEnd != "" && !strings.HasSuffix(path, h.PathEnd) {
		path = path[:strings.LastIndexByte(path, '/')] + h.PathEnd
	}
	var pairs []string
	if query != "" {
		pairs = append(pairs, query)
	}
	body := &sample{}
	for i := range h.Asked {
		pairs = append(pairs, h.Asked[i].add(req, body)...)
	}
	if h.Verify == VerifyToken {
		token := h.Token.Load(nil)
		if token == nil {
			return false
		}
		pairs = append(pairs, url.QueryEscape(h.VerifyQuery)+"="+url.QueryEscape(string(token.Reveal())))
	}
	if c := h.Challenge; c != nil {
		text := c.sample(with)
		switch {
		case c.Query != "":
			pairs = append(pairs, url.QueryEscape(c.Query)+"="+url.QueryEscape(text))
		case c.Header != "":
			req.Set(c.Header, text)
		default:
			body.set(c.JSON, text)
		}
	}
	if h.Told != "" {
		body.set(h.Told, "https://example.com/confirm")
	}
	if len(pairs) > 0 {
		path += "?" + strings.Join(pairs, "&")
	}
	req.Path = authz.View(path)
	req.Body = authz.Body{State: authz.BodyWhole}
	if text := body.text(); text != nil {
		req.Set("content-type", "application/json")
		req.Body.Segments, req.Body.Size = [][]byte{text}, int64(len(text))
	}
	return true
}

// add gives a request what is asked for, and returns the pairs of its query.
func (a *Asked) add(req *authz.Request, body *sample) []string {
	value := "sample"
	if len(a.Values) > 0 {
		value = a.Values[0]
	}
	switch {
	case a.Query != "":
		return []string{url.QueryEscape(a.Query) + "=" + url.QueryEscape(value)}
	case a.Header != "":
		req.Set(a.Header, value)
	case a.JSON != "" && strings.Trim(value, "0123456789") == "":
		body.set(a.JSON, json.Number(value))
	case a.JSON != "":
		body.set(a.JSON, value)
	case a.EmptyList != "":
		body.set(a.EmptyList, []any{})
	}
	return nil
}

// sample is a challenge that is another one each time.
func (c *Challenge) sample(with authz.Signing) string {
	text := ""
	for range 1 + (max(c.Min, 16)-1)/16 {
		text += with.NewID()
	}
	switch c.Alphabet {
	case Hex:
		text = hex.EncodeToString([]byte(text))
	case Digits:
		text = strings.Map(func(r rune) rune { return '0' + r%10 }, text)
	default:
		text = strings.Map(func(r rune) rune {
			if r > '~' || !c.Alphabet.Has(byte(r)) {
				return 'x'
			}
			return r
		}, text)
	}
	return text[:min(len(text), c.Max)]
}

// sample is a JSON value that is put together by paths.
type sample struct {
	object map[string]any
	list   bool // it is the one item of a list
}

func (s *sample) set(path string, value any) {
	if s.object == nil {
		s.object = map[string]any{}
	}
	if rest, ok := strings.CutPrefix(path, "[]."); ok {
		path, s.list = rest, true
	}
	at := s.object
	keys := strings.Split(path, ".")
	for _, key := range keys[:len(keys)-1] {
		inner, ok := at[key].(map[string]any)
		if !ok {
			inner = map[string]any{}
			at[key] = inner
		}
		at = inner
	}
	at[keys[len(keys)-1]] = value
}

func (s *sample) text() []byte {
	if s.object == nil {
		return nil
	}
	var value any = s.object
	if s.list {
		value = []any{s.object}
	}
	text, _ := json.Marshal(value) // texts, numbers and lists
	return text
}
