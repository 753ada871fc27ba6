package httpsig

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/dunglas/httpsfv"

	"github.com/hookbastion/hookbastion/authz"
)

// New returns a signature that covers the components, without its value, for
// deliveries that are made for tests. Parameters that are empty are left out.
func New(label string, components []Component, p Params, d Dialect) *Signature {
	s := &Signature{Label: label, Params: p, dialect: d}
	params := httpsfv.NewParams()
	if p.HasCreated {
		params.Add("created", p.Created)
	}
	if p.HasExpires {
		params.Add("expires", p.Expires)
	}
	for _, text := range []struct{ name, value string }{{"nonce", p.Nonce}, {"keyid", p.KeyID}, {"alg", p.Alg}, {"tag", p.Tag}} {
		if text.value != "" {
			params.Add(text.name, text.value)
		}
	}
	for _, c := range components {
		item, err := httpsfv.UnmarshalItem([]string{c.identifier})
		if err != nil {
			panic(err) // it was read from the same form
		}
		s.list.Items, s.components = append(s.list.Items, item), append(s.components, c.component)
	}
	s.list.Params = params
	return s
}

// Set gives the request the signature in its two fields.
func (s *Signature) Set(req *authz.Request) error {
	list, err := httpsfv.Marshal(s.list)
	if err != nil {
		return fmt.Errorf("parameters of a signature: %w", err)
	}
	req.Set("signature-input", s.Label+"="+list)
	req.Set("signature", s.Label+"=:"+s.dialect.encode(s.Value)+":")
	return nil
}

func (d Dialect) encode(value []byte) string {
	if d.Base64URL {
		return base64.RawURLEncoding.EncodeToString(value)
	}
	return base64.StdEncoding.EncodeToString(value)
}

// Set gives the request the signature in the header, which is as in ReadCavage.
func (c *Cavage) Set(req *authz.Request, header string) {
	text := fmt.Sprintf(`keyId="%s",algorithm="%s",headers="%s",signature="%s"`,
		c.KeyID, c.Algorithm, strings.Join(c.Headers, " "), base64.StdEncoding.EncodeToString(c.Value))
	if c.HasCreated {
		text += fmt.Sprintf(",created=%d", c.Created)
	}
	if header == "authorization" {
		text = "Signature " + text
	}
	req.Set(header, text)
}
