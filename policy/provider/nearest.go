package provider

import (
	"slices"
	"strings"

	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// Nearest returns the names of the providers most of whose headers are there,
// in order: several where they use the same headers, none if no signature's
// header is there. It is a hint for people, since anybody can send any header.
func Nearest(has func(lowerCaseName string) bool) ([]string, error) {
	names, err := Names()
	if err != nil {
		return nil, err
	}
	var best []string
	most := 0
	for _, name := range names {
		p, err := Get(name)
		if err != nil {
			return nil, err
		}
		n := 0
		for _, s := range p.GetSchemes() {
			n = max(n, matching(s.GetScheme(), has))
		}
		if n > most {
			best, most = nil, n
		}
		if n == most && n > 0 {
			best = append(best, name)
		}
	}
	// Whose headers many use comes first.
	if i := slices.Index(best, "standard-webhooks"); i > 0 {
		copy(best[1:], best[:i])
		best[0] = "standard-webhooks"
	}
	return best, nil
}

// matching counts the headers of a scheme that are there; 0 without the one
// that proves. Authorization says nothing of who sent it.
func matching(s *policyv1.Scheme, has func(string) bool) int {
	proof := s.Signed().GetSignature().GetHeaders()
	if s.GetHttpSignature() != nil {
		proof = []string{"signature-input", "signature"}
	}
	for _, name := range []string{s.GetSharedToken().GetHeader(), s.GetJws().GetHeader()} {
		if name != "" {
			proof = append(proof[:len(proof):len(proof)], name)
		}
	}
	n := 0
	for _, name := range proof {
		if name = strings.ToLower(name); name != "authorization" && (has(name) || s.Signed().GetSignature().GetNumbered() && has(name+"-1")) {
			n = 1
		}
	}
	if n == 0 {
		return 0
	}
	others := append([]string{s.Signed().GetTimestamp().GetHeader()}, s.KeyIDHeaders()...)
	for _, part := range s.Signed().GetContent() {
		others = append(others, part.GetHeader().GetName())
	}
	for _, constant := range s.Signed().GetConstantHeaders() {
		others = append(others, constant.GetName())
	}
	for _, name := range others {
		if name != "" && has(strings.ToLower(name)) {
			n++
		}
	}
	return n
}
