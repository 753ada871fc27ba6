package verification

import (
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/authz/handshake"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/policy/keys"
	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/scheme"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// shaking compiles the handshakes of one webhook.
type shaking struct {
	*Compiler
	w         *policyv1.Webhook
	at        strictyaml.Place // of the webhook
	rules     *policyv1.WebhookHandshake
	loaded    []keys.Loaded
	publicURL string
	token     *secret.Cell
	keys      []handshake.Key
	lacks     []string // why handshakes that are asked for are not answered
	usesToken bool
	learner   *handshake.Learner
}

// handshakes adds to a webhook the checks that answer its provider's handshakes, and what
// keeps those from signing deliveries.
func (c *Compiler) handshakes(w *policyv1.Webhook, schemes []*policyv1.Scheme, loaded []keys.Loaded, publicURL string, at strictyaml.Place, v *Verification) {
	p, err := provider.Get(w.GetProvider())
	if err != nil {
		return // which has its own error
	}
	s := &shaking{Compiler: c, w: w, at: at, rules: w.GetHandshake(), loaded: loaded, publicURL: publicURL}
	before := c.Faults.Len()
	s.agree(p)
	if c.Faults.Len() > before {
		return
	}
	set := &handshake.Set{}
	for _, h := range p.GetHandshakes() {
		guards, ok := Guards(h, schemes)
		if !ok {
			c.Faults.Fail(at.At("provider"), "the catalogue is wrong: the handshake "+h.GetName()+" could sign what a delivery signs")
			return
		}
		set.Guards = append(set.Guards, guards...)
		if s.answered(h) {
			set.Handshakes = append(set.Handshakes, s.compile(h))
		}
	}
	s.unused()
	if len(set.Handshakes) > 0 {
		v.Handshakes = set
		if slices.ContainsFunc(set.Handshakes, func(h *handshake.Handshake) bool { return h.Verify == handshake.Delivery }) {
			v.Checks = append(v.Checks, &handshake.Check{Set: set, Proven: true})
		}
	}
	if len(set.Handshakes)+len(set.Guards) > 0 {
		v.Checks = append(v.Checks, &handshake.Check{Set: set})
	}
}

// agree looks for what contradicts, and loads the verify token.
func (s *shaking) agree(p *policyv1.Provider) {
	at := s.at.At("handshake")
	switch {
	case s.rules == nil:
		return
	case s.w.GetProvider() == "":
		s.Faults.Fail(at, "needs provider: handshakes are known of entries of the catalogue")
		return
	case len(p.GetHandshakes()) == 0 && p != nil:
		s.Faults.Fail(at, "has no use: nothing is known of handshakes of "+p.GetName())
		return
	}
	off := s.rules.GetMode() == policyv1.WebhookHandshake_OFF
	if t := s.rules.GetVerifyToken(); t != nil {
		if off {
			s.Faults.Fail(at.At("verify_token"), "has no use with mode: OFF")
		}
		s.token = s.Keys.VerifyToken(s.w, t, at.At("verify_token"))
	}
	s.learns(at, off)
}

// answered reports whether the webhook answers the handshake.
func (s *shaking) answered(h *policyv1.Handshake) bool {
	lacks := func(what string) bool {
		s.lacks = append(s.lacks, h.GetName()+" needs "+what)
		return false
	}
	needsToken := needsToken(h)
	s.usesToken = s.usesToken || needsToken
	switch {
	case s.rules.GetMode() == policyv1.WebhookHandshake_OFF:
		return false
	case h.GetRisk() != "" && s.rules.GetMode() != policyv1.WebhookHandshake_ON:
		return false
	case needsToken && s.token == nil:
		return lacks("handshake.verify_token")
	case digests(h) && s.publicURL == "":
		return lacks("public_url, which is part of the answer")
	case h.GetLearns() && s.learner == nil:
		return false // setup_until asks for it
	case h.GetPathEnd() != "" && !s.reaches(h.GetPathEnd()):
		return lacks("a match.path that ends in /** or " + h.GetPathEnd())
	}
	given := scheme.ParametersOf(s.w)
	for _, name := range parametersOf(h) {
		if len(given[name]) == 0 {
			return lacks("parameters: {" + name + ": …}")
		}
	}
	good := true
	eachPiece(h, func(p *policyv1.Handshake_Piece) {
		// It stands in the answer as it is.
		if name := p.GetParameter(); name != "" && !handshake.Token.HasAll(given[name][0]) {
			s.Faults.Fail(s.at.At("parameters", name), "must be letters, digits and _ - . ~ + / =, since it is what "+h.GetName()+" is answered")
			good = false
		}
	})
	if !good {
		return false
	}
	if signs(h) && len(s.macKeys()) == 0 {
		return false // which has its own error
	}
	return true
}

// reaches reports whether requests below the webhook's path can have this end.
func (s *shaking) reaches(end string) bool {
	m := s.w.GetMatch()
	return m.GetExtensionOnly() || strings.HasSuffix(m.GetPath(), "/**") || strings.HasSuffix(m.GetPath(), end)
}

// unused says what has no effect, and what is missing where all handshakes are asked for.
func (s *shaking) unused() {
	at := s.at.At("handshake")
	if s.token != nil && !s.usesToken {
		s.Faults.Fail(at.At("verify_token"), "has no use: "+s.w.GetProvider()+" has no handshake that asks for it")
	}
	if s.rules.GetMode() == policyv1.WebhookHandshake_ON {
		for _, what := range s.lacks {
			s.Faults.Fail(at.At("mode"), what)
		}
	}
}

// macKeys are the webhook's secrets as text.
func (s *shaking) macKeys() []handshake.Key {
	if s.keys == nil {
		for _, k := range s.Keys.DecodeAll(s.loaded, policyv1.Key_TEXT, nil, nil) {
			s.keys = append(s.keys, handshake.Key{ID: k.ID, Cell: k.Cell, NotBefore: k.NotBefore, NotAfter: k.NotAfter})
		}
	}
	return s.keys
}

var verifies = map[policyv1.Handshake_Verify]handshake.Verify{
	policyv1.Handshake_NOTHING: handshake.Nothing, policyv1.Handshake_DELIVERY: handshake.Delivery, policyv1.Handshake_VERIFY_TOKEN: handshake.VerifyToken,
}

func (s *shaking) compile(h *policyv1.Handshake) *handshake.Handshake {
	out := &handshake.Handshake{
		Name: h.GetName(), Method: h.GetMethod().String(), PathEnd: h.GetPathEnd(), Verify: verifies[h.GetVerify()], VerifyQuery: h.GetVerifyQuery(),
		Token: s.token, Challenge: challenge(h.GetChallenge()), Endpoint: s.publicURL, Told: h.GetTold(),
	}
	if signs(h) {
		out.Keys = s.macKeys()
	}
	if h.GetLearns() {
		out.Learner = s.learner
	}
	given := scheme.ParametersOf(s.w)
	for _, a := range h.GetAsked() {
		asked := handshake.Asked{
			Query: a.GetQuery(), Header: strings.ToLower(a.GetHeader()), JSON: a.GetJson(), EmptyList: a.GetEmptyList(), OnlyKey: a.GetOnlyKey(),
			NoBody: a.GetNoBody() != nil, NoHeader: strings.ToLower(a.GetNoHeader()), Values: a.GetValues(),
		}
		if a.GetParameter() != "" {
			asked.Values = given[a.GetParameter()]
		}
		out.Asked = append(out.Asked, asked)
	}
	out.Answer = answer(h.GetAnswer(), given)
	return out
}

func answer(a *policyv1.Handshake_Answer, given scheme.Parameters) handshake.Answer {
	out := handshake.Answer{Status: int(a.GetStatus()), RefusedStatus: int(a.GetRefusedStatus())}
	if out.Status == 0 {
		out.Status = 200
	}
	switch a.GetContentType() {
	case policyv1.Handshake_Answer_TEXT:
		out.ContentType = "text/plain"
	case policyv1.Handshake_Answer_JSON:
		out.ContentType = "application/json"
	default:
	}
	for _, p := range a.GetBody() {
		out.Body = append(out.Body, piece(p, given))
	}
	for _, header := range a.GetHeaders() {
		out.Headers = append(out.Headers, handshake.Header{
			Name: strings.ToLower(header.GetName()), Value: piece(header.GetValue(), given), IfHeader: strings.ToLower(header.GetIfHeader()),
		})
	}
	return out
}

func challenge(c *policyv1.Handshake_Challenge) *handshake.Challenge {
	if c == nil {
		return nil
	}
	return &handshake.Challenge{
		Query: c.GetQuery(), Header: strings.ToLower(c.GetHeader()), JSON: c.GetJson(), Alphabet: alphabet(c),
		Min: int(c.GetMinLength()), Max: int(c.GetMaxLength()),
	}
}

// alphabet is numbered alike in the language and in the code; a test holds it.
func alphabet(c *policyv1.Handshake_Challenge) handshake.Alphabet {
	return handshake.Alphabet(c.GetAlphabet()) //nolint:gosec // the rules bound it
}

func piece(p *policyv1.Handshake_Piece, given scheme.Parameters) handshake.Piece {
	switch kind := p.GetPiece().(type) {
	case *policyv1.Handshake_Piece_Challenge:
		return handshake.Piece{Challenge: true}
	case *policyv1.Handshake_Piece_KeyId:
		return handshake.Piece{KeyID: true}
	case *policyv1.Handshake_Piece_Mac:
		return handshake.Piece{MAC: &handshake.MAC{
			Hash: hash(kind.Mac.GetHash()), Base64: kind.Mac.GetEncoding() == policyv1.Handshake_BASE64, KeyHash: hash(kind.Mac.GetKeyHash()),
		}}
	case *policyv1.Handshake_Piece_Digest:
		return handshake.Piece{Digest: &handshake.Digest{Hash: hash(kind.Digest.GetHash()), Base64: kind.Digest.GetEncoding() == policyv1.Handshake_BASE64}}
	case *policyv1.Handshake_Piece_Parameter:
		return handshake.Piece{Literal: given[kind.Parameter][0]}
	default:
		return handshake.Piece{Literal: p.GetLiteral()}
	}
}

func hash(h policyv1.Handshake_Hash) handshake.Hash {
	switch h {
	case policyv1.Handshake_SHA1:
		return handshake.SHA1
	case policyv1.Handshake_SHA256:
		return handshake.SHA256
	default:
		return 0
	}
}
