package signature

import (
	"crypto/md5"  //nolint:gosec // only just not broken as an HMAC, and some providers offer nothing else
	"crypto/sha1" //nolint:gosec // HMAC-SHA1 is not broken, and some providers offer nothing else
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"slices"

	"github.com/hookbastion/hookbastion/authz/publickey"
)

// Hash is the hash below the HMAC.
type Hash uint8

// The hashes.
const (
	SHA256 Hash = iota + 1
	SHA512
	SHA1
	MD5
)

func (h Hash) new() func() hash.Hash {
	switch h {
	case SHA512:
		return sha512.New
	case SHA1:
		return sha1.New
	case MD5:
		return md5.New
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
	case MD5:
		return md5.Size
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
	case MD5:
		return "HMAC-MD5"
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
	// List: signatures with a separator between.
	List
	// Credential: Config.Prefix in either letter case, an id that is not looked
	// at, a colon, the signature.
	Credential
	// Base64JSON: base64 of a JSON object, the signature under Config.Key.
	Base64JSON
	// KeyHashList: "id/hash/signature" entries, the hash's name in Config.Prefix.
	KeyHashList
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
	// Secret: the key itself, where PlainHash is set.
	Secret
	// What follows is prepared before it is signed.

	// Form: the parameters of a form, sorted, with nothing between.
	Form
	// FormField: one field of a form in place of the body; Text is its name.
	FormField
	// BodyString: the body as a JSON string.
	BodyString
	// BodyHash: a digest of the body.
	BodyHash
	// JSON: a text in the JSON body; Text is its path.
	JSON
	// Item: another item of a KeyValue header; Text is its name.
	Item
	// SortedQuery: the query's parameters, sorted and encoded anew.
	SortedQuery
	// FieldText: a field of the form in the body; Text is its name.
	FieldText
	// PHPForm: the fields of a form as PHP's serialize writes them.
	PHPForm
	// RawForm: the form as it came, up to the signature, its last field.
	RawForm
	// PlivoV3, Contentful and MercadoPago are in code.go.
	PlivoV3
	Contentful
	MercadoPago
	// JSONFields: texts of the JSON object that is the body; Keys are theirs.
	JSONFields
	// Listed: names and values of the headers that item Text lists; Names must be among them.
	Listed
)

// Part is one piece of the signed content.
type Part struct {
	Kind PartKind
	// Text is the literal, or a name: a header's in lower case.
	Text string
	// Charset limits a header's value.
	Charset Charset
	// RFC3986 limits a URL or Path to the characters of that standard.
	RFC3986 bool
	// NoDigitLast: a URL whose path the webhook leaves open must not end in a
	// digit.
	NoDigitLast bool
	// WantsJSON: a Body, FormField or a Form's values must be JSON objects or
	// lists; a Body may be empty.
	WantsJSON bool
	// Names are those that a Form may have, each once; none: any. With Listed, headers
	// that must be there.
	Names []string
	// WithoutQuery ends a URL or Path before its query.
	WithoutQuery bool
	// Decoded are the characters that a URL has decoded where they are
	// percent-encoded.
	Decoded string
	// Distinct signs a value that a form's name has twice once.
	Distinct bool
	// JSONString writes an Item as a JSON string.
	JSONString bool
	// Keys are those of JSONFields, Beside other keys that say how they are signed.
	Keys   []FieldKey
	Beside []string
	// Digest describes BodyHash.
	Digest Digest

	bytes []byte // Text, for the hashes
}

// DigestHash is how a digest is made.
type DigestHash uint8

// The hashes of digests. The zero value is SHA-256.
const (
	DigestSHA256 DigestHash = iota
	DigestSHA512
	// DigestMD5 is broken: two bodies can be made to share one.
	DigestMD5
	// DigestCRC32 is none: anybody can make another body with the same one.
	DigestCRC32
)

// Digest is a digest of the body.
type Digest struct {
	Hash DigestHash
	// Encoding of the digest; 0 for its bytes.
	Encoding Encoding
	// Decimal writes a checksum as a number, in place of Encoding.
	Decimal bool
	// EmptyAsNothing: an empty body has no digest.
	EmptyAsNothing bool
}

// prepared reports whether the part is made before it is signed.
func (p *Part) prepared() bool { return p.Kind >= Form }

// written reports whether the part depends on how the URL is written.
func (p *Part) written() bool {
	return p.Kind == PlivoV3 || p.Kind == Contentful || p.Kind == MercadoPago
}

// readsForm reports whether the part is another one if the body is a form.
func (p *Part) readsForm() bool {
	return p.Kind == Form || p.Kind == FormField || p.Kind == PHPForm || p.Kind == RawForm || p.Kind == PlivoV3
}

// URLForm is another form in which a provider may have signed the URL.
type URLForm uint8

// The forms.
const (
	// DefaultPort: with 443 or 80, if the URL names no port.
	DefaultPort URLForm = iota + 1
	// NoPort: without any port.
	NoPort
	// BrowserQuery: with an apostrophe in the query as %27.
	BrowserQuery
	// NoRoot: without a path that is a single slash.
	NoRoot
	// PlainQuery: with escapes in the query that stand for one of !'()* decoded.
	PlainQuery
	// lowerID is added for MercadoPago.
	lowerID
)

// Time says where the signed time stands. At most one of Header, Key, First, JSON
// and Field is set; with none, the scheme has no signed time.
type Time struct {
	Header string
	Key    string
	First  bool
	// JSON is the path of keys in the signed body, with dots between.
	JSON string
	// Field is the name of a field of the form in the body.
	Field string
	Unit  Unit
}

func (t Time) exists() bool { return t.Unit != 0 }

// Constant is a header that must be there with one value. Name is in lower case.
type Constant struct{ Name, Value string }

// BodyDigest is a digest of the body that stands where it is signed.
type BodyDigest struct {
	// Query is the parameter of the signed URL.
	Query    string
	Hash     Hash
	Encoding Encoding
}

// KeyID says where a delivery names its key: in one of them. With the zero value all
// keys are tried.
type KeyID struct {
	// Headers is one for all signatures, or one for each of Config.Headers.
	Headers []string
	// JSON is the path of a text in the JSON body.
	JSON string
	// Item is an item of a KeyValue or Base64JSON header.
	Item string
}

func (k *KeyID) exists() bool { return len(k.Headers) > 0 || k.JSON != "" || k.Item != "" }

// Config describes a scheme. Header names are in lower case.
type Config struct {
	Name string
	// Hash is that of the HMAC, where Algorithm is the zero value.
	Hash Hash
	// Algorithm is how candidates are verified by public keys. Its zero value stands for an
	// HMAC.
	Algorithm publickey.Algorithm
	// DigestFirst: this digest of the content is signed in its place; nil: none.
	DigestFirst *Digest
	Encoding    Encoding
	// SecretFirst: no HMAC but the plain hash of the secret and the content.
	SecretFirst bool
	// PlainHash: no HMAC but the plain hash of the content, of which Secret is a part.
	PlainHash bool
	// KeySuffix stands behind the secret in the key.
	KeySuffix string
	// Headers hold the signature. If a header holds the time as well, the
	// first one that is there counts, else all.
	Headers []string
	// JSON, in place of Headers, is the signature's path in the JSON body.
	JSON string
	// Field, in place of Headers, is the signature's field of the form.
	Field string
	// Query, in place of Headers, is the signature's parameter of the query.
	Query string
	// Sets: a KeyValue header may hold several lists, each with its own time.
	Sets bool
	// Numbered: the headers are name-1 to name-100.
	Numbered bool
	// Repeated: a header may stand there more than once.
	Repeated bool
	Grammar  Grammar
	Prefix   string
	// PrefixOptional: the signature may stand there without Prefix.
	PrefixOptional bool
	Key            string
	Separator      byte
	// Spaced: the provider writes a space behind each separator.
	Spaced    bool
	Content   []Part
	Time      Time
	Constants []Constant
	// KeyID names the key that the delivery is signed with.
	KeyID KeyID
	// PublicURL is the scheme and host of the signed URL, and what stands before
	// the request's path in it. Empty: https and the request's host.
	PublicURL string
	// URLForms are other forms in which the URL may have been signed.
	URLForms []URLForm
	// BodyDigest binds a body that is not part of the content; none if its
	// Query is empty.
	BodyDigest BodyDigest
	// Pin is what the webhook fixes of the signed URL.
	Pin Pin
	// MaxSignatures bounds the candidates of one header, from 1 to 100.
	MaxSignatures int
}

// holdsTime reports whether the signature's header holds the time, so that two
// headers could not be told apart.
func (c *Config) holdsTime() bool { return c.Time.Key != "" || c.Time.First }

// SignsBody reports whether the signature covers the body: as a part of the
// content, by a digest, or as a form's parameters.
func (c *Config) SignsBody() bool { return c.signsWhole() || c.signsForm() || c.BodyDigest.Query != "" }

// signsWhole reports whether every body is covered by the content itself.
func (c *Config) signsWhole() bool {
	return slices.ContainsFunc(c.Content, func(p Part) bool {
		switch p.Kind {
		case Body, FormField, BodyString, JSONFields:
			return true
		case BodyHash:
			return p.Digest.Hash != DigestCRC32 // which binds nothing
		default:
			return false
		}
	})
}

// NamesKey reports whether a delivery names its key.
func (c *Config) NamesKey() bool { return c.KeyID.exists() }

// public reports whether the keys are public ones.
func (c *Config) public() bool { return c.Algorithm.Kind != 0 }

// sizes returns how short and how long a signature can be, in bytes.
func (c *Config) sizes() (least, most int) {
	if c.public() {
		return c.Algorithm.Sizes()
	}
	return c.Hash.Size(), c.Hash.Size()
}

// signsForm reports whether a body is covered if it is a form.
func (c *Config) signsForm() bool { return c.signs(Form, PHPForm, RawForm, PlivoV3) }

// SignsTime reports whether the time is part of the content, by itself or in
// the body. A time that is not signed is no defence.
func (c *Config) SignsTime() bool {
	return c.signs(Timestamp, Contentful, MercadoPago) || c.Time.JSON != "" && c.signsWhole()
}

// timeFirst reports whether a time in the JSON body is read before the
// signature is verified, since it is signed by itself.
func (c *Config) timeFirst() bool { return c.Time.JSON != "" && !c.signsWhole() }

// SignsURL reports whether the content has the URL.
func (c *Config) SignsURL() bool { return c.signs(URL, PlivoV3) }

// SignsPath reports whether the content has the path, by itself or in the URL.
func (c *Config) SignsPath() bool { return c.signs(URL, Path, PlivoV3, Contentful) }

func (c *Config) signs(kinds ...PartKind) bool {
	return slices.ContainsFunc(c.Content, func(p Part) bool { return slices.Contains(kinds, p.Kind) })
}
