package recent_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/envoy/telemetry/recent"
)

var start = time.Date(2026, 11, 24, 6, 0, 0, 123_456_000, time.UTC)

// entry is the decision of this number, of ordinary size; every tenth is denied.
func entry(i int) *recent.Entry {
	e := &recent.Entry{
		Time: start.Add(time.Duration(i) * time.Millisecond), Duration: 31 * time.Microsecond,
		ID: fmt.Sprintf("%032x", i), Trace: [16]byte{1, 2, 3}, Webhook: fmt.Sprintf("hook-%d", i%12), Provider: "github",
		Verdict: authz.Allow, Reason: authz.OK, Status: 200, KeyID: "2026-10", Source: netip.MustParseAddr("198.51.100.7"),
		Tenant: authz.View("acme"), RequestID: authz.View("4a4dd1a5-f27f-9a2c-b1b1-0d0a4ff5a9a1"), Method: authz.View("POST"),
		Path: authz.View("/webhooks/acme/github"), BodyBytes: 1024, Digest: "0123456789abcdef",
		Checks: []authz.Outcome{{Stage: authz.StageLimits, Reason: authz.OK}, {Stage: authz.StageSignature, Reason: authz.OK}, {Stage: authz.StageReplay, Reason: authz.OK}},
	}
	if i%10 == 0 {
		e.Verdict, e.Reason, e.Status, e.KeyID = authz.Deny, authz.SignatureInvalid, 401, ""
		e.Checks = e.Checks[:2]
	}
	return e
}

func filled(bytes, decisions int) *recent.Ring {
	r := recent.New(bytes, "replica-1")
	for i := 1; i <= decisions; i++ {
		r.Append(entry(i))
	}
	return r
}

