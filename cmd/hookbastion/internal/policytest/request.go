package policytest

import (
	"bytes"
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/capture"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/sample"
	testv1 "github.com/hookbastion/hookbastion/proto/hookbastion/test/v1"
)

// defaultHost is that of deliveries that name none.
const defaultHost = "hooks.example.com"

// maxFile bounds a file that a test names, in bytes.
const maxFile = 256 << 20

// sent is a request as it is on the wire: what explain would read from a file.
type sent struct {
	method, path string
	headers      []line // with the host, in their order
	body         []byte
}

type line struct{ name, value string }

// from takes a raw request apart.
func from(raw []byte) (*sent, error) {
	req, err := capture.Parse(raw)
	if err != nil {
		return nil, err
	}
	s := &sent{method: string(req.Method), path: string(req.Path), body: bytes.Clone(req.Body.Joined())}
	for _, h := range req.Headers {
		s.headers = append(s.headers, line{string(h.Name), string(h.Value)})
	}
	return s, nil
}

// raw is the request as a file has it.
func (s *sent) raw() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", s.method, s.path)
	for _, h := range s.headers {
		fmt.Fprintf(&b, "%s: %s\r\n", h.name, h.value)
	}
	b.WriteString("\r\n")
	b.Write(s.body)
	return b.Bytes()
}

func (s *sent) clone() *sent {
	other := *s
	other.headers, other.body = slices.Clone(s.headers), bytes.Clone(s.body)
	return &other
}

// request makes what a step sends. The first one is that of the case's first step.
func (r *Runner) request(f *File, step *testv1.Step, first *sent, now time.Time) (s *sent, err error) {
	switch what := step.GetSend().(type) {
	case *testv1.Step_Sign:
		s, err = r.signed(f, what.Sign, now)
	case *testv1.Step_Request:
		s, err = written(f, what.Request)
	case *testv1.Step_File:
		var data []byte
		if data, err = f.read(what.File); err == nil {
			s, err = from(data)
		}
	default: // a copy: nothing else can be read
		s = first.clone()
	}
	if err != nil {
		return nil, err
	}
	return s, s.change(step.GetChange())
}

// signed makes a valid delivery as sign does.
func (r *Runner) signed(f *File, sign *testv1.Sign, now time.Time) (*sent, error) {
	var body []byte
	if sign.GetBody() != "" {
		body = []byte(sign.GetBody())
	}
	if name := sign.GetBodyFile(); name != "" {
		var err error
		if body, err = f.read(name); err != nil {
			return nil, err
		}
	}
	d := sample.Delivery{
		Webhook: sign.GetWebhook(), Host: cmp.Or(sign.GetHost(), defaultHost), Path: sign.GetPath(), KeyID: sign.GetKeyId(), Handshake: sign.GetHandshake(),
	}
	if sign.GetKey() != "" {
		d.Key = f.relative(sign.GetKey())
	}
	req, err := d.Request(r.table, now.Add(sign.GetAhead().AsDuration()-sign.GetAge().AsDuration()), body)
	if err != nil {
		return nil, err
	}
	var raw bytes.Buffer
	if err := sample.PrintRaw(&raw, req); err != nil {
		return nil, err
	}
	return from(raw.Bytes())
}

// written is a request that the file has.
func written(f *File, r *testv1.Request) (*sent, error) {
	s := &sent{method: cmp.Or(r.GetMethod(), "POST"), path: r.GetPath(), body: []byte(r.GetBody())}
	if name := r.GetBodyFile(); name != "" {
		var err error
		if s.body, err = f.read(name); err != nil {
			return nil, err
		}
	}
	s.headers = []line{{"host", cmp.Or(r.GetHost(), defaultHost)}}
	for _, text := range r.GetHeaders() {
		if h := headerLine(text); h.name == "host" && r.GetHost() == "" && s.headers[0].name == "host" {
			s.headers[0] = h
		} else {
			s.headers = append(s.headers, h)
		}
	}
	if len(s.body) > 0 && !s.has("content-length") {
		s.set("content-length", strconv.Itoa(len(s.body)))
	}
	return s, nil
}

func headerLine(text string) line {
	name, value, _ := strings.Cut(text, ":")
	return line{strings.ToLower(name), strings.Trim(value, " \t")}
}

func (f *File) relative(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(f.Name), filepath.FromSlash(name))
}

// read reads a file that a test names.
func (f *File) read(name string) ([]byte, error) {
	name = f.relative(name)
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no file", name)
	case info.Size() > maxFile:
		return nil, fmt.Errorf("%s is larger than %d MiB", name, maxFile>>20)
	}
	return os.ReadFile(name)
}

func (s *sent) has(name string) bool {
	return slices.ContainsFunc(s.headers, func(h line) bool { return h.name == name })
}

