package probe

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
)

// paths are those that routers, and what reads a path after them, may take for one.
func paths(s *session) ([]shot, error) {
	p := string(s.control.PathOnly())
	last := strings.LastIndexByte(p, '/')
	variants := []string{
		"/" + p, p[:last] + "/" + p[last:], p + "/", p + "//", p + "/x", p + "/..", p + "/.", p + "/x/..",
		"/x/.." + p, "/x/%2e%2e" + p, "/." + p, "/%2e" + p, p[:last] + `\` + p[last+1:], p[:last] + "%2F" + p[last+1:], p[:last] + "%5C" + p[last+1:],
		"/x/..%2f" + p[1:], p[:len(p)-1] + fmt.Sprintf("%%%02X", p[len(p)-1]), p + ";x", p + "%00", p + "%20", p + ".json", p + "?probe", p + "%3Fprobe", p + "%23",
		strings.ToUpper(p), "/" + nonce(), "/",
	}
	if name := p[last+1:]; name != "" {
		variants = append(variants, p[:last+1]+strings.ToUpper(name[:1])+name[1:])
	}
	var all []shot
	for _, path := range variants {
		if path == p || path[0] != '/' {
			continue
		}
		req := s.bare()
		req.Path = authz.View(path)
		all = append(all, shot{detail: path, req: req})
	}
	return all, nil
}

func methods(s *session) ([]shot, error) {
	var all []shot
	for _, method := range []string{"POST", "GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "post"} {
		if method == string(s.control.Method) {
			continue
		}
		req := s.bare()
		req.Method = authz.View(method)
		if mostlyEmpty(method) {
			req.Body.Segments = nil
		}
		all = append(all, shot{detail: method, req: req})
	}
	return all, nil
}

func hosts(s *session) ([]shot, error) {
	host, _, err := net.SplitHostPort(string(s.control.Host))
	if err != nil {
		host = string(s.control.Host)
	}
	variants := []string{"other.example", "localhost", host + ":8443"}
	if net.ParseIP(strings.Trim(host, "[]")) == nil {
		variants = append(variants, strings.ToUpper(host), host+".", "other."+host)
	}
	var all []shot
	for _, name := range variants {
		req := s.bare()
		req.Host = authz.View(name)
		all = append(all, shot{detail: name, req: req})
	}
	all = append(all,
		shot{detail: "none", req: s.bare(), wire: wire{noHost: true}},
		shot{detail: "two", req: s.bare(), wire: wire{lines: []string{"host: other.example"}}})
	return all, nil
}

func targets(s *session) ([]shot, error) {
	p := string(s.control.PathOnly())
	var all []shot
	for _, target := range []string{"http://other.example" + p, "https://" + string(s.control.Host) + p, p + "#probe", "//other.example" + p, "*"} {
		all = append(all, shot{detail: target, req: s.bare(), wire: wire{target: target}})
	}
	return all, nil
}

func upgrades(s *session) ([]shot, error) {
	var all []shot
	for _, upgrade := range []string{"websocket", "h2c"} {
		for _, method := range []string{"GET", string(s.control.Method)} {
			req := s.bare()
			req.Method = authz.View(method)
			req.Body.Segments = nil
			if method == string(s.control.Method) && upgrade == "h2c" {
				continue
			}
			lines := []string{"connection: Upgrade, HTTP2-Settings", "upgrade: " + upgrade}
			if upgrade == "websocket" {
				lines = []string{"connection: Upgrade", "upgrade: websocket", "sec-websocket-version: 13", "sec-websocket-key: cHJvYmUtcHJvYmUtcHJvYg=="}
			} else {
				lines = append(lines, "http2-settings: AAMAAABkAAQCAAAAAAIAAAAA")
			}
			all = append(all, shot{detail: upgrade + ", " + method, req: req, wire: wire{lines: lines, noLength: true}})
		}
	}
	return all, nil
}

func overHTTP2(s *session) ([]shot, error) {
	return []shot{{req: s.bare(), wire: wire{http2: true}}}, nil
}

func unsignedAgain(s *session) ([]shot, error) {
	return []shot{{req: s.bare(), wire: wire{times: 12}}}, nil
}

// anywhere are valid deliveries to places that are not the webhook's.
func (s *session) anywhere(details []string, change func(req *authz.Request, detail string)) ([]shot, error) {
	var all []shot
	for _, detail := range details {
		req := s.fresh()
		change(req, detail)
		all = append(all, shot{detail: detail, req: req})
	}
	return all, nil
}

func signedPaths(s *session) ([]shot, error) {
	p := string(s.control.PathOnly())
	return s.anywhere([]string{p + "x", p + "/x", p + "/"}, func(r *authz.Request, path string) {
		_, query, found := bytes.Cut(r.Path, []byte("?"))
		if r.Path = authz.View(path); found {
			r.Path = authz.View(path + "?" + string(query))
		}
	})
}

func signedQuery(s *session) ([]shot, error) {
	return s.anywhere([]string{"probe=1"}, func(r *authz.Request, query string) {
		separator := "?"
		if bytes.ContainsRune(r.Path, '?') {
			separator = "&"
		}
		r.Path = authz.View(string(r.Path) + separator + query)
	})
}

func signedMethods(s *session) ([]shot, error) {
	var others []string
	for _, method := range []string{"POST", "PUT", "PATCH"} {
		if method != string(s.control.Method) {
			others = append(others, method)
		}
	}
	return s.anywhere(others, func(r *authz.Request, method string) { r.Method = authz.View(method) })
}

func signedHosts(s *session) ([]shot, error) {
	return s.anywhere([]string{"other.example"}, func(r *authz.Request, host string) { r.Host = authz.View(host) })
}

func otherTenant(s *session) ([]shot, error) {
	path := string(s.control.PathOnly())
	at := s.hook.Rules.TenantOf(s.hook.Name)
	segments := strings.Split(path, "/")
	if at < 0 || at+1 >= len(segments) {
		return nil, nil
	}
	segments[at+1] = "nobody-" + nonce()
	return s.anywhere([]string{strings.Join(segments, "/")}, func(r *authz.Request, path string) { r.Path = authz.View(path) })
}

// limits are those of the webhook.
func (s *session) limits() *authz.Limits {
	for _, check := range s.hook.Rules.Webhook(s.hook.Name).Chain {
		if l, ok := check.(*authz.Limits); ok {
			return l
		}
	}
	return nil
}

func oversized(s *session) ([]shot, error) {
	most := s.gateway.MaxRequestBytes
	if l := s.limits(); l != nil {
		most = min(most, l.MaxBodyBytes)
	}
	req, err := s.sized(most + 1)
	if err != nil {
		return nil, err
	}
	return []shot{{detail: fmt.Sprintf("%d bytes", most+1), req: req}}, nil
}

// envoyHeaderBytes is what Envoy takes of headers unless it is told otherwise.
const envoyHeaderBytes = 60 << 10

func longHeaders(s *session) ([]shot, error) {
	l := s.limits()
	if l == nil || l.MaxHeaderBytes > envoyHeaderBytes-1024 {
		return nil, nil // Envoy refuses them before
	}
	req := s.fresh()
	for left := l.MaxHeaderBytes + 1; left > 0; left -= 4096 {
		req.Headers = append(req.Headers, raw("x-probe-long", strings.Repeat("l", min(left, 4096))))
	}
	return []shot{{detail: fmt.Sprintf("over %d bytes", l.MaxHeaderBytes), req: req}}, nil
}

func contentTypes(s *session) ([]shot, error) {
	if s.control.Body.Len() == 0 {
		return nil, nil
	}
	return s.anywhere([]string{"text/plain", "application/xml", ""}, func(r *authz.Request, kind string) {
		if without(r, "content-type"); kind != "" {
			r.Set("content-type", kind)
		}
	})
}

func condition(s *session) ([]shot, error) {
	if len(s.hook.Policy.GetConditions()) == 0 {
		return nil, nil
	}
	shots, err := s.signed(How{Body: fmt.Appendf(nil, `{"probe":%q}`, time.Now().UTC().Format(time.RFC3339Nano))})
	if err != nil {
		return nil, err
	}
	shots[0].detail = "conditions"
	return shots, nil
}
