package serve

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// A limit is told of at once, and then at most once a minute, with all that was met since.
func TestLimitsAreLogged(t *testing.T) {
	var out bytes.Buffer
	l := limitLog{slog.New(slog.NewTextHandler(&out, nil)), map[string]limitSaid{}}
	now := time.Unix(1_800_000_000, 0)
	for second := range 130 {
		l.look(now.Add(time.Duration(second)*time.Second), map[string]int64{"streams": int64(second) * 10, "calls": 0, "unread": 3})
	}
	var said []string
	for line := range strings.Lines(out.String()) {
		_, about, _ := strings.Cut(strings.TrimSpace(line), "limits\" ")
		said = append(said, about)
	}
	if got := strings.Join(said, "; "); got != "limit=unread times=3; limit=streams times=10; limit=streams times=600; limit=streams times=600" {
		t.Error(got)
	}
}
