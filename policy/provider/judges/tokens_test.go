package judges_test

import (
	"crypto"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// token is the JSON Web Token of a delivery.
type token struct {
	t              *testing.T
	text           string
	header, claims map[string]any
	put            func(text string) *delivery // into a copy of the delivery
	// What signs it: a shared secret, or a private key whose public one is secret.
	secret  string
	private crypto.Signer
}

// tokenOf finds it. One that is detached has no claims.
func tokenOf(t *testing.T, j *judge, jws *policyv1.Jws, d *delivery, secret string) *token {
	t.Helper()
	k := &token{t: t, secret: secret}
	if j.pair != nil {
		k.private, k.secret = j.pair.private.(steady).Signer, j.pair.public
	}
	body := func(text string) *delivery {
		c := d.clone()
		c.body = []byte(text)
		return c
	}
	switch name := strings.ToLower(jws.GetHeader()); {
	case jws.GetWholeBody():
		k.text, k.put = string(d.body), body
	case strings.HasSuffix(jws.GetJson(), "[]"):
		name := strings.TrimSuffix(jws.GetJson(), "[]")
		members := map[string][]string{}
		k.decode(d.body, &members)
		k.text = members[name][0]
		k.put = func(text string) *delivery { return body(fmt.Sprintf(`{%q:[%q]}`, name, text)) }
	case jws.GetJson() != "":
		members := map[string]string{}
		k.decode(d.body, &members)
		k.text = members[jws.GetJson()]
		k.put = func(text string) *delivery { return body(fmt.Sprintf(`{%q:%q}`, jws.GetJson(), text)) }
	default:
		value := d.get(name)
		at := strings.LastIndexByte(value, ' ') + 1
		k.text = value[at:]
		k.put = func(text string) *delivery { return d.with(name, value[:at]+text) }
	}
	parts := strings.Split(k.text, ".")
	k.decode(k.bytes(parts[0]), &k.header)
	if parts[1] != "" {
		k.decode(k.bytes(parts[1]), &k.claims)
	}
	return k
}

func (k *token) bytes(part string) []byte {
	k.t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		k.t.Fatal(err)
	}
	return text
}

func (k *token) decode(text []byte, into any) {
	k.t.Helper()
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		k.t.Fatal(err)
	}
}

// sign signs a header and claims, which may be no JSON, by an algorithm. HMAC takes the
// secret as it is, also where that is a public key.
func (k *token) sign(method jwt.SigningMethod, header, claims string) string {
	k.t.Helper()
	var key any = k.private
	switch _, isMAC := method.(*jwt.SigningMethodHMAC); {
	case method == jwt.SigningMethodNone:
		key = jwt.UnsafeAllowNoneSignatureType
	case isMAC:
		key = []byte(k.secret)
	}
	content := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	signature, err := method.Sign(content, key)
	if err != nil {
		k.t.Fatal(err)
	}
	return content + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func (k *token) json(members map[string]any) string {
	k.t.Helper()
	text, err := json.Marshal(members)
	if err != nil {
		k.t.Fatal(err)
	}
	return string(text)
}

// with returns a copy of members with another one; nil takes it away.
func with(members map[string]any, name string, value any) map[string]any {
	c := maps.Clone(members)
	c[name] = value
	if value == nil {
		delete(c, name)
	}
	return c
}

// method is the algorithm that the token names.
func (k *token) method() jwt.SigningMethod { return jwt.GetSigningMethod(fmt.Sprint(k.header["alg"])) }

// signedBy is the token, signed by another algorithm, which it names.
func (k *token) signedBy(method jwt.SigningMethod) string {
	return k.sign(method, k.json(with(k.header, "alg", method.Alg())), k.json(k.claims))
}

// tokenCases are JSON Web Tokens with other claims, signed with the right key.
func tokenCases(t *testing.T, j *judge, s *policyv1.NamedScheme, signed *delivery) []testCase {
	t.Helper()
	jws := s.GetScheme().GetJws()
	if jws == nil {
		return nil
	}
	k := tokenOf(t, j, jws, signed, j.secretFor(s))
	list := k.textCases()
	if k.claims != nil {
		list = append(list, k.algorithmCases()...)
		list = append(list, k.headerCases()...)
		list = append(list, k.claimCases()...)
	}
	for _, seconds := range []int{-3600, -301, -91, -61, -31, -6, -5, -1, 1, 5, 59, 60, 61, 64, 65, 66, 91, 151, 301, 3600} {
		name := fmt.Sprintf("time: %ds later", seconds)
		list = append(list, testCase{name: name, delivery: signed, now: signedAt.Add(time.Duration(seconds) * time.Second)})
	}
	return list
}

// textCases write the same token in other ways.
func (k *token) textCases() []testCase {
	var list []testCase
	parts := strings.Split(k.text, ".")
	for _, c := range []struct{ name, text string }{
		{"padding", k.text + strings.Repeat("=", (4-len(parts[2])%4)%4)},
		{"too much padding", k.text + "===="},
		{"base64 for texts", strings.NewReplacer("-", "+", "_", "/").Replace(k.text)},
		{"other unused bits", parts[0] + "." + parts[1] + "." + otherBits(parts[2])},
		{"a line break behind", k.text + "\n"},
		{"four parts", k.text + "."},
		{"two parts", parts[0] + "." + parts[1]},
		{"no signature", parts[0] + "." + parts[1] + "."},
		{"a signature of zeros", parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2]))},
	} {
		if c.text != k.text && (c.name != "other unused bits" || len(parts[2])%4 != 0) && strings.TrimSpace(c.text) == c.text {
			list = append(list, testCase{name: "token: " + c.name, delivery: k.put(c.text)})
		}
	}
	return list
}

