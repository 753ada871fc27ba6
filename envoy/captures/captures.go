// Package captures keeps some denied requests for operators who ask why, encrypted.
//
// A record says why a request was denied and has nothing of the request itself; to find the
// cause of a signature that does not hold one needs the bytes that were signed over. So a
// denied request is written as package authz/capture reads it and encrypted at once to the
// recipients of the settings (age, filippo.io/age). Nothing is kept or written plain: what
// stays is a file of age in memory, until its time is over or its room is needed.
//
// What is kept is chosen so that a capture is no delivery that could be sent again:
//
//   - of a webhook and a reason, one request in each interval, and at most [perReason];
//   - only where nothing in it could be used as a proof ([authz.Table.Prove]), or its nonce is
//     spent: it was refused as a copy, and no token was asked for beside the signature. A
//     request that was denied before its signature was looked at is looked at here;
//   - values of headers that look like credentials, cookies among them, and such parameters
//     of the query are taken out. Where the signature was not found wrong but not found, long
//     values of all headers are, too: it may be another webhook's, or whole but for its form;
//   - none of webhooks with JSON Web Tokens, signatures of HTTP messages, signatures in the
//     body and static tokens alone, where nobody can tell, and no handshakes.
//
// What it does not protect against: whoever has the identity reads the bodies of what was
// captured. A delivery that is signed with the key of another webhook is wrong at this one,
// and may be captured with its signature.
//
// There are at most [most] captures in [mostBytes] bytes, and a flood of one webhook and
// reason takes no room of others. To make one costs about a millisecond of the call that is
// denied, at most once in an interval for each webhook and reason, and [perMinute] times a
// minute.
package captures

import (
	"bytes"
	"context"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"filippo.io/age"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/capture"
)

// Bounds of what is kept.
const (
	most      = 64
	mostBytes = 16 << 20
	perReason = 4
	perMinute = 30
)

// Config says what is kept, for whom and how long.
type Config struct {
	Recipients []age.Recipient
	// Every is the interval between captures of one webhook and reason.
	Every time.Duration
	// Keep is how long a capture is kept.
	Keep time.Duration
	// MaxBody is the size in bytes of the largest body that is captured.
	MaxBody int
}

// Capture is one of those that are kept.
type Capture struct {
	DecisionID string    `json:"decision_id"`
	Webhook    string    `json:"webhook"`
	Reason     string    `json:"reason"`
	Time       time.Time `json:"time"`
	Expires    time.Time `json:"expires"`
	// Bytes is the size of the encrypted file.
	Bytes int `json:"bytes"`
}

// Keeper keeps captures. A nil keeper keeps none. It is safe for concurrent use.
type Keeper struct {
	config Config

	mu     sync.Mutex
	kept   []entry // the oldest first
	bytes  int
	last   map[kind]time.Time
	minute time.Time
	made   int // in this minute
}

type kind struct {
	webhook string
	reason  authz.Reason
}

type entry struct {
	Capture
	kind kind
	data []byte
}

// New makes a keeper.
func New(c Config) *Keeper { return &Keeper{config: c, last: map[kind]time.Time{}} }

// Denied looks whether a denied request is to be kept, and keeps nothing of it but its
// encrypted form. It never panics.
func (k *Keeper) Denied(ctx context.Context, table *authz.Table, req *authz.Request, d *authz.Decision, id string, now time.Time) {
	if k == nil || d.Verdict != authz.Deny || d.Webhook == nil || d.Handshake != "" || d.Acknowledged || req.Body.Len() > k.config.MaxBody ||
		req.Body.State != authz.BodyWhole && req.Body.State != authz.BodyCut {
		return
	}
	what := kind{d.Webhook.Name, d.Reason}
	if !k.turn(what, now) {
		return
	}
	defer func() { _ = recover() }() // the request has its answer
	masked, ok := mayKeep(ctx, table, req, d, now)
	if !ok {
		return
	}
	data, ok := k.sealed(req, d, id, now, masked)
	if !ok {
		return
	}
	k.add(entry{Capture{id, what.webhook, d.Reason.String(), now.UTC(), now.Add(k.config.Keep).UTC(), len(data)}, what, data}, now)
}

// turn reports whether it is time for another capture of that kind, and takes the turn.
func (k *Keeper) turn(what kind, now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if last, ok := k.last[what]; ok && now.Sub(last) < k.config.Every && !now.Before(last) {
		return false
	}
	if age := now.Sub(k.minute); age >= time.Minute || age < 0 {
		k.minute, k.made = now, 0
	}
	if k.made >= perMinute {
		return false
	}
	k.made++
	if len(k.last) >= 1<<12 { // webhooks and reasons that policies had once
		clear(k.last)
	}
	k.last[what] = now
	return true
}

// mayKeep reports whether the request is no delivery that could be sent again. masked: with
// long values of headers taken out.
func mayKeep(ctx context.Context, table *authz.Table, req *authz.Request, d *authz.Decision, now time.Time) (masked, ok bool) {
	if d.Reason == authz.Replayed {
		token := slices.ContainsFunc(d.Checks(), func(o authz.Outcome) bool { return o.Stage == authz.StageToken })
		return false, d.Proof == authz.ProofSignature && !token
	}
	p := table.Prove(ctx, req, now)
	switch {
	case p.Webhook == nil || p.Holds:
		return false, false
	case p.Disproved:
		return false, true
	default:
		return true, plainlyMissing(p.Reason)
	}
}

// plainlyMissing reports whether a signature was not found where it should be, or not in
// its form.
func plainlyMissing(r authz.Reason) bool {
	return r == authz.SignatureMissing || r == authz.SignatureMalformed
}

