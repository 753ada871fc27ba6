// Package capture reads one raw HTTP/1.1 request as bytes.
//
// Package net/http would normalise what a provider may have signed: the path,
// the letter case and order of headers, the host. Here everything stays as it
// is in the file: request line, header lines, an empty line, and the body to
// the end of the file. Lines may end in LF instead of CR LF, since captures
// often do; folded headers and chunked bodies are not accepted.
package capture

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/hookbastion/hookbastion/authz"
)

// Error says what is wrong with a capture, and in which line.
type Error struct {
	Line    int
	Message string
}

// Error writes "line 3: message".
func (e *Error) Error() string { return "line " + strconv.Itoa(e.Line) + ": " + e.Message }

// Parse reads a request. It aliases data. The body is whole unless a
// Content-Length says otherwise: such a request is judged as a truncated one.
func Parse(data []byte) (*authz.Request, error) {
	line, rest, ok := cutLine(data)
	if !ok {
		return nil, &Error{1, "there is no request line that ends in a line break"}
	}
	fields := bytes.Split(line, []byte{' '})
	if len(fields) != 3 || len(fields[0]) == 0 || len(fields[1]) == 0 || !bytes.HasPrefix(fields[2], []byte("HTTP/")) {
		return nil, &Error{1, "not a request line such as POST /webhooks/github HTTP/1.1"}
	}
	req := &authz.Request{Method: fields[0], Path: fields[1], Scheme: authz.View("https")}
	n := 1
	for {
		n++
		line, rest, ok = cutLine(rest)
		if !ok {
			return nil, &Error{n, "there is no empty line after the headers"}
		}
		if len(line) == 0 {
			break
		}
		name, value, ok := bytes.Cut(line, []byte{':'})
		if !ok || !isName(name) {
			return nil, &Error{n, fmt.Sprintf("not a header line: %.60q", line)}
		}
		req.Headers = append(req.Headers, authz.Header{Name: bytes.ToLower(name), Value: bytes.Trim(value, " \t")})
	}
	return req, finish(req, rest)
}

// isName reports whether the text can be a header's name: visible ASCII.
func isName(text []byte) bool {
	for _, c := range text {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return len(text) > 0
}

func cutLine(data []byte) (line, rest []byte, ok bool) {
	line, rest, ok = bytes.Cut(data, []byte{'\n'})
	return bytes.TrimSuffix(line, []byte{'\r'}), rest, ok
}

// finish sets what follows from the headers, as Envoy would.
func finish(req *authz.Request, body []byte) error {
	hosts := 0
	for i := range req.Headers {
		switch h := req.Headers[i]; string(h.Name) {
		case "host":
			if hosts++; hosts == 1 {
				req.Host = h.Value
			} else {
				req.Host = bytes.Join([][]byte{req.Host, h.Value}, []byte{','})
			}
		case "transfer-encoding":
			return &Error{i + 2, "a chunked body; write the body itself and leave Transfer-Encoding out"}
		}
	}
	if len(body) > 0 {
		req.Body.Segments = [][]byte{body}
	}
	req.RequestID, _ = req.Headers.Lookup("x-request-id")
	req.Body.State, req.Body.Size = authz.BodyWhole, int64(len(body))
	text, count := req.Headers.Lookup("content-length")
	if count == 0 {
		return nil
	}
	length, err := strconv.ParseUint(string(text), 10, 63) // which takes no sign
	switch {
	case count > 1 || err != nil:
		req.Malformed = true
	case length != uint64(len(body)):
		req.Body.State, req.Body.Size = authz.BodyCut, max(int64(length), int64(len(body)))
	}
	return nil
}

// Append writes a request as Parse reads it, with the extra headers before its own, and
// returns dst unchanged and false where that cannot be: a line would end too early, or the
// request is none that Parse reads.
func Append(dst []byte, req *authz.Request, extra ...authz.Header) ([]byte, bool) {
	if !oneWord(req.Method) || !oneWord(req.Path) || bytes.ContainsAny(req.Host, "\r\n\x00") {
		return dst, false
	}
	out := fmt.Appendf(dst, "%s %s HTTP/1.1\r\n", req.Method, req.Path)
	hosts := 0
	for _, list := range []authz.Headers{extra, req.Headers} {
		for _, h := range list {
			if !isName(h.Name) || bytes.IndexByte(h.Name, ':') >= 0 || bytes.ContainsAny(h.Value, "\r\n\x00") || string(h.Name) == "transfer-encoding" {
				return dst, false
			}
			if string(h.Name) == "host" {
				hosts++
			}
			out = fmt.Appendf(out, "%s: %s\r\n", h.Name, h.Value)
		}
	}
	if hosts == 0 { // HTTP/2 has none
		out = fmt.Appendf(out, "host: %s\r\n", req.Host)
	}
	out = append(out, "\r\n"...)
	for _, segment := range req.Body.Segments {
		out = append(out, segment...)
	}
	return out, true
}

// oneWord reports whether the text is one word of a request line.
func oneWord(text []byte) bool {
	return len(text) > 0 && !bytes.ContainsAny(text, " \r\n\x00")
}
