package signature

import (
	"fmt"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
)

// The texts of this file are for `hookbastion explain`. None of them holds a
// key, a MAC or a part of the body.

// Unit is how a time is written.
type Unit uint8

// The units.
const (
	Seconds Unit = iota + 1
	Milliseconds
	RFC3339
	HTTPDate
)

// String returns the unit's name.
func (u Unit) String() string {
	switch u {
	case Seconds:
		return "Unix seconds"
	case Milliseconds:
		return "Unix milliseconds"
	case RFC3339:
		return "RFC 3339"
	case HTTPDate:
		return "the form of HTTP, as Sun, 06 Nov 1994 08:49:37 GMT"
	default:
		return "no unit"
	}
}

func (e Encoding) String() string {
	switch e {
	case Hex:
		return "hex"
	case Base64:
		return "base64"
	case Base64URL:
		return "base64url"
	default:
		return "no encoding"
	}
}

func (t *Time) place() string {
	switch {
	case t.Header != "":
		return "in " + t.Header
	case t.JSON != "":
		return "as " + t.JSON + " in the JSON body"
	case t.Field != "":
		return "as " + t.Field + " of the form"
	case t.Key != "":
		return "as " + t.Key + "= in the signature header"
	default:
		return "as the first item of the signature header"
	}
}

// foundInstead describes signature headers that have no signature.
func (h *Content) foundInstead(headers authz.Headers, s *scratch) string {
	count, size := 0, 0
	for i := range headers {
		if h.nameOf(headers[i].Name) >= 0 {
			count++
			size = len(headers[i].Value)
		}
	}
	switch {
	case s.overflow:
		return fmt.Sprintf("more than %d signatures", h.config.MaxSignatures)
	case count > 1:
		return fmt.Sprintf("%d signature headers", count)
	default:
		return fmt.Sprintf("a value of %d bytes that has no such signature", size)
	}
}

// form describes the header that the scheme expects.
func (c *Config) form() string {
	mac := fmt.Sprintf("<%d bytes in %s>", c.Hash.Size(), c.Encoding)
	if least, most := c.sizes(); least != most {
		mac = fmt.Sprintf("<a signature in %s>", c.Encoding)
	} else if c.public() {
		mac = fmt.Sprintf("<%d bytes in %s>", most, c.Encoding)
	}
	switch c.Grammar {
	case Bare:
	case Prefix, PrefixList:
		mac = c.Prefix + mac
	case List:
		mac += string(c.Separator) + "…"
	case Credential:
		mac = c.Prefix + " <id>:" + mac
	case SpaceList:
		mac = c.Prefix + "," + mac
	case KeyHashList:
		mac = "<id>/" + c.Prefix + "/" + mac
	case KeyValue:
		mac = c.Key + "=" + mac
		if c.Time.Key != "" {
			mac = c.Time.Key + "=<time>" + string(c.Separator) + mac
		}
	case Positional:
		mac = "<time>" + string(c.Separator) + mac
	case Base64JSON:
		mac = "base64 of a JSON object with " + c.Key + ": " + mac
	}
	switch {
	case c.JSON != "":
		return c.JSON + " in the JSON body: " + mac
	case c.Field != "":
		return c.Field + " of the form: " + mac
	case c.Query != "":
		return c.Query + " of the query: " + mac
	}
	header := c.Headers[0]
	if c.Numbered {
		header += "-1"
	}
	return header + ": " + mac
}

// Place says where the signature stands.
func (h *Content) Place() string {
	switch {
	case h.config.JSON != "":
		return h.config.JSON + " in the JSON body"
	case h.config.Field != "":
		return h.config.Field + " of the form"
	case h.config.Query != "":
		return h.config.Query + " of the query"
	}
	return strings.Join(h.config.Headers, " or ")
}

// shownURL is the URL or path that is signed, without the credentials that a
// public URL may have.
func (h *Content) shownURL(req *authz.Request) string {
	if !h.config.SignsURL() {
		return string(appendPath(nil, &h.public, req, &Part{}, urlForm{}))
	}
	text := string(appendURL(nil, &h.public, req, &Part{}, urlForm{}))
	scheme, rest, _ := strings.Cut(text, "://")
	host, path, _ := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(host, '@'); at >= 0 {
		host = host[at+1:]
	}
	return scheme + "://" + host + "/" + path
}

