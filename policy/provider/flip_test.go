package provider_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/policy"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// changes is how many changed deliveries TestChangedDeliveries tries of each scheme.
var changes = flag.Int("changes", 20, "changed deliveries of each scheme")

// every says which bits TestFlippedBits tries; make flips tries all.
var every = flag.Int("flip-every", 211, "one bit in how many is flipped, of each scheme's delivery")

// forgetting is a store that has seen nothing, each time.
type forgetting struct{ replay.Store }

func (f *forgetting) forget() { f.Store = memory.New(memory.Config{MaxEntries: 64}) }

// target is a scheme of the catalogue behind the whole service, and one delivery of it.
type target struct {
	name    string
	scheme  *policyv1.Scheme
	store   forgetting
	service *envoy.Service
	valid   *authv3.CheckRequest
	message []byte
	weight  weight
}

type fixed struct{ table *authz.Table }

func (f fixed) Table() *authz.Table { return f.table }

// targets are those of all schemes, each built when it is first asked for.
func targets(tb testing.TB) []func(testing.TB) *target {
	tb.Helper()
	dir := tb.TempDir()
	var all []func(testing.TB) *target
	for name, p := range entries(tb) {
		for _, named := range p.GetSchemes() {
			var once sync.Once
			var made *target
			all = append(all, func(tb testing.TB) *target {
				once.Do(func() {
					s := &scheme{provider: name, named: named, dir: dir, parameters: examples(p, named.GetScheme())}
					made = s.target(tb)
				})
				if made == nil {
					tb.Fatalf("%s has no delivery, as was said before", name)
				}
				return made
			})
		}
	}
	return all
}

func (s *scheme) target(tb testing.TB) *target {
	tb.Helper()
	t := &target{name: s.provider + "/" + s.named.GetName(), scheme: s.named.GetScheme()}
	s.write(tb, "a", s.secret(0))
	s.write(tb, "policy.yaml", fmt.Sprintf("webhooks:\n  - {name: a, match: {path: '/a/{x}', methods: [POST, PUT]}, provider: %s, provider_scheme: %s, "+
		"secrets: [{id: key-1, file: a}], source_ip: {allow: [%s]}%s}\n", s.provider, s.named.GetName(), allowedFrom, s.parameters))
	t.store.forget()
	s.deps = policy.Deps{Store: &t.store, Fingerprinter: authz.NewFingerprinter(authz.FingerprintKey{}), MaxBodyBytes: 1 << 20}
	s.table = s.compile(tb)
	t.service = &envoy.Service{Source: fixed{s.table}, Mapping: envoy.Mapping{MaxRequestBytes: 1 << 20}, Now: func() time.Time { return now }}
	t.valid = asked(s.signed(tb, "a", now))
	var err error
	if t.message, err = (proto.MarshalOptions{Deterministic: true}).Marshal(t.valid); err != nil {
		tb.Fatal(err)
	}
	var ok bool
	if t.weight, ok = weigh(t.scheme, read(t.message)); !ok {
		tb.Fatalf("%s: the oracle cannot read %v", t.name, t.valid)
	}
	if forwarded, _ := t.answer(tb, t.message); !forwarded {
		tb.Fatalf("%s: the delivery is not valid: %v", t.name, t.valid)
	}
	return t
}

// asked is what Envoy asks about a request.
func asked(req *authz.Request) *authv3.CheckRequest {
	body := req.Body.Joined()
	headers := &corev3.HeaderMap{}
	add := func(name, value string) {
		headers.Headers = append(headers.Headers, &corev3.HeaderValue{Key: name, RawValue: []byte(value)})
	}
	add("user-agent", "sender/1")
	for _, h := range req.Headers {
		add(string(h.Name), string(h.Value))
	}
	add("content-length", fmt.Sprint(len(body)))
	add("x-envoy-auth-partial-body", "false")
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source: &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{
			SocketAddress: &corev3.SocketAddress{Address: "198.51.100.7", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 5555}},
		}}},
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Method: string(req.Method), Path: string(req.Path), Host: string(req.Host), Scheme: "https", Protocol: "HTTP/1.1",
			Size: int64(len(body)), HeaderMap: headers, RawBody: body,
		}},
	}}
}

