package probe

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
)

const (
	// ours is what all headers of the service begin with.
	ours       = "x-hookbastion-"
	verified   = ours + "verified"
	decisionID = ours + "decision-id"
	// echoHeader shows whether the application repeats what it got.
	echoHeader = "x-probe-echo"
	// upstreamTime is what Envoy's router adds to answers that come from behind.
	upstreamTime = "x-envoy-upstream-service-time"
)

// session is the attack by one webhook.
type session struct {
	ctx     context.Context
	gateway *Gateway
	hook    *Webhook
	tell    func(Result)

	// control is the valid delivery as it was signed, answer what it was answered.
	control   *authz.Request
	answer    *answer
	delivered bool
	nonce     string
	skew      time.Duration              // of the gateway's clock, from ours
	made      map[[sha256.Size]byte]bool // what was signed before
	// upstream: answers of the application can be told by upstreamTime. echoes: the
	// application repeats headers; says: it repeats what it was told of the proof.
	upstream, echoes, says bool
}

// learn takes from the answer to the valid delivery how the application answers.
func (s *session) learn(a *answer, sent time.Time) {
	s.answer = a
	if a.err != nil {
		return
	}
	if date, err := http.ParseTime(a.header.Get("date")); err == nil {
		s.skew = date.Sub(sent.Truncate(time.Second))
	}
	if !a.through() || a.acknowledged() {
		return
	}
	s.upstream = a.header.Get(upstreamTime) != ""
	s.echoes = a.shows(s.nonce)
	for _, values := range a.header {
		for _, word := range []string{"signature", "partial", "token"} {
			s.says = s.says || slices.Contains(values, word)
		}
	}
	s.says = s.says || a.shows(verified)
}

// expectation says what an attack would have to achieve.
type expectation int

const (
	// refused: the policies refuse it, so that it must not pass.
	refused expectation = iota
	// clean: it may pass, and what is forged in it must not.
	clean
	// once: of those that are sent at once, one may pass.
	once
	// believed: it must fare as a valid delivery does: what it says of its sender does not
	// count.
	believed
	// told: it may pass, and the application must still be told of the proof.
	told
	// unanswered: no answer may be 2xx, not even one of the service's own.
	unanswered
)

// shot is one request that is sent, or several copies of it.
type shot struct {
	detail string
	req    *authz.Request
	wire   wire
	expect expectation
	forged []string // texts that must not come back
}

// must reports whether the policies must refuse it.
func must(sh *shot) bool { return sh.expect == refused || sh.expect == unanswered }

// fire sends a shot and judges what became of it.
func (s *session) fire(sh *shot) (Result, error) {
	d := s.decision(s.hook.Rules, sh.req, sh.wire)
	r := Result{}
	switch {
	case !must(sh):
	case d.Verdict == authz.Allow:
		return Result{Verdict: Allowed}, nil
	case incapable(d.Reason):
		return Result{Verdict: Skipped, Why: "whether the policies refuse it cannot be said here: " + d.Reason.String()}, nil
	default:
		r.Expected = d.Reason.String()
	}
	if !must(sh) && d.Verdict != authz.Allow && s.delivered {
		return Result{Verdict: Skipped, Why: "each delivery of it is the copy of another: " + d.Reason.String()}, nil
	}
	if !must(sh) && !s.delivered {
		return Result{Verdict: Skipped, Why: "valid deliveries are refused"}, nil
	}
	if sh.expect == once {
		return s.atOnce(sh)
	}
	for range max(1, sh.wire.times) {
		a, err := s.send(sh.req, sh.wire)
		if err != nil {
			return r, err
		}
		if a.decisionID() != "" && !a.through() && a.header.Get(upstreamTime) != "" {
			s.upstream = false // some proxy in front adds it to everything
		}
		r.Status, r.DecisionID = a.status, a.decisionID()
		if r.Verdict, r.Why = s.judge(sh, a); r.Verdict != Held {
			break
		}
	}
	if r.Verdict == Passed && d.Webhook != nil && d.Webhook.Shadow {
		r.Why = "the policy of the webhook is in SHADOW: it refuses nothing"
	}
	return r, nil
}

