package probe

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookbastion/hookbastion/authz"
)

func noProof(s *session) ([]shot, error) { return []shot{{req: s.bare()}}, nil }

// variant is signed by a variant of the webhook.
func variant(v Variant) func(*session) ([]shot, error) {
	return func(s *session) ([]shot, error) { return s.signed(How{Variant: v}) }
}

// otherURL is signed for another address, and sent to its host.
func otherURL(s *session) ([]shot, error) {
	shots, err := s.signed(How{Variant: OtherURL})
	if err == nil {
		shots[0].req.Host = authz.View("other.example")
	}
	return shots, err
}

// signed is a delivery of a kind.
func (s *session) signed(how How) ([]shot, error) {
	req, err := s.sign(how)
	if err != nil {
		return nil, err
	}
	return []shot{{req: req}}, nil
}

// otherWebhook takes the first other webhook that the policies tell apart from this one.
func otherWebhook(s *session) ([]shot, error) {
	for _, name := range s.hook.Others {
		req, err := s.sign(How{Webhook: name})
		if err != nil {
			continue
		}
		_, query, found := bytes.Cut(req.Path, []byte("?"))
		req.Path, req.Host, req.Method = s.control.PathOnly().Clone(), s.control.Host, s.control.Method
		if found {
			req.Path = slices.Concat(req.Path, []byte("?"), query)
		}
		if d := s.decision(s.hook.Trials, req, wire{}); d.Verdict != authz.Allow {
			return []shot{{detail: name, req: req}}, nil
		}
	}
	return nil, nil
}

func expiredKey(s *session) ([]shot, error) {
	var all []shot
	now := time.Now()
	type dated interface {
		GetId() string
		GetNotBefore() *timestamppb.Timestamp
		GetNotAfter() *timestamppb.Timestamp
	}
	var keys []dated
	names := map[dated]string{}
	for i, k := range s.hook.Policy.GetSecrets() {
		keys, names[k] = append(keys, k), cmp.Or(k.GetId(), fmt.Sprint(i+1))
	}
	for i, k := range s.hook.Policy.GetToken().GetAnyOf() {
		keys, names[k] = append(keys, k), cmp.Or(k.GetId(), fmt.Sprintf("token-%d", i+1))
	}
	for _, k := range keys {
		early := k.GetNotBefore() != nil && now.Before(k.GetNotBefore().AsTime())
		late := k.GetNotAfter() != nil && !now.Before(k.GetNotAfter().AsTime())
		if !early && !late {
			continue
		}
		id := names[k]
		shots, err := s.signed(How{KeyID: id})
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", id, err)
		}
		shots[0].detail = "key " + id
		all = append(all, shots...)
	}
	return all, nil
}

// eachHeader makes a request for each header of the proof.
func eachHeader(change func(req *authz.Request, name, value string) bool) func(*session) ([]shot, error) {
	return func(s *session) ([]shot, error) {
		var all []shot
		for _, name := range s.added() {
			req := s.fresh()
			value, _ := req.Headers.Lookup(name)
			if change(req, name, string(value)) {
				all = append(all, shot{detail: name, req: req})
			}
		}
		return all, nil
	}
}

func leftOut(req *authz.Request, name, _ string) bool { without(req, name); return true }

func emptied(req *authz.Request, name, _ string) bool { req.Set(name, ""); return true }

func cutShort(req *authz.Request, name, value string) bool {
	if len(value) < 8 {
		return false
	}
	req.Set(name, value[:len(value)-3])
	return true
}

func changed(req *authz.Request, name, value string) bool {
	// Not the last one, of which base64 may ignore bits, nor the first, of a scheme's name.
	for i := len(value) - 3; i > len(value)/2; i-- {
		if other := swapped(value[i]); other != value[i] {
			req.Set(name, value[:i]+string(other)+value[i+1:])
			return true
		}
	}
	return false
}

// swapped is another character of the same kind.
func swapped(c byte) byte {
	switch {
	case c >= '0' && c < '9', c >= 'a' && c < 'f', c >= 'g' && c < 'z', c >= 'A' && c < 'F', c >= 'G' && c < 'Z':
		return c + 1
	case c == '9', c == 'f', c == 'z', c == 'F', c == 'Z':
		return c - 1
	default:
		return c
	}
}

func doubled(req *authz.Request, name, value string) bool {
	other := clone(req)
	if !changed(other, name, value) {
		return false
	}
	first, _ := other.Headers.Lookup(name)
	without(req, name)
	req.Headers = append(req.Headers, raw(name, string(first)), raw(name, value))
	return true
}

// inBody: the body of a delivery is the application's, and its change is an attack.
func (s *session) inBody(change func([]byte) []byte) ([]shot, error) {
	req := s.fresh()
	body := bytes.Join(req.Body.Segments, nil)
	if len(body) == 0 {
		return nil, nil
	}
	req.Body.Segments = [][]byte{change(body)}
	return []shot{{req: req}}, nil
}

