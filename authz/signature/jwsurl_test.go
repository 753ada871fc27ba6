package signature_test

import (
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/jose"
	"github.com/hookbastion/hookbastion/authz/signature"
)

// aud must be the URL where it is there, and may be missing only where the scheme
// says so.
func TestOptionalAudience(t *testing.T) {
	for _, optional := range []bool{false, true} {
		j := jws(t, func(c *signature.JWSConfig) {
			*c = signature.JWSConfig{
				Place: signature.TokenPlace{Header: "authorization"}, Algorithms: []jose.Algorithm{"HS256"}, Expires: true,
				AudienceURL: true, AudienceOptional: optional, PublicURL: "https://hooks.example.com/pre",
			}
		})
		without := authz.TokenInvalid
		if optional {
			without = authz.OK
		}
		const absent = "-"
		for _, c := range []struct {
			path string
			aud  any
			want authz.Reason
		}{
			{"/h", "https://hooks.example.com/pre/h", authz.OK},
			{"/h?x=1", "https://hooks.example.com/pre/h", authz.OK},
			{"/h?x=1", []string{"https://other.example", "https://hooks.example.com/pre/h?x=1"}, authz.OK},
			{"/", "https://hooks.example.com/pre", authz.OK},
			{"/h", "https://hooks.example.com/h", authz.TokenInvalid},
			{"/h", "https://hooks.example.com/pre", authz.TokenInvalid},
			{"/h", "", authz.TokenInvalid},
			{"/h", nil, authz.TokenInvalid},
			{"/h", 7, authz.TokenInvalid},
			{"/h", absent, without},
		} {
			claims := jwt.MapClaims{"exp": now.Unix() + 60, "aud": c.aud}
			if c.aud == absent {
				delete(claims, "aud")
			}
			req := sent{target: c.path}.request()
			req.Set("authorization", signedToken(t, jwt.SigningMethodHS256, nil, claims))
			if reason, _ := run(j, req); reason != c.want {
				t.Errorf("optional %v, aud %v at %s: %s, want %s", optional, c.aud, c.path, reason, c.want)
			}
		}
	}
}
