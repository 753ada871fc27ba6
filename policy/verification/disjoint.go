package verification

import (
	"slices"

	"github.com/hookbastion/hookbastion/authz/handshake"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// maxSigned is the length of the longest challenge that is signed.
const maxSigned = 128

// Guards keep what the answer of a handshake signs apart from what deliveries of the
// schemes sign, whatever hash or key each of them has. It fails where that is not possible:
// the handshake would sign deliveries for whoever asks. Without a MAC in the answer there
// is nothing to keep apart.
//
// Deliveries differ from every challenge by fixed text that has another character, or by
// a body that is all that they sign and that the guard looks at: one that could be a
// challenge is refused. What else is signed beside a body could be a challenge where there is
// none, and a body that is not signed as it is, could be one that the guard does not see. A
// token of RFC 7519, which a webhook may ask for as well, differs by its dots.
func Guards(h *policyv1.Handshake, schemes []*policyv1.Scheme) (guards []handshake.Guard, ok bool) {
	if !signs(h) {
		return nil, true
	}
	c := h.GetChallenge()
	if c == nil || c.GetMaxLength() > maxSigned || alphabet(c).Has('.') {
		return nil, false
	}
	guard := handshake.Guard{Alphabet: alphabet(c), Max: int(c.GetMaxLength())}
	for _, s := range schemes {
		switch kind := s.GetKind().(type) {
		case *policyv1.Scheme_SharedToken, *policyv1.Scheme_Rsa, *policyv1.Scheme_Ecdsa, *policyv1.Scheme_Ed25519:
			continue // no MAC
		case *policyv1.Scheme_Hmac:
			if slices.ContainsFunc(kind.Hmac.GetContent(), func(p *policyv1.Part) bool { return differs(p, guard.Alphabet) }) {
				continue
			}
			if !bodyAlone(kind.Hmac.GetContent()) {
				return nil, false
			}
			guards = add(guards, guard)
		case *policyv1.Scheme_Code:
			if kind.Code.GetName() != policyv1.Code_BRAINTREE {
				return nil, false
			}
			payload := guard
			payload.Field = "bt_payload"
			guards = add(guards, payload)
		default:
			return nil, false
		}
	}
	return guards, true
}

// bodyAlone reports whether the body, byte for byte, is all that is signed.
func bodyAlone(content []*policyv1.Part) bool {
	b := content[0].GetBody()
	return len(content) == 1 && b != nil && b.GetFormField() == "" && !b.GetJsonString()
}

func add(guards []handshake.Guard, g handshake.Guard) []handshake.Guard {
	if slices.Contains(guards, g) {
		return guards
	}
	return append(guards, g)
}

// differs reports whether the part has a character that no challenge has.
func differs(p *policyv1.Part, alphabet handshake.Alphabet) bool {
	text := p.GetLiteral()
	for i := range len(text) {
		if !alphabet.Has(text[i]) {
			return true
		}
	}
	return false
}

func eachPiece(h *policyv1.Handshake, f func(*policyv1.Handshake_Piece)) {
	for _, p := range h.GetAnswer().GetBody() {
		f(p)
	}
	for _, header := range h.GetAnswer().GetHeaders() {
		f(header.GetValue())
	}
}

// signs reports whether the answer holds a MAC.
func signs(h *policyv1.Handshake) bool {
	found := false
	eachPiece(h, func(p *policyv1.Handshake_Piece) { found = found || p.GetMac() != nil })
	return found
}

// digests reports whether the answer holds a hash of the webhook's URL.
func digests(h *policyv1.Handshake) bool {
	found := false
	eachPiece(h, func(p *policyv1.Handshake_Piece) { found = found || p.GetDigest() != nil })
	return found
}

// needsToken reports whether the handshake needs handshake.verify_token.
func needsToken(h *policyv1.Handshake) bool {
	return h.GetVerify() == policyv1.Handshake_VERIFY_TOKEN || digests(h)
}

// parametersOf are the parameters that the handshake needs.
func parametersOf(h *policyv1.Handshake) []string {
	var names []string
	for _, a := range h.GetAsked() {
		if a.GetParameter() != "" {
			names = append(names, a.GetParameter())
		}
	}
	eachPiece(h, func(p *policyv1.Handshake_Piece) {
		if p.GetParameter() != "" {
			names = append(names, p.GetParameter())
		}
	})
	return names
}
