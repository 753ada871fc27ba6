package signature

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"time"

	"github.com/hookbastion/hookbastion/authz"
)

// parse reads the signature header into the scratch: the candidates, and the
// time if the header holds it. It returns OK, SignatureMissing if the header
// has no signature of the wanted version, or SignatureMalformed.
func (h *HMAC) parse(value authz.View, s *scratch) authz.Reason {
	s.candidates, s.skipped, s.time = s.candidates[:0], 0, nil
	c := &h.config
	switch c.Grammar {
	case Bare:
		h.only(value, s)
	case Prefix:
		rest, ok := bytes.CutPrefix(value, []byte(c.Prefix))
		if !ok {
			return authz.SignatureMalformed
		}
		h.only(rest, s)
	case PrefixList:
		return h.parseList(value, c.Separator, s, func(item []byte) ([]byte, bool) {
			return bytes.CutPrefix(item, []byte(c.Prefix))
		})
	case SpaceList:
		return h.parseList(value, ' ', s, func(item []byte) ([]byte, bool) {
			// One sender joins its entries with a comma and a space.
			item = bytes.TrimSuffix(item, []byte{','})
			version, mac, ok := bytes.Cut(item, []byte{','})
			return mac, ok && string(version) == c.Prefix
		})
	case KeyValue:
		return h.parseKeyValue(value, s)
	case Positional:
		time, rest, ok := bytes.Cut(value, []byte{c.Separator})
		if !ok {
			return authz.SignatureMalformed
		}
		s.time = bytes.TrimSpace(time)
		return h.parseList(rest, c.Separator, s, func(item []byte) ([]byte, bool) { return item, true })
	default:
		return authz.Internal
	}
	if len(s.candidates) == 0 {
		return authz.SignatureMalformed
	}
	return authz.OK
}

// only takes the whole text as the one signature.
func (h *HMAC) only(text []byte, s *scratch) { h.add(text, s) }

// add decodes one signature. One of another length or alphabet is skipped: a
// list may hold signatures of other schemes.
func (h *HMAC) add(text []byte, s *scratch) {
	n := len(s.candidates)
	s.candidates = s.candidates[:n+1]
	if !decode(&s.candidates[n], text, h.config.Encoding, h.config.Hash.Size()) {
		s.candidates = s.candidates[:n]
		s.skipped++
	}
}

// parseList reads a list of entries; cut returns the signature of an entry,
// and false for one of another version.
func (h *HMAC) parseList(value []byte, separator byte, s *scratch, cut func([]byte) ([]byte, bool)) authz.Reason {
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
		if len(s.candidates)+s.skipped >= h.config.MaxSignatures {
			return authz.SignatureMalformed
		}
		h.add(mac, s)
	}
	return s.verdict()
}

func (s *scratch) verdict() authz.Reason {
	switch {
	case len(s.candidates) > 0:
		return authz.OK
	case s.skipped > 0:
		return authz.SignatureMalformed
	default:
		return authz.SignatureMissing
	}
}

// parseKeyValue reads name=value items. The time must stand there once: with
// two, one reader takes the first and another the last.
func (h *HMAC) parseKeyValue(value []byte, s *scratch) authz.Reason {
	c := &h.config
	for more := true; more; {
		var item []byte
		item, value, more = bytes.Cut(value, []byte{c.Separator})
		name, text, ok := bytes.Cut(bytes.TrimSpace(item), []byte{'='})
		if !ok {
			return authz.SignatureMalformed
		}
		switch {
		case string(name) == c.Key:
			if len(s.candidates)+s.skipped >= c.MaxSignatures {
				return authz.SignatureMalformed
			}
			h.add(text, s)
		case c.Time.Key != "" && string(name) == c.Time.Key:
			if s.time != nil {
				return authz.SignatureMalformed
			}
			s.time = text[:len(text):len(text)]
		}
	}
	return s.verdict()
}

// decode writes the signature's bytes into dst. Only the canonical text of
// exactly size bytes is accepted: no padding bits, no line breaks.
func decode(dst *candidate, text []byte, e Encoding, size int) bool {
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

var (
	base64Strict    = base64.StdEncoding.Strict()
	base64URLStrict = base64.RawURLEncoding.Strict()
)

func decodeBase64(dst *candidate, text []byte, encoding *base64.Encoding, size int) bool {
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
	if unit == RFC3339 {
		if len(text) > 64 {
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

func appendTime(dst []byte, t time.Time, unit Unit) []byte {
	switch unit {
	case Milliseconds:
		return appendInt(dst, t.UnixMilli())
	case RFC3339:
		return t.UTC().AppendFormat(dst, time.RFC3339Nano)
	default:
		return appendInt(dst, t.Unix())
	}
}
