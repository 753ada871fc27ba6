package signature

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/publickey"
)

// Sign makes the request a valid delivery at that time. Signed headers that the
// request lacks, such as a delivery's id, are made by NewID.
func (h *Content) Sign(req *authz.Request, with authz.Signing) bool {
	k := h.keys.named(with)
	if k == nil {
		return false
	}
	if h.config.public() && (with.Private == nil || !h.named(k, with)) {
		return false
	}
	c := &h.config
	stamp := string(appendTime(nil, with.Now, c.Time.Unit))
	s := &scratch{time: authz.View(stamp), parts: make([][]byte, len(c.Content))}
	h.signHeaders(req, k, stamp, with)
	h.signPinned(req)
	if c.BodyDigest.Query != "" && !isForm(req) && req.Body.Len() > 0 {
		sum := c.BodyDigest.Hash.new()()
		_, _ = io.Copy(sum, req.Body.Reader()) // neither fails
		addQuery(req, c.BodyDigest.Query, c.BodyDigest.Encoding.encode(sum.Sum(nil)))
	}
	switch {
	case c.JSON != "", c.KeyID.JSON != "":
		h.signJSON(req, stamp, k.nameFor(with), with.NewID)
	case c.signs(RawForm):
		setLast(req, c.Field, "")
	case c.Field != "", c.signs(FieldText):
		h.signForm(req, stamp, with.NewID)
	}
	h.signFields(req, stamp, with.NewID)
	if texts, err := req.Body.JSON(c.Time.JSON); c.Time.JSON != "" && err == nil && len(texts) == 0 {
		setJSON(req, map[string]string{c.Time.JSON: stamp}) // unless the body has a time
	}
	// The other items of the header are signed, so that they come first.
	if c.JSON+c.Field+c.Query == "" {
		req.Set(c.header(), h.withKeyID(c.headerValue(stamp, ""), k, with))
	}
	if !h.guarded(&authz.Call{Request: req}) {
		return false
	}
	if reason, _ := h.prepare(req, s); reason != authz.OK || !h.bound(req) {
		return false
	}
	signature, ok := h.make(req, k, s, with)
	if !ok {
		return false
	}
	text := c.Encoding.encode(signature)
	switch {
	case c.JSON != "":
		setJSON(req, map[string]string{c.JSON: text})
	case c.signs(RawForm):
		setLast(req, c.Field, c.headerValue(stamp, text))
	case c.Field != "":
		setFields(req, map[string]string{c.Field: c.headerValue(stamp, text)})
	case c.Query != "":
		setQuery(req, c.Query, c.headerValue(stamp, text))
	default:
		req.Set(c.header(), h.withKeyID(c.headerValue(stamp, text), k, with))
	}
	return true
}

// make signs the content.
func (h *Content) make(req *authz.Request, k *key, s *scratch, with authz.Signing) ([]byte, bool) {
	if h.config.public() {
		s.signed = make([]signed, len(h.forms))
		signature, err := h.config.Algorithm.Sign(with.Private, h.signedContent(req, s, 0, nil))
		return signature, err == nil
	}
	return h.sum(req, k, s, h.forms[0], nil), true
}

// signHeaders adds what the scheme looks for in headers, except the signature.
func (h *Content) signHeaders(req *authz.Request, k *key, stamp string, with authz.Signing) {
	c := &h.config
	for _, constant := range c.Constants {
		req.Set(constant.Name, constant.Value)
	}
	if c.Time.Header != "" {
		req.Set(c.Time.Header, stamp)
	}
	if len(c.KeyID.Headers) > 0 {
		req.Set(c.KeyID.Headers[0], k.nameFor(with)) // with several, that of the first signature
	}
	for _, part := range c.Content {
		switch _, there := req.Headers.Lookup(part.Text); {
		case part.Kind == HeaderValue && there == 0:
			req.Set(part.Text, part.Charset.sample(with))
		case part.Kind == Listed:
			for _, name := range part.Names {
				if _, count := req.Headers.Lookup(name); count == 0 {
					req.Set(name, TokenChars.sample(with))
				}
			}
		case part.Kind == MercadoPago:
			// Envoy gives one to each request that has none.
			if _, count := req.Headers.Lookup("x-request-id"); count == 0 {
				req.Set("x-request-id", TokenChars.sample(with))
			}
		case part.Kind == Contentful:
			req.Set(contentfulHeaders, contentfulHeaders+","+c.Time.Header)
		}
	}
}

