package fetch

import (
	"errors"
	"fmt"
	"strings"
)

// Pattern is a URL with a fixed host and path in which a few segments vary:
//
//	https://api.example.com/keys/{id}
//	https://certs.example.com/signing-{hex32}.pem
//
// {id} stands for 1 to 128 of A-Z a-z 0-9 _ -, {hex32} for 32 digits of
// hexadecimal in lower case. Neither can hold a slash, a dot or an escape, so that
// whatever matches has this host and this path for every parser. A pattern has no
// more than one of them.
type Pattern struct {
	before, after string
	hole          hole
}

type hole uint8

const (
	holeNone hole = iota
	holeID
	holeHex32
)

var holes = map[string]hole{"{id}": holeID, "{hex32}": holeHex32}

// Errors of ParsePattern.
var (
	errPatternURL  = errors.New("must be https://, a host name in lower case, and a path; there is no user, query or fragment")
	errPatternHole = errors.New("may have {id} or {hex32} once, in its path")
)

// ParsePattern reads a pattern. A port may stand in it where the operator writes
// one.
func ParsePattern(text string) (Pattern, error) {
	p := Pattern{before: text}
	if at := strings.IndexByte(text, '{'); at >= 0 {
		end := strings.IndexByte(text[at:], '}')
		if end < 0 {
			return Pattern{}, errPatternHole
		}
		p.before, p.after = text[:at], text[at+end+1:]
		if p.hole = holes[text[at:at+end+1]]; p.hole == holeNone || strings.ContainsAny(p.after, "{}") {
			return Pattern{}, errPatternHole
		}
	}
	rest, https := strings.CutPrefix(p.before, "https://")
	host, path, hasPath := strings.Cut(rest, "/")
	if !https || !hasPath || !isHost(host) || !isPath("/"+path+p.after) {
		return Pattern{}, errPatternURL
	}
	return p, nil
}

// isHost reports whether text is a host name in lower case, with or without a
// port.
func isHost(text string) bool {
	name, port, hasPort := strings.Cut(text, ":")
	if hasPort && (port == "" || len(port) > 5 || strings.Trim(port, "0123456789") != "") {
		return false
	}
	if name == "" || len(name) > 253 || strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".") || strings.Contains(name, "..") {
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") == ""
}

// isPath reports whether text is a path of plain characters without segments that
// some parser would take out.
func isPath(text string) bool {
	for segment := range strings.SplitSeq(text, "/") {
		if segment == "." || segment == ".." {
			return false
		}
	}
	return !strings.Contains(text, "//") && strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~-/@") == ""
}

// String returns the pattern as it was written.
func (p Pattern) String() string {
	for text, h := range holes {
		if h == p.hole {
			return p.before + text + p.after
		}
	}
	return p.before
}

// Fixed reports whether the pattern is one URL.
func (p Pattern) Fixed() bool { return p.hole == holeNone }

// Fill returns the URL of an id.
func (p Pattern) Fill(id string) (url string, ok bool) {
	if !p.hole.fits(id) {
		return "", false
	}
	return p.before + id + p.after, true
}

// Match reports whether a URL that a stranger wrote is one of the pattern's, byte
// for byte.
func (p Pattern) Match(url string) bool {
	if p.hole == holeNone {
		return url == p.before
	}
	middle, ok := strings.CutPrefix(url, p.before)
	if ok {
		middle, ok = strings.CutSuffix(middle, p.after)
	}
	return ok && p.hole.fits(middle)
}

// Origin is the scheme and host of the pattern.
func (p Pattern) Origin() string {
	host, _, _ := strings.Cut(strings.TrimPrefix(p.before, "https://"), "/")
	return "https://" + host
}

func (h hole) fits(text string) bool {
	switch h {
	case holeID:
		if len(text) == 0 || len(text) > MaxID {
			return false
		}
		for i := range len(text) {
			if !isPlain(text[i]) {
				return false
			}
		}
		return true
	case holeHex32:
		return len(text) == 32 && strings.Trim(text, "0123456789abcdef") == ""
	default:
		return false
	}
}

// Named says what a key id is to a family.
type Named uint8

// The kinds of names.
const (
	// NamedByID: the id goes into the pattern, or, if that is one URL, only into what
	// is sent to it.
	NamedByID Named = iota
	// NamedByURL: the id is the URL and must match the pattern.
	NamedByURL
	// NamedByPath: the id is the URL's path.
	NamedByPath
)

// place is a URL, and the key id that it is asked with. Where the id is not part of the
// URL, it alone tells two apart.
type place struct{ url, id string }

// place returns where a key id leads, if it leads anywhere.
func (n Named) place(patterns []Pattern, id string) (place, error) {
	for _, p := range patterns {
		full, ok := "", false
		switch {
		case n == NamedByURL:
			full, ok = id, p.Match(id)
		case n == NamedByPath:
			full = p.Origin() + id
			ok = p.Match(full)
		case p.Fixed():
			full, ok = p.before, holeID.fits(id)
		default:
			full, ok = p.Fill(id)
		}
		if ok {
			return place{full, id}, nil
		}
	}
	return place{}, fmt.Errorf("%.80q is not of the form of %s", id, patterns[0])
}