func (s *session) judge(sh *shot, a *answer) (Verdict, string) {
	if must(sh) {
		return s.judgeRefused(sh, a)
	}
	switch {
	case a.err != nil:
		return Unclear, a.err.Error()
	case sh.expect == believed && a.status == http.StatusForbidden && a.decisionID() != "":
		return Passed, "a valid delivery is refused when it says that it comes from elsewhere: what it says counts"
	case !a.through(), a.acknowledged():
		return Held, fmt.Sprintf("it was not forwarded: %d", a.status)
	case sh.expect == believed:
		return Held, ""
	case sh.expect == told && !a.shows(verified) && !a.sameWord(s.answer):
		if s.says {
			return Passed, "the application is no longer told that the delivery was verified"
		}
		return Unseen, "the application does not repeat what it was told"
	case sh.expect == told:
		return Held, ""
	}
	if slices.ContainsFunc(sh.forged, a.shows) {
		return Passed, "the application got what was forged"
	}
	if s.echoes || s.says && sh.wire.shown {
		return Held, ""
	}
	return Unseen, "the application does not repeat the headers that it got"
}

func (s *session) judgeRefused(sh *shot, a *answer) (Verdict, string) {
	here := bytes.Equal(sh.req.PathOnly(), s.control.PathOnly()) && bytes.Equal(sh.req.Method, s.control.Method) && bytes.Equal(sh.req.Host, s.control.Host)
	good := a.status/100 == 2 || a.status == http.StatusSwitchingProtocols
	switch {
	case a.closed:
		return Held, "the connection was closed"
	case a.err != nil:
		return Unclear, a.err.Error()
	case s.gateway.Marker != "" && s.markerIn(a):
		return Passed, fmt.Sprintf("answered with the marker, status %d", a.status)
	case sh.expect == unanswered && good:
		return Passed, ""
	case a.status == http.StatusTooManyRequests && a.decisionID() == "":
		return Unclear, "a limit of requests has answered; try again with a lower --rate"
	case a.decisionID() != "" && (a.status/100 != 2 || s.idsTell()):
		return Held, "" // answered by the service: denied, or acknowledged
	case s.gateway.Marker != "" && good:
		return Unclear, fmt.Sprintf("something behind the gateway answers %d, without the marker", a.status)
	case s.gateway.Marker != "":
		return Held, ""
	case good && (here || s.alike(a)):
		return Passed, ""
	case good && s.upstream && a.header.Get(upstreamTime) == "":
		return Unclear, fmt.Sprintf("%d, but of a proxy and not of the application", a.status)
	case good:
		return Unclear, fmt.Sprintf("something behind the gateway answers %d, but not as it answers a valid delivery", a.status)
	case s.upstream && a.header.Get(upstreamTime) != "" && here:
		return Passed, fmt.Sprintf("it has reached the application, which refused it itself with %d", a.status)
	case s.upstream && a.header.Get(upstreamTime) != "":
		return Unclear, fmt.Sprintf("it has reached something behind the gateway, which answers %d", a.status)
	case here && s.delivered && !s.upstream && a.status >= http.StatusInternalServerError:
		return Unclear, fmt.Sprintf("%d without a decision id: perhaps the application got it and failed; --marker tells", a.status)
	default:
		return Held, ""
	}
}

// idsTell: an application that answers with the id that it was told makes it no sign of the
// service's own answers.
func (s *session) idsTell() bool { return s.answer.decisionID() == "" }

// markerIn reports whether an answer has the marker; all have that which nobody named.
func (s *session) markerIn(a *answer) bool {
	name, value, exact := strings.Cut(s.gateway.Marker, ":")
	if name == "" {
		return true
	}
	values := a.header.Values(name)
	return len(values) > 0 && (!exact || slices.Contains(values, strings.TrimSpace(value)))
}

// alike reports whether an answer looks like that to a valid delivery.
func (s *session) alike(a *answer) bool {
	return s.delivered && a.status == s.answer.status && slices.Equal(a.shape(), s.answer.shape())
}

