package fetch

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/hookbastion/hookbastion/authz/secret"
)

// Ask is how one URL, or each URL of a family, is asked for. It holds no secret,
// only where they are.
type Ask struct {
	// Method is GET if it is empty.
	Method string
	// Headers and JSON are what is sent. {id} in a value stands for the key id,
	// {name} for the credential of that name. JSON is an object of texts.
	Headers, JSON []Field
	// Credentials are read again for each fetch.
	Credentials map[string]secret.Ref
	// MaxBytes bounds the answer; 0: DefaultMaxBytes.
	MaxBytes int64
}

// Field is a header, or a text of a JSON object.
type Field struct{ Name, Value string }

// request makes the request for a URL. Credentials go into it and nowhere else.
func (a *Ask) request(url, id string) (*Request, error) {
	values := map[string]string{"id": id}
	for name, ref := range a.Credentials {
		text, err := ref.Load()
		if err != nil {
			return nil, fail(Credentials, "%v", err) // which names the file alone
		}
		values[name] = string(text.Reveal())
	}
	r := &Request{Method: a.Method, URL: url, Header: http.Header{}, MaxBytes: a.MaxBytes}
	for _, h := range a.Headers {
		value := fill(h.Value, values)
		if strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c == 0x7f }) {
			return nil, fail(Credentials, "a value of the header %s has a character that no header can have", h.Name)
		}
		r.Header.Set(h.Name, value)
	}
	if len(a.JSON) == 0 {
		return r, nil
	}
	object := map[string]string{}
	for _, f := range a.JSON {
		object[f.Name] = fill(f.Value, values)
	}
	r.Body, _ = json.Marshal(object) // of texts
	r.Header.Set("Content-Type", "application/json")
	return r, nil
}

// fill puts values in the places of their names, in one pass, so that a value
// with a brace stays one.
func fill(template string, values map[string]string) string {
	var b strings.Builder
	for {
		before, rest, open := strings.Cut(template, "{")
		name, after, closed := strings.Cut(rest, "}")
		value, known := values[name]
		b.WriteString(before)
		switch {
		case !open:
			return b.String()
		case closed && known:
			b.WriteString(value)
			template = after
		default:
			b.WriteByte('{')
			template = rest
		}
	}
}

// identity tells two ways to ask apart.
func (a *Ask) identity() string {
	text, _ := json.Marshal(struct {
		M    string
		H, J []Field
		C    map[string]secret.Ref
	}{a.Method, a.Headers, a.JSON, a.Credentials}) // of texts
	return string(text)
}