// algorithmCases sign by other algorithms.
func (k *token) algorithmCases() []testCase {
	methods := []jwt.SigningMethod{jwt.SigningMethodHS256, jwt.SigningMethodHS384, jwt.SigningMethodHS512, jwt.SigningMethodNone}
	if _, isRSA := k.private.(*rsa.PrivateKey); isRSA {
		methods = append(methods, jwt.SigningMethodRS256, jwt.SigningMethodRS384, jwt.SigningMethodPS256)
	}
	var list []testCase
	for _, method := range methods {
		if method != k.method() {
			list = append(list, testCase{name: "token: signed with " + method.Alg(), delivery: k.put(k.signedBy(method))})
		}
	}
	return list
}

// headerCases change the header.
func (k *token) headerCases() []testCase {
	if k.private == nil {
		return nil
	}
	var list []testCase
	add := func(name, header string) {
		list = append(list, testCase{name: "token: header with " + name, delivery: k.put(k.sign(k.method(), header, k.json(k.claims)))})
	}
	header := k.json(k.header)
	add("crit", k.json(with(k.header, "crit", []string{"exp"})))
	add("an unencoded payload", k.json(with(with(k.header, "b64", false), "crit", []string{"b64"})))
	add("jku", k.json(with(k.header, "jku", "https://attacker.example/jwks")))
	add("x5u", k.json(with(k.header, "x5u", "https://attacker.example/x5u")))
	add("jwk", k.json(with(k.header, "jwk", map[string]any{"kty": "oct", "k": "AAAA"})))
	add("another kid", k.json(with(k.header, "kid", "another")))
	add("no kid", k.json(with(k.header, "kid", nil)))
	add("no alg", k.json(with(k.header, "alg", nil)))
	add("alg as list", k.json(with(k.header, "alg", []string{k.method().Alg()})))
	add("no typ", k.json(with(k.header, "typ", nil)))
	add("zip", k.json(with(k.header, "zip", "DEF")))
	add("alg twice", `{"alg":"none",`+header[1:])
	add("text behind", header+" x")
	return list
}

// claimCases change the claims.
func (k *token) claimCases() []testCase {
	var list []testCase
	header := k.json(k.header)
	add := func(name, claims string) {
		list = append(list, testCase{name: "token: " + name, delivery: k.put(k.sign(k.method(), header, claims))})
	}
	with := func(name string, value any) string { return k.json(with(k.claims, name, value)) }
	for _, name := range slices.Sorted(maps.Keys(k.claims)) {
		add("without "+name, with(name, nil))
		switch value := k.claims[name].(type) {
		case string:
			add(name+" in capitals", with(name, strings.ToUpper(value)))
			add(name+" empty", with(name, ""))
		case json.Number:
			for _, seconds := range []int64{-3600, -301, -61, -5, 5, 61, 301, 3600} {
				add(fmt.Sprintf("%s %+ds", name, seconds), with(name, signedAt.Unix()+seconds))
			}
			add(name+" as text", with(name, value.String()))
			add(name+" with a fraction", with(name, json.Number(value.String()+".5")))
		case bool:
			add(name+" turned over", with(name, !value))
			add(name+" as text", with(name, fmt.Sprint(value)))
		}
	}
	if k.private == nil {
		return list
	}
	claims := k.json(k.claims)
	add("aud as list", with("aud", []any{"another", k.claims["aud"]}))
	add("aud of others", with("aud", []any{"another"}))
	add("a claim twice", `{"exp":1,"iss":"another",`+claims[1:])
	add("claims with text behind", claims+" x")
	add("claims as list", "["+claims+"]")
	add("claims not UTF-8", `{"x":"`+"\xff"+`",`+claims[1:])
	add("exp with an exponent", with("exp", json.Number("1.80000006e9")))
	add("exp that is huge", with("exp", json.Number("1e300")))
	add("exp below zero", with("exp", -1))
	return list
}

// issuer puts the account's id into the token, which a policy does not know and
// sign therefore leaves out.
func issuer(name string) func(*testing.T, *delivery, string) *delivery {
	return func(t *testing.T, d *delivery, secret string) *delivery {
		t.Helper()
		k := tokenOf(t, &judge{}, &policyv1.Jws{Header: "authorization"}, d, secret)
		return k.put(k.sign(k.method(), k.json(k.header), k.json(with(k.claims, "iss", name))))
	}
}
