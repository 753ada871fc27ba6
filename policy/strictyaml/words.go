package strictyaml

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"buf.build/go/protovalidate"
)

// bounds are protovalidate's words for numbers and durations, and plainer ones.
var bounds = []struct {
	pattern *regexp.Regexp
	words   string
}{
	{regexp.MustCompile(`^must be greater than or equal to (\S+) and less than or equal to (\S+)$`), "must be from $1 to $2"},
	{regexp.MustCompile(`^must be greater than (\S+) and less than or equal to (\S+)$`), "must be more than $1 and at most $2"},
	{regexp.MustCompile(`^must be greater than (\S+)$`), "must be more than $1"},
	{regexp.MustCompile(`^must contain at least 1 item\(s\)$`), "needs at least one entry"},
	{regexp.MustCompile(`^must contain no more than (\d+) item\(s\)$`), "may have at most $1 entries"},
	{regexp.MustCompile("^does not have prefix `(.*)`$"), "must begin with $1"},
	{regexp.MustCompile(`^must be at most 1 bytes$`), "must be one ASCII character"},
	{regexp.MustCompile(`^must be at least 1 characters$`), "must not be empty"},
}

var inSeconds = regexp.MustCompile(`\b[0-9]{4,}s\b`)

// plainWords says what a rule asks for, as a sentence that goes on after the
// name of the value.
func plainWords(violation *protovalidate.Violation) string {
	if violation.Proto.GetRuleId() == "string.pattern" {
		return patternText(violation.RuleValue.String())
	}
	message := violation.Proto.GetMessage()
	for _, b := range bounds {
		if b.pattern.MatchString(message) {
			message = b.pattern.ReplaceAllString(message, b.words)
			break
		}
	}
	return inSeconds.ReplaceAllStringFunc(message, inHours)
}

// inHours writes a long time as a person would, 3600s as 1h.
func inHours(seconds string) string {
	n, err := strconv.Atoi(strings.TrimSuffix(seconds, "s"))
	if err != nil || n%3600 != 0 {
		return seconds
	}
	return strconv.Itoa(n/int(time.Hour/time.Second)) + "h"
}