// macName is "HMAC-SHA256", or "SHA256 of the secret and" what is not one.
func (c *Config) macName() string {
	if c.public() {
		return c.Algorithm.String()
	}
	name := c.Hash.String()
	if c.SecretFirst {
		return strings.TrimPrefix(name, "HMAC-") + " of the secret,"
	}
	if c.PlainHash {
		return strings.TrimPrefix(name, "HMAC-")
	}
	return name
}

// contentText describes the signed content, as {timestamp}.{body}.
func (c *Config) contentText() string {
	var b strings.Builder
	for i := range c.Content {
		p := &c.Content[i]
		if p.Kind == Literal {
			b.WriteString(p.Text)
		} else {
			b.WriteString("{" + p.describe() + "}")
		}
	}
	return b.String()
}

// describe names a part.
func (p *Part) describe() string {
	switch p.Kind {
	case HeaderValue:
		return p.Text
	case FormField:
		return "body, or the form's " + p.Text
	case JSON:
		return p.Text + " of the body"
	case FieldText:
		return p.Text + " of the form"
	case Item:
		return p.Text + " of the signature header"
	case Listed:
		return "headers listed in " + p.Text
	default:
		return partNames[p.Kind]
	}
}

var partNames = map[PartKind]string{
	Body: "body", Timestamp: "timestamp", Method: "method", URL: "url", Path: "path",
	Secret: "secret", Form: "form parameters", BodyString: "body as JSON string", BodyHash: "digest of the body",
	SortedQuery: "sorted query", PHPForm: "form fields as PHP serializes them", RawForm: "form before the signature", PlivoV3: "url, query and form parameters",
	Contentful: "method, path and signed headers", MercadoPago: "id, request id and time", JSONFields: "fields of the JSON object",
}

func (ks keys) names(now time.Time) string {
	var names []string
	for _, k := range ks {
		name := k.ID
		if k.Reader != nil && !k.Cell.PerTenant() {
			name += thumbprints(k.now(nil))
		}
		if !k.validAt(now) {
			name += " (not valid now)"
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

// thumbprints shows public keys, which are no secrets (RFC 7638).
func thumbprints(k *key) string {
	if len(k.public) > 1 {
		return fmt.Sprintf(" (%d keys)", len(k.public))
	}
	text := ""
	for i := range k.public {
		text += " (" + k.public[i].Describe() + ", thumbprint " + k.public[i].Thumbprint() + ")"
	}
	return text
}

// found says what came of the candidates.
func (h *Content) found(s *scratch, match *key, valid bool) string {
	text := foundText(match, valid, len(s.candidates))
	if match != nil || !h.config.public() {
		return text
	}
	text = strings.Replace(text, "another secret", "another key", 1)
	if id := s.candidates[0].id; id != nil {
		text += fmt.Sprintf("; it names the key %.300q", id)
		if !h.keys.know(id) {
			text += ", which none of them is"
		}
	}
	if s.unavailable != 0 {
		text += "; keys are being fetched"
	}
	return text
}

// know reports whether some key has that name.
func (ks keys) know(id authz.View) bool {
	for _, slot := range ks {
		if slot.Source != nil || slot.Cell.PerTenant() {
			return true // which is not known here
		}
		k := slot.now(nil)
		for i := range k.public {
			if k.name(&k.public[i]) == string(id) {
				return true
			}
		}
	}
	return false
}

func foundText(match *key, valid bool, candidates int) string {
	switch {
	case match == nil && candidates == 1:
		return "a signature that no key makes: another secret, or a changed body"
	case match == nil:
		return fmt.Sprintf("%d signatures that no key makes: another secret, or a changed body", candidates)
	case !valid:
		return "a signature by key " + match.ID + ", which is not valid now"
	default:
		return "a signature by key " + match.ID
	}
}
