package serve

import (
	"bytes"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/fetch"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/tenant"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
)

// A limit is told of at once, and then at most once a minute, with all that was met since.
func TestLimitsAreLogged(t *testing.T) {
	var out bytes.Buffer
	l := limitLog{slog.New(slog.NewTextHandler(&out, nil)), limitSettings(&envoy.Limits{InFlight: 8}, &settings.Redis{}), map[string]limitSaid{}}
	now := time.Unix(1_800_000_000, 0)
	for second := range 130 {
		l.look(now.Add(time.Duration(second)*time.Second), map[string]int64{"streams": int64(second) * 10, "answers_of_redis": 2, "calls": 0, "in_flight": 5, "unread": 3})
	}
	var said []string
	for line := range strings.Lines(out.String()) {
		_, about, _ := strings.Cut(strings.TrimSpace(line), "limits\" ")
		said = append(said, about)
	}
	if got := strings.Join(said, "; "); got != "limit=answers_of_redis times=2 setting=replay.redis.budget value=50ms; limit=in_flight times=5 setting=limits.in_flight value=8; limit=unread times=3; limit=streams times=10; limit=streams times=600; limit=streams times=600" {
		t.Error(got)
	}
}

// A connection that is closed for want of a place is told of with the number and the setting,
// and a silent one is not taken for one of too many.
func TestConnectionsWithoutAPlaceAreLogged(t *testing.T) {
	var out bytes.Buffer
	log := logNoPlace(slog.New(slog.NewTextHandler(&out, nil)), 64)
	for _, silent := range []bool{false, true} {
		out.Reset()
		log(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}, silent)
		if text := out.String(); !strings.Contains(text, "192.0.2.1:1") || strings.Contains(text, "limits.connections allows, 64") == silent {
			t.Errorf("silent %t: %s", silent, text)
		}
	}
}

// What counts limits and what describes them have the same names.
func TestLimitsHaveNames(t *testing.T) {
	store := &nonceStore{stats: func() replay.Stats { return replay.Stats{Hurried: 3} }}
	store.server.Store(envoy.NewServer(&envoy.Service{}, envoy.Limits{MaxRequestBytes: 1, InFlight: 1, BytesInFlight: 1 << 20, Connections: 1}, nil))
	l := &limits{store: store, fetcher: fetch.New(fetch.Config{}), tenants: tenant.NewLoader(tenant.Config{})}
	known := map[string]bool{"webhook_labels": true} // telemetry counts it itself
	for name := range l.met() {
		known[name] = true
	}
	for _, described := range telemetry.Limits {
		if !known[described.Name] {
			t.Errorf("%s is described, and nothing counts it", described.Name)
		}
		delete(known, described.Name)
	}
	for name := range known {
		t.Errorf("%s is counted, and not described", name)
	}
	if n := l.met()["waiting_copies"]; n != 3 {
		t.Errorf("%d copies", n)
	}
}
