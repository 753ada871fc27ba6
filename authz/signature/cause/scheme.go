package cause

import (
	"strings"

	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/signature"
)

// schemes are trials of how the content was signed, and of where the signature stands.
func (x *search) schemes() []trial {
	if x.content.Config().Algorithm.Kind != 0 {
		return nil
	}
	all := x.contents()
	all = append(all, x.written()...)
	all = append(all, x.headers()...)
	return append(all, x.named()...)
}

var (
	hashes    = []signature.Hash{signature.SHA256, signature.SHA512, signature.SHA1, signature.MD5}
	encodings = []signature.Encoding{signature.Hex, signature.Base64, signature.Base64URL}
)

// written are other hashes and encodings.
func (x *search) written() []trial {
	var all []trial
	now := x.content.Config()
	for _, hash := range hashes {
		for _, encoding := range encodings {
			if hash == now.Hash && encoding == now.Encoding {
				continue
			}
			id, says := "scheme_hash", "it was signed with "+hash.String()+", and "+now.Hash.String()+" is expected"
			if hash == now.Hash {
				id, says = "scheme_encoding", "the signature is written in "+encoding.String()+", and "+now.Encoding.String()+" is expected"
			}
			all = append(all, trial{Cause: Cause{id, says, "let the sender sign as its page says, or write out its scheme in the policy"}, kind: ofScheme, config: func(c *signature.Config) bool {
				c.Hash, c.Encoding = hash, encoding
				return true
			}})
		}
	}
	if now.Grammar == signature.Prefix {
		all = append(all, trial{Cause: Cause{"scheme_prefix", "the signature stands there without " + now.Prefix, "let the sender write it, or say prefix_optional in the scheme"}, kind: ofScheme, config: func(c *signature.Config) bool {
			c.Grammar = signature.Bare
			return true
		}})
	}
	if now.Grammar == signature.Bare {
		for _, hash := range hashes {
			prefix := strings.ToLower(strings.TrimPrefix(hash.String(), "HMAC-")) + "="
			all = append(all, trial{Cause: Cause{"scheme_prefix", "the signature stands behind " + prefix, "say grammar: PREFIX in the scheme"}, kind: ofScheme, config: func(c *signature.Config) bool {
				c.Grammar, c.Prefix, c.Hash = signature.Prefix, prefix, hash
				return true
			}})
		}
	}
	return all
}

// contents are other contents of the same parts.
func (x *search) contents() []trial {
	if c := x.content.Config(); c.BodyDigest.Query != "" || !c.SignsBody() {
		return nil // the body is bound elsewhere, and any other content would leave it out
	}
	body, stamp := signature.Part{Kind: signature.Body}, signature.Part{Kind: signature.Timestamp}
	text := func(s string) signature.Part { return signature.Part{Kind: signature.Literal, Text: s} }
	method, path, address := signature.Part{Kind: signature.Method}, signature.Part{Kind: signature.Path}, signature.Part{Kind: signature.URL}
	choices := []struct {
		says string
		part []signature.Part
	}{
		{"the body alone", []signature.Part{body}},
		{"time and body with nothing between", []signature.Part{stamp, body}},
		{"time, dot and body", []signature.Part{stamp, text("."), body}},
		{"time, colon and body", []signature.Part{stamp, text(":"), body}},
		{"time, line feed and body", []signature.Part{stamp, text("\n"), body}},
		{"body and time with nothing between", []signature.Part{body, stamp}},
		{"body, dot and time", []signature.Part{body, text("."), stamp}},
		{"v0, time and body with colons between", []signature.Part{text("v0:"), stamp, text(":"), body}},
		{"URL and body", []signature.Part{address, body}},
		{"path and body", []signature.Part{path, body}},
		{"method, path and body", []signature.Part{method, path, body}},
		{"body and URL", []signature.Part{body, address}},
		{"the URL alone", []signature.Part{address}},
		{"the path alone", []signature.Part{path}},
		{"the time alone", []signature.Part{stamp}},
	}
	timed := x.content.Config().Time.Unit != 0
	var all []trial
	for _, choice := range choices {
		needs := false
		for _, p := range choice.part {
			needs = needs || p.Kind == signature.Timestamp
		}
		if needs && !timed {
			continue
		}
		all = append(all, trial{Cause: Cause{"scheme_content", "what was signed is " + choice.says, "let the sender sign what its page says, or write out its scheme in the policy"}, kind: ofScheme, config: func(c *signature.Config) bool {
			c.Content = choice.part
			if !needs {
				c.Time = withoutHeader(c.Time)
			}
			return true
		}})
	}
	return all
}

// withoutHeader is a time that need not be there, where a header of its own has it.
func withoutHeader(t signature.Time) signature.Time {
	if t.Header != "" {
		return signature.Time{}
	}
	return t
}

// headers are other places of the signature: any header of the request that could hold it.
func (x *search) headers() []trial {
	now := x.content.Config()
	var all []trial
	for i := range x.Request.Headers {
		name := string(x.Request.Headers[i].Name)
		if len(x.Request.Headers[i].Value) < 16 || len(now.Headers) > 0 && now.Headers[0] == name {
			continue
		}
		says := "the signature stands in " + name
		if len(now.Headers) > 0 {
			says += ", and " + now.Headers[0] + " is expected"
		}
		c := Cause{"scheme_header", says, "let nothing on the way rename headers, or write out the sender's scheme in the policy"}
		place := func(c *signature.Config) { c.Headers, c.JSON, c.Field, c.Query = []string{name}, "", "", "" }
		all = append(all, trial{Cause: c, kind: ofScheme, config: func(c *signature.Config) bool { place(c); return true }})
		for _, hash := range hashes {
			for _, encoding := range encodings {
				for _, prefix := range []string{"", strings.ToLower(strings.TrimPrefix(hash.String(), "HMAC-")) + "="} {
					all = append(all, trial{Cause: c, kind: ofScheme, rare: true, config: func(c *signature.Config) bool {
						place(c)
						c.Hash, c.Encoding, c.Grammar, c.Prefix = hash, encoding, signature.Bare, prefix
						if prefix != "" {
							c.Grammar = signature.Prefix
						}
						return true
					}})
				}
			}
		}
	}
	return all
}

// named are the schemes of other providers, with the webhook's keys.
func (x *search) named() []trial {
	var all []trial
	for _, other := range x.Schemes {
		var keys []signature.Key
		for _, own := range x.Own {
			for _, decode := range []secret.Accept{other.Decode, own.Decode} {
				if decode == nil {
					continue
				}
				if key, err := decode(own.Text); err == nil {
					keys = append(keys, signature.Key{ID: own.ID, Secret: key})
				}
			}
		}
		if len(keys) == 0 {
			continue
		}
		all = append(all, trial{
			Cause: Cause{"scheme_of_provider", "it holds as a delivery of " + other.Name, other.Mend},
			kind:  ofScheme, keys: keys, config: func(c *signature.Config) bool {
				public := c.PublicURL
				*c = *other.Config
				c.PublicURL = public
				return true
			},
		})
	}
	return all
}
