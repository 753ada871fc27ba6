package signature

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
)

// collect reads all signatures that count into the scratch. It returns OK,
// SignatureMissing if there is none of the wanted version, or
// SignatureMalformed.
func (h *Content) collect(req *authz.Request, s *scratch) authz.Reason {
	s.candidates, s.decoded, s.skipped, s.overflow, s.time, s.place = s.candidates[:0], s.decoded[:0], 0, false, nil, 0
	if h.config.JSON != "" {
		texts, err := req.Body.JSON(h.config.JSON)
		if err != nil || len(texts) > 1 || len(texts) == 1 && !h.parse([]byte(texts[0]), s) {
			return authz.SignatureMalformed
		}
	}
	if h.config.Field != "" {
		texts, err := fieldTexts(req, h.config.Field)
		if err != nil || len(texts) > 1 || len(texts) == 1 && !h.parse([]byte(texts[0]), s) {
			return authz.SignatureMalformed
		}
	}
	if h.config.Query != "" && !h.parseQuery(req, s) {
		return authz.SignatureMalformed
	}
	headers := req.Headers
	for i := range headers {
		name := h.nameOf(headers[i].Name)
		if name < 0 || h.config.holdsTime() && name != h.first(headers) {
			continue
		}
		if !h.config.Repeated && twice(headers, i) {
			return authz.SignatureMalformed
		}
		if s.place = name; !h.parse(headers[i].Value, s) || s.overflow {
			return authz.SignatureMalformed
		}
	}
	switch {
	case len(s.candidates) > 0:
		return authz.OK
	case s.skipped > 0:
		return authz.SignatureMalformed
	default:
		return authz.SignatureMissing
	}
}

// first returns the place in Config.Headers of the first one that is there, or
// -1.
func (h *Content) first(headers authz.Headers) int {
	first := -1
	for i := range headers {
		if n := h.nameOf(headers[i].Name); n >= 0 && (first < 0 || n < first) {
			first = n
		}
	}
	return first
}

// nameOf returns the place in Config.Headers of a header's name, or -1.
func (h *Content) nameOf(name authz.View) int {
	for i, want := range h.config.Headers {
		if h.config.Numbered {
			if len(name) > len(want)+1 && string(name[:len(want)]) == want && name[len(want)] == '-' && isNumber(name[len(want)+1:]) {
				return i
			}
		} else if string(name) == want {
			return i
		}
	}
	return -1
}

