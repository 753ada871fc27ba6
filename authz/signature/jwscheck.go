package signature

import (
	"github.com/hookbastion/hookbastion/authz"
)

// TokenCheck asks for a token before a signature is looked at, or where a token is all
// that there is. It is safe for concurrent use.
type TokenCheck struct {
	Scheme *JWS
	// Fingerprinter makes the replay key; nil where a signature does.
	Fingerprinter *authz.Fingerprinter
}

// Stage returns StageToken.
func (c *TokenCheck) Stage() authz.Stage { return authz.StageToken }

// Run verifies the token.
func (c *TokenCheck) Run(call *authz.Call) authz.Reason {
	if !c.Scheme.Present(call.Request) {
		if call.Explanation != nil {
			call.Explain(c.Scheme.Place(), "none")
		}
		return authz.TokenMissing
	}
	if reason := c.Scheme.Verify(call, c.Fingerprinter); reason != authz.OK {
		return reason
	}
	return readOneWay(call, c.Scheme)
}

// Sign gives the request a token.
func (c *TokenCheck) Sign(req *authz.Request, s authz.Signing) bool { return c.Scheme.Sign(req, s) }

// WantsForm reports false.
func (c *TokenCheck) WantsForm() bool { return false }