// sealed is the request, encrypted. The plain text is overwritten.
func (k *Keeper) sealed(req *authz.Request, d *authz.Decision, id string, now time.Time, masked bool) ([]byte, bool) {
	other := *req
	var taken []string
	other.Headers, taken = redact(req.Headers, masked)
	var out []string
	other.Path, out = redactQuery(req.Path)
	plain, ok := capture.Append(make([]byte, 0, 4<<10+req.Body.Len()), &other, about(req, d, id, now, append(taken, out...))...)
	defer func() { clear(plain[:cap(plain)]) }()
	if !ok {
		return nil, false
	}
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, k.config.Recipients...)
	if err != nil {
		return nil, false
	}
	if _, err := w.Write(plain); err != nil {
		return nil, false
	}
	if err := w.Close(); err != nil { // which writes the end
		return nil, false
	}
	return sealed.Bytes(), true
}

// about says of a capture what the request itself does not: see [capture.Facts].
func about(req *authz.Request, d *authz.Decision, id string, now time.Time, taken []string) []authz.Header {
	f := capture.Facts{
		Decision: id, Time: now, Reason: d.Reason.String(), Source: req.Source, TLS: req.Transport.TLS, Webhook: string(req.Webhook), Redacted: taken,
	}
	return f.Headers()
}

// credential are words in names of headers and parameters whose values nobody but their
// owner should have.
var credential = regexp.MustCompile(`(?i)authorization|cookie|token|secret|passw|session|credential|api[-_]?key|jwt`)

// longWord is what may be a proof, or a part of one.
var longWord = regexp.MustCompile(`[A-Za-z0-9+/_-]{16,}={0,2}`)

// redact returns headers without what is nobody's business, and the names of those that are
// not as they were.
func redact(headers authz.Headers, masked bool) (clean authz.Headers, taken []string) {
	for _, h := range headers {
		switch name := string(h.Name); {
		case strings.HasPrefix(name, "x-hookbastion-") || strings.HasPrefix(name, "x_hookbastion_"):
			continue // which the service sets or removes
		case strings.HasPrefix(name, ":"):
			continue // what the request line has
		case credential.MatchString(name):
			scheme, rest, two := bytes.Cut(h.Value, []byte{' '})
			h.Value = authz.View("redacted-" + strconv.Itoa(len(h.Value)))
			if two && len(rest) > 0 && len(scheme) < 16 {
				h.Value = authz.View(string(scheme) + " redacted-" + strconv.Itoa(len(rest)))
			}
			taken = append(taken, name)
		case masked && longWord.Match(h.Value):
			h.Value = longWord.ReplaceAllFunc(h.Value.Clone(), func(word []byte) []byte { return bytes.Repeat([]byte{'0'}, len(word)) })
			taken = append(taken, name)
		}
		clean = append(clean, h)
	}
	return clean, taken
}

// redactQuery does the same for the query.
func redactQuery(path authz.View) (clean authz.View, taken []string) {
	before, query, ok := strings.Cut(string(path), "?")
	if !ok {
		return path, nil
	}
	parts := strings.Split(query, "&")
	for i, part := range parts {
		name, value, _ := strings.Cut(part, "=")
		plain, err := url.QueryUnescape(name)
		if err != nil {
			plain = name
		}
		if value != "" && credential.MatchString(plain) {
			parts[i] = name + "=redacted"
			taken = append(taken, "?"+plain)
		}
	}
	return authz.View(before + "?" + strings.Join(parts, "&")), taken
}

// add keeps a capture, and makes room for it.
func (k *Keeper) add(e entry, now time.Time) {
	if len(e.data) > mostBytes/4 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.expire(now)
	same := 0
	for i := range k.kept {
		if k.kept[i].kind == e.kind {
			same++
		}
	}
	if same >= perReason {
		k.drop(slices.IndexFunc(k.kept, func(o entry) bool { return o.kind == e.kind }))
	}
	for len(k.kept) >= most || len(k.kept) > 0 && k.bytes+len(e.data) > mostBytes {
		k.drop(k.largest())
	}
	k.kept = append(k.kept, e)
	k.bytes += len(e.data)
}

// largest is the oldest capture of the webhook that has the most bytes here, so that a flood
// at one pushes out its own.
func (k *Keeper) largest() (oldest int) {
	bytes := map[string]int{}
	for i := range k.kept {
		bytes[k.kept[i].Webhook] += len(k.kept[i].data)
	}
	for i := range k.kept {
		if bytes[k.kept[i].Webhook] > bytes[k.kept[oldest].Webhook] {
			oldest = i
		}
	}
	return oldest
}

func (k *Keeper) drop(i int) {
	k.bytes -= len(k.kept[i].data)
	k.kept = slices.Delete(k.kept, i, i+1)
}

// expire drops what is too old.
func (k *Keeper) expire(now time.Time) {
	for i := len(k.kept) - 1; i >= 0; i-- {
		if !now.Before(k.kept[i].Expires) {
			k.drop(i)
		}
	}
}

// List returns what is kept, the newest first.
func (k *Keeper) List(now time.Time) []Capture {
	all := []Capture{}
	if k == nil {
		return all
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.expire(now)
	for i := len(k.kept) - 1; i >= 0; i-- {
		all = append(all, k.kept[i].Capture)
	}
	return all
}

// Get returns the encrypted capture of a decision.
func (k *Keeper) Get(id string, now time.Time) ([]byte, bool) {
	if k == nil {
		return nil, false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.expire(now)
	for i := range k.kept {
		if k.kept[i].DecisionID == id {
			return k.kept[i].data, true
		}
	}
	return nil, false
}