// isNumber reports whether the text is 1 to 100 without leading zeros.
func isNumber(text []byte) bool {
	if string(text) == "100" {
		return true
	}
	if len(text) > 2 || text[0] == '0' {
		return false
	}
	for _, c := range text {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// twice reports whether the header at i stands there once more behind it.
func twice(headers authz.Headers, i int) bool {
	for j := i + 1; j < len(headers); j++ {
		if string(headers[j].Name) == string(headers[i].Name) {
			return true
		}
	}
	return false
}

// parse adds one signature header to the scratch: the candidates, and the time
// if the header holds it. It returns false if the header has another form.
func (h *Content) parse(value authz.View, s *scratch) bool {
	c := &h.config
	switch c.Grammar {
	case Bare:
		h.add(value, s)
	case Prefix:
		rest, ok := bytes.CutPrefix(value, []byte(c.Prefix))
		if !ok && !c.PrefixOptional {
			return false
		}
		h.add(rest, s)
	case PrefixList:
		h.parseList(value, c.Separator, s, func(item []byte) ([]byte, bool) {
			return bytes.CutPrefix(item, []byte(c.Prefix))
		})
	case SpaceList:
		h.parseList(value, ' ', s, func(item []byte) ([]byte, bool) {
			// One sender joins its entries with a comma and a space.
			item = bytes.TrimSuffix(item, []byte{','})
			version, mac, ok := bytes.Cut(item, []byte{','})
			return mac, ok && string(version) == c.Prefix
		})
	case List:
		h.parseList(value, c.Separator, s, func(item []byte) ([]byte, bool) { return item, true })
	case Credential:
		scheme, rest, ok := bytes.Cut(value, []byte{' '})
		_, mac, hasID := bytes.Cut(bytes.TrimSpace(rest), []byte{':'})
		if !ok || !hasID || !strings.EqualFold(string(scheme), c.Prefix) {
			return false
		}
		h.add(mac, s)
	case KeyHashList:
		h.parseList(value, ',', s, func(item []byte) ([]byte, bool) {
			_, rest, _ := bytes.Cut(item, []byte{'/'})
			hash, mac, ok := bytes.Cut(rest, []byte{'/'})
			return mac, ok && string(hash) == c.Prefix
		})
	case KeyValue:
		return h.parseKeyValue(value, s)
	case Base64JSON:
		return h.parseBase64JSON(value, s)
	case Positional:
		time, rest, ok := bytes.Cut(value, []byte{c.Separator})
		if !ok {
			return false
		}
		s.time = bytes.TrimSpace(time)
		h.parseList(rest, c.Separator, s, func(item []byte) ([]byte, bool) { return item, true })
	default:
		return false
	}
	return true
}

// add decodes one signature. One of another length or alphabet is skipped: a
// list may hold signatures of other schemes. Too many of them are a fault.
func (h *Content) add(text []byte, s *scratch) {
	n := len(s.candidates)
	if n+s.skipped >= h.config.MaxSignatures {
		s.overflow = true
		return
	}
	start := len(s.decoded)
	decoded, ok := appendSignature(s.decoded, text, h.config.Encoding, h.least, h.most)
	if !ok {
		s.skipped++
		return
	}
	s.decoded = decoded
	s.candidates = append(s.candidates, candidate{bytes: decoded[start:len(decoded):len(decoded)], place: s.place})
}

// parseList reads a list of entries; cut returns the signature of an entry,
// and false for one of another version.
func (h *Content) parseList(value []byte, separator byte, s *scratch, cut func([]byte) ([]byte, bool)) {
	for more := true; more; {
		var item []byte
		item, value, more = bytes.Cut(value, []byte{separator})
		item = bytes.TrimSpace(item)
		if len(item) == 0 {
			continue
		}
		mac, ok := cut(item)
		if !ok {
			continue
		}
		h.add(mac, s)
	}
}

// parseKeyValue reads name=value items. The time must stand there once: with
// two, one reader takes the first and another the last.
func (h *Content) parseKeyValue(value []byte, s *scratch) bool {
	c := &h.config
	return h.items(value, func(name, text []byte) bool {
		switch {
		case string(name) == c.Key:
			h.add(text, s)
		case c.Time.Key != "" && string(name) == c.Time.Key:
			if s.time != nil {
				return false
			}
			s.time = text[:len(text):len(text)]
		}
		return true
	})
}

// items calls take with each name=value item, until it returns false. It
// returns false then, and if there is something that is no item.
func (h *Content) items(value []byte, take func(name, text []byte) bool) bool {
	for more := true; more; {
		var item []byte
		item, value, more = bytes.Cut(value, []byte{h.config.Separator})
		name, text, ok := bytes.Cut(bytes.TrimSpace(item), []byte{'='})
		if !ok || !take(name, text) {
			return false
		}
	}
	return true
}

// appendSignature appends the bytes of a signature of least to most bytes. Only the
// canonical text is accepted: no padding bits, no line breaks.
func appendSignature(dst, text []byte, e Encoding, least, most int) ([]byte, bool) {
	var length func(int) int
	decoder := hex.AppendDecode
	switch e {
	case Hex:
		length = hex.EncodedLen
	case Base64:
		length, decoder = base64Strict.EncodedLen, base64Strict.AppendDecode
	case Base64URL:
		length, decoder = base64URLStrict.EncodedLen, base64URLStrict.AppendDecode
	default:
		return dst, false
	}
	if len(text) < length(least) || len(text) > length(most) {
		return dst, false
	}
	start := len(dst)
	decoded, err := decoder(dst, text)
	n := len(decoded) - start
	// The length rules out the line breaks that the decoder would skip.
	if err != nil || n < least || n > most || length(n) != len(text) {
		return dst, false
	}
	return decoded, true
}

// decode writes a digest's bytes into dst. Only the canonical text of
// exactly size bytes is accepted: no padding bits, no line breaks.
func decode(dst *macBytes, text []byte, e Encoding, size int) bool {
	switch e {
	case Hex:
		if len(text) != hex.EncodedLen(size) {
			return false
		}
		n, err := hex.Decode(dst[:], text)
		return err == nil && n == size
	case Base64:
		return decodeBase64(dst, text, base64Strict, size)
	case Base64URL:
		return decodeBase64(dst, text, base64URLStrict, size)
	default:
		return false
	}
}

// parseBase64JSON reads the signature in a JSON object in base64.
func (h *Content) parseBase64JSON(value []byte, s *scratch) bool {
	text, ok := headerText(value, h.config.Key)
	if ok {
		h.add([]byte(text), s)
	}
	return ok
}

// maxHeaderJSON is the length of the longest base64 of a JSON object in a header.
const maxHeaderJSON = 8 << 10

// headerText returns the one text of that name in a JSON object in base64.
func headerText(value []byte, name string) (string, bool) {
	if len(value) > maxHeaderJSON {
		return "", false
	}
	decoded, err := base64Strict.AppendDecode(nil, value)
	if err != nil || base64Strict.EncodedLen(len(decoded)) != len(value) {
		return "", false
	}
	object := authz.Body{Segments: [][]byte{decoded}}
	texts, err := object.JSON(name)
	if err != nil || len(texts) != 1 {
		return "", false
	}
	return texts[0], true
}

var (
	base64Strict    = base64.StdEncoding.Strict()
	base64URLStrict = base64.RawURLEncoding.Strict()
)

func decodeBase64(dst *macBytes, text []byte, encoding *base64.Encoding, size int) bool {
	// The length rules out the line breaks that the decoder would skip.
	if len(text) != encoding.EncodedLen(size) {
		return false
	}
	var wide [maxMAC + 3]byte
	n, err := encoding.Decode(wide[:], text)
	copy(dst[:], wide[:n])
	return err == nil && n == size
}

// parseTime reads a time as it was sent. Numbers have no sign, no leading zero
// and at most 15 digits.
func parseTime(text authz.View, unit Unit) (time.Time, bool) {
	if unit == HTTPDate {
		t, err := time.Parse(http.TimeFormat, string(text))
		return t, err == nil && t.Format(http.TimeFormat) == string(text) // one form, and the weekday is right
	}
	if unit == RFC3339 {
		// A digit that is missing from the hour is no fault to time.Parse.
		if len(text) > 64 || len(text) < len("2006-01-02T15:04:05Z") || text[13] != ':' {
			return time.Time{}, false
		}
		t, err := time.Parse(time.RFC3339Nano, string(text))
		return t, err == nil
	}
	if len(text) == 0 || len(text) > 15 || len(text) > 1 && text[0] == '0' {
		return time.Time{}, false
	}
	var n int64
	for _, c := range text {
		if c < '0' || c > '9' {
			return time.Time{}, false
		}
		n = n*10 + int64(c-'0')
	}
	if unit == Milliseconds {
		return time.UnixMilli(n), true
	}
	return time.Unix(n, 0), true
}