// signPinned gives the request the pinned query, if it has none, and a form with
// the one field that there may be, if its body is another.
func (h *Content) signPinned(req *authz.Request) {
	if pin := h.config.Pin; pin.Query && pin.Value != "" && !bytes.Contains(req.Path, []byte{'?'}) {
		req.Path = authz.View(string(req.Path) + "?" + pin.Value)
	}
	for i := range h.config.Content {
		part := &h.config.Content[i]
		if part.Kind != Form || len(part.Names) == 0 || !isForm(req) {
			continue
		}
		if all, err := formOf(req); err != nil || !part.guards(all) {
			req.Body.Segments = [][]byte{[]byte(url.Values{part.Names[0]: {"[]"}}.Encode())}
		}
	}
}

// signJSON puts time and ids that are signed into the JSON body.
func (h *Content) signJSON(req *authz.Request, stamp, keyName string, newID func() string) {
	texts := map[string]string{}
	if h.config.JSON != "" {
		texts[h.config.JSON] = ""
	}
	if h.config.timeFirst() {
		texts[h.config.Time.JSON] = stamp
	}
	if h.config.KeyID.JSON != "" {
		texts[h.config.KeyID.JSON] = keyName
	}
	for _, part := range h.config.Content {
		if part.Kind == JSON {
			texts[part.Text] = newID()
		}
	}
	setJSON(req, texts)
}

// named reports whether the private key belongs to one that the webhook has. Of keys that
// are found elsewhere nobody knows.
func (h *Content) named(k *key, with authz.Signing) bool {
	_, ok := k.of(with.Private)
	return ok || k.Source != nil
}

// nameFor is how the delivery names its key.
func (k *key) nameFor(with authz.Signing) string {
	if k.Source != nil && with.KeyID != "" {
		return with.KeyID
	}
	public, _ := k.of(with.Private)
	return k.name(public)
}

// of returns the public key that belongs to a private one.
func (k *key) of(private crypto.Signer) (*publickey.Key, bool) {
	if private == nil {
		return nil, false
	}
	want := (&publickey.Key{Public: private.Public()}).Thumbprint()
	for i := range k.public {
		if k.public[i].Thumbprint() == want {
			return &k.public[i], true
		}
	}
	return nil, false
}

// withKeyID adds the item that names the key to the signature header.
func (h *Content) withKeyID(value string, k *key, with authz.Signing) string {
	c := &h.config
	switch {
	case c.Grammar == Base64JSON:
		object := map[string]string{c.Key: value}
		if c.KeyID.Item != "" {
			object[c.KeyID.Item] = k.nameFor(with)
		}
		text, _ := json.Marshal(object) // texts can always be written
		return base64.StdEncoding.EncodeToString(text)
	case c.KeyID.Item != "":
		return c.KeyID.Item + "=" + k.nameFor(with) + string(c.Separator) + value
	default:
		return value
	}
}

// signForm puts time and ids that are signed into the form.
func (h *Content) signForm(req *authz.Request, stamp string, newID func() string) {
	texts := map[string]string{}
	if h.config.Field != "" {
		texts[h.config.Field] = ""
	}
	if h.config.Time.Field != "" {
		texts[h.config.Time.Field] = stamp
	}
	for _, part := range h.config.Content {
		if part.Kind == FieldText {
			texts[part.Text] = newID()
		}
	}
	setFields(req, texts)
}

