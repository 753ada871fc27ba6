package signature

import "strings"

// set is a set of characters.
type set [256]bool

func setOf(has func(byte) bool) *set {
	var s set
	for c := range s {
		s[c] = has(byte(c))
	}
	return &s
}

func charsOf(text string) *set {
	return setOf(func(c byte) bool { return strings.IndexByte(text, c) >= 0 })
}

func (s *set) meets(other *set) bool {
	for c := range s {
		if s[c] && other[c] {
			return true
		}
	}
	return false
}

// shape is what is known of a part's text without looking at it.
type shape struct {
	chars       *set // all it may have
	first, last *set // with which it may begin and end
	empty       bool // it may be nothing
	// begins: none of its texts is the end of another; ends: nor the beginning.
	begins, ends bool
}

const (
	digits     = "0123456789"
	whitespace = "\t\r\n" // around JSON
)

var anything = setOf(func(byte) bool { return true })

// shapeOf returns the shape of part i.
func (c *Config) shapeOf(i int) shape {
	p := &c.Content[i]
	free := shape{chars: anything, first: anything, last: anything, empty: true}
	of := func(chars *set) shape { return shape{chars: chars, first: chars, last: chars} }
	switch p.Kind {
	case Literal:
		s := of(charsOf(p.Text))
		s.first, s.last = charsOf(p.Text[:1]), charsOf(p.Text[len(p.Text)-1:])
		s.begins, s.ends = true, true
		return s
	case Timestamp:
		// A number has exactly so many digits beside what is not fixed text; a
		// date and a time begin with 19 characters of fixed places and end with
		// Z or an offset.
		s := of(charsOf(digits))
		s.begins, s.ends = true, true
		switch c.Time.Unit {
		case RFC3339:
			s.chars, s.last = anything, charsOf(digits+"Zz")
		case HTTPDate: // 29 characters, from Mon to GMT
			s.chars, s.first, s.last = setOf(DateChars.has), charsOf("MTWFS"), charsOf("T")
		default:
		}
		return s
	case HeaderValue:
		s := of(setOf(p.Charset.has))
		s.empty = p.Charset == AnyChars
		return s
	case Method:
		return of(setOf(func(b byte) bool { return 'A' <= b && b <= 'Z' }))
	case URL, Path:
		return c.shapeOfURL(p)
	case Body, FormField:
		if p.WantsJSON {
			free.first, free.last = charsOf("{["+whitespace), charsOf("}]"+whitespace)
		}
		return free
	case Form:
		free.first = setOf(isNameStart)
		return free
	case BodyString:
		free.empty, free.ends = false, true // it ends with its first free quote
		return free
	case Item:
		free.ends = p.JSONString
		return free
	case BodyHash:
		s := free
		s.empty = p.Digest.EmptyAsNothing
		s.begins, s.ends = !s.empty, !s.empty
		if p.Digest.Encoding != 0 {
			s.chars = setOf(func(b byte) bool { return IDChars.has(b) })
			s.first, s.last = s.chars, s.chars
		}
		return s
	case SortedQuery:
		s := of(setOf(func(b byte) bool { return IDChars.has(b) || b == '%' || b == '&' }))
		s.empty = true
		return s
	case Contentful:
		free.empty, free.ends = false, true // it ends with its third line break
		return free
	default:
		return free
	}
}

func (c *Config) shapeOfURL(p *Part) shape {
	s := shape{chars: anything, first: charsOf("h"), last: anything, ends: c.Pin.fixes() || c.Pin.Path && p.WithoutQuery}
	if p.Kind == Path {
		s.first = charsOf("/")
	}
	if p.RFC3986 {
		s.chars = setOf(func(b byte) bool { return isURLByte(b) || strings.IndexByte(p.Decoded, b) >= 0 })
		last := *s.chars
		s.last = &last
	}
	if p.NoDigitLast {
		last := *s.last
		for _, d := range digits {
			last[d] = false
		}
		s.last = &last
	}
	return s
}

// Open names the parts of the content between which characters could move, so
// that one signature fits several requests; none if each content can be read in
// one way. What a form itself joins is not told apart: its names and values.
func (c *Config) Open() []string {
	var names []string
	begin := 0
	for i := range c.Content {
		// Nobody knows the secret, so that nobody can put it anywhere else.
		if c.Content[i].Kind == Secret {
			names = append(names, c.openBetween(begin, i)...)
			begin = i + 1
		}
	}
	return append(names, c.openBetween(begin, len(c.Content))...)
}

func (c *Config) openBetween(begin, end int) []string {
	shapes := make([]shape, len(c.Content))
	for i := begin; i < end; i++ {
		shapes[i] = c.shapeOf(i)
	}
	// What is between begin and end is not told apart yet.
	for moved := true; moved; {
		moved = false
		for end-begin > 1 && beginsVisibly(shapes[begin:end]) {
			end, moved = end-1, true
		}
		for end-begin > 1 && c.endsVisibly(shapes[begin:end], begin) {
			begin, moved = begin+1, true
		}
	}
	if end-begin <= 1 {
		if begin == end {
			return nil
		}
		if p := &c.Content[begin]; p.Kind == PlivoV3 && !c.Pin.fixes() && !c.Pin.NoBody {
			return []string{"query", "form parameters"}
		}
		return nil
	}
	var names []string
	for i := begin; i < end; i++ {
		if c.Content[i].Kind != Literal {
			names = append(names, c.Content[i].describe())
		}
	}
	return names
}

// endsVisibly reports whether the end of the first part shows in any content:
// by its own shape, or by a character behind it that it cannot have. at is its
// place in the content.
func (c *Config) endsVisibly(shapes []shape, at int) bool {
	p, s := &c.Content[at], shapes[0]
	next := c.Content[at+1]
	switch {
	case c.endsBeforeBody(at):
		return true
	case p.Kind == URL && s.ends:
		// The digest of the body may follow a pinned query, but not begin a form.
		return c.BodyDigest.Query == "" || !shapes[1].first.meets(charsOf("?&"))
	case s.ends:
		return true
	case next.Kind == Timestamp && c.Time.Unit == RFC3339 && !s.chars[':']:
		return true // the first colon is the time's, behind 13 characters of it
	case next.Kind == Form && len(next.Names) == 1 && next.WantsJSON && !s.chars['['] && !s.chars['{']:
		return true // the first bracket stands behind the one name
	}
	for _, follows := range shapes[1:] {
		if s.chars.meets(follows.first) {
			return false
		}
		if !follows.empty {
			break
		}
	}
	return true
}

// beginsVisibly is the same of the begin of the last part.
func beginsVisibly(shapes []shape) bool {
	n := len(shapes) - 1
	s := shapes[n]
	if s.begins {
		return true
	}
	for i := n - 1; i >= 0; i-- {
		if s.chars.meets(shapes[i].last) {
			return false
		}
		if !shapes[i].empty {
			break
		}
	}
	return true
}

// exactTime reports whether a time is signed beside something that is no fixed
// text.
func (c *Config) exactTime() bool {
	for i, p := range c.Content {
		if p.Kind != Timestamp {
			continue
		}
		if i > 0 && c.Content[i-1].Kind != Literal || i+1 < len(c.Content) && c.Content[i+1].Kind != Literal {
			return true
		}
	}
	return false
}

// digits is how many digits a time has since 2001 and until 2286; 0 if it is no
// number.
func (t *Time) digits() int {
	switch t.Unit {
	case Seconds:
		return 10
	case Milliseconds:
		return 13
	default:
		return 0
	}
}
