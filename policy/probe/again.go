package probe

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
)

const (
	// margin is how far beyond what the policies allow an attack goes, beside the
	// difference of the clocks.
	margin = 30 * time.Second
	// farthest is the oldest time that is tried: more than the longest tolerance.
	farthest = 8 * 24 * time.Hour
)

// refusedFrom is how long before now, or with -1 ahead of it, a delivery must be signed for
// the policies to refuse it; false: never.
func (s *session) refusedFrom(direction time.Duration) (time.Duration, bool, error) {
	refuses := func(age time.Duration) (bool, error) {
		req, err := s.hook.Sign(How{Now: time.Now().Add(-direction * age)})
		if err != nil {
			return false, err
		}
		return !s.decide(s.hook.Trials, req, wire{}).Allows(), nil
	}
	if now, err := refuses(0); err != nil || now {
		return 0, false, err
	}
	if far, err := refuses(farthest); err != nil || !far {
		return 0, false, err
	}
	low, high := time.Duration(0), farthest
	for high-low > time.Second {
		middle := (low + high) / 2
		yes, err := refuses(middle)
		if err != nil {
			return 0, false, err
		}
		if yes {
			high = middle
		} else {
			low = middle
		}
	}
	return high, true, nil
}

func (s *session) apart(direction time.Duration) ([]shot, time.Duration, error) {
	age, ever, err := s.refusedFrom(direction)
	if err != nil || !ever {
		return nil, 0, err
	}
	age += margin + s.skew.Abs()
	shots, err := s.signed(How{Now: time.Now().Add(-direction * age)})
	if err != nil {
		return nil, 0, err
	}
	shots[0].detail = age.Round(time.Second).String()
	return shots, age, nil
}

func stale(s *session) ([]shot, error) {
	shots, _, err := s.apart(1)
	return shots, err
}

func future(s *session) ([]shot, error) {
	shots, _, err := s.apart(-1)
	return shots, err
}

var digits = regexp.MustCompile(`\b1[0-9]{9}(?:[0-9]{3}|[0-9]{6})?\b`)

// restamped puts the time of now wherever a Unix time stands in the headers of an old
// delivery.
func restamped(s *session) ([]shot, error) {
	shots, age, err := s.apart(1)
	if err != nil || len(shots) == 0 {
		return nil, err
	}
	found := false
	for i := range shots[0].req.Headers {
		h := &shots[0].req.Headers[i]
		h.Value = digits.ReplaceAllFunc(h.Value, func(old []byte) []byte {
			var n int64
			if _, err := fmt.Sscan(string(old), &n); err != nil {
				return old
			}
			unit := time.Second
			for long := len(old); long > 10; long -= 3 {
				unit /= 1000
			}
			found = true
			return fmt.Append(nil, n+int64(age/unit))
		})
	}
	if !found {
		return nil, nil
	}
	return shots, nil
}

func copies(s *session) ([]shot, error) {
	if !s.delivered {
		return nil, nil
	}
	return []shot{{req: clone(s.control), wire: wire{times: 4}}}, nil
}

// changedCopies are what remains the same delivery for whoever verifies it.
func changedCopies(s *session) ([]shot, error) {
	if !s.delivered {
		return nil, nil
	}
	var all []shot
	add := func(detail string, change func(*authz.Request)) {
		req := clone(s.control)
		change(req)
		all = append(all, shot{detail: detail, req: req})
	}
	for _, id := range s.hook.Rules.Webhook(s.hook.Name).EventIDs {
		add(id.Header, func(r *authz.Request) { r.Set(id.Header, nonce()) })
	}
	add("ids and user agent", func(r *authz.Request) {
		for _, name := range []string{"x-request-id", "x-delivery-id", "idempotency-key", "user-agent"} {
			if _, there := r.Headers.Lookup(name); there == 0 {
				r.Set(name, nonce())
			}
		}
	})
	add("query", func(r *authz.Request) {
		separator := "?"
		if bytes.ContainsRune(r.Path, '?') {
			separator = "&"
		}
		r.Path = authz.View(string(r.Path) + separator + "probe=" + nonce())
	})
	add("content type", func(r *authz.Request) {
		if value, there := r.Headers.Lookup("content-type"); there == 1 {
			r.Set("content-type", string(value)+"; charset=utf-8")
		}
	})
	add("header names in upper case, other order", func(r *authz.Request) {
		for i, j := 0, len(r.Headers)-1; i < j; i, j = i+1, j-1 {
			r.Headers[i], r.Headers[j] = r.Headers[j], r.Headers[i]
		}
		for i := range r.Headers {
			r.Headers[i].Name = bytes.ToUpper(r.Headers[i].Name)
		}
	})
	for _, name := range s.added() {
		value, _ := s.control.Headers.Lookup(name)
		if upper := strings.ToUpper(string(value)); hexadecimal.Match(value) && upper != string(value) {
			add(name+" in upper case", func(r *authz.Request) { r.Set(name, upper) })
		}
		for _, separator := range separators {
			if many, err := s.behind(clone(s.control), name, separator, 1); err == nil {
				all = append(all, shot{detail: name + " with another one before it", req: many})
			}
		}
	}
	return all, nil
}

var hexadecimal = regexp.MustCompile(`^[0-9a-f]{32,}$`)

// separators are what stands between the signatures of one header.
var separators = []string{" ", ",", ", "}

// behind puts n changed values of a header before the right one. It fails where the policies
// take no list there.
func (s *session) behind(req *authz.Request, name, separator string, n int) (*authz.Request, error) {
	value, there := req.Headers.Lookup(name)
	other := &authz.Request{Headers: authz.Headers{raw(name, string(value))}}
	if there != 1 || !changed(other, name, string(value)) {
		return nil, ErrCannot
	}
	wrong, _ := other.Headers.Lookup(name)
	// That it is a list is tried with a delivery that is not sent.
	trial := s.fresh()
	right, _ := trial.Headers.Lookup(name)
	trial.Set(name, string(wrong)+separator+string(right))
	if !s.decide(s.hook.Trials, trial, wire{}).Allows() {
		return nil, errors.ErrUnsupported
	}
	req.Set(name, strings.Repeat(string(wrong)+separator, n)+string(value))
	return req, nil
}

func manySignatures(s *session) ([]shot, error) {
	for _, name := range s.added() {
		for _, separator := range separators {
			for _, n := range []int{5, 16, 100} {
				req, err := s.behind(s.fresh(), name, separator, n)
				if err != nil {
					break
				}
				if !s.decide(s.hook.Trials, req, wire{}).Allows() {
					return []shot{{detail: fmt.Sprintf("%s, %d", name, n+1), req: req}}, nil
				}
			}
		}
	}
	return nil, nil
}

func atOnceShots(s *session) ([]shot, error) {
	return []shot{{req: s.fresh(), wire: wire{together: 4}, expect: once}}, nil
}
