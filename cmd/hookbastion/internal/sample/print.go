package sample

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/hookbastion/hookbastion/authz"
)

// PrintRaw writes the request as explain reads it.
func PrintRaw(w io.Writer, req *authz.Request) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", req.Method, req.Path, req.Host)
	for _, h := range req.Headers {
		fmt.Fprintf(&b, "%s: %s\r\n", h.Name, h.Value)
	}
	if req.Body.Len() > 0 || !MostlyEmpty(req.Method) {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", req.Body.Len())
	}
	b.WriteString("\r\n")
	for _, segment := range req.Body.Segments {
		b.Write(segment)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// PrintCurl writes a command line for a POSIX shell, with more options if given. The
// scheme is http or https.
func PrintCurl(w io.Writer, scheme string, req *authz.Request, options ...string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "curl -sS -i -X %s", req.Method)
	for _, option := range options {
		fmt.Fprintf(&b, " %s", shellQuote(option))
	}
	for _, h := range req.Headers {
		fmt.Fprintf(&b, " -H %s", shellQuote(string(h.Name)+": "+string(h.Value)))
	}
	body := bytes.Join(req.Body.Segments, nil)
	if bytes.IndexByte(body, 0) >= 0 {
		return fmt.Errorf("a body with a NUL byte cannot stand on a command line; use --format http")
	}
	if len(body) > 0 || !MostlyEmpty(req.Method) {
		fmt.Fprintf(&b, " --data-binary %s", shellQuote(string(body)))
	}
	fmt.Fprintf(&b, " %s\n", shellQuote(scheme+"://"+string(req.Host)+string(req.Path)))
	_, err := io.WriteString(w, b.String())
	return err
}

// shellQuote makes one word of any text without a NUL.
func shellQuote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// MostlyEmpty reports whether requests with a method mostly have no body, and
// then no Content-Length.
func MostlyEmpty(method authz.View) bool {
	switch string(method) {
	case http.MethodGet, http.MethodHead, http.MethodDelete, http.MethodOptions, http.MethodTrace:
		return true
	default:
		return false
	}
}
