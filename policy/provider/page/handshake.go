package page

import (
	"fmt"
	"strings"

	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// handshake says what a provider asks before it delivers, what it is answered, and what
// the policy needs for that.
func (to *writer) handshake(h *policyv1.Handshake) {
	to.heading("## ", fmt.Sprintf("Handshake `%s`", h.GetName()))
	text := h.GetText()
	if h.GetRisk() != "" {
		text += " It is answered only where the policy asks for it: " + h.GetRisk()
	}
	to.paragraph(text)
	refused := ""
	if status := h.GetAnswer().GetRefusedStatus(); status != 0 {
		refused = fmt.Sprint(status)
	}
	to.table([][2]string{
		{"request", askedWords(h)}, {"challenge", challengeWords(h.GetChallenge())}, {"first", verifyWords(h)},
		{"answer", answerWords(h.GetAnswer())}, {"if it fails", refused}, {"policy", SetUp(h)},
	})
	to.paragraph("Read in: " + h.GetSource())
}

func askedWords(h *policyv1.Handshake) string {
	words := []string{h.GetMethod().String()}
	if end := h.GetPathEnd(); end != "" {
		words = append(words, "a path that ends in "+end)
	}
	for _, a := range h.GetAsked() {
		words = append(words, askedPlace(a)+askedValue(a))
	}
	return strings.Join(words, ", ")
}

func askedPlace(a *policyv1.Handshake_Asked) string {
	switch place := a.GetPlace().(type) {
	case *policyv1.Handshake_Asked_Query:
		return "query " + place.Query
	case *policyv1.Handshake_Asked_Header:
		return "header " + place.Header
	case *policyv1.Handshake_Asked_Json:
		return place.Json + " of the JSON body"
	case *policyv1.Handshake_Asked_EmptyList:
		return "an empty list " + place.EmptyList + " in the JSON body"
	case *policyv1.Handshake_Asked_OnlyKey:
		return "a JSON object with the key " + place.OnlyKey + " alone"
	case *policyv1.Handshake_Asked_NoHeader:
		return "no header " + place.NoHeader
	default:
		return "no body"
	}
}

func askedValue(a *policyv1.Handshake_Asked) string {
	switch {
	case a.GetParameter() != "":
		return " is the parameter " + a.GetParameter()
	case len(a.GetValues()) > 0:
		return " is " + strings.Join(a.GetValues(), " or ")
	default:
		return ""
	}
}

var alphabetWords = map[policyv1.Handshake_Challenge_Alphabet]string{
	policyv1.Handshake_Challenge_WORD: "letters, digits, _ and -", policyv1.Handshake_Challenge_DIGITS: "digits",
	policyv1.Handshake_Challenge_HEX: "hexadecimal digits", policyv1.Handshake_Challenge_TOKEN: "letters, digits and _ - . ~ + / =",
	policyv1.Handshake_Challenge_TEXT: "printable ASCII without markup and quotes", policyv1.Handshake_Challenge_HOST: "letters, digits and . - : *",
	policyv1.Handshake_Challenge_PADDED: "letters, digits, _ - and =",
}

func challengeWords(c *policyv1.Handshake_Challenge) string {
	if c == nil {
		return ""
	}
	place := askedPlace(&policyv1.Handshake_Asked{Place: &policyv1.Handshake_Asked_Json{Json: c.GetJson()}})
	if c.GetQuery() != "" {
		place = "query " + c.GetQuery()
	} else if c.GetHeader() != "" {
		place = "header " + c.GetHeader()
	}
	return fmt.Sprintf("%s: %d to %d of %s", place, max(c.GetMinLength(), 1), c.GetMaxLength(), alphabetWords[c.GetAlphabet()])
}

func verifyWords(h *policyv1.Handshake) string {
	switch h.GetVerify() {
	case policyv1.Handshake_DELIVERY:
		return "all that a delivery must prove"
	case policyv1.Handshake_VERIFY_TOKEN:
		return "query " + h.GetVerifyQuery() + " is handshake.verify_token"
	default:
		return "nothing: the provider proves nothing here"
	}
}

func answerWords(a *policyv1.Handshake_Answer) string {
	words := fmt.Sprint(max(a.GetStatus(), 200))
	switch a.GetContentType() {
	case policyv1.Handshake_Answer_TEXT:
		words += ", text/plain: "
	case policyv1.Handshake_Answer_JSON:
		words += ", application/json: "
	default:
		words += ", no body"
	}
	for _, p := range a.GetBody() {
		words += pieceWords(p)
	}
	for _, h := range a.GetHeaders() {
		words += ", " + h.GetName() + ": " + pieceWords(h.GetValue())
	}
	return words
}

func pieceWords(p *policyv1.Handshake_Piece) string {
	switch kind := p.GetPiece().(type) {
	case *policyv1.Handshake_Piece_Challenge:
		return "{challenge}"
	case *policyv1.Handshake_Piece_KeyId:
		return "{id of the secret}"
	case *policyv1.Handshake_Piece_Mac:
		key := "secret"
		if kind.Mac.GetKeyHash() != 0 {
			key = kind.Mac.GetKeyHash().String() + " of the secret"
		}
		return fmt.Sprintf("{HMAC-%s of the challenge with the %s, %s}", kind.Mac.GetHash(), key, kind.Mac.GetEncoding())
	case *policyv1.Handshake_Piece_Digest:
		return fmt.Sprintf("{%s of challenge, verify token and URL, %s}", kind.Digest.GetHash(), kind.Digest.GetEncoding())
	case *policyv1.Handshake_Piece_Parameter:
		return "{parameter " + kind.Parameter + "}"
	default:
		return p.GetLiteral()
	}
}

// SetUp is what a policy must say.
func SetUp(h *policyv1.Handshake) string {
	var inside, beside []string
	if h.GetRisk() != "" {
		inside = append(inside, "mode: ON")
	}
	needsToken := h.GetVerify() == policyv1.Handshake_VERIFY_TOKEN
	parameters := []string{}
	pieces := h.GetAnswer().GetBody()
	for _, p := range pieces {
		needsToken = needsToken || p.GetDigest() != nil
		if p.GetParameter() != "" {
			parameters = append(parameters, p.GetParameter()+": …")
		}
	}
	for _, a := range h.GetAsked() {
		if a.GetParameter() != "" {
			parameters = append(parameters, a.GetParameter()+": …")
		}
	}
	if needsToken {
		inside = append(inside, "verify_token: {file: …}")
	}
	if h.GetLearns() {
		inside = append(inside, "setup_until: …", "learnt: {file: …}")
	}
	if len(inside) > 0 {
		beside = append(beside, "handshake: {"+strings.Join(inside, ", ")+"}")
	}
	if len(parameters) > 0 {
		beside = append(beside, "parameters: {"+strings.Join(parameters, ", ")+"}")
	}
	if h.GetPathEnd() != "" {
		beside = append(beside, "a match.path that ends in /**")
	}
	if len(beside) == 0 {
		return "nothing"
	}
	return strings.Join(beside, "; ")
}
