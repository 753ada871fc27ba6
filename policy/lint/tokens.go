package lint

import (
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/policy/finding"
	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// elseProvider is the other severity of rules about what a provider may be weak in.
const elseProvider = "info where a provider of the catalogue does no better"

// encrypted reports whether the webhook asks for TLS.
func (w *webhook) encrypted() bool {
	t := w.GetTransport()
	return t.GetRequireTls() || t.GetMinVersion() != 0 || t.GetClientCertificate() != nil
}

// sourced reports whether only some networks may deliver.
func (w *webhook) sourced() bool {
	s := w.GetSourceIp()
	return (len(s.GetAllow()) > 0 || len(s.GetRanges()) > 0) && !wide(s.GetAllow())
}

// static reports whether a static token is all that is asked for.
func (w *webhook) static() bool {
	for _, s := range w.schemes {
		if s.GetSharedToken() == nil {
			return false
		}
	}
	return w.GetUnverified() == nil && w.GetToken().GetJwt() == nil && (len(w.schemes) > 0 || len(w.GetToken().GetAnyOf()) > 0)
}

// tokenPlace is where the policy says that a token is asked for.
func (w *webhook) tokenPlace() strictyaml.Place {
	if len(w.schemes) > 0 {
		return w.proof()
	}
	return w.at.At("token")
}

var tokenInTheClear = Rule{
	Rule: finding.Rule{
		ID: "HB063", Severity: finding.Warning, Else: elseProvider,
		Title: "a static token is all that is asked for, over any connection and from anywhere",
		Risk:  "Whoever sees one request on its way, which plain HTTP shows to each router, has the token, and sends anything from anywhere until somebody changes it.",
		Fix:   "Say transport: {require_tls: true} and, where the sender's networks are known, source_ip. A signature in place of the token is better than both.",
		Link:  "transport.md#the-sender-to-envoy",
	},
	each: func(p *pass, w *webhook) {
		if w.static() && !w.encrypted() && !w.sourced() {
			p.reportBy(w, w.tokenPlace(), "asks for a static token and nothing else, neither TLS nor a network")
		}
	},
}

var tokenInQuery = Rule{
	Rule: finding.Rule{
		ID: "HB064", Severity: finding.Warning, Else: elseProvider,
		Title: "what proves a delivery stands in the query",
		Risk:  "The query is written into the access logs of each proxy, into traces and into error reports. Whoever reads one of them has the token.",
		Fix:   "Have the sender put it into a header. If it cannot, keep the query out of all logs, and rotate often.",
		Link:  "policy.md#token",
	},
	each: func(p *pass, w *webhook) {
		for i, rule := range w.GetToken().GetAnyOf() {
			if rule.GetQuery() != nil {
				p.report(w.at.At("token", "any_of", i, "query"), "the token stands in the query, which ends in many logs")
			}
		}
		if w.GetToken().GetJwt().GetFrom().GetQuery() != "" {
			p.report(w.at.At("token", "jwt", "from", "query"), "the token stands in the query, which ends in many logs")
		}
		for _, s := range w.schemes {
			switch {
			case s.GetSharedToken().GetQuery() != "", s.GetJws().GetQuery() != "":
				p.reportBy(w, w.proof(), "the token stands in the query, which ends in many logs")
				return
			case s.Signed().GetSignature().GetQuery() != "":
				p.reportAs(finding.Info, w.proof().Error("the signature stands in the query: whoever reads a log with the URL has half of a delivery"))
				return
			}
		}
	},
}

var tokenAlone = Rule{
	Rule: finding.Rule{
		ID: "HB065", Severity: finding.Info,
		Title: "a static token is the only proof",
		Risk:  "The token says nothing of what is sent with it, or when. Whoever has seen one delivery sends any other, as often as he likes.",
		Fix:   "Ask for a signature, if the sender has one. If not, let the application ask the sender whether the delivery is its own, and limit the networks.",
		Link:  "policy.md#sharedtoken",
	},
	each: func(p *pass, w *webhook) {
		if w.static() {
			p.report(w.tokenPlace(), "is proven by a static token: there is no time in it, no content and no protection against copies")
		}
	},
}

var plainURL = Rule{
	Rule: finding.Rule{
		ID: "HB066", Severity: finding.Warning,
		Title: "the public URL is plain HTTP",
		Risk:  "Everybody on the way reads what is delivered, and the token or the first copy of a signature that comes with it, and can send it before the original arrives.",
		Fix:   "Give the provider an https URL, and say that one in public_url.",
		Link:  "transport.md#the-sender-to-envoy",
	},
	each: func(p *pass, w *webhook) {
		if strings.HasPrefix(strings.ToLower(w.GetPublicUrl()), "http://") {
			p.report(w.at.At("public_url"), "is plain HTTP: deliveries are sent in the clear")
		}
	},
}

var passwordInURL = Rule{
	Rule: finding.Rule{
		ID: "HB067", Severity: finding.Warning,
		Title: "the public URL has a password",
		Risk:  "A policy is kept in a repository and shown to reviewers: all of them have the password.",
		Fix:   "Give the provider a URL without one, unless it signs that; a token in a header can ask for the same from a file.",
		Link:  "policy.md#webhook",
	},
	each: func(p *pass, w *webhook) {
		_, rest, _ := strings.Cut(w.GetPublicUrl(), "://")
		authority, _, _ := strings.Cut(rest, "/")
		if user, _, ok := strings.Cut(authority, "@"); ok && strings.Contains(user, ":") {
			p.report(w.at.At("public_url"), "has a password, which everybody who reads the policy knows")
		}
	},
}

// jws are the tokens with claims that a webhook asks for, each with its place and whether
// the policy itself says what they have.
func (w *webhook) jws(f func(j *policyv1.Jws, at strictyaml.Place)) {
	for _, s := range w.schemes {
		if j := s.GetJws(); j != nil {
			f(j, w.proof())
		}
	}
}

var tokenBindsNoBody = Rule{
	Rule: finding.Rule{
		ID: "HB092", Severity: finding.Warning, Else: elseProvider + ", or with token.jwt",
		Title: "a JSON Web Token does not bind the body",
		Risk:  "Whoever sees one delivery takes the token and sends another body with it, again and again until the token ends.",
		Fix:   "Say in body, or in body_hash, which claim has the digest of the body, if the sender has one. If not, let the application look up what the delivery names.",
		Link:  "jwt.md#what-proves-what",
	},
	each: func(p *pass, w *webhook) {
		w.jws(func(j *policyv1.Jws, at strictyaml.Place) {
			if !j.CoversBody() {
				p.reportBy(w, at, "asks for a token that says nothing of the body: another body can be sent with it until it ends")
			}
		})
		if t := w.GetToken().GetJwt(); t != nil && t.GetBodyHash() == nil && len(w.schemes) == 0 {
			p.reportAs(finding.Info, w.at.At("token", "jwt").Error("asks for a token that says nothing of the body: another body can be sent with it until it ends"))
		}
	},
}

var tokenForEver = Rule{
	Rule: finding.Rule{
		ID: "HB093", Severity: finding.Warning, Else: elseProvider,
		Title: "a JSON Web Token needs neither a time nor an end",
		Risk:  "A token that was seen once is good for ever: it passes again as soon as the delivery is forgotten.",
		Fix:   "Say time: iat, or expires: true, so that a token without is refused.",
		Link:  "policy.md#jws",
	},
	each: func(p *pass, w *webhook) {
		w.jws(func(j *policyv1.Jws, at strictyaml.Place) {
			if !j.GetExpires() && j.GetTime() == "" && j.GetDetached().GetTimestamp() == nil {
				p.reportBy(w, at, "takes a token that has neither a time nor an end")
			}
		})
	},
}

// everybodys reports whether a token may be signed with a private key, which may sign for
// others, too.
func everybodys(j *policyv1.Jws) bool {
	return slices.ContainsFunc(j.GetAlgorithms(), func(a policyv1.Jws_Algorithm) bool { return !sharedAlgorithm(a) })
}

func sharedAlgorithm(a policyv1.Jws_Algorithm) bool { return strings.HasPrefix(a.String(), "HS") }

var tokenForAnybody = Rule{
	Rule: finding.Rule{
		ID: "HB094", Severity: finding.Warning, Else: elseProvider,
		Title: "a JSON Web Token may be meant for somebody else",
		Risk:  "The sender signs tokens for many receivers. One of them takes the token that he got and sends it here, where it holds.",
		Fix:   "Say in audiences, or with audience_url, whom a token must be for.",
		Link:  "policy.md#jws",
	},
	each: func(p *pass, w *webhook) {
		w.jws(func(j *policyv1.Jws, at strictyaml.Place) {
			named := len(j.GetAudiences()) > 0 || j.GetAudienceUrl() || j.GetUrl() != nil || j.GetQueryHash() || j.GetDetached().GetRequestLine()
			if !named && len(j.GetClaims()) == 0 && everybodys(j) && len(pinsOf(w)) == 0 {
				p.reportBy(w, at, "takes a token for any audience: audiences is not given")
			}
		})
	},
}

func pinsOf(w *webhook) (pins []*policyv1.Pin) {
	for _, s := range w.schemes {
		pins = append(pins, s.GetPins()...)
	}
	return pins
}

var mixedAlgorithms = Rule{
	Rule: finding.Rule{
		ID: "HB095", Severity: finding.Warning, Else: elseProvider,
		Title: "a token may be signed with a shared secret or with a private key",
		Risk:  "Which of them counts is the token's own word. Where a public key, which everybody has, is taken for a shared secret, everybody signs; only the form of each key stands against that.",
		Fix:   "List algorithms of one family, and make two webhooks of it if there are two senders.",
		Link:  "policy.md#jws",
	},
	each: func(p *pass, w *webhook) {
		mixed := func(algorithms []policyv1.Jws_Algorithm) bool {
			return slices.ContainsFunc(algorithms, sharedAlgorithm) && slices.ContainsFunc(algorithms, func(a policyv1.Jws_Algorithm) bool { return !sharedAlgorithm(a) })
		}
		const message = "takes both shared secrets and public keys, and the token says which"
		w.jws(func(j *policyv1.Jws, at strictyaml.Place) {
			if mixed(j.GetAlgorithms()) {
				p.reportBy(w, at, message)
			}
		})
		if mixed(w.GetToken().GetJwt().GetAlgorithms()) {
			p.report(w.at.At("token", "jwt", "algorithms"), message)
		}
	},
}

var audienceOptional = Rule{
	Rule: finding.Rule{
		ID: "HB096", Severity: finding.Warning, Else: elseProvider,
		Title: "a token need not say which URL it is for",
		Risk:  "A token without an audience holds at each URL of its key: whoever has seen it at one endpoint sends it to another.",
		Fix:   "Leave audience_optional out, and have the sender name the URL.",
		Link:  "policy.md#jws",
	},
	each: func(p *pass, w *webhook) {
		w.jws(func(j *policyv1.Jws, at strictyaml.Place) {
			if j.GetAudienceOptional() {
				p.reportBy(w, at, "takes a token without an audience as well: it holds at every URL of its key")
			}
		})
	},
}

var legacyScheme = Rule{
	Rule: finding.Rule{
		ID: "HB043", Severity: finding.Warning,
		Title: "the policy takes a provider's weaker scheme",
		Risk:  "What the newer scheme closed is open here: an attacker uses what is known against the old one, and the provider may stop sending it.",
		Fix:   "Leave provider_scheme out, and set the provider up for what it does by default.",
		Link:  "policy.md#webhook",
	},
	each: func(p *pass, w *webhook) {
		if w.provider == nil || w.GetProviderScheme() == "" || len(w.schemes) != 1 {
			return
		}
		var better []string
		for _, s := range w.provider.GetSchemes() {
			if s.GetName() != w.GetProviderScheme() && !s.GetOptional() {
				if why := weakerThan(w.schemes[0], s.GetScheme()); why != "" {
					better = append(better, s.GetName()+" "+why)
				}
			}
		}
		if len(better) > 0 {
			p.report(w.at.At("provider_scheme"), w.GetProviderScheme()+" is weaker: "+strings.Join(better, ", "))
		}
	},
}

// weakerThan says what a scheme lacks that another one has; empty if nothing.
func weakerThan(s, other *policyv1.Scheme) string {
	ranks := []string{"token", "partial", "signature"}
	broken := func(s *policyv1.Scheme) bool {
		h := s.GetHmac()
		return h.GetHash() == policyv1.Hmac_SHA1 || h.GetHash() == policyv1.Hmac_MD5 || h.GetConstruction() > policyv1.Hmac_HMAC ||
			s.GetRsa().GetHash() == policyv1.PublicKey_SHA1 || s.GetEcdsa().GetHash() == policyv1.PublicKey_SHA1
	}
	own, theirs := coverageOf(s), coverageOf(other)
	switch {
	case slices.Index(ranks, provider.Proof(s)) < slices.Index(ranks, provider.Proof(other)):
		return "signs more"
	case broken(s) && !broken(other):
		return "has a better hash"
	case theirs.time && !own.time:
		return "signs the time"
	case theirs.path && !own.path, theirs.method && !own.method:
		return "signs what is asked for, too"
	default:
		return ""
	}
}

var hearsay = Rule{
	Rule: finding.Rule{
		ID: "HB044", Severity: finding.Info,
		Title: "what is known of the provider was read in others' code",
		Risk:  "What the provider signs today may be another thing: valid deliveries are refused, or a part that is believed to be signed is not.",
		Fix:   "Send a test delivery, alter it, and see that it is refused. Tell us where the provider says it.",
		Link:  "providers/adding.md",
	},
	each: func(p *pass, w *webhook) {
		if w.provider.GetConfidence() == policyv1.Provider_COMMUNITY {
			p.report(w.at.At("provider"), "the entry "+w.GetProvider()+" was read in others' code, not in the provider's own documentation")
		}
	},
}
