// Command go is an application behind the gateway: it takes a delivery only
// with an assertion for itself, of this very body, that has not expired.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// maxBody is the longest delivery, as in Envoy's max_request_bytes.
const maxBody = 1 << 20

// claims are what the gateway says of a delivery.
type claims struct {
	jwt.RegisteredClaims
	Webhook    string `json:"webhook"`
	Tenant     string `json:"tenant"`
	KeyID      string `json:"key_id"`
	Verified   string `json:"verified"`
	BodySHA256 string `json:"body_sha256"`
}

// application takes deliveries.
type application struct {
	keys   *keySet
	parser *jwt.Parser
}

func newApplication(keys *keySet, issuer, audience string) *application {
	return &application{keys: keys, parser: jwt.NewParser(
		jwt.WithValidMethods([]string{"EdDSA", "ES256"}),
		jwt.WithIssuer(issuer),
		jwt.WithAudience(audience),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithLeeway(5*time.Second), // clocks differ
		jwt.WithStrictDecoding(),
	)}
}

// ServeHTTP answers 403 to whatever did not come through the gateway.
func (a *application) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "", http.StatusRequestEntityTooLarge)
		return
	}
	delivery, err := a.verify(r.Header.Values("X-Hookbastion-Assertion"), body)
	if err != nil {
		log.Printf("refused: %v", err)
		http.Error(w, "", http.StatusForbidden)
		return
	}
	_, _ = fmt.Fprintf(w, "received %s of %s, decision %s\n", delivery.Verified, delivery.Webhook, delivery.ID)
}

// verify returns what the gateway says of the delivery.
func (a *application) verify(assertions []string, body []byte) (*claims, error) {
	if len(assertions) != 1 {
		return nil, fmt.Errorf("%d assertions", len(assertions))
	}
	c := &claims{}
	token, err := a.parser.ParseWithClaims(assertions[0], c, a.keys.find)
	if err != nil {
		return nil, err
	}
	if token.Header["typ"] != "hookbastion+jwt" {
		return nil, errors.New("a token of another kind")
	}
	if digest := sha256.Sum256(body); c.BodySHA256 != hex.EncodeToString(digest[:]) {
		return nil, errors.New("an assertion of another body")
	}
	return c, nil
}

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "address and port")
	url := flag.String("keys", "http://127.0.0.1:9002/.well-known/jwks.json", "where the gateway publishes its keys")
	issuer := flag.String("issuer", "hookbastion", "assertion.issuer in the gateway's settings")
	audience := flag.String("audience", "", "assertion.audience in the webhook's policy")
	refetch := flag.Duration("refetch", 10*time.Second, "how long an unknown key id does not fetch the keys again")
	flag.Parse()
	if *audience == "" {
		log.Fatal("-audience is missing")
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("listening on %s", l.Addr())
	server := &http.Server{
		Handler:           newApplication(&keySet{url: *url, refetch: *refetch}, *issuer, *audience),
		ReadHeaderTimeout: 5 * time.Second,
	}
	log.Fatal(server.Serve(l))
}
