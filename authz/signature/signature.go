// Package signature checks that the content of a request was signed by a
// holder of a configured key.
//
// [Content] is a scheme compiled to a plan: where the signature stands and in
// which grammar, which parts make the signed content, where the signed time
// stands. What is signed is fed to a MAC, or where the keys are public to the hash of
// RSA and ECDSA; only Ed25519 needs it in one piece. At request time the plan is walked without maps, reflection or
// allocation, as long as the content is made of headers, the body, the URL and
// fixed text. The content is fed to the MAC and to the replay fingerprint in one
// walk over the body's segments; nothing of it is joined or normalised, and a
// time is signed as the characters that were sent. Schemes that sign parameters
// of a form, texts of a JSON body or several forms of the URL are prepared
// first, which joins and parses the body.
//
// A [JWS] is a JSON Web Token whose claims bind the body or the URL, [Adyen] and
// [Braintree] are schemes that no description fits. All are a [Scheme].
//
// Keys are tried in order and the first that matches ends it: which key it was
// is no secret. Within one key all candidates of the request are compared, each
// in constant time over decoded bytes of the algorithm's full length. Signatures by
// public keys are no secrets, and the first that holds ends it. What the request says of
// its key only chooses among those of the policy: it brings neither a key nor an
// algorithm.
//
// A copy is recognised by its signed content, never by what can be changed
// without breaking the signature. Where the URL may have been signed in several
// forms, that is the content of the form that matched.
//
// It does not protect what a scheme leaves out: headers that are not part of
// the content, and for most schemes the URL, can be changed by whoever sees a
// delivery. Where a scheme leaves out the body, the proof is
// [authz.ProofPartial].
package signature

import (
	"crypto/sha512"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/publickey"
	"github.com/hookbastion/hookbastion/authz/secret"
)

// Key is one key that deliveries may be signed with.
type Key struct {
	ID string
	// Secret is decoded: the bytes that key the HMAC.
	Secret secret.Value
	// Cell, in place of Secret, holds a value that may be replaced.
	Cell *secret.Cell
	// KID is how a request names the key; the ID if it is empty.
	KID string
	// Reader reads public keys in the secret's text; nil for a shared secret.
	Reader *publickey.Reader
	// Source, in place of Secret and Cell, finds public keys elsewhere.
	Source Source
	// NotBefore and NotAfter bound the time at which the key is accepted;
	// NotAfter is exclusive. Zero: no bound.
	NotBefore, NotAfter time.Time
}

// Source finds public keys that the policy does not hold, such as a set that the
// provider publishes. It is safe for concurrent use.
type Source interface {
	// Find returns the keys that may have signed: those of that id, or all if it is nil,
	// of which each counts. Without any, the reason says why: KeysUnavailable while they
	// are being fetched, or SignatureInvalid if there are no such keys. It never waits,
	// and what it returns must not be changed.
	Find(call *authz.Call, id authz.View) ([]publickey.Key, authz.Reason)
}

// Prover is a Source that is told which of its keys are in use.
type Prover interface {
	// Proved notes that a signature by the key of that id held.
	Proved(id authz.View, now time.Time)
}

// Scheme is one way in which content is signed. It is immutable and safe for
// concurrent use.
type Scheme interface {
	// Present reports whether the request has a signature of this scheme, right
	// or wrong.
	Present(req *authz.Request) bool
	// Verify checks it. The fingerprinter is nil if there is no replay check.
	Verify(call *authz.Call, f *authz.Fingerprinter) authz.Reason
	// Sign makes the request a valid delivery; see authz.Signer.
	Sign(req *authz.Request, s authz.Signing) bool
	// WantsForm reports whether only a form can be signed.
	WantsForm() bool
	// ReadsBody reports whether the body must be whole: the signature covers it
	// or stands in it.
	ReadsBody() bool
	// Place says where the signature stands, for people.
	Place() string

	// parameters says which parameters of the request the signature covers.
	parameters(req *authz.Request) parameters
}

// Content is a scheme that signs content made of parts, with its keys. It is immutable and safe for concurrent use.
type Content struct {
	*Plan
	keys keys
}

