package jose

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// Members are those of a JSON object: a header or claims. Numbers are json.Number.
type Members map[string]any

// At returns the value at a path: names with dots between. A name that has a slash
// is one name, as https://example.com/claim.
func (m Members) At(path string) (value any, there bool) {
	if strings.Contains(path, "/") {
		value, there = m[path]
		return value, there
	}
	at := map[string]any(m)
	for {
		name, rest, more := strings.Cut(path, ".")
		if value, there = at[name]; !more || !there {
			return value, there
		}
		if at, there = value.(map[string]any); !there {
			return nil, false
		}
		path = rest
	}
}

// Text returns the text at a path.
func (m Members) Text(path string) (text string, there bool) {
	value, _ := m.At(path)
	text, there = value.(string)
	return text, there
}

// Scalar returns a text, a number as it is written, or true or false. All else has
// none.
func Scalar(value any) (text string, ok bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	default:
		return "", false
	}
}

// List returns a text, or the texts of a list, as aud has them (RFC 7519 §4.1.3). A
// list with something else has none.
func (m Members) List(name string) []string {
	switch v := m[name].(type) {
	case string:
		return []string{v}
	case []any:
		var list []string
		for _, item := range v {
			text, ok := item.(string)
			if !ok {
				return nil
			}
			list = append(list, text)
		}
		return list
	default:
		return nil
	}
}

// lastSecond is the last one of the year 9999.
const lastSecond = 253402300799

// Time returns a NumericDate: seconds since 1970, of which a fraction is cut
// off. There is an error where it is something else.
func (m Members) Time(name string) (at time.Time, there bool, err error) {
	value, there := m[name]
	if !there {
		return time.Time{}, false, nil
	}
	number, ok := value.(json.Number)
	if !ok {
		return time.Time{}, true, ErrMalformed
	}
	seconds, err := number.Float64()
	if err != nil || seconds < 0 || seconds > lastSecond {
		return time.Time{}, true, ErrMalformed
	}
	return time.Unix(int64(seconds), 0), true, nil
}
