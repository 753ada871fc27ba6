package fetch

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// goodFor reads how long an answer may be used (RFC 9111 §4.2, as a private
// cache): max-age less Age, else Expires less Date; 0 if neither is there or the
// answer must not be kept.
func goodFor(h http.Header) time.Duration {
	for field := range strings.SplitSeq(strings.ToLower(strings.Join(h.Values("Cache-Control"), ",")), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		switch name {
		case "no-store", "no-cache":
			return time.Nanosecond // at once, which is the least that is allowed
		case "max-age":
			seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
			age, _ := strconv.ParseUint(h.Get("Age"), 10, 31) // without one it is 0
			if err == nil {
				return max(time.Nanosecond, time.Duration(seconds)*time.Second-time.Duration(age)*time.Second)
			}
		}
	}
	expires, err := http.ParseTime(h.Get("Expires"))
	date, dateErr := http.ParseTime(h.Get("Date"))
	if err != nil || dateErr != nil {
		return 0
	}
	return max(time.Nanosecond, expires.Sub(date))
}

// refreshAfter is when to look again after an answer: as the server says, within
// bounds.
func refreshAfter(good time.Duration) time.Duration {
	if good == 0 {
		good = usualRefresh
	}
	return jitter(min(max(good, minRefresh), maxRefresh))
}

// retryAfter is when to look again after that many failures.
func retryAfter(failures int) time.Duration {
	return jitter(min(minRetry<<min(failures-1, 10), maxRetry))
}

// jitter takes up to a tenth off, so that replicas do not ask together.
func jitter(d time.Duration) time.Duration { return d - rand.N(d/10+1) } //nolint:gosec // nobody gains by guessing it