// set gives the request one header of a name, at the place of the first it had.
func (s *sent) set(name, value string) {
	at := slices.IndexFunc(s.headers, func(h line) bool { return h.name == name })
	if at < 0 {
		s.headers = append(s.headers, line{name, value})
		return
	}
	s.headers[at].value = value
	rest := slices.DeleteFunc(s.headers[at+1:], func(h line) bool { return h.name == name })
	s.headers = s.headers[:at+1+len(rest)]
}

// change does what a step says. What is not there cannot be changed: that is an error, so
// that no test goes on to say what it was not written for.
func (s *sent) change(changes []*testv1.Change) error {
	length, before := false, len(s.body)
	for _, c := range changes {
		if err := s.changeOne(c); err != nil {
			return err
		}
		for _, text := range []string{c.GetSetHeader(), c.GetAddHeader()} {
			length = length || headerLine(text).name == "content-length"
		}
	}
	if !length && len(s.body) != before && (s.has("content-length") || len(s.body) > 0) {
		s.set("content-length", strconv.Itoa(len(s.body)))
	}
	return nil
}

func (s *sent) changeOne(c *testv1.Change) error {
	switch v := c.GetChange().(type) {
	case *testv1.Change_SetHeader:
		h := headerLine(v.SetHeader)
		s.set(h.name, h.value)
	case *testv1.Change_AddHeader:
		s.headers = append(s.headers, headerLine(v.AddHeader))
	case *testv1.Change_RemoveHeader:
		return s.withHeader(v.RemoveHeader, func(name string, _ int) {
			s.headers = slices.DeleteFunc(s.headers, func(h line) bool { return h.name == name })
		})
	case *testv1.Change_DoubleHeader:
		return s.withHeader(v.DoubleHeader, func(_ string, at int) { s.headers = append(s.headers, s.headers[at]) })
	case *testv1.Change_TamperHeader:
		return s.withHeader(v.TamperHeader, func(_ string, at int) { s.headers[at].value = tampered(s.headers[at].value) })
	case *testv1.Change_Body:
		s.body = []byte(v.Body)
	case *testv1.Change_AppendBody:
		s.body = append(s.body, v.AppendBody...)
	case *testv1.Change_RemoveBody:
		s.body = nil
	case *testv1.Change_TamperBody:
		if len(s.body) == 0 {
			return fmt.Errorf("tamper_body: the request has no body")
		}
		if i := len(s.body) / 2; alphanumeric(s.body[i]) { // a signature in the body keeps its alphabet
			s.body[i] = other(s.body[i])
		} else {
			s.body[i] ^= 1
		}
	case *testv1.Change_Path:
		s.path = v.Path
	case *testv1.Change_Method:
		s.method = v.Method
	case *testv1.Change_Host:
		s.set("host", v.Host)
	}
	return nil
}

// withHeader calls f with the name and place of a header that must be there.
func (s *sent) withHeader(name string, f func(name string, at int)) error {
	name = strings.ToLower(name)
	at := slices.IndexFunc(s.headers, func(h line) bool { return h.name == name })
	if at < 0 {
		return fmt.Errorf("the request has no header %s to change", name)
	}
	f(name, at)
	return nil
}

// tampered changes one letter or digit of a text, near its end and not in the last four
// characters, of which base64 may ignore bits: the text keeps its alphabet.
func tampered(text string) string {
	letters := []byte(text)
	end := len(letters)
	if end > 8 {
		end -= 4
	}
	for i := end - 1; i >= 0; i-- {
		if alphanumeric(letters[i]) {
			letters[i] = other(letters[i])
			return string(letters)
		}
	}
	return text + "0"
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// other is another character of the same kind: a digit, or a letter that hexadecimal has.
func other(c byte) byte {
	switch c {
	case '0':
		return '1'
	case 'a', 'A':
		return c + 1
	default:
		if '0' <= c && c <= '9' {
			return '0'
		}
		return c&0x20 | 'A' // a or A
	}
}

// asRequest reads what is sent as explain does, from the sender of the step.
func (s *sent) asRequest(f *File, step *testv1.Step) (*authz.Request, error) {
	req, err := capture.Parse(s.raw())
	if err != nil {
		return nil, err
	}
	req.Scheme, req.Transport.TLS = authz.View("https"), true
	if step.GetScheme() == testv1.Step_HTTP {
		req.Scheme, req.Transport.TLS = authz.View("http"), false
	}
	req.Webhook = authz.View(step.GetRoute())
	if text := cmp.Or(step.GetSourceIp(), f.tests.GetSourceIp()); text != "" {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return nil, err
		}
		req.Source = addr.Unmap().WithZone("")
	}
	return req, nil
}
