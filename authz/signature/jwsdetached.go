package signature

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"strings"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/jose"
)

// maxListed is how many headers a token may list.
const maxListed = 32

// Detached is the payload of a token that has none (RFC 7515 appendix F): the body,
// byte for byte, and what stands before it.
type Detached struct {
	// RequestLine: method, space, path with its query, line feed.
	RequestLine bool
	// Listed is the member of the token's header that lists, with commas between,
	// headers of the request. After the request line comes a line for each: its name as
	// the list has it, colon, space, value, line feed. Empty: none.
	Listed string
	// Required are headers that must be listed, in lower case.
	Required []string
	// Time is a required header with the signed time; none if its Header is empty.
	Time Time
}

// preamble is what is signed before the body of a detached payload. The token's header,
// which is signed itself, says which headers; those that are required must be among
// them.
func (j *JWS) preamble(call *authz.Call, token *jose.Token) ([]byte, authz.Reason) {
	d, req := j.config.Detached, call.Request
	if d == nil {
		return nil, authz.OK
	}
	fail := func(reason authz.Reason, found string) ([]byte, authz.Reason) {
		call.Explain("a token that lists the headers it signs, and a request that has them", found)
		return nil, reason
	}
	var b []byte
	if d.RequestLine {
		b = append(append(b, req.Method...), ' ')
		b = append(appendPath(b, &j.public, req, &Part{}, urlForm{}), '\n')
	}
	var names []string
	if list, _ := token.Header.Text(d.Listed); d.Listed != "" && list != "" {
		names = strings.Split(list, ",")
	}
	seen := map[string]bool{}
	for _, name := range names {
		lower := strings.ToLower(name)
		value, count := req.Headers.Lookup(lower)
		switch {
		case len(names) > maxListed || seen[lower] || strings.ContainsAny(name, ": \t\r\n"):
			return fail(authz.SignatureMalformed, "a token that lists a header twice, or something that is none, or too many")
		case count == 0:
			return fail(authz.SignatureMissing, fmt.Sprintf("a request without %.60q, which the token lists", lower))
		case count > 1 || bytes.ContainsAny(value, "\r\n"):
			return fail(authz.SignatureMalformed, fmt.Sprintf("a request with %d of %.60q", count, lower))
		}
		seen[lower] = true
		b = append(append(append(append(b, name...), ": "...), value...), '\n')
	}
	for _, name := range d.Required {
		if !seen[name] {
			return fail(authz.SignatureMissing, "a token that does not list "+name)
		}
	}
	return b, authz.OK
}

// content is what the token's signature is over: of one without a payload its header,
// and in base64url the payload that is elsewhere.
func (j *JWS) content(req *authz.Request, token *jose.Token, preamble []byte) jose.Content {
	return func(w io.Writer) { // neither hashes nor buffers fail
		_, _ = io.WriteString(w, token.Signed)
		if j.config.Detached == nil {
			return
		}
		encoder := base64.NewEncoder(base64.RawURLEncoding, w)
		_, _ = encoder.Write(preamble)
		for _, segment := range req.Body.Segments {
			_, _ = encoder.Write(segment)
		}
		_ = encoder.Close()
	}
}

// detachedTime reads the time of a token that has no claims.
func (j *JWS) detachedTime(call *authz.Call) (authz.Reason, string) {
	t := &j.config.Detached.Time
	if t.Header == "" {
		return authz.OK, ""
	}
	value, _ := call.Request.Headers.Lookup(t.Header) // it is there once, or preamble had refused it
	at, ok := parseTime(value, t.Unit)
	if !ok {
		return authz.TimestampMalformed, fmt.Sprintf("%s is %.60q", t.Header, value)
	}
	call.SignedTime = at
	return authz.OK, ""
}

// list gives the request the headers that are required, and lists them in the token's
// header.
func (d *Detached) list(req *authz.Request, members map[string]any, with authz.Signing) {
	if d.Listed == "" {
		return
	}
	for _, name := range d.Required {
		if _, there := req.Headers.Lookup(name); there == 0 {
			value := with.NewID()
			if name == d.Time.Header {
				value = string(appendTime(nil, with.Now, d.Time.Unit))
			}
			req.Set(name, value)
		}
	}
	members[d.Listed] = strings.Join(d.Required, ",")
}