// setFields sets fields of the form in the body. A body that is none is replaced.
func setFields(req *authz.Request, texts map[string]string) {
	values := url.Values{}
	if isForm(req) {
		if all, err := formOf(req); err == nil {
			for _, p := range all {
				values.Add(p.name, p.value)
			}
		}
	}
	for name, text := range texts {
		values.Set(name, text)
	}
	req.Set("content-type", "application/x-www-form-urlencoded")
	req.Body.Segments = [][]byte{[]byte(values.Encode())}
}

// setJSON sets texts in the JSON object of the body, by their paths. A body
// that is no object is replaced.
func setJSON(req *authz.Request, texts map[string]string) {
	var tree map[string]any
	if err := json.Unmarshal(req.Body.Joined(), &tree); err != nil || tree == nil {
		tree = map[string]any{}
	}
	for path, text := range texts {
		steps := strings.Split(path, ".")
		at := tree
		for _, step := range steps[:len(steps)-1] {
			next, ok := at[step].(map[string]any)
			if !ok {
				next = map[string]any{}
				at[step] = next
			}
			at = next
		}
		at[steps[len(steps)-1]] = text
	}
	body, err := json.Marshal(tree)
	if err != nil {
		return // what was read can be written
	}
	req.Body.Segments = [][]byte{body}
}

// addQuery adds a parameter to the path.
func addQuery(req *authz.Request, name, value string) {
	separator := "?"
	if strings.Contains(string(req.Path), "?") {
		separator = "&"
	}
	req.Path = authz.View(string(req.Path) + separator + url.QueryEscape(name) + "=" + url.QueryEscape(value))
}

func (e Encoding) encode(mac []byte) string {
	switch e {
	case Base64:
		return base64.StdEncoding.EncodeToString(mac)
	case Base64URL:
		return base64.RawURLEncoding.EncodeToString(mac)
	default:
		return hex.EncodeToString(mac)
	}
}

// header is the name of the header that a signature is written to.
func (c *Config) header() string {
	if c.Numbered {
		return c.Headers[0] + "-1"
	}
	return c.Headers[0]
}

// headerValue writes the signature header in its grammar.
func (c *Config) headerValue(stamp, mac string) string {
	switch c.Grammar {
	case Prefix, PrefixList:
		return c.Prefix + mac
	case SpaceList:
		return c.Prefix + "," + mac
	case Credential:
		return c.Prefix + " sample:" + mac
	case KeyHashList:
		return "1/" + c.Prefix + "/" + mac
	case KeyValue:
		return c.items(stamp, mac)
	case Positional:
		return stamp + string(c.Separator) + mac
	default:
		return mac
	}
}

// items writes name=value items: the time first, unless other items are signed
// as well, which stand between signature and time.
func (c *Config) items(stamp, mac string) string {
	separator := string(c.Separator)
	if c.Spaced {
		separator += " "
	}
	items := []string{c.Key + "=" + mac}
	for _, part := range c.Content {
		switch part.Kind {
		case Item:
			items = append(items, part.Text+"=sample")
		case Listed:
			items = append(items, part.Text+"="+strings.Join(part.Names, " "))
		default:
		}
	}
	switch timed := c.Time.Key + "=" + stamp; {
	case c.Time.Key == "":
	case len(items) > 1:
		items = append(items, timed)
	default:
		items = []string{timed, items[0]}
	}
	return strings.Join(items, separator)
}

func appendTime(dst []byte, t time.Time, unit Unit) []byte {
	switch unit {
	case Milliseconds:
		return strconv.AppendInt(dst, t.UnixMilli(), 10)
	case RFC3339:
		return t.UTC().AppendFormat(dst, time.RFC3339Nano)
	case HTTPDate:
		return t.UTC().AppendFormat(dst, http.TimeFormat)
	default:
		return strconv.AppendInt(dst, t.Unix(), 10)
	}
}
