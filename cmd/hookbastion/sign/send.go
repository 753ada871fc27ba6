package sign

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/envoy"
)

// sending is how a delivery is sent.
type sending struct {
	scheme   string // http or https
	insecure bool   // any certificate will do
	version  string // of HTTP: 1.1 or 2; empty: what the listener prefers
	timeout  time.Duration
}

// maxShown bounds the body of an answer that is shown, in bytes.
const maxShown = 64 << 10

// send sends the delivery as it was signed, once, and prints the answer. It is
// cli.Denied if the status is not 2xx.
func (s *sending) send(ctx context.Context, out, hints io.Writer, req *authz.Request) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	request, err := s.request(ctx, req)
	if err != nil {
		return err
	}
	client := &http.Client{
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: s.insecure}, //nolint:gosec // whoever asks for it
			Protocols:       s.protocols(), DisableCompression: true, DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment,
		},
		// What is signed is for one place.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return s.explained(err, s.scheme+"://"+string(req.Host))
	}
	defer func() { _ = response.Body.Close() }() // only read
	body, err := io.ReadAll(io.LimitReader(response.Body, maxShown))
	if err != nil {
		return fmt.Errorf("the answer is not whole: %w", err)
	}
	printAnswer(out, response, body)
	if response.StatusCode/100 == 2 {
		return nil
	}
	if id := response.Header.Get(envoy.HeaderDecisionID); id != "" {
		fmt.Fprintf(hints, "denied: the decision record with the id %s says why; it is on the standard output of serve, or in records.file\n", printable(id))
	} else {
		fmt.Fprintln(hints, "not 2xx, and without a decision id: the answer is of Envoy or the application")
	}
	return cli.Denied
}

func (s *sending) protocols() *http.Protocols {
	p := &http.Protocols{}
	p.SetHTTP1(s.version != "2")
	p.SetHTTP2(s.scheme == "https" && s.version != "1.1")
	p.SetUnencryptedHTTP2(s.scheme == "http" && s.version == "2")
	return p
}

// request makes a request whose path is that which was signed, byte for byte.
func (s *sending) request(ctx context.Context, req *authz.Request) (*http.Request, error) {
	path := string(req.Path)
	body := bytes.Join(req.Body.Segments, nil)
	out, err := http.NewRequestWithContext(ctx, string(req.Method), s.scheme+"://"+string(req.Host), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	out.URL = &url.URL{Scheme: s.scheme, Host: string(req.Host), Opaque: path}
	if out.URL.RequestURI() != path {
		return nil, fmt.Errorf("the path %q cannot be sent as it is", path)
	}
	out.Header.Set("User-Agent", "hookbastion/"+cli.Version)
	for _, h := range req.Headers {
		out.Header.Del(string(h.Name))
	}
	for _, h := range req.Headers {
		out.Header.Add(string(h.Name), string(h.Value))
	}
	return out, nil
}

// explained says what to do about an error, and where it was.
func (s *sending) explained(err error, place string) error {
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		err = wrapped.Err // its URL is not as it was given
	}
	err = fmt.Errorf("%s: %w", place, err)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: no answer within %s; --timeout gives it more time", place, s.timeout)
	case errors.As(err, new(*tls.CertificateVerificationError)), errors.As(err, new(x509.UnknownAuthorityError)):
		return fmt.Errorf("%w; --insecure accepts any certificate", err)
	default:
		return err
	}
}

func printAnswer(w io.Writer, response *http.Response, body []byte) {
	fmt.Fprintf(w, "%s %s\n", response.Proto, printable(response.Status))
	for _, name := range slices.Sorted(maps.Keys(response.Header)) {
		for _, value := range response.Header[name] {
			fmt.Fprintf(w, "%s: %s\n", strings.ToLower(name), printable(value))
		}
	}
	if len(body) > 0 {
		fmt.Fprintf(w, "\n%s\n", strings.TrimSuffix(printable(string(body)), "\n"))
	}
}

// printable takes out of a stranger's text what a terminal would obey.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
}
