package signature

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/jose"
)

// maxBodyToken is the size of the largest token in a body, in bytes.
const maxBodyToken = 1 << 20

// TokenPlace is where a request has a token. One of Header, Query, JSON and Whole is
// set.
type TokenPlace struct {
	// Header holds it, behind the word Scheme if there is one. In lower case.
	Header, Scheme string
	// Query is a parameter.
	Query string
	// JSON is a path in the JSON body. One with [] leads to several tokens, of which
	// all must be good, and there must be one.
	JSON string
	// Alone: the body has nothing beside the JSON, so that the token covers it.
	Alone bool
	// Whole: the body is the token.
	Whole bool
}

// coversBody reports whether the body is nothing but the token.
func (p *TokenPlace) coversBody() bool { return p.Whole || p.Alone }

// inBody reports whether the body has it.
func (p *TokenPlace) inBody() bool { return p.Whole || p.JSON != "" }

func (p *TokenPlace) String() string {
	switch {
	case p.Whole:
		return "the body"
	case p.JSON != "":
		return p.JSON + " of the JSON body"
	case p.Query != "":
		return "the parameter " + p.Query
	default:
		return p.Header
	}
}

func (p *TokenPlace) present(req *authz.Request) bool {
	switch {
	case p.inBody():
		return req.Body.Len() > 0
	case p.Query != "":
		values, err := queryOf(req)
		return err == nil && len(valuesOf(values, p.Query)) > 0
	}
	_, count := req.Headers.Lookup(p.Header)
	return count > 0
}

func valuesOf(all []parameter, name string) (values []string) {
	for _, p := range all {
		if p.name == name {
			values = append(values, p.value)
		}
	}
	return values
}

// find returns the tokens as they were sent, at least one.
func (p *TokenPlace) find(call *authz.Call, most int) ([]string, authz.Reason) {
	fail := func(reason authz.Reason, found string) ([]string, authz.Reason) {
		call.Explain("one token in "+p.String()+", in compact form", found)
		return nil, reason
	}
	var texts []string
	limit := jose.MaxToken
	switch req := call.Request; {
	case p.Whole:
		texts, limit = []string{string(req.Body.Joined())}, maxBodyToken
	case p.JSON != "":
		var err error
		if texts, err = req.Body.JSON(p.JSON); err != nil || p.Alone && !alone(&req.Body) {
			return fail(authz.SignatureMalformed, "a body that is no such JSON")
		}
		limit = maxBodyToken
	case p.Query != "":
		all, _ := queryOf(req) // present has read it
		if texts = valuesOf(all, p.Query); len(texts) > 1 {
			return fail(authz.SignatureMalformed, fmt.Sprintf("%d of them", len(texts)))
		}
	default:
		value, count := req.Headers.Lookup(p.Header)
		if count > 1 {
			return fail(authz.SignatureMalformed, fmt.Sprintf("%d headers", count))
		}
		text, ok := p.behindScheme(string(value))
		if !ok {
			return fail(authz.TokenMissing, "a header without "+p.Scheme)
		}
		texts = []string{text}
	}
	if len(texts) == 0 {
		return fail(authz.TokenMissing, "none")
	}
	if strings.Contains(p.JSON, "[]") && len(texts) > most {
		return fail(authz.SignatureMalformed, fmt.Sprintf("%d of them, more than %d", len(texts), most))
	}
	for _, text := range texts {
		if len(text) == 0 || len(text) > limit {
			return fail(authz.SignatureMalformed, fmt.Sprintf("one of %d bytes", len(text)))
		}
	}
	return texts, authz.OK
}

// behindScheme takes the scheme's word off.
func (p *TokenPlace) behindScheme(text string) (string, bool) {
	if p.Scheme == "" {
		return text, true
	}
	scheme, rest, ok := strings.Cut(text, " ")
	return strings.TrimLeft(rest, " "), ok && strings.EqualFold(scheme, p.Scheme)
}

// alone reports whether the body is an object with one member.
func alone(body *authz.Body) bool {
	var members map[string]json.RawMessage
	return authz.StrictJSON(body.Joined(), &members) == nil && len(members) == 1
}

// put writes a token where it is looked for.
func (p *TokenPlace) put(req *authz.Request, token string) {
	switch {
	case p.Whole:
		req.Body.Segments = [][]byte{[]byte(token)}
		req.Set("content-type", "application/jwt")
	case p.JSON != "":
		steps := strings.Split(p.JSON, ".")
		setValue(req, steps, token, p.Alone)
	case p.Query != "":
		addQuery(req, p.Query, token)
	case p.Scheme != "":
		req.Set(p.Header, p.Scheme+" "+token)
	default:
		req.Set(p.Header, token)
	}
}

// setValue puts a text into the JSON body, behind keys of which some end in []. The
// rest of the body stays, unless the text must be alone.
func setValue(req *authz.Request, steps []string, text string, alone bool) {
	tree := map[string]any{}
	if !alone {
		decoder := json.NewDecoder(bytes.NewReader(req.Body.Joined()))
		decoder.UseNumber()
		if decoder.Decode(&tree) != nil || tree == nil {
			tree = map[string]any{}
		}
	}
	at := tree
	for i, step := range steps {
		key, list := strings.CutSuffix(step, "[]")
		var value any = text
		next := map[string]any{}
		if i+1 < len(steps) {
			value = next
		}
		if list {
			at[key] = []any{value}
		} else {
			at[key] = value
		}
		at = next
	}
	if body, err := json.Marshal(tree); err == nil { // what was read can be written
		req.Body.Segments = [][]byte{body}
	}
}
