// Package jose reads JSON Web Signatures in compact form (RFC 7515, 7519) and says
// whether a key made one.
//
// A token is read with two dots and no more, strict base64url, and JSON in which no
// key stands twice: what two parsers could read in two ways is refused. Its header
// chooses nothing: an algorithm counts only if the caller lists it and the key is of
// its family, so that a public key never keys an HMAC. crit is refused; jku, x5u
// and jwk are never followed, and x5c counts only by [Chain].
//
// A token is at most [MaxToken] or what the caller allows, its header at most
// [maxHeader], its claims at most 10,000 keys and values. There is no encryption
// (RFC 7516), no compression and no nesting.
//
// It does not say what a token's claims mean, nor whether it came before.
package jose

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"github.com/hookbastion/hookbastion/authz"
)

// MaxToken is the size of the largest token in a header or a query, in bytes.
const MaxToken = 8 << 10

// maxHeader is the size of the largest header of a token in base64url, in bytes:
// room for three certificates.
const maxHeader = 32 << 10

// Errors of Parse.
var (
	ErrMalformed = errors.New("not a token in compact form")
	ErrAlgorithm = errors.New("an algorithm that does not exist here")
	ErrCritical  = errors.New("critical extensions")
)

// Token is one whose header was read. Nothing of it is to be believed before its
// signature has been verified.
type Token struct {
	Header    Members
	Algorithm Algorithm
	// KeyID is kid of the header; empty if there is none.
	KeyID string
	// Claims are nil before ReadClaims.
	Claims Members
	// Signed is the header in base64url, a dot, and the payload in base64url.
	Signed    string
	Signature []byte

	payload string
}

var parser = jwt.NewParser(jwt.WithStrictDecoding(), jwt.WithJSONNumber())

// Parse reads a token with a payload, which it leaves as it is: that may be large, and
// most that strangers send fails by its signature.
func Parse(text string) (*Token, error) { return parse(text, false) }

// ParseDetached reads a token whose payload is elsewhere (RFC 7515 appendix F). One
// that has a payload is an error: the copy that it holds would be verified, and
// another one used.
func ParseDetached(text string) (*Token, error) { return parse(text, true) }

func parse(text string, detached bool) (*Token, error) {
	// The decoder would skip line breaks.
	if strings.Count(text, ".") != 2 || strings.ContainsAny(text, "\r\n") {
		return nil, ErrMalformed
	}
	first, last := strings.IndexByte(text, '.'), strings.LastIndexByte(text, '.')
	if first > maxHeader || len(text)-last > maxHeader || detached != (first+1 == last) {
		return nil, ErrMalformed
	}
	token, parts, err := parser.ParseUnverified(text[:first]+".e30"+text[last:], jwt.MapClaims{})
	if errors.Is(err, jwt.ErrTokenUnverifiable) {
		return nil, ErrAlgorithm
	}
	if err != nil {
		return nil, ErrMalformed
	}
	if _, ok := object(parts[0]); !ok {
		return nil, ErrMalformed
	}
	if _, critical := token.Header["crit"]; critical {
		return nil, ErrCritical
	}
	t := &Token{Header: Members(token.Header), Signed: text[:last], Signature: token.Signature, payload: text[first+1 : last]}
	if t.Algorithm = Algorithm(token.Method.Alg()); !t.Algorithm.known() {
		return nil, ErrAlgorithm
	}
	if id, there := token.Header["kid"]; there {
		var isText bool
		if t.KeyID, isText = id.(string); !isText {
			return nil, ErrMalformed
		}
	}
	return t, nil
}

// ReadClaims reads the payload, which must be one JSON object.
func (t *Token) ReadClaims() error {
	raw, ok := object(t.payload)
	if !ok {
		return ErrMalformed
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	return decoder.Decode(&t.Claims)
}

// object returns the JSON object of a part, if all parsers read it alike.
func object(part string) (raw []byte, ok bool) {
	raw, err := parser.DecodeSegment(part)
	return raw, err == nil && len(raw) > 0 && raw[0] == '{' && authz.UniqueJSON(raw)
}