// Every field comes back, also of text that no JSON could hold as it is.
func TestAllOfADecisionComesBack(t *testing.T) {
	r := recent.New(0, "replica-1")
	r.Append(&recent.Entry{
		Time: start, Duration: 42 * time.Microsecond, ID: "id-1", Trace: [16]byte{0xab, 15: 1}, Webhook: "hook", Provider: "github",
		Shadow: true, Verdict: authz.Deny, Reason: authz.Replayed, Status: 409, KeyID: "k1", Mark: authz.MarkCopy, Unverified: "why not",
		Source: netip.MustParseAddr("2001:db8::1"), Tenant: authz.View("ac\xff\xfeme"), RequestID: authz.View("r\x1b[2J"), Method: authz.View("POST"),
		Path: authz.View("/" + strings.Repeat("é", 400)), BodyBytes: 1 << 40, Signed: true, Skew: -1500 * time.Millisecond,
		Checks:    []authz.Outcome{{Stage: authz.StageSignature, Reason: authz.OK}, {Stage: authz.StageReplay, Reason: authz.Replayed}},
		Redeliver: "ticket", Digest: "d1gest", Handshake: "hub_challenge", Told: "https://example.com/confirm",
	})
	got, ok := r.Find("id-1")
	if !ok {
		t.Fatal("it is not there")
	}
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"time":"2026-11-24T06:00:00.123456Z","decision_id":"id-1","trace_id":"ab000000000000000000000000000001","request_id":"r\u001b[2J",` +
		`"webhook":"hook","tenant":"ac` + "\ufffd\ufffd" + `me","provider":"github","mode":"SHADOW","verdict":"deny","reason":"replayed","status":409,"key_id":"k1",` +
		`"replay":"copy","unverified":"why not","handshake":"hub_challenge","told":"https://example.com/confirm","source":"2001:db8::1","method":"POST","path":"/` + strings.Repeat("é", 255) + "\ufffd" + `","body_bytes":1099511627776,"skew_ms":-1500,` +
		`"checks":[{"check":"signature","reason":"ok"},{"check":"replay","reason":"replayed"}],"redeliver":"ticket","duration_us":42,"policy_digest":"d1gest","replica":"replica-1"}`
	if string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	r.Append(&recent.Entry{}) // nothing is known of it
	if p := r.Query(recent.Query{Limit: 1}); len(p.Decisions) != 1 || p.Decisions[0].SkewMS != nil || p.Decisions[0].Source != "" || p.Decisions[0].TraceID != "" {
		t.Errorf("%+v", p)
	}
}

func TestQueries(t *testing.T) {
	r := filled(1<<20, 1000)
	for name, c := range map[string]struct {
		q     recent.Query
		first string // id of the newest
		count int    // up to the limit
	}{
		"all":               {recent.Query{Limit: 2000}, "1000", 1000},
		"by default":        {recent.Query{}, "1000", 100},
		"a webhook":         {recent.Query{Webhook: "hook-3", Limit: 2000}, "999", 84},
		"a prefix of one":   {recent.Query{Webhook: "hook-"}, "", 0},
		"denied":            {recent.Query{Verdict: "deny", Limit: 2000}, "1000", 100},
		"allowed":           {recent.Query{Verdict: "allow", Limit: 2000}, "999", 900},
		"no verdict":        {recent.Query{Verdict: "maybe"}, "", 0},
		"a reason":          {recent.Query{Reason: "signature_invalid", Webhook: "hook-4", Limit: 2000}, "1000", 17},
		"a reason of none":  {recent.Query{Reason: "replayed"}, "", 0},
		"no reason":         {recent.Query{Reason: "because"}, "", 0},
		"since":             {recent.Query{Since: start.Add(991 * time.Millisecond)}, "1000", 10},
		"since tomorrow":    {recent.Query{Since: start.Add(24 * time.Hour)}, "", 0},
		"after":             {recent.Query{After: 995}, "1000", 5},
		"after the last":    {recent.Query{After: 1000}, "", 0},
		"before":            {recent.Query{Before: 3}, "2", 2},
		"between":           {recent.Query{After: 10, Before: 13}, "12", 2},
		"before the future": {recent.Query{Before: 99999, Limit: 1}, "1000", 1},
	} {
		p := r.Query(c.q)
		if len(p.Decisions) != c.count {
			t.Errorf("%s: %d, want %d", name, len(p.Decisions), c.count)
			continue
		}
		last := 1 << 30
		for i, d := range p.Decisions {
			var n int
			if _, err := fmt.Sscanf(d.DecisionID, "%x", &n); err != nil || n >= last {
				t.Fatalf("%s: %s comes after %d: %v", name, d.DecisionID, last, err)
			}
			if last = n; i == 0 && fmt.Sprint(n) != c.first {
				t.Errorf("%s: the newest is %d, want %s", name, n, c.first)
			}
		}
	}
}

// By the cursor everything is seen once, whatever comes meanwhile.
func TestPagesHaveEverythingOnce(t *testing.T) {
	r := filled(4<<20, 1000)
	seen := map[string]bool{}
	for q := (recent.Query{Limit: 33}); ; {
		p := r.Query(q)
		for _, d := range p.Decisions {
			if seen[d.DecisionID] {
				t.Fatalf("%s comes twice", d.DecisionID)
			}
			seen[d.DecisionID] = true
		}
		r.Append(entry(1000 + len(seen)))
		if q.Before = p.Next; q.Before == 0 {
			break
		}
	}
	if len(seen) != 1000 {
		t.Errorf("%d seen", len(seen))
	}
	if p := r.Query(recent.Query{Limit: 1000, Before: 1001}); p.Next != 0 || len(p.Decisions) != 1000 {
		t.Errorf("%d with a next page %d, where there is none", len(p.Decisions), p.Next)
	}
}

// 200,000 decisions of ordinary size are held in 64 MiB, and never more bytes.
func TestMemoryIsBounded(t *testing.T) {
	r := filled(64<<20, 300_000)
	held, bytes := r.Held()
	if held < 200_000 || bytes > 64<<20 {
		t.Errorf("%d decisions in %d bytes", held, bytes)
	}
	t.Logf("%d decisions in %d MiB: %d bytes each", held, bytes>>20, bytes/held)
	count := 0
	for range r.Points(recent.Query{}) {
		count++
	}
	if count != held {
		t.Errorf("%d points of %d decisions", count, held)
	}
	if r.Last() != 300_000 {
		t.Errorf("the last is %d", r.Last())
	}
	if _, ok := r.Find(fmt.Sprintf("%032x", 1)); ok {
		t.Error("the first decision is still there")
	}
	if _, ok := r.Find(fmt.Sprintf("%032x", 300_000)); !ok {
		t.Error("the last decision is not there")
	}
}

// What strangers cause does not push out what was allowed, nor the other way round.
func TestAFloodOfDenialsLeavesWhatWasAllowed(t *testing.T) {
	r := recent.New(1<<20, "")
	ok, denied := entry(1), entry(10)
	for range 5_000 {
		r.Append(ok)
	}
	alone := len(r.Query(recent.Query{Verdict: "allow", Limit: 1 << 20}).Decisions)
	denied.Path, denied.RequestID, denied.Tenant = make(authz.View, 4096), make(authz.View, 4096), make(authz.View, 4096)
	for range 20_000 {
		r.Append(denied)
	}
	left := len(r.Query(recent.Query{Verdict: "allow", Limit: 1 << 20}).Decisions)
	if left < alone*45/100 || left > alone*55/100 {
		t.Errorf("%d of %d allowed decisions are left", left, alone)
	}
	for range 20_000 {
		r.Append(ok)
	}
	if n := len(r.Query(recent.Query{Verdict: "deny", Limit: 1 << 20}).Decisions); n < 100 {
		t.Errorf("%d denials are left", n)
	}
}

// Whoever follows sees everything in order, and holds up nobody if it is slow.
func TestFollowing(t *testing.T) {
	r := recent.New(1<<20, "")
	select {
	case <-r.Changed(0):
		t.Fatal("there is nothing yet")
	default:
	}
	done := make(chan []string)
	go func() {
		var seen []string
		for last := uint64(0); len(seen) < 500; {
			<-r.Changed(last)
			p := r.Query(recent.Query{After: last, Limit: 1000})
			for i := range p.Decisions {
				seen = append(seen, p.Decisions[len(p.Decisions)-1-i].DecisionID)
			}
			last = p.Last
		}
		done <- seen
	}()
	idle := r.Changed(0) // nobody reads it
	for i := range 500 {
		r.Append(entry(i))
	}
	for i, id := range <-done {
		if id != fmt.Sprintf("%032x", i) {
			t.Fatalf("%s at %d", id, i)
		}
	}
	<-idle
	<-r.Changed(499)
}

func TestConcurrentUse(t *testing.T) {
	r := recent.New(1, "")
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for i := range 5_000 {
				r.Append(entry(w*5_000 + i))
			}
		})
		all.Go(func() {
			for last := uint64(0); last < 20_000; {
				p := r.Query(recent.Query{After: last, Limit: 50, Webhook: fmt.Sprintf("hook-%d", w)})
				for _, d := range p.Decisions {
					if d.Webhook != fmt.Sprintf("hook-%d", w) || d.Path != "/webhooks/acme/github" {
						t.Errorf("%+v", d)
						return
					}
				}
				last = p.Last
				r.Find(fmt.Sprintf("%032x", w))
			}
		})
	}
	all.Wait()
}

func TestNoRing(t *testing.T) {
	var r *recent.Ring
	r.Append(entry(1))
	_, found := r.Find("x")
	for range r.Points(recent.Query{}) {
		found = true
	}
	if n, bytes := r.Held(); found || n != 0 || bytes != 0 || r.Last() != 0 || r.Changed(0) != nil || len(r.Query(recent.Query{}).Decisions) != 0 {
		t.Error("a ring that is not there has something")
	}
}

func BenchmarkAppend(b *testing.B) {
	r := recent.New(64<<20, "")
	entries := make([]*recent.Entry, 1000)
	for i := range entries {
		entries[i] = entry(i)
	}
	b.ReportAllocs()
	for i := range b.N {
		r.Append(entries[i%len(entries)])
	}
}

// BenchmarkQuery looks through 200,000 decisions for what is not there, and for an id.
func BenchmarkQuery(b *testing.B) {
	r := filled(64<<20, 210_000)
	b.Run("none", func(b *testing.B) {
		for range b.N {
			r.Query(recent.Query{Webhook: "none"})
		}
	})
	b.Run("page", func(b *testing.B) {
		for range b.N {
			r.Query(recent.Query{Webhook: "hook-3"})
		}
	})
	b.Run("points", func(b *testing.B) {
		for range b.N {
			for range r.Points(recent.Query{}) { //nolint:revive // they are made all the same
			}
		}
	})
}
