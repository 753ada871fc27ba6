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
	{regexp.MustCompile(`^repeated value must contain unique items$`), "has a value twice"},
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

// patternTexts says in words what the patterns of the .proto files ask for.
var patternTexts = map[string]string{
	"^[A-Za-z_][A-Za-z0-9_.-]{0,127}$":                          "must be the name of a field: letters, digits, '.', '_' or '-', a letter or '_' first",
	"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$":                         "must be 1 to 63 letters, digits, '.', '_' or '-', and begin with a letter or digit",
	"^[a-z0-9][a-z0-9-]{0,62}$":                                 "must be 1 to 63 lower-case letters, digits or '-', and begin with a letter or digit",
	"^age1[a-z0-9]+$":                                           "must be a recipient of age, which begins with age1",
	"^[A-Za-z0-9_-]{1,64}$":                                     "must be 1 to 64 letters, digits, '_' or '-'",
	"^[A-Za-z0-9_-]{1,64}[?]?$":                                 "must be 1 to 64 letters, digits, '_' or '-', with ? behind them if it may be missing",
	"^([*][.])?[a-z0-9-]+([.][a-z0-9-]+)+$":                     "must be a DNS name in lower case, or *. and a domain",
	"^[A-Za-z0-9._-]{0,64}$":                                    "must be at most 64 letters, digits, '.', '_' or '-'",
	"^[A-Za-z0-9-]{1,128}$":                                     "must be the name of a header",
	"^[A-Z]{1,16}$":                                             "must be a method in upper case, such as POST",
	"^[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+){0,7}$":                  "must be the keys that lead to the value, with dots between, such as data.created_at",
	"^(0?[0-7]{3})?$":                                           "must be an octal file mode such as 0660",
	"^[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+$":                   "must be a media type in lower case without parameters, such as application/json",
	"^([a-z*][a-z0-9_.*-]{0,63})?$":                             "must be a label as in sig1=(…): lower-case letters, digits and _ . * -, a letter first",
	"^([A-Za-z0-9-]{1,128})?$":                                  "must be the name of a header",
	"^[A-Za-z0-9_.-]{1,128}$":                                   "must be the name of a parameter or field",
	"^([A-Za-z0-9_.-]{1,128})?$":                                "must be the name of a field of a form",
	"^([A-Za-z0-9_-]+([.][A-Za-z0-9_-]+){0,7})?$":               "must be the keys that lead to the value, with dots between, such as signature.value",
	`^[A-Za-z0-9_-]+(\[\])?([.][A-Za-z0-9_-]+(\[\])?){0,7}$`:    "must be the keys that lead to the value, with dots between and [] behind a list, such as value[].clientState",
	"^sha256:[0-9a-f]{64}$":                                     "must be sha256: and 64 hexadecimal digits in lower case",
	"^[!-~]{0,256}$":                                            "must be at most 256 printable ASCII characters without spaces",
	"^[a-z][a-z0-9_]{0,62}$":                                    "must be the name of a parameter: lower-case letters, digits and _",
	"^[A-Za-z]{0,32}$":                                          "must be one word, such as Bearer",
	"^[A-Za-z0-9:._/-]{1,64}$":                                  "must be 1 to 64 letters, digits, ':', '.', '_', '/' or '-'",
	"^[A-Za-z0-9-]{0,128}$":                                     "must be the name of a header",
	"^[a-z0-9-]{1,128}$":                                        "must be the name of a header in lower case",
	"^(https://[^/]+/.*)?$":                                     "must be an address that begins with https://, with a path",
	"^[A-Za-z0-9_-]{0,64}$":                                     "must be at most 64 letters, digits, '_' or '-'",
	"^[a-z0-9-]+=https://[^/]+/.*$":                             "must be the name of a document, = and an address, such as azure=https://mirror.example.com/ServiceTags_Public.json",
	"^(20[0-9]{2}-[01][0-9]-[0-3][0-9])?$":                      "must be a day, such as 2026-08-31",
	"^[a-z0-9-]{1,64}$":                                         "must be the name of a header in lower case",
	"^(date|[(]created[)])?$":                                   "must be date or (created)",
	"^(debug|info|warn|error)?$":                                "must be debug, info, warn or error",
	"^[A-Za-z0-9_.-]{0,128}$":                                   "must be the name of a parameter",
	`^([A-Za-z0-9_-]+(\[\])?([.][A-Za-z0-9_-]+(\[\])?){0,7})?$`: "must be the keys that lead to the value, with dots between and [] behind a list, such as validationTokens[]",
	"^([0-2]([.](0|[1-9][0-9]{0,8})){1,15})?$":                  "must be numbers with dots between, such as 1.2.840.113635.100.6.11.1",
	"^[a-z0-9][a-z0-9_]{0,62}$":                                 "must be 1 to 63 lower-case letters, digits or '_', and begin with a letter or digit",
	"^(/[a-z_-]{1,32})?$":                                       "must be one segment of a path in lower case, such as /validate",
	"^([A-Za-z0-9_-]{1,64})?$":                                  "must be 1 to 64 letters, digits, '_' or '-'",
	`^(\[\][.])?[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+){0,7}$`:        "must be the keys that lead to the value, with dots between, and [] in front for the item of a list, such as [].data.validationCode",
	"^([a-z][a-z0-9_]{0,62})?$":                                 "must be the name of a parameter: lower-case letters, digits and _",
	"^[A-Za-z0-9-]{1,64}$":                                      "must be the name of a header",
	"^([A-Za-z0-9-]{1,64})?$":                                   "must be the name of a header",
	"^HB[0-9]{3}$":                                              "must be the id of a finding, such as HB073",
	"^(text|json)?$":                                            "must be text or json",
}

func patternText(pattern string) string {
	if text, ok := patternTexts[pattern]; ok {
		return text
	}
	return "must match " + pattern
}
