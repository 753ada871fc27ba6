package oracle

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
)

// VerifyToken is what Meta was given.
const VerifyToken = "nYc3-8kQz-Lw71-pTe5-vXb2" //nolint:gosec // of handshakes that it makes up itself

// Handshake is a request by which a provider asks whether the endpoint is wanted, nil
// where its page knows none.
func (e *Endpoint) Handshake(r *rand.Rand, now time.Time) *Case {
	c := e.honest(r, now)
	c.Name, c.Reasons = "handshake", []string{"handshake"}
	challenge := hex.EncodeToString([]byte(fmt.Sprintf("%08x", r.Uint32())))
	switch e.Name {
	case "slack":
		c.Request.Body = fmt.Sprintf(`{"token":"t","challenge":"%s","type":"url_verification"}`, challenge)
		c.Answer = challenge
	case "zoom":
		c.Request.Body = fmt.Sprintf(`{"event":"endpoint.url_validation","payload":{"plainToken":"%s"},"event_ts":1}`, challenge)
		c.Answer = fmt.Sprintf(`{"plainToken":"%s","encryptedToken":"%s"}`, challenge, hex.EncodeToString(mac(sha256.New, []byte(c.Key.Secret), challenge)))
	case "discord":
		c.Request.Body = fmt.Sprintf(`{"type":1,"token":"%s","application_id":"1"}`, challenge)
		c.Answer = `{"type":1}`
	case "meta":
		c.Request.Method, c.Request.Body, c.Request.Headers = http.MethodGet, "", nil
		c.Request.Target = fmt.Sprintf("/meta?hub.mode=subscribe&hub.challenge=%s&hub.verify_token=%s", challenge, VerifyToken)
		c.Answer = challenge
		return c
	default:
		return nil
	}
	e.Sign(c.Request, c.Key, now)
	return c
}