// Plan is a compiled scheme without keys. All webhooks of one scheme share it. It
// is immutable and safe for concurrent use.
type Plan struct {
	config    Config
	public    publicURL
	forms     []urlForm // the first one is the URL as it is
	least     int       // the bytes of a signature
	most      int
	prepares  bool // some part is prepared
	asksHost  bool // the sender's host is part of the signed URL
	exactTime bool // nothing but its length tells where the time ends
	open      bool // parts could be divided otherwise
	scratch   sync.Pool
}

// Errors of New and its kin.
var (
	ErrNoKeys   = errors.New("a signature needs at least one key")
	ErrEmptyKey = errors.New("a key is empty")
)

// New returns the scheme with its keys.
func New(config Config, configured []Key) (*Content, error) { return NewPlan(config).With(configured) }

// With returns the scheme with keys.
func (p *Plan) With(configured []Key) (*Content, error) {
	ks, err := newKeys(configured, p.config.Hash, p.config.SecretFirst)
	if err == nil && p.config.public() {
		err = ks.allPublic()
	}
	if err != nil {
		return nil, err
	}
	for _, slot := range ks {
		slot.plain, slot.suffix = p.config.PlainHash, p.config.KeySuffix
	}
	return &Content{p, ks}, nil
}

// NewPlan compiles a scheme.
func NewPlan(config Config) *Plan {
	forms := config.URLForms
	if config.signs(MercadoPago) {
		forms = append(slices.Clone(forms), lowerID)
	}
	public := newPublicURL(config.PublicURL)
	if config.SignsURL() || len(public.prefix) > 0 && config.SignsPath() {
		// What was registered without a path, or with the prefix alone, comes as a slash.
		forms = append(slices.Clone(forms), NoRoot)
	}
	p := &Plan{config: config, forms: urlForms(forms), public: public}
	p.config.Content = slices.Clone(config.Content)
	for i := range p.config.Content {
		part := &p.config.Content[i]
		part.bytes = []byte(part.Text)
		p.prepares = p.prepares || part.prepared()
	}
	p.exactTime, p.open = config.exactTime(), len(config.Open()) > 0
	p.least, p.most = config.sizes()
	p.asksHost = config.PublicURL == "" && config.SignsURL()
	p.scratch.New = func() any {
		s := &scratch{
			candidates: make([]candidate, 0, config.MaxSignatures),
			parts:      make([][]byte, len(config.Content)),
		}
		if config.public() {
			s.signed = make([]signed, len(p.forms))
		} else {
			s.decoded = make([]byte, 0, config.MaxSignatures*(p.most+2)) // the decoder of base64 wants room
		}
		return s
	}
	return p
}

// Config returns the scheme's description. The caller must not change it.
func (p *Plan) Config() *Config { return &p.config }

// ReadsBody reports whether the signature covers the body or stands in it.
func (p *Plan) ReadsBody() bool {
	c := &p.config
	return c.SignsBody() || c.JSON+c.Field != "" || c.Time.JSON+c.Time.Field+c.KeyID.JSON != "" || c.signs(JSON, FieldText, BodyHash)
}

// WantsForm reports whether only a form can be signed.
func (p *Plan) WantsForm() bool {
	return p.config.Field != "" || p.config.signs(FieldText) || p.config.signsForm() && !p.config.signsWhole() && p.config.BodyDigest.Query == ""
}

const maxMAC = sha512.Size

// macBytes holds a digest or MAC of any length.
type macBytes [maxMAC]byte

// candidate is one signature of the request.
type candidate struct {
	bytes []byte     // decoded
	place int        // of its header in Config.Headers
	id    authz.View // names its key; nil: any
}

// scratch is the memory of one verification.
type scratch struct {
	candidates []candidate
	decoded    []byte   // what the candidates' bytes alias
	signed     []signed // the content by form of the URL, for public keys
	skipped    int      // entries that could not be decoded
	overflow   bool     // there were more than MaxSignatures
	place      int      // of the header that is being read
	tries      int      // verifications by public keys
	// unavailable is why keys could not be looked for; 0 if they could.
	unavailable authz.Reason
	sum         [maxMAC]byte
	time        authz.View // as sent
	secret      []byte     // while the content is hashed that has it
	parts       [][]byte   // prepared parts of the content, by their place
	url         []byte     // the URL in the form that is being tried
}

// forget drops what aliases the request.
func (s *scratch) forget() {
	s.time = nil
	clear(s.parts)
	for i := range s.candidates {
		s.candidates[i].id = nil
	}
	for i := range s.signed {
		s.signed[i].forget()
	}
}
