package envoy_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/signature"
)

// BenchmarkDirect decides from bytes to bytes, without gRPC and telemetry, and
// beside it what no verification can do without: HMAC-SHA256 of the body.
// Deliveries are copies, which are forwarded with a mark, so that no time goes
// into making new ones; everything else is done as for a new one.
func BenchmarkDirect(b *testing.B) {
	table := authz.NewTable()
	addHook(b, table, "hook", "/github")
	for _, size := range []int{1 << 10, 16 << 10, 256 << 10, 1 << 20} {
		message := fresh(b, policies(b), "github", size, 1)[0]
		b.Run(fmt.Sprintf("check/%dKiB", size>>10), func(b *testing.B) {
			s, out := service(table), make([]byte, 0, 4<<10)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				out, _ = s.AnswerChunks(plainCall(), message, out[:0])
			}
			if !decode(b, out).allowed {
				b.Fatal("denied")
			}
		})
		b.Run(fmt.Sprintf("floor/%dKiB", size>>10), func(b *testing.B) {
			mac, sum, body := hmac.New(sha256.New, []byte("key")), make([]byte, 0, sha256.Size), make([]byte, size)
			b.SetBytes(int64(size))
			for b.Loop() {
				mac.Reset()
				mac.Write(body)
				sum = mac.Sum(sum[:0])
			}
		})
	}
}

// fresh returns new deliveries of a webhook, in chunks of 16 KiB, as they come
// over HTTP/2.
func fresh(t testing.TB, table *authz.Table, webhook string, size, n int) [][][]byte {
	t.Helper()
	all := make([][][]byte, n)
	for i := range all {
		body := make([]byte, size)
		copy(body, fmt.Sprintf("%s %d %d", webhook, size, i))
		message := marshal(t, checkRequest(signedAt(t, table, webhook, "https://h", body, time.Now()), body, nil))
		for len(message) > 0 {
			end := min(len(message), 16<<10)
			all[i], message = append(all[i], message[:end]), message[end:]
		}
	}
	return all
}

// addHook adds a webhook that verifies as GitHub's do.
func addHook(t testing.TB, table *authz.Table, name, path string) {
	t.Helper()
	scheme, err := githubPlan.With([]signature.Key{{ID: "1", Secret: secret.New([]byte(secrets["github"]))}})
	if err != nil {
		t.Fatal(err)
	}
	tie := table.Add(&authz.Webhook{Name: name, Chain: authz.NewChain(
		&authz.Limits{MaxBodyBytes: 8 << 20, MaxHeaderBytes: 64 << 10, BodySigned: true},
		&signature.Check{Schemes: []signature.Scheme{scheme}, Fingerprinter: fingerprinter},
		&replay.Check{Store: nonceStore, Window: time.Hour, OnCopy: replay.MarkCopies},
	)}, authz.Match{Path: path, Methods: []string{"POST"}})
	if tie != nil {
		t.Fatal("two webhooks of one path")
	}
}

// githubPlan is shared by webhooks, as policies share the plan of a provider.
var githubPlan = signature.NewPlan(signature.Config{
	Name: "github", Hash: signature.SHA256, Encoding: signature.Hex, Headers: []string{"x-hub-signature-256"},
	Grammar: signature.Prefix, Prefix: "sha256=", Content: []signature.Part{{Kind: signature.Body}}, MaxSignatures: 1,
})

var (
	fingerprinter = authz.NewFingerprinter(authz.FingerprintKey{1})
	nonceStore    = memory.New(memory.Config{MaxEntries: 1 << 20})
)

// BenchmarkWebhooks is one check with 1, 1,000 and 100,000 webhooks in the
// table, which must cost the same. It shows what they cost once, too.
func BenchmarkWebhooks(b *testing.B) {
	message := fresh(b, policies(b), "github", 1<<10, 1)[0]
	for _, n := range []int{1, 1000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			begin := time.Now()
			table := authz.NewTable()
			for i := range n - 1 {
				addHook(b, table, fmt.Sprintf("hook-%d", i), fmt.Sprintf("/tenants/%d/github", i))
			}
			addHook(b, table, "hook", "/github")
			built := time.Since(begin)
			runtime.GC()
			runtime.ReadMemStats(&after)
			s, out := service(table), make([]byte, 0, 4<<10)
			for b.Loop() {
				out, _ = s.AnswerChunks(plainCall(), message, out[:0])
			}
			if !decode(b, out).allowed {
				b.Fatal("denied")
			}
			b.ReportMetric(float64(built.Microseconds())/1000, "build-ms")
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(n), "B/webhook")
		})
	}
}
