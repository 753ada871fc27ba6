package signature

import (
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/authz"
)

// FieldKey is a key of the JSON object that is the body.
type FieldKey struct {
	Name string
	// Optional: it may be missing, and is then left out.
	Optional bool
}

// jsonFields is key, line break, text, line break, for each of the keys. It returns
// false where the body is no object, a key is missing or no text, or a text but the
// first has a line break: with one, it could be read as two.
func (p *Part) jsonFields(req *authz.Request) ([]byte, bool) {
	members, ok := membersOf(req)
	if !ok {
		return nil, false
	}
	var b []byte
	for _, key := range p.Keys {
		value, there := members[key.Name]
		text, isText := value.(string)
		switch {
		case !there && key.Optional:
			continue
		case !isText || len(b) > 0 && strings.ContainsAny(text, "\r\n"):
			return nil, false
		}
		b = append(append(append(append(b, key.Name...), '\n'), text...), '\n')
	}
	return b, len(b) > 0
}

func membersOf(req *authz.Request) (map[string]any, bool) {
	var members map[string]any
	err := authz.StrictJSON(req.Body.Joined(), &members)
	return members, err == nil && members != nil
}

// alone reports whether the body has no keys but those that are signed and those that
// say how.
func (p *Part) alone(req *authz.Request) bool {
	members, ok := membersOf(req)
	for name := range members {
		signed := slices.ContainsFunc(p.Keys, func(k FieldKey) bool { return k.Name == name })
		ok = ok && (signed || slices.Contains(p.Beside, name))
	}
	return ok
}

// signsAll reports whether the whole body is covered by its signed fields, if it is
// covered by fields.
func (h *Content) signsAll(req *authz.Request) bool {
	for i := range h.config.Content {
		if part := &h.config.Content[i]; part.Kind == JSONFields && !part.alone(req) {
			return false
		}
	}
	return true
}

// signFields gives the body the keys that are signed.
func (h *Content) signFields(req *authz.Request, stamp string, newID func() string) {
	for i := range h.config.Content {
		part := &h.config.Content[i]
		if part.Kind != JSONFields {
			continue
		}
		members, _ := membersOf(req)
		texts := map[string]string{}
		for _, key := range part.Keys {
			_, isText := members[key.Name].(string)
			switch {
			case isText || key.Optional:
			case key.Name == h.config.Time.JSON:
				texts[key.Name] = stamp
			default:
				texts[key.Name] = newID()
			}
		}
		setJSON(req, texts)
	}
}
