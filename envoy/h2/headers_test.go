package h2

import (
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"
)

func TestDeadlines(t *testing.T) {
	const none = time.Duration(-1)
	for _, c := range []struct {
		text, attempt string
		want          time.Duration
	}{
		{"", "", none},
		{"1H", "", time.Hour},
		{"2M", "", 2 * time.Minute},
		{"3S", "", 3 * time.Second},
		{"4m", "", 4 * time.Millisecond},
		{"5u", "", 5 * time.Microsecond},
		{"6n", "", 6},
		{"0n", "", 0},
		{"0H", "", 0},
		{"99999999S", "", none}, // too long to matter
		{"99999999m", "", 99999999 * time.Millisecond},
		{"99999999H", "", none},
		{"123456789n", "", none}, // nine digits
		{"1", "", none},
		{"S", "", none},
		{"1s", "", none},
		{"1h", "", none},
		{"-1S", "", none},
		{"+1S", "", none},
		{" 1S", "", none},
		{"1S ", "", none},
		{"1.5S", "", none},
		{"1_0S", "", none},
		{"1SS", "", none},
		{"", "200", 200 * time.Millisecond},
		{"1S", "200", 200 * time.Millisecond},
		{"100m", "200", 100 * time.Millisecond},
		{"1S", "0", time.Second}, // Envoy's way to say that there is none
		{"1S", "-1", time.Second},
		{"1S", "x", time.Second},
		{"x", "200", 200 * time.Millisecond},
		{"", "99999999999", none},
	} {
		var fields []hpack.HeaderField
		for name, value := range map[string]string{"grpc-timeout": c.text, "x-envoy-expected-rq-timeout-ms": c.attempt} {
			if value != "" {
				fields = append(fields, hpack.HeaderField{Name: name, Value: value})
			}
		}
		got, ok := timeLeft(fields)
		if !ok {
			got = none
		}
		if got != c.want {
			t.Errorf("%q, %q: %v, want %v", c.text, c.attempt, got, c.want)
		}
	}
	twice := []hpack.HeaderField{{Name: "grpc-timeout", Value: "1S"}, {Name: "grpc-timeout", Value: "2S"}}
	if left, ok := timeLeft(twice); ok {
		t.Errorf("two deadlines: %v", left)
	}
	if n := testing.AllocsPerRun(100, func() { timeLeft(twice[:1]) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
