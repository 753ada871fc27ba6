// Package fetch gets what stands at a URL and is needed to judge deliveries:
// keys, certificates, published networks.
//
// A [Document] is one URL. A [Family] is many URLs of one pattern, one for each
// key id. Both are fetched in the background by a [Fetcher], which outlives every
// table of policies; a request only looks at what is there and never waits. What
// was good last stays, in memory and, where there is a directory, on disk, until
// it is older than Config.MaxStale.
//
// URLs come from the configuration. Where a request names one, it is an id and no
// address: a [Pattern] compares it byte for byte with a fixed host and path, in
// which only letters, digits and a few marks vary, so that no parser's view of
// it matters.
//
// The [Client] speaks HTTPS only, with TLS 1.2 or later, follows no redirect,
// uses no proxy that the settings do not name, and connects to no private,
// loopback, link-local or other special address unless the settings list it. That
// is looked at after the name was resolved, on the address that is dialled, so
// that a name that changes its address cannot get past it. Sizes, times and
// the number of fetches at once are bounded, and there is one for a URL at a time.
//
// Strangers can make a fetch happen by naming an unknown key id: at most one in
// [AskInterval] for each webhook. Of many unknown ids one is drawn at random, so
// that a flood makes an honest one wait, but does not shut it out for certain.
//
// It does not protect against a provider whose server or domain is in other hands.
package fetch

import (
	"errors"
	"fmt"
	"time"
)

// Failure says in one word why a fetch failed. The set is closed.
type Failure uint8

// The failures. None is the zero value.
const (
	None Failure = iota
	// BadURL: not an https URL of the kind that is allowed.
	BadURL
	// Credentials: a file with what the provider asks for cannot be read, or the
	// provider refused what is in it.
	Credentials
	// DNS: the name has no address.
	DNS
	// Address: one that must not be connected to.
	Address
	// Connect: no connection.
	Connect
	// TLS: the server has no certificate for its name, or speaks an old version.
	TLS
	// Timeout: one of the times was over.
	Timeout
	// Redirect: the answer is another URL.
	Redirect
	// NotFound: the server says that there is nothing.
	NotFound
	// BadStatus: any other answer than 200 or 304.
	BadStatus
	// TooLarge: more bytes than allowed.
	TooLarge
	// Content: what came is not what is expected.
	Content
	// Transport: an answer that is no HTTP, or broke off.
	Transport
	// Held: what came is sound, and waits for its Source's Judge.
	Held
	failureCount
)

var failureNames = [failureCount]string{
	"", "url", "credentials", "dns", "address", "connect", "tls", "timeout", "redirect", "not_found", "status", "too_large", "content", "transport", "held",
}

// String returns the word, empty for None.
func (f Failure) String() string {
	if f < failureCount {
		return failureNames[f]
	}
	return "unknown"
}

// Failures lists all words, for metrics.
func Failures() []string { return failureNames[1:] }

// definite reports whether to ask again soon would be of no use: the server has
// said that there is nothing, or something else than is expected.
func (f Failure) definite() bool { return f == NotFound || f == Content || f == TooLarge }

// Error is why a fetch failed. Its text names the host and holds nothing that the
// server sent but a status.
type Error struct {
	Failure Failure
	Detail  string
	cause   error
}

func (e *Error) Error() string {
	if e.Detail == "" {
		return e.Failure.String()
	}
	return e.Failure.String() + ": " + e.Detail
}

// Unwrap returns what it was made of.
func (e *Error) Unwrap() error { return e.cause }

func fail(f Failure, format string, args ...any) *Error {
	return &Error{Failure: f, Detail: fmt.Sprintf(format, args...)}
}

// FailureOf returns the word of an error: None for nil, Content for those of a
// parser, which know nothing of fetching.
func FailureOf(err error) Failure {
	var known *Error
	switch {
	case err == nil:
		return None
	case errors.As(err, &known):
		return known.Failure
	default:
		return Content
	}
}

// Limits that are not settings.
const (
	// AskInterval is the time between two fetches that requests of one webhook
	// cause, and between two that they cause of one document.
	AskInterval = 30 * time.Second
	// MaxID is the length of the longest key id, in bytes.
	MaxID = 128
	// minRefresh and maxRefresh bound what a server says of how long its answer is
	// good; usualRefresh counts if it says nothing.
	minRefresh   = 5 * time.Minute
	usualRefresh = time.Hour
	maxRefresh   = 24 * time.Hour
	// minRetry and maxRetry bound the time after a failure, which doubles.
	minRetry = 30 * time.Second
	maxRetry = 15 * time.Minute
	// forgetAfter is how long an id that has nothing behind it is known as one.
	forgetAfter = 10 * time.Minute
	// maxFetches is how many run at once.
	maxFetches = 8
)

// State is what is known of a key id.
type State uint8

// The states.
const (
	// Due: it may exist; a fetch will tell.
	Due State = iota
	// Ready: it is there.
	Ready
	// Missing: the newest answer has none.
	Missing
)

// IsID reports whether a key id is one that may be looked for: 1 to MaxID of
// A-Z a-z 0-9 . _ - ~ = + / and :, which are those of base64, UUIDs, ARNs and
// thumbprints.
func IsID[T ~string | ~[]byte](id T) bool {
	if len(id) == 0 || len(id) > MaxID {
		return false
	}
	for i := range len(id) {
		if c := id[i]; !isPlain(c) && c != '.' && c != '~' && c != '=' && c != '+' && c != '/' && c != ':' {
			return false
		}
	}
	return true
}

func isPlain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}