func changedBody(s *session) ([]shot, error) {
	return s.inBody(func(body []byte) []byte {
		for i := len(body) / 2; i < len(body); i++ {
			if other := swapped(body[i]); other != body[i] {
				body[i] = other
				return body
			}
		}
		return append([]byte("x"), body...)
	})
}

func appendedBody(s *session) ([]shot, error) {
	return s.inBody(func(body []byte) []byte { return append(body, ' ') })
}

func emptiedBody(s *session) ([]shot, error) {
	return s.inBody(func([]byte) []byte { return nil })
}

func hiddenBody(s *session) ([]shot, error) {
	var all []shot
	for _, forged := range []bool{false, true} {
		shots, err := s.signed(How{Body: []byte{}})
		if err != nil || shots[0].req.Body.Len() > 0 {
			return nil, nil //nolint:nilerr // no delivery of it is empty
		}
		body := []byte(`{"hello":"` + nonce() + `"}`)
		shots[0].req.Body.Segments = [][]byte{body}
		shots[0].wire.pieces = [][]byte{body} // a Content-Length would tell of it
		if forged {
			shots[0].detail = ours + "request-duration"
			shots[0].req.Set(ours+"request-duration", "1")
		}
		all = append(all, shots...)
	}
	return all, nil
}

func replacedBytes(s *session) ([]shot, error) {
	shots, err := s.signed(How{Body: []byte(`{"hello":"!` + nonce() + `"}`)})
	if err != nil {
		return nil, nil //nolint:nilerr // its body is not free
	}
	body := bytes.Join(shots[0].req.Body.Segments, nil)
	shots[0].req.Body.Segments = [][]byte{bytes.Replace(body, []byte("!"), []byte("\xff"), 1)}
	return shots, nil
}

// sized is a delivery with a body of so many bytes.
func (s *session) sized(n int64) (*authz.Request, error) {
	head, tail := `{"hello":"`+nonce(), `"}`
	fill := n - int64(len(head)+len(tail))
	if fill < 0 {
		return nil, fmt.Errorf("a body of %d bytes: %w", n, ErrCannot)
	}
	req, err := s.sign(How{Body: []byte(head + strings.Repeat("s", int(fill)) + tail)})
	if err != nil {
		return nil, err
	}
	if int64(req.Body.Len()) != n {
		return nil, fmt.Errorf("a body of %d bytes, since the proof stands in it: %w", n, ErrCannot)
	}
	return req, nil
}

// behindLimit fills what Envoy shows to the service, and appends. Where Envoy shows less than
// the setting says, and forwards more, deliveries of that size are refused by the service:
// the limit is then looked for.
func behindLimit(s *session) ([]shot, error) {
	most := s.gateway.MaxRequestBytes
	if l := s.limits(); l != nil && l.MaxBodyBytes < most {
		most = l.MaxBodyBytes
	} else if s.delivered {
		refused, err := s.refusesSize(most)
		if err != nil {
			return nil, err
		}
		if refused {
			if most, err = s.shown(most); err != nil {
				return nil, err
			}
		}
	}
	req, err := s.sized(most)
	if err != nil {
		return nil, err
	}
	first, behind := bytes.Join(req.Body.Segments, nil), []byte("appended")
	req.Body.Segments = [][]byte{first, behind}
	return []shot{{detail: fmt.Sprintf("%d bytes", most), req: req, wire: wire{pieces: [][]byte{first, behind}}}}, nil
}

// refusesSize reports whether the service itself refuses a valid delivery of a size.
func (s *session) refusesSize(n int64) (bool, error) {
	req, err := s.sized(n)
	if err != nil {
		return false, err
	}
	a, err := s.send(req, wire{})
	return err == nil && a.status == http.StatusServiceUnavailable && a.decisionID() != "", err
}

// shown is the largest size that is not refused so.
func (s *session) shown(most int64) (int64, error) {
	low, high := int64(64), most
	for high-low > 1 {
		middle := (low + high) / 2
		refused, err := s.refusesSize(middle)
		if err != nil {
			return 0, err
		}
		if refused {
			high = middle
		} else {
			low = middle
		}
	}
	return low, nil
}

func packedBody(s *session) ([]shot, error) {
	shots, err := s.inBody(func(body []byte) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write(body) // to memory
		_ = w.Close()
		return b.Bytes()
	})
	for i := range shots {
		shots[i].req.Set("content-encoding", "gzip")
	}
	return shots, err
}

func cutBody(s *session) ([]shot, error) {
	req := s.fresh()
	body := bytes.Join(req.Body.Segments, nil)
	if len(body) < 10 {
		return nil, nil
	}
	req.Body.Segments = [][]byte{body[:len(body)-10]}
	return []shot{{req: req, wire: wire{cut: true}}}, nil
}

func twoLengths(s *session) ([]shot, error) {
	req := s.bare()
	body := bytes.Join(req.Body.Segments, nil)
	return []shot{{req: req, wire: wire{lines: []string{fmt.Sprintf("content-length: %d", len(body))}, pieces: [][]byte{body}}}}, nil
}
