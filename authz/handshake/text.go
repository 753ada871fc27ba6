package handshake

import (
	"net/url"
	"strings"

	"github.com/hookbastion/hookbastion/authz"
)

// Alphabet is a set of characters, which are all ASCII. None has a quote, a backslash or
// a character of markup, so that a text of it can stand in JSON as it is, and means
// nothing to a browser. The zero value has none.
type Alphabet uint8

// The alphabets.
const (
	_ Alphabet = iota
	// Word: A-Z a-z 0-9 _ -
	Word
	// Digits: 0-9
	Digits
	// Hex: 0-9 a-f A-F
	Hex
	// Token: Word and . ~ + / =
	Token
	// Text: printable ASCII without < > & " ' ` \
	Text
	// Host: A-Z a-z 0-9 . - : *
	Host
	// Padded: Word and =
	Padded
	alphabetCount
)

const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

var alphabets = [alphabetCount]struct{ name, more string }{
	Word:   {"letters, digits, _ and -", alphanumeric + "_-"},
	Digits: {"digits", "0123456789"},
	Hex:    {"hexadecimal digits", "0123456789abcdefABCDEF"},
	Token:  {"letters, digits and _ - . ~ + / =", alphanumeric + "_-.~+/="},
	Text:   {"printable ASCII without < > & quotes and backslash", " !#$%()*+,-./0123456789:;=?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_abcdefghijklmnopqrstuvwxyz{|}~"},
	Host:   {"letters, digits and . - : *", alphanumeric + ".-:*"},
	Padded: {"letters, digits, _ - and =", alphanumeric + "_-="},
}

// String names the characters.
func (a Alphabet) String() string {
	if a < alphabetCount && a > 0 {
		return alphabets[a].name
	}
	return "nothing"
}

// Has reports whether the character is of the alphabet.
func (a Alphabet) Has(c byte) bool {
	return a < alphabetCount && strings.IndexByte(alphabets[a].more, c) >= 0
}

// HasAll reports whether all characters of the text are of the alphabet.
func (a Alphabet) HasAll(text string) bool {
	for i := range len(text) {
		if !a.Has(text[i]) {
			return false
		}
	}
	return true
}

// Challenge is the text of a request that the answer is made of. One of Query, Header and
// JSON is set.
type Challenge struct {
	Query, Header string
	JSON          string
	Alphabet      Alphabet
	// Min and Max are the least and greatest length; Min is at least 1.
	Min, Max int
}

func (c *Challenge) fits(text string) bool {
	return len(text) >= max(c.Min, 1) && len(text) <= c.Max && c.Alphabet.HasAll(text)
}

// read returns the text, if it is there once.
func (c *Challenge) read(req *authz.Request) (text string, ok bool) {
	texts, n := "", 0
	switch {
	case c.Query != "":
		texts, n = queryText(req, c.Query)
	case c.Header != "":
		value, count := req.Headers.Lookup(c.Header)
		texts, n = string(value), count
	default:
		text, ok := jsonText(req, c.JSON)
		return text, ok
	}
	return texts, n == 1
}

// there reports whether the text is there, once or more.
func (c *Challenge) there(req *authz.Request) bool {
	switch {
	case c.Query != "":
		_, n := queryText(req, c.Query)
		return n > 0
	case c.Header != "":
		_, n := req.Headers.Lookup(c.Header)
		return n > 0
	default:
		_, ok := jsonText(req, c.JSON)
		return ok
	}
}

// queryText returns the value of a parameter of the query, decoded, and how many there
// are of that name. One that cannot be decoded counts and has no value.
func queryText(req *authz.Request, name string) (value string, n int) {
	_, query, _ := strings.Cut(string(req.Path), "?")
	for pair := range strings.SplitSeq(query, "&") {
		key, text, _ := strings.Cut(pair, "=")
		if key, err := url.QueryUnescape(key); err != nil || key != name {
			continue
		}
		if n++; n == 1 {
			value, _ = url.QueryUnescape(text)
		}
	}
	return value, n
}

// Guard is a text of deliveries that must never be one that a handshake signs.
type Guard struct {
	// Field is the field of a form that deliveries sign; empty: they sign the body.
	Field string
	// Alphabet and Max are those of the challenge.
	Alphabet Alphabet
	Max      int
}

// could reports whether what a delivery signs could be a challenge. A line break at its
// end does not make it another text: some senders add one.
func (g *Guard) could(req *authz.Request) bool {
	if g.Field == "" {
		if n := req.Body.Len(); n == 0 || n > g.Max+2 {
			return false
		}
		return g.Alphabet.HasAll(strings.TrimRight(string(req.Body.Joined()), "\r\n"))
	}
	form, err := url.ParseQuery(string(req.Body.Joined())) // of any size: what is not signed may fill it
	for _, value := range form[g.Field] {
		if text := strings.TrimRight(value, "\r\n"); text != "" && len(text) <= g.Max && g.Alphabet.HasAll(text) {
			return true
		}
	}
	return err != nil && strings.Contains(string(req.Body.Joined()), g.Field) // which others may read
}