// shape is which headers an answer has, and of what type it is.
func (a *answer) shape() []string {
	names := []string{a.header.Get("content-type")}
	for _, name := range slices.Sorted(maps.Keys(a.header)) {
		switch strings.ToLower(name) {
		case "date", "content-length", "transfer-encoding", "connection", "alt-svc", decisionID:
		default:
			names = append(names, name)
		}
	}
	return names
}

// sameWord reports whether two answers say the same of the proof.
func (a *answer) sameWord(other *answer) bool {
	for name, values := range other.header {
		for _, word := range []string{"signature", "partial", "token"} {
			if slices.Contains(values, word) {
				return slices.Equal(a.header[name], values)
			}
		}
	}
	return false
}

// clone is a copy of which headers, path and body can be changed.
func clone(req *authz.Request) *authz.Request {
	c := *req
	c.Headers = slices.Clone(req.Headers)
	c.Body.Segments = [][]byte{bytes.Join(req.Body.Segments, nil)}
	if len(c.Body.Segments[0]) == 0 {
		c.Body.Segments = nil
	}
	return &c
}

func nonce() string { return strings.ToLower(rand.Text()) }

// farBack is by how many seconds a delivery is signed earlier, so that it is a new one.
const farBack = 60

// sign makes a delivery that was not made before. Where nothing in it but the time is new
// each time, and that counts seconds, it is signed some seconds earlier.
func (s *session) sign(how How) (*authz.Request, error) {
	if how.Now.IsZero() {
		how.Now = time.Now()
	}
	var req *authz.Request
	for range farBack {
		var err error
		if req, err = s.hook.Sign(how); err != nil {
			return nil, err
		}
		h := sha256.New()
		fmt.Fprintf(h, "%q %q %q %q", req.Method, req.Path, req.Headers, req.Body.Segments)
		sum := [sha256.Size]byte(h.Sum(nil))
		if !s.made[sum] {
			s.made[sum] = true
			return clone(req), nil
		}
		how.Now = how.Now.Add(-time.Second)
	}
	return clone(req), nil // it has no time
}

// fresh is a valid delivery that was never sent.
func (s *session) fresh() *authz.Request {
	req, err := s.sign(How{})
	if err != nil {
		return clone(s.control) // all are the same
	}
	return req
}

// bare is a request of a stranger: what a delivery looks like, without any proof.
func (s *session) bare() *authz.Request {
	req := clone(s.control)
	req.Headers = nil
	if value, n := s.control.Headers.Lookup("content-type"); n > 0 {
		req.Set("content-type", string(value))
	}
	req.Path = s.control.PathOnly()
	if len(req.Body.Segments) > 0 {
		body := `{"hello":"` + nonce() + `"}`
		if value, _ := req.Headers.Lookup("content-type"); bytes.HasPrefix(value, []byte("application/x-www-form")) {
			body = "hello=" + nonce()
		}
		req.Body.Segments = [][]byte{[]byte(body)}
	}
	return req
}

// added are the names of the headers that signing has added.
func (s *session) added() []string {
	var names []string
	for _, h := range s.control.Headers {
		if name := string(h.Name); name != "content-type" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// allowedSource is an address that the webhook lets in.
func (s *session) allowedSource() netip.Addr {
	for _, text := range s.hook.Policy.GetSourceIp().GetAllow() {
		if prefix, err := netip.ParsePrefix(text); err == nil {
			return prefix.Addr()
		}
		if addr, err := netip.ParseAddr(text); err == nil {
			return addr
		}
	}
	return netip.AddrFrom4([4]byte{198, 51, 100, 7}) // of no provider, RFC 5737
}

// shows reports whether a text stands anywhere in an answer, in any case and as a URL writes
// it as well.
func (a *answer) shows(text string) bool {
	text = strings.ToLower(text)
	in := func(s string) bool {
		s = strings.ToLower(s)
		return strings.Contains(s, text) || strings.Contains(s, url.QueryEscape(text))
	}
	for name, values := range a.header {
		if in(name) && name != http.CanonicalHeaderKey(decisionID) || slices.ContainsFunc(values, in) {
			return true
		}
	}
	return in(string(a.body))
}
