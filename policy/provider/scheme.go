package provider

import (
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// Kind is the key of a scheme in a policy: hmac, shared_token, rsa and so on.
func Kind(s *policyv1.Scheme) string {
	m := s.ProtoReflect()
	field := m.WhichOneof(m.Descriptor().Oneofs().ByName("kind"))
	if field == nil {
		return "" // of no entry, for the catalogue is read strictly
	}
	return string(field.Name())
}

// First is the scheme that counts for what is said of an entry as a whole.
func First(p *policyv1.Provider) *policyv1.Scheme {
	for _, s := range p.GetSchemes() {
		if !s.GetOptional() {
			return s.GetScheme()
		}
	}
	return p.GetSchemes()[0].GetScheme()
}

// Accepted returns the schemes that a webhook accepts: the one of that name, or
// without a name all that are not optional.
func Accepted(p *policyv1.Provider, name string) []*policyv1.Scheme {
	var schemes []*policyv1.Scheme
	for _, s := range p.GetSchemes() {
		if name == s.GetName() || name == "" && !s.GetOptional() {
			schemes = append(schemes, s.GetScheme())
		}
	}
	return schemes
}

// OnCopy is what a copy gets where a policy does not say it. Where the provider may
// repeat the same bytes by itself, an honest repeat cannot be told from a copy, and
// an error may switch the endpoint off. Where it signs a repeat anew or leaves
// repeating to people, a copy is none of its own doing.
func OnCopy(retry policyv1.Provider_Retry) policyv1.Replay_OnReplay {
	switch retry {
	case policyv1.Provider_IDENTICAL, policyv1.Provider_UNKNOWN:
		return policyv1.Replay_ACKNOWLEDGE
	default: // RESIGNED, NONE
		return policyv1.Replay_DENY
	}
}

// DeniedStatus is the status of a denial that has none of its own.
func DeniedStatus(p *policyv1.Provider) uint32 {
	if p.GetDeniedStatus() != 0 {
		return p.GetDeniedStatus()
	}
	return 401
}

// Untimed reports whether a scheme signs content and no time, so that a copy passes
// once its delivery is forgotten.
func Untimed(s *policyv1.Scheme) bool {
	_, timed := s.Stamp()
	return s.GetSharedToken() == nil && !timed
}

// NeedsPin reports whether only a webhook's pinned_query keeps the query and a
// form apart.
func NeedsPin(h interface{ GetContent() []*policyv1.Part }) bool {
	for _, part := range h.GetContent() {
		if part.GetForm() != nil && len(part.GetForm().GetNames()) != 1 || part.GetCode() == policyv1.Part_PLIVO_V3 {
			return true
		}
	}
	return false
}

// SignsURL reports whether scheme and host are part of what is signed.
func SignsURL(s *policyv1.Scheme) bool {
	if s.GetJws().GetUrl() != nil || s.GetJws().GetAudienceUrl() {
		return true
	}
	if s.GetHttpSignature() != nil {
		return true // which may cover @authority
	}
	for _, part := range s.Signed().GetContent() {
		if part.GetUrl() != nil || part.GetCode() == policyv1.Part_PLIVO_V3 {
			return true
		}
	}
	return false
}

// Proof is signature, partial or token: what x-hookbastion-verified says. Where
// the scheme needs it, the query is pinned.
func Proof(s *policyv1.Scheme) string {
	switch kind := s.GetKind().(type) {
	case *policyv1.Scheme_Hmac, *policyv1.Scheme_Rsa, *policyv1.Scheme_Ecdsa, *policyv1.Scheme_Ed25519:
		if s.Signed().GetBodyUnsigned() {
			return "partial"
		}
	case *policyv1.Scheme_HttpSignature:
		if kind.HttpSignature.GetBodyUnsigned() {
			return "partial"
		}
	case *policyv1.Scheme_Jws:
		switch {
		case kind.Jws.CoversBody():
		case kind.Jws.CoversURL():
			return "partial"
		default:
			return "token"
		}
	case *policyv1.Scheme_Code:
		if kind.Code.GetName() == policyv1.Code_ADYEN {
			return "partial"
		}
	default:
		return "token"
	}
	return "signature"
}

// UsesParameter reports whether a scheme asks for a parameter: in a field of that name, or
// as {name} among the issuers or audiences of tokens.
func UsesParameter(s *policyv1.Scheme, name string) bool {
	return usesParameter(s.ProtoReflect(), name)
}

func usesParameter(m protoreflect.Message, name string) (uses bool) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Kind() == protoreflect.MessageKind && f.IsList():
			for i := range v.List().Len() {
				uses = uses || usesParameter(v.List().Get(i).Message(), name)
			}
		case f.Kind() == protoreflect.MessageKind && !f.IsMap():
			uses = uses || usesParameter(v.Message(), name)
		case f.Kind() != protoreflect.StringKind:
		case f.IsList():
			for i := range v.List().Len() {
				text := v.List().Get(i).String()
				uses = uses || strings.Contains(text, "{"+name+"}") || strings.Contains(text, "{"+name+"#")
			}
		default:
			uses = uses || f.Name() == "parameter" && v.String() == name
		}
		return !uses
	})
	return uses
}
