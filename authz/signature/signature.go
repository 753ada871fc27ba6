// Package signature checks that the content of a request was signed by a
// holder of a configured key.
//
// An [HMAC] is a scheme compiled to a plan: which header holds the signature
// and in which grammar, which parts make the signed content, where the signed
// time stands. At request time the plan is walked without maps, reflection or
// allocation. The content is fed to the MAC and to the replay fingerprint in
// one walk over the body's segments; nothing of it is joined or normalised,
// and a time is signed as the characters that were sent.
//
// Keys are tried in order and the first that matches ends it: which key it was
// is no secret. Within one key all candidates of the header are compared, each
// in constant time over decoded bytes of the algorithm's full length.
//
// It does not protect what a scheme leaves out: headers that are not part of
// the content, and for most schemes the URL, can be changed by whoever sees a
// delivery.
package signature

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // HMAC-SHA1 is not broken, and some providers offer nothing else
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"hash"
	"slices"
	"sync"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/secret"
)

// Hash is the hash below the HMAC.
type Hash uint8

// The hashes.
const (
	SHA256 Hash = iota + 1
	SHA512
	SHA1
)

func (h Hash) new() func() hash.Hash {
	switch h {
	case SHA512:
		return sha512.New
	case SHA1:
		return sha1.New
	default:
		return sha256.New
	}
}

// Size returns the length of a MAC in bytes.
func (h Hash) Size() int {
	switch h {
	case SHA512:
		return sha512.Size
	case SHA1:
		return sha1.Size
	default:
		return sha256.Size
	}
}

// String returns "HMAC-SHA256" and so on.
func (h Hash) String() string {
	switch h {
	case SHA512:
		return "HMAC-SHA512"
	case SHA1:
		return "HMAC-SHA1"
	default:
		return "HMAC-SHA256"
	}
}

// Encoding is how a signature is written.
type Encoding uint8

// The encodings.
const (
	// Hex in either letter case.
	Hex Encoding = iota + 1
	// Base64 is RFC 4648 §4, padded, canonical.
	Base64
	// Base64URL is RFC 4648 §5 without padding, canonical.
	Base64URL
)

// Grammar is the form of the header that holds the signature.
type Grammar uint8

// The grammars.
const (
	// Bare: the signature and nothing else.
	Bare Grammar = iota + 1
	// Prefix: Config.Prefix, then the signature.
	Prefix
	// KeyValue: name=value items, the signature under Config.Key.
	KeyValue
	// SpaceList: "version,signature" entries, the version in Config.Prefix.
	SpaceList
	// PrefixList: prefix and signature, several with a separator between.
	PrefixList
	// Positional: the time first, then signatures.
	Positional
)

// PartKind is the kind of one piece of the signed content.
type PartKind uint8

// The kinds.
const (
	Body PartKind = iota + 1
	Timestamp
	Literal
	HeaderValue
	Method
	URL
	Path
)

// Part is one piece of the signed content.
type Part struct {
	Kind PartKind
	// Text is the literal, or the header's name in lower case.
	Text string
	// Token limits a header's value to 1 to 128 of A-Z a-z 0-9 _ -, so that a
	// separator cannot be moved from one part to the next.
	Token bool

	bytes []byte // Text, for the hashes
}

// Unit is how a time is written.
type Unit uint8

// The units.
const (
	Seconds Unit = iota + 1
	Milliseconds
	RFC3339
)

// Time says where the signed time stands. At most one of Header, Key, First and
// JSON is set; with none, the scheme has no signed time.
type Time struct {
	Header string
	Key    string
	First  bool
	// JSON is the path of keys in the signed body, with dots between.
	JSON string
	Unit Unit
}

func (t Time) exists() bool { return t.Unit != 0 }

// Constant is a header that must be there with one value. Name is in lower case.
type Constant struct{ Name, Value string }

// Config describes a scheme. Header names are in lower case.
type Config struct {
	Name     string
	Hash     Hash
	Encoding Encoding
	// Headers hold the signature. If a header holds the time as well, the
	// first one that is there counts, else all.
	Headers []string
	// Numbered: the headers are name-1 to name-100.
	Numbered bool
	// Repeated: a header may stand there more than once.
	Repeated  bool
	Grammar   Grammar
	Prefix    string
	Key       string
	Separator byte
	Content   []Part
	Time      Time
	Constants []Constant
	// PublicURL is the scheme and host of the signed URL. Empty: https and
	// the request's host.
	PublicURL string
	// MaxSignatures bounds the candidates of one header, from 1 to 100.
	MaxSignatures int
}

// holdsTime reports whether the signature's header holds the time, so that two
// headers could not be told apart.
func (c *Config) holdsTime() bool { return c.Time.Key != "" || c.Time.First }

// SignsBody reports whether the body is part of the content.
func (c *Config) SignsBody() bool { return c.signs(Body) }

// SignsTime reports whether the time is part of the content, by itself or in
// the body. A time that is not signed is no defence.
func (c *Config) SignsTime() bool {
	return c.signs(Timestamp) || c.Time.JSON != "" && c.SignsBody()
}

func (c *Config) signs(kind PartKind) bool {
	for _, p := range c.Content {
		if p.Kind == kind {
			return true
		}
	}
	return false
}

// Key is one key that deliveries may be signed with.
type Key struct {
	ID string
	// Secret is decoded: the bytes that key the HMAC.
	Secret secret.Value
	// NotBefore and NotAfter bound the time at which the key is accepted;
	// NotAfter is exclusive. Zero: no bound.
	NotBefore, NotAfter time.Time
}

// key is a Key with its pool of keyed MACs: setting one up costs as much as a
// small body.
type key struct {
	Key
	macs sync.Pool
}

func (k *key) validAt(now time.Time) bool {
	return !now.Before(k.NotBefore) && (k.NotAfter.IsZero() || now.Before(k.NotAfter))
}

// HMAC is a scheme with its keys. It is immutable and safe for concurrent use.
type HMAC struct {
	config    Config
	publicURL []byte
	keys      []*key
	scratch   sync.Pool
}

// Errors of New.
var (
	ErrNoKeys   = errors.New("a signature needs at least one key")
	ErrEmptyKey = errors.New("a key is empty")
)

// New returns the scheme with its keys.
func New(config Config, keys []Key) (*HMAC, error) {
	if len(keys) == 0 {
		return nil, ErrNoKeys
	}
	h := &HMAC{config: config}
	h.config.Content = slices.Clone(config.Content)
	for i := range h.config.Content {
		h.config.Content[i].bytes = []byte(h.config.Content[i].Text)
	}
	if config.PublicURL != "" {
		h.publicURL = []byte(config.PublicURL)
	}
	for _, k := range keys {
		if k.Secret.Len() == 0 {
			return nil, ErrEmptyKey
		}
		h.keys = append(h.keys, &key{Key: k, macs: sync.Pool{New: func() any {
			return hmac.New(config.Hash.new(), k.Secret.Reveal())
		}}})
	}
	h.scratch.New = func() any {
		s := &scratch{}
		s.candidates = make([]candidate, 0, config.MaxSignatures)
		return s
	}
	return h, nil
}

// Config returns the scheme's description. The caller must not change it.
func (h *HMAC) Config() *Config { return &h.config }

const maxMAC = sha512.Size

type candidate [maxMAC]byte

// scratch is the memory of one verification.
type scratch struct {
	candidates []candidate // decoded; only the first Hash.Size() bytes count
	skipped    int         // entries that could not be decoded
	overflow   bool        // there were more than MaxSignatures
	sum        [maxMAC]byte
	time       authz.View // as sent
}
