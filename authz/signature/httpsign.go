package signature

import (
	"crypto/hmac"
	"crypto/sha256"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/httpsig"
	"github.com/hookbastion/hookbastion/authz/publickey"
)

// signedFor is how long a signature that is made is good for.
const signedFor = time.Minute

// Sign makes the request a valid delivery. Fields that must be covered and that it
// lacks are made by NewID.
func (h *HTTP) Sign(req *authz.Request, with authz.Signing) bool {
	k := h.keys.named(with)
	if k == nil {
		return false
	}
	algorithm, ok := h.algorithmFor(k, with)
	if !ok {
		return false
	}
	components := h.sign(req, with)
	params := httpsig.Params{HasKeyID: true, KeyID: k.nameFor(with), Tag: h.config.Tag}
	if h.config.Time != Date {
		params.Created, params.HasCreated = with.Now.Unix(), true
	}
	if h.config.Expires {
		params.Expires, params.HasExpires = with.Now.Add(signedFor).Unix(), true
	}
	if h.config.Nonce {
		params.Nonce = with.NewID()
	}
	if h.config.Cavage != "" {
		return h.signCavage(req, k, algorithm, components, params, with)
	}
	label := h.config.Label
	if label == "" {
		label = "sig1"
	}
	s := httpsig.New(label, components, params, h.config.Dialect)
	base, problem := s.Base(h.message(req))
	if problem.Exists() {
		return false
	}
	if s.Value, ok = algorithm.sign(k, base, with); !ok {
		return false
	}
	return s.Set(req) == nil
}

// sign adds what is covered and is not there, and returns what is covered.
func (h *HTTP) sign(req *authz.Request, with authz.Signing) []httpsig.Component {
	components := h.config.Required
	cover := func(name string) {
		for _, c := range components {
			if c.Name() == name {
				return
			}
		}
		c, err := httpsig.ParseComponent(name)
		if err != nil {
			panic(err) // the names of fields are components
		}
		components = append(components[:len(components):len(components)], c)
	}
	if h.ReadsBody() && req.Body.Len() > 0 {
		cover(h.config.Digest)
	}
	if h.config.Time == Date {
		cover("date")
	}
	for _, c := range h.config.IfPresent {
		if present(req, c.Name()) {
			cover(c.Name())
		}
	}
	for _, c := range components {
		_, there := req.Headers.Lookup(c.Name())
		switch {
		case c.Name() == h.config.Digest:
			httpsig.SetDigest(req, h.config.Digest, h.config.Dialect)
		case c.Name() == "date":
			req.Set("date", with.Now.UTC().Format(httpDate))
		case there == 0 && c.Name() != "host" && !strings.HasPrefix(c.Name(), "@"):
			req.Set(c.Name(), with.NewID())
		}
	}
	return components
}

func (h *HTTP) signCavage(req *authz.Request, k *key, a *HTTPAlgorithm, components []httpsig.Component, params httpsig.Params, with authz.Signing) bool {
	c := &httpsig.Cavage{KeyID: params.KeyID, Algorithm: "hs2019", Created: params.Created, HasCreated: params.HasCreated}
	for _, component := range components {
		c.Headers = append(c.Headers, cavageName(component))
	}
	switch {
	case len(a.Names) > 0 && h.config.Time != Created:
		c.Algorithm, c.HasCreated = a.Names[0], false
	case h.config.Time == Created:
		c.Headers = append(c.Headers, "(created)")
	}
	base, problem := c.Base(h.message(req))
	if problem.Exists() {
		return false
	}
	var ok bool
	if c.Value, ok = a.sign(k, base, with); ok {
		c.Set(req, h.config.Cavage)
	}
	return ok
}

// algorithmFor returns the first algorithm that the key can sign by.
func (h *HTTP) algorithmFor(k *key, with authz.Signing) (*HTTPAlgorithm, bool) {
	for i := range h.config.Algorithms {
		a := &h.config.Algorithms[i]
		if a.Public.Kind == 0 {
			if k.Reader == nil && k.Source == nil {
				return a, true
			}
			continue
		}
		if with.Private == nil {
			continue
		}
		public := publickey.Key{Public: with.Private.Public()}
		if _, ours := k.of(with.Private); public.Kind() == a.Public.Kind && public.Curve() == a.Public.Curve && (ours || k.Source != nil) {
			return a, true
		}
	}
	return nil, false
}

func (a *HTTPAlgorithm) sign(k *key, base []byte, with authz.Signing) ([]byte, bool) {
	if a.Public.Kind == 0 {
		mac := hmac.New(sha256.New, k.Secret.Reveal())
		_, _ = mac.Write(base) // hashes never fail
		return mac.Sum(nil), true
	}
	value, err := a.Public.Sign(with.Private, a.Public.Content(base))
	return value, err == nil
}
