package provider

import (
	"strings"

	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// Nearest returns the name of the provider most of whose headers are there,
// or "" if none has its signature's header. It is a hint for people, since
// anybody can send any header.
func Nearest(has func(lowerCaseName string) bool) (string, error) {
	names, err := Names()
	if err != nil {
		return "", err
	}
	best, most := "", 0
	for _, name := range names {
		p, err := Get(name)
		if err != nil {
			return "", err
		}
		for _, s := range p.GetSchemes() {
			if n := matching(s.GetScheme(), has); n > most {
				best, most = name, n
			}
		}
	}
	return best, nil
}

// matching counts the headers of a scheme that are there; 0 without the one
// that proves.
func matching(s *policyv1.Scheme, has func(string) bool) int {
	proof := s.GetHmac().GetSignature().GetHeaders()
	if token := s.GetSharedToken().GetHeader(); token != "" {
		proof = []string{token}
	}
	n := 0
	for _, name := range proof {
		if has(strings.ToLower(name)) {
			n = 1
		}
	}
	if n == 0 {
		return 0
	}
	others := []string{s.GetHmac().GetTimestamp().GetHeader()}
	for _, part := range s.GetHmac().GetContent() {
		others = append(others, part.GetHeader().GetName())
	}
	for _, name := range others {
		if name != "" && has(strings.ToLower(name)) {
			n++
		}
	}
	return n
}
