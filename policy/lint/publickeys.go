package lint

import (
	"slices"

	"github.com/hookbastion/hookbastion/policy/finding"
	"github.com/hookbastion/hookbastion/policy/scheme"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

var checksumOnly = Rule{
	Rule: finding.Rule{
		ID: "HB082", Severity: finding.Warning, Else: elseProvider,
		Title: "of the body, the signature covers a checksum only",
		Risk:  "Whoever has seen one delivery can make another body with the same checksum and send it under that signature, once.",
		Fix:   "Nothing of the policy mends it. Let the application ask the provider for the object, or whether the delivery is its own, before it acts.",
		Link:  "policy.md#digest",
	},
	each: func(p *pass, w *webhook) {
		if slices.ContainsFunc(w.schemes, checksum) {
			p.reportBy(w, w.proof(), "signs a CRC-32 of the body in place of the body, so that another body can be sent under a signature that was seen: deliveries are x-hookbastion-verified: partial")
		}
	},
}

var anybodysDeliveries = Rule{
	Rule: finding.Rule{
		ID: "HB083", Severity: finding.Info,
		Title: "the provider signs everybody's deliveries with one key, and the policy does not say which are yours",
		Risk:  "Whoever is a customer of the provider as well can send you a delivery of an own account, and it verifies.",
		Fix:   "Give the parameter or the claim that the message asks for, or ask for a field of the body in conditions.",
		Link:  "policy.md#pin",
	},
	each: func(p *pass, w *webhook) {
		anybodysTokens(p, w)
		given := scheme.ParametersOf(w.Webhook)
		for _, s := range w.schemes {
			pins := s.GetPins()
			said := slices.ContainsFunc(pins, func(pin *policyv1.Pin) bool { return len(given[pin.GetParameter()]) > 0 })
			if len(pins) > 0 && !said { // one that is given says whose they are
				p.report(w.proof(), "signs the deliveries of all customers with one key, and without parameters: {"+pins[0].GetParameter()+": …} those of others are accepted, too")
				return
			}
		}
	},
}

// generous are issuers that give whoever has an account with them, or a job that runs
// there, a token for any audience (Google's service accounts; GitHub's and GitLab's
// tokens of workflows).
var generous = []string{
	"https://accounts.google.com", "accounts.google.com", "https://token.actions.githubusercontent.com", "https://gitlab.com",
}

// anybodysTokens finds tokens of such issuers of which no other claim is asked for.
func anybodysTokens(p *pass, w *webhook) {
	find := func(issuers []string, claims []*policyv1.Claim, at strictyaml.Place) {
		for _, issuer := range issuers {
			if len(claims) == 0 && slices.Contains(generous, issuer) {
				p.report(at, "takes tokens of "+issuer+", which gives anybody one for your audience: say in claims which account of theirs it must be")
				return
			}
		}
	}
	j := w.GetScheme().GetJws()
	find(append([]string{j.GetIssuer()}, j.GetIssuers()...), j.GetClaims(), w.proof())
	t := w.GetToken().GetJwt()
	find(t.GetIssuers(), t.GetClaims(), w.at.At("token"))
}

var brokenHash = Rule{
	Rule: finding.Rule{
		ID: "HB084", Severity: finding.Warning, Else: elseProvider,
		Title: "the signature is over SHA-1",
		Risk:  "Whoever can choose a part of what the provider signs can make two contents with one signature.",
		Fix:   "Take another scheme of the provider, if there is one.",
		Link:  "policy.md#publickey",
	},
	each: func(p *pass, w *webhook) {
		for _, s := range w.schemes {
			switch {
			case s.GetRsa().GetHash() == policyv1.PublicKey_SHA1, s.GetEcdsa().GetHash() == policyv1.PublicKey_SHA1:
				p.reportBy(w, w.proof(), "is verified over SHA-1, of which two contents with one value can be made by whoever chooses a part of both")
				return
			case s.GetHmac().GetHash() == policyv1.Hmac_SHA1 && s.GetHmac().GetConstruction() <= policyv1.Hmac_HMAC:
				p.reportAs(finding.Info, w.proof().Error("is verified by an HMAC over SHA-1, which is broken as a hash, and not as an HMAC so far"))
				return
			}
		}
	},
}

var weakHash = Rule{
	Rule: finding.Rule{
		ID: "HB085", Severity: finding.Warning, Else: elseProvider,
		Title: "the signature is an HMAC over MD5, or over an MD5 of the body, or no HMAC at all",
		Risk:  "A plain hash was not made to be keyed, and MD5 is broken: what is known of both is one step away from a forged signature.",
		Fix:   "Take another scheme of the provider, if there is one. Limit the sources, and keep the lifetime of nonces long.",
		Link:  "policy.md#hmac",
	},
	each: func(p *pass, w *webhook) {
		for _, s := range w.schemes {
			switch h := s.GetHmac(); {
			case h.GetConstruction() == policyv1.Hmac_SECRET_THEN_CONTENT, h.GetConstruction() == policyv1.Hmac_HASH_OF_CONTENT:
				p.reportBy(w, w.proof(), "is verified by a plain "+h.GetHash().String()+" that has the secret, which is no HMAC")
				return
			case h.GetHash() == policyv1.Hmac_MD5:
				p.reportBy(w, w.proof(), "is verified by an HMAC over MD5, which is broken as a hash")
				return
			case slices.ContainsFunc(s.Signed().GetContent(), md5OfBody) || h.GetBodyDigest().GetHash() == policyv1.Hmac_MD5:
				p.reportBy(w, w.proof(), "signs an MD5 of the body in place of the body: whoever chooses its beginning can make two bodies with one signature")
				return
			}
		}
	},
}

func md5OfBody(part *policyv1.Part) bool { return part.GetDigest().GetHash() == policyv1.Digest_MD5 }

var nothingCovered = Rule{
	Rule: finding.Rule{
		ID: "HB086", Severity: finding.Warning,
		Title: "a signature of the HTTP message need not cover anything",
		Risk:  "What a signature covers is chosen by its maker. One that covers nothing, or a date alone, fits every request: whoever has seen one can send anything with it.",
		Fix:   "Say in required what must be covered, at least @method, @target-uri and the digest of the body; leave body_unsigned out if the sender signs that.",
		Link:  "policy.md#httpsignature",
	},
	each: func(p *pass, w *webhook) {
		bare := func(s *policyv1.Scheme) bool {
			h := s.GetHttpSignature()
			return h.GetBodyUnsigned() && len(h.GetRequired()) == 0
		}
		if slices.ContainsFunc(w.schemes, bare) {
			p.report(w.proof(), "takes a signature that covers nothing: there is body_unsigned, and required has no entry")
		}
	},
}