// read is how the oracle reads a message: with the generated code. It is nil for what
// cannot be a request.
func read(message []byte) *sent {
	var check authv3.CheckRequest
	if proto.Unmarshal(message, &check) != nil {
		return nil
	}
	http := check.GetAttributes().GetRequest().GetHttp()
	r := &sent{method: http.GetMethod(), host: http.GetHost(), path: http.GetPath(), size: http.GetSize(), body: http.GetRawBody()}
	r.source = check.GetAttributes().GetSource().GetAddress().GetSocketAddress().GetAddress()
	if text := http.GetBody(); text != "" {
		r.body = []byte(text)
	}
	for _, h := range http.GetHeaderMap().GetHeaders() {
		value := string(h.GetRawValue())
		if value == "" {
			value = h.GetValue()
		}
		r.headers = append(r.headers, [2]string{lowerASCII(h.GetKey()), value})
	}
	return r
}

func lowerASCII(name string) string {
	b := []byte(name)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// answer asks the service, as if it had seen nothing before, and returns what it tells the
// application of the proof.
func (t *target) answer(tb testing.TB, message []byte) (forwarded bool, verified string) {
	tb.Helper()
	t.store.forget()
	encoded := t.service.Answer(context.Background(), message, nil)
	var response authv3.CheckResponse
	if err := proto.Unmarshal(encoded, &response); err != nil || len(encoded) == 0 {
		tb.Fatalf("%s: the answer %x: %v", t.name, encoded, err)
	}
	if response.GetStatus().GetCode() != 0 {
		return false, ""
	}
	for _, h := range response.GetOkResponse().GetHeaders() {
		if h.GetHeader().GetKey() == envoy.HeaderVerified {
			verified = h.GetHeader().GetValue()
		}
	}
	return true, verified
}

// judge asks about a changed message. What is forwarded must weigh what the valid one does,
// and what is said to be covered must say the same.
func (t *target) judge(tb testing.TB, message []byte) (forwarded bool) {
	tb.Helper()
	forwarded, verified := t.answer(tb, message)
	if !forwarded {
		return false
	}
	r := read(message)
	if r == nil {
		tb.Errorf("%s: forwarded, and no request: %q", t.name, message)
		return true
	}
	switch w, ok := weigh(t.scheme, r); {
	case verified == "":
		tb.Errorf("%s: forwarded without a word about the proof", t.name)
	case !ok:
		tb.Errorf("%s: forwarded, and is no delivery of the scheme:\n%s", t.name, difference(t.message, message))
	case !t.weight.same(w):
		tb.Errorf("%s: forwarded with a change of what is signed:\n%s\nit was %q\nit is  %q", t.name, difference(t.message, message), t.weight, w)
	case verified == "signature" && w.meaning != t.weight.meaning:
		tb.Errorf("%s: said to be signed, and the body says something else:\n%s", t.name, difference(t.message, message))
	}
	return true
}

func (r *sent) lines() []string {
	if r == nil {
		return nil
	}
	list := []string{r.method, r.path, r.host, r.source, fmt.Sprint(r.size), string(r.body)}
	for _, h := range r.headers {
		list = append(list, h[0]+": "+h[1])
	}
	return list
}

// difference shows where two messages differ, one line for each part.
func difference(a, b []byte) string {
	was, is := read(a).lines(), read(b).lines()
	i, j := 0, 0
	for i < min(len(was), len(is)) && was[i] == is[i] {
		i++
	}
	for j < min(len(was), len(is))-i && was[len(was)-1-j] == is[len(is)-1-j] {
		j++
	}
	return fmt.Sprintf("%q\nbecame\n%q", was[i:len(was)-j], is[i:len(is)-j])
}

// Of each scheme's delivery, bits are flipped one at a time: of the method, the path, each
// header, the body, the source, and of what holds them together.
func TestFlippedBits(t *testing.T) {
	all := targets(t)
	for n, build := range all {
		target := build(t)
		message := slices.Clone(target.message)
		refused, forwarded := 0, 0
		for bit := n % *every; bit < len(message)*8; bit += *every {
			message[bit/8] ^= 1 << (bit % 8)
			if target.judge(t, message) {
				forwarded++
			} else {
				refused++
			}
			message[bit/8] ^= 1 << (bit % 8)
		}
		if refused == 0 {
			t.Errorf("%s: nothing of %d flipped bits is refused", target.name, forwarded)
		}
	}
	if len(all) < 300 {
		t.Errorf("only %d schemes", len(all))
	}
}

// FuzzFlippedBits flips any two bits of any scheme's delivery.
func FuzzFlippedBits(f *testing.F) {
	all := targets(f)
	for n := range all {
		f.Add(uint16(n), uint32(n*131), uint32(n*131))
		f.Add(uint16(n), uint32(n*337), uint32(n*17+1))
	}
	f.Fuzz(func(t *testing.T, n uint16, one, other uint32) {
		target := all[int(n)%len(all)](t)
		message := slices.Clone(target.message)
		for _, bit := range []uint32{one, other} {
			bit %= uint32(len(message) * 8)
			message[bit/8] ^= 1 << (bit % 8)
		}
		target.judge(t, message)
	})
}

// FuzzChangedDelivery takes some bytes out of one part of any scheme's delivery, and puts
// others in.
func FuzzChangedDelivery(f *testing.F) {
	all := targets(f)
	for n := range all {
		f.Add(uint16(n), uint8(n), uint16(n), uint8(n%3), []byte(seeds[n%len(seeds)]), n%2 == 0)
	}
	f.Fuzz(func(t *testing.T, n uint16, part uint8, at uint16, cut uint8, put []byte, counted bool) {
		all[int(n)%len(all)](t).judgeChanged(t, int(part), int(at), int(cut), put, counted)
	})
}

// seeds are texts that mean something somewhere.
var seeds = []string{
	"", " ", "\t", "0", "1", "a", "=", ",", ";", ":", ".", "&", "?", "/", "%", "%2F", "%2e", "..", "\r\n", "\r\nx: y", "\x00", "é", "\xff", `"`, "{", "}", "[]",
	"&id=evt_2", ";id=evt_2", `,"id":"evt_2"`, `"id":"evt_2",`, "A", "%41", "+", "-", "_", "x-signature: 0", "content-type: text/plain", "authorization: Bearer 0",
	"content-length: 1", "x-envoy-auth-partial-body: true", "x-hookbastion-verified: signature", "x-forwarded-for: 198.51.100.1", "transfer-encoding: chunked",
}

// Deliveries with other bytes in one of their parts, by chance of a fixed seed.
func TestChangedDeliveries(t *testing.T) {
	for _, build := range targets(t) {
		target := build(t)
		random := rand.New(rand.NewPCG(uint64(len(target.message)), 24))
		for range *changes {
			put := seeds[random.IntN(len(seeds))]
			target.judgeChanged(t, random.IntN(256), random.IntN(300), random.IntN(3), []byte(put), random.IntN(4) > 0)
		}
	}
}

func (t *target) judgeChanged(tb testing.TB, part, at, cut int, put []byte, counted bool) {
	tb.Helper()
	check, ok := proto.Clone(t.valid).(*authv3.CheckRequest)
	if !ok {
		tb.Fatal("no clone")
	}
	change(check, part, at, cut, put)
	if counted {
		recount(check)
	}
	if message, err := proto.Marshal(check); err == nil { // text that is no UTF-8 cannot be sent
		t.judge(tb, message)
	}
}

// change replaces cut bytes of a part by others.
func change(check *authv3.CheckRequest, part, at, cut int, put []byte) {
	splice := func(text string) string {
		at %= len(text) + 1
		return text[:at] + string(put) + text[min(len(text), at+cut):]
	}
	http := check.Attributes.Request.Http
	headers := http.HeaderMap.Headers
	switch address := check.Attributes.Source.Address.GetSocketAddress(); part % 8 {
	case 0:
		http.Method = splice(http.Method)
	case 1:
		http.Path = splice(http.Path)
	case 2:
		http.Host = splice(http.Host)
	case 3:
		address.Address = splice(address.Address)
	case 4, 5:
		http.RawBody = []byte(splice(string(http.RawBody)))
	case 6:
		h := headers[part/8%len(headers)]
		if part/8 >= len(headers) {
			h.Key = splice(h.Key)
		} else {
			h.RawValue = []byte(splice(string(h.RawValue)))
		}
	case 7: // a header that was not there
		name, value, _ := strings.Cut(string(put), ": ")
		added := &corev3.HeaderValue{Key: name, RawValue: []byte(value)}
		http.HeaderMap.Headers = slices.Insert(headers, min(at, len(headers)), added)
	}
}

// recount makes lengths fit the body.
func recount(check *authv3.CheckRequest) {
	http := check.Attributes.Request.Http
	http.Size = int64(len(http.RawBody))
	for _, h := range http.HeaderMap.Headers {
		if h.Key == "content-length" {
			h.RawValue = fmt.Append(nil, len(http.RawBody))
		}
	}
}
