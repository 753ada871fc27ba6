package handshake

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/authz"
)

// Asked is something that a request must have once. One of Query to NoHeader is set.
type Asked struct {
	Query, Header string
	// JSON is a text or number of the body, by its keys with dots between; [] in front
	// stands for the one item of a list.
	JSON string
	// EmptyList is the key of a list that must be empty.
	EmptyList string
	// OnlyKey is the one key that the object in the body may have.
	OnlyKey string
	// NoBody: there is none.
	NoBody bool
	// NoHeader must not be there.
	NoHeader string
	// Values are what it may be; nil: anything but nothing.
	Values []string
}

// is reports whether the request is this handshake, right or wrong. What costs nothing
// is looked at first.
func (h *Handshake) is(req *authz.Request) bool {
	if string(req.Method) != h.Method || h.PathEnd != "" && !bytes.HasSuffix(req.PathOnly(), []byte(h.PathEnd)) {
		return false
	}
	if h.readsBody() && !h.mayHave(req) {
		return false
	}
	for i := range h.Asked {
		if !h.Asked[i].is(req) {
			return false
		}
	}
	return h.Challenge == nil || h.Challenge.there(req)
}

// readsBody reports whether the handshake is known by its body, which must be whole.
func (h *Handshake) readsBody() bool {
	return h.Challenge != nil && h.Challenge.JSON != "" || h.Told != "" ||
		slices.ContainsFunc(h.Asked, func(a Asked) bool { return a.JSON+a.EmptyList+a.OnlyKey != "" })
}

// mayHave reports whether the body is worth being read: it is whole, small, and has the
// texts that the handshake is known by. An ordinary delivery has not.
func (h *Handshake) mayHave(req *authz.Request) bool {
	limit := MaxBody
	for i := range h.Asked {
		if h.Asked[i].EmptyList != "" {
			limit = maxEmptyList
		}
	}
	if n := req.Body.Len(); req.Body.State != authz.BodyWhole || n == 0 || n > limit {
		return false
	}
	body := req.Body.Joined()
	for i := range h.Asked {
		a := &h.Asked[i]
		if a.JSON != "" && !bytes.Contains(body, []byte(lastKey(a.JSON))) {
			return false
		}
		if a.JSON != "" && len(a.Values) == 1 && !bytes.Contains(body, []byte(a.Values[0])) {
			return false
		}
	}
	return h.Challenge == nil || h.Challenge.JSON == "" || bytes.Contains(body, []byte(lastKey(h.Challenge.JSON)))
}

func lastKey(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

func (a *Asked) is(req *authz.Request) bool {
	text, ok := "", false
	switch {
	case a.Query != "":
		value, n := queryText(req, a.Query)
		text, ok = value, n == 1
	case a.Header != "":
		value, n := req.Headers.Lookup(a.Header)
		text, ok = string(value), n == 1
	case a.JSON != "":
		text, ok = jsonText(req, a.JSON)
	case a.EmptyList != "":
		object, _ := bodyJSON(req).(map[string]any)
		list, isList := object[a.EmptyList].([]any)
		return isList && len(list) == 0
	case a.OnlyKey != "":
		object, _ := bodyJSON(req).(map[string]any)
		_, there := object[a.OnlyKey]
		return there && len(object) == 1
	case a.NoBody:
		return req.Body.Size == 0 && req.Body.Len() == 0
	case a.NoHeader != "":
		_, n := req.Headers.Lookup(a.NoHeader)
		return n == 0
	}
	return ok && text != "" && (a.Values == nil || slices.Contains(a.Values, text))
}

// bodyJSON returns the value in the body, or nil if it is none or has a key twice.
func bodyJSON(req *authz.Request) any {
	if req.Body.Len() > MaxBody || req.Body.State != authz.BodyWhole {
		return nil
	}
	var value any
	if authz.StrictJSON(req.Body.Joined(), &value) != nil {
		return nil
	}
	return value
}

// jsonText returns the text or number at a path of the body.
func jsonText(req *authz.Request, path string) (string, bool) {
	value := bodyJSON(req)
	if rest, ok := strings.CutPrefix(path, "[]."); ok {
		list, _ := value.([]any)
		if len(list) != 1 {
			return "", false
		}
		value, path = list[0], rest
	}
	for key := range strings.SplitSeq(path, ".") {
		object, _ := value.(map[string]any)
		if value = object[key]; value == nil {
			return "", false
		}
	}
	switch value := value.(type) {
	case string:
		return value, true
	case json.Number:
		return value.String(), true
	default:
		return "", false
	}
}
