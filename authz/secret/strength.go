package secret

import (
	"bytes"
	_ "embed" // the words
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
)

const (
	// MinBytes is how long a strong secret is at least, decoded.
	MinBytes = 16
	// minBits is how much there is to guess at least, by estimate.
	minBits = 48
	// minDistinct is how many different bytes there are at least.
	minDistinct = 5
	// wordBits is what a word adds.
	wordBits = 6
)

// Errors of Weakness.
var (
	ErrShort     = fmt.Errorf("the secret is weak: shorter than %d bytes", MinBytes)
	ErrGuessable = errors.New("the secret is weak: it can be guessed")
)

// Weakness says why a secret can be found out by trying, or nil. It is an
// estimate that errs to the good: what is chosen at random is never weak, what
// a person made up may be taken for strong.
//
// The bytes are those that key the MAC, decoded. What repeats itself counts
// once, a run such as 3456 or aaaa hardly, and a word from a short list of those
// that people use for secrets as one letter.
func Weakness(key []byte) error {
	switch {
	case len(key) < MinBytes:
		return ErrShort
	case distinct(key) < minDistinct, bits(once(key)) < minBits:
		return ErrGuessable
	}
	return nil
}

func distinct(key []byte) int {
	var seen [256]bool
	n := 0
	for _, b := range key {
		if !seen[b] {
			seen[b] = true
			n++
		}
	}
	return n
}

// once returns what the key repeats, or the whole key.
func once(key []byte) []byte {
	for n := 1; n <= len(key)/2; n++ {
		if bytes.Equal(key[n:], key[:len(key)-n]) {
			return key[:n]
		}
	}
	return key
}

// bits estimates how many bits there are to guess.
func bits(key []byte) float64 {
	each, sum := alphabetBits(key), 0.0
	lower := bytes.ToLower(key)
	for i := 0; i < len(key); {
		if n := wordAt(lower[i:]); n > 0 {
			sum += wordBits
			i += n
			continue
		}
		if inRun(key, i) {
			sum++
		} else {
			sum += each
		}
		i++
	}
	return sum
}

// inRun reports whether a byte goes on as the two before it did.
func inRun(key []byte, i int) bool {
	if i < 2 {
		return false
	}
	step := int(key[i]) - int(key[i-1])
	return -1 <= step && step <= 1 && step == int(key[i-1])-int(key[i-2])
}

// alphabetBits is what one byte adds, by the kinds of characters that there
// are.
func alphabetBits(key []byte) float64 {
	var digits, lower, upper, other, binary bool
	for _, c := range key {
		switch {
		case '0' <= c && c <= '9':
			digits = true
		case 'a' <= c && c <= 'z':
			lower = true
		case 'A' <= c && c <= 'Z':
			upper = true
		case ' ' <= c && c <= '~':
			other = true
		default:
			binary = true
		}
	}
	size := 0.0
	for _, kind := range []struct {
		there bool
		size  float64
	}{{digits, 10}, {lower, 26}, {upper, 26}, {other, 8}} {
		if kind.there {
			size += kind.size
		}
	}
	if onlyHex(key) {
		size = 16
	}
	if binary {
		size = 256
	}
	return math.Log2(max(size, 2))
}

func onlyHex(key []byte) bool {
	return !bytes.ContainsFunc(key, func(r rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEF", r) })
}

//go:embed words.txt
var wordList string

// words has the words by their first two letters.
var words = sync.OnceValue(func() map[string][]string {
	m := map[string][]string{}
	for line := range strings.Lines(wordList) {
		if word := strings.TrimSpace(line); word != "" && word[0] != '#' {
			m[word[:2]] = append(m[word[:2]], word)
		}
	}
	return m
})

const separators = " _-.:/"

// wordAt returns the length of the longest word that the text begins with. A
// separator before it belongs to it. Between separators, up to three letters are
// a word, too.
func wordAt(lower []byte) int {
	text := bytes.TrimLeft(lower, separators)
	if n := shortWord(text); n > 0 && len(text) < len(lower) {
		return n + len(lower) - len(text)
	}
	if len(text) < 2 {
		return 0
	}
	longest := 0
	for _, word := range words()[string(text[:2])] {
		if len(word) > longest && bytes.HasPrefix(text, []byte(word)) {
			longest = len(word)
		}
	}
	if longest == 0 {
		return 0
	}
	return longest + len(lower) - len(text)
}

func shortWord(text []byte) int {
	n := bytes.IndexAny(text, separators)
	if n < 0 {
		n = len(text)
	}
	if n > 3 || len(bytes.Trim(text[:n], "abcdefghijklmnopqrstuvwxyz")) > 0 {
		return 0
	}
	return n
}
