package signature

import (
	"slices"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/httpsig"
	"github.com/hookbastion/hookbastion/authz/publickey"
)

// HTTPAlgorithm is one that signatures of HTTP messages may be made by.
type HTTPAlgorithm struct {
	// Names are those that a signature may give it.
	Names []string
	// Public is the algorithm; zero for HMAC-SHA256.
	Public publickey.Algorithm
}

// HTTPConfig describes signatures of HTTP messages: RFC 9421, or the draft before it.
// Header names are in lower case.
type HTTPConfig struct {
	Algorithms []HTTPAlgorithm
	// Required are the components that a signature must cover.
	Required []httpsig.Component
	// IfPresent are those that it must cover where the request has them.
	IfPresent []httpsig.Component
	// Digest is the field with the digest of the body, content-digest or digest. It must
	// be covered where there is a body, unless BodyUnsigned is set.
	Digest       string
	BodyUnsigned bool
	// Time says where the signed time stands.
	Time HTTPTime
	// Expires and Nonce: these parameters must be there.
	Expires, Nonce bool
	// Lifetime is the longest time from created to expires; 0: any.
	Lifetime time.Duration
	// Tag must be the signature's tag; any if it is empty.
	Tag string
	// Label is the one that is looked at; all if it is empty. Nothing signs it.
	Label   string
	Dialect httpsig.Dialect
	// Cavage, if it is set, is the header of a signature of the draft: signature or
	// authorization.
	Cavage string
	// CavageDefault is what such a signature covers that does not say it.
	CavageDefault string
	// PublicURL is the scheme and host of the URL, and what stands before the request's
	// path in it. Empty: https and the request's host.
	PublicURL string
	// MaxSignatures bounds the signatures of one request.
	MaxSignatures int
}

// HTTPTime says where the signed time of an HTTP message stands.
type HTTPTime uint8

// The places.
const (
	// NoTime: nowhere. A created that is there is not looked at: it would let a delivery
	// be forgotten that is never too old.
	NoTime HTTPTime = iota
	// Created: the parameter.
	Created
	// Date: the field, which must be covered.
	Date
)

// HTTP is a signature of an HTTP message, with its keys. It is immutable and safe for
// concurrent use.
type HTTP struct {
	*HTTPPlan
	keys keys
}

// HTTPPlan is what an HTTP is without its keys. All webhooks of one scheme share it.
type HTTPPlan struct {
	config   HTTPConfig
	public   publicURL
	asksHost bool // the sender's host is part of what is signed
}

// NewHTTPPlan compiles a scheme.
func NewHTTPPlan(config HTTPConfig) *HTTPPlan {
	return &HTTPPlan{config: config, public: newPublicURL(config.PublicURL), asksHost: config.PublicURL == ""}
}

// With returns the scheme with keys.
func (p *HTTPPlan) With(configured []Key) (*HTTP, error) {
	ks, err := newKeys(configured, SHA256, false)
	if err != nil {
		return nil, err
	}
	return &HTTP{p, ks}, nil
}

// Present reports whether the request has such a signature.
func (h *HTTP) Present(req *authz.Request) bool {
	if h.config.Cavage == "" {
		_, count := req.Headers.Lookup("signature-input")
		return count > 0
	}
	value, count := req.Headers.Lookup(h.config.Cavage)
	return count > 0 && (h.config.Cavage == "signature" || len(value) > 10 && strings.EqualFold(string(value[:10]), "signature "))
}

// ReadsBody reports whether a digest binds the body.
func (h *HTTP) ReadsBody() bool { return !h.config.BodyUnsigned }

// WantsForm reports false.
func (h *HTTP) WantsForm() bool { return false }

// Place says where the signature stands.
func (h *HTTP) Place() string {
	if h.config.Cavage != "" {
		return h.config.Cavage
	}
	return "signature-input and signature"
}

func (h *HTTP) parameters(*authz.Request) parameters {
	covers := func(c httpsig.Component) bool {
		return slices.Contains([]string{"@query", "@target-uri", "@request-target"}, c.Name())
	}
	query := slices.ContainsFunc(h.config.Required, covers) || slices.ContainsFunc(h.config.IfPresent, covers)
	return parameters{query: query, form: h.ReadsBody()}
}
