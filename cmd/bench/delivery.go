package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// The deliveries are Stripe's: "t=…,v1=…" signs the time, a dot and the body.
// Each one has another id at the end of its body, so that each is new to the
// replay store and every signature is valid.
const (
	key       = "whsec_the_key_of_a_benchmark_is_no_secret"
	path      = "/stripe"
	tailBytes = 64
	sender    = "198.51.100.7"
)

// networks are where deliveries may come from: through Envoy from the machine
// itself, else from the last one.
var networks = []string{
	"192.0.2.0/28", "192.0.2.64/28", "192.0.2.128/28", "203.0.113.0/27",
	"203.0.113.64/27", "127.0.0.0/8", "2001:db8:1::/48", "198.51.100.0/24",
}

// form is how Envoy was told to write a message.
type form uint8

const (
	rawHeaders form = iota // encode_raw_headers and pack_as_bytes
	mapHeaders             // pack_as_bytes
	mapAndText             // neither
)

// count makes ids different; began makes them different from those of another
// run.
var (
	count atomic.Uint64
	began = uint64(time.Now().UnixNano())
)

// deliveries makes signed bodies of one size.
type deliveries struct {
	head []byte // all of the body but its tail
	form form
	base atomic.Pointer[prepared]
}

// prepared is what deliveries of one second share.
type prepared struct {
	second int64
	mac    hash.Cloner // has hashed the time and the head
	// message is an encoded CheckRequest; tail and signature are where those
	// stand in it.
	message         []byte
	tail, signature int
}

func newDeliveries(size int, f form) *deliveries {
	head := []byte(`{"object":"event","type":"charge.succeeded","data":"`)
	head = append(head, bytes.Repeat([]byte("abcdefgh"), size/8)...)
	return &deliveries{head: head[:size-tailBytes], form: f}
}

// placeholders are replaced in each delivery.
var (
	tailPlace      = strings.Repeat("T", tailBytes)
	signaturePlace = strings.Repeat("S", 2*sha256.Size)
)

// fill writes a new tail and its signature into the places.
func (p *prepared) fill(tail, signature []byte) {
	for i := range tail {
		tail[i] = ' '
	}
	copy(tail, `","id":"evt_`)
	digits := strconv.AppendUint(strconv.AppendUint(nil, began, 36), count.Add(1)+1<<40, 36)
	copy(tail[len(`","id":"evt_`):], digits)
	copy(tail[tailBytes-2:], `"}`)
	clone, err := p.mac.Clone()
	if err != nil {
		panic(err) // HMAC-SHA256 can be cloned
	}
	mac, _ := clone.(hash.Hash)
	mac.Write(tail)
	hex.Encode(signature, mac.Sum(nil))
}

// now returns what the deliveries of this second share.
func (d *deliveries) now() *prepared {
	second := time.Now().Unix()
	if p := d.base.Load(); p != nil && p.second == second {
		return p
	}
	p := &prepared{second: second, mac: stateAfter(second, d.head)}
	body := append(bytes.Clone(d.head), tailPlace...)
	message, err := proto.Marshal(d.check(second, body))
	if err != nil {
		panic(err)
	}
	p.message = message
	p.tail, p.signature = bytes.Index(message, []byte(tailPlace)), bytes.Index(message, []byte(signaturePlace))
	d.base.Store(p)
	return p
}

func stateAfter(second int64, head []byte) hash.Cloner {
	mac := hmac.New(sha256.New, []byte(key))
	fmt.Fprintf(mac, "%d.", second)
	mac.Write(head)
	cloner, ok := mac.(hash.Cloner)
	if !ok {
		panic("HMAC-SHA256 cannot be cloned")
	}
	return cloner
}

func signatureHeader(second int64) string { return fmt.Sprintf("t=%d,v1=%s", second, signaturePlace) }

// headers are those of a delivery behind Envoy, 22 of them.
func headers(second int64, length int) [][2]string {
	return [][2]string{
		{":authority", "hooks.example.com"}, {":method", "POST"}, {":path", path}, {":scheme", "https"},
		{"accept", "*/*; q=0.5, application/xml"}, {"user-agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)"},
		{"content-type", "application/json; charset=utf-8"}, {"cache-control", "no-cache"}, {"accept-encoding", "gzip"},
		{"content-length", strconv.Itoa(length)}, {"stripe-signature", signatureHeader(second)},
		{"x-forwarded-for", sender}, {"x-forwarded-proto", "https"}, {"x-envoy-external-address", sender},
		{"x-request-id", "375c3b01-2660-4ee0-86a4-6b18b816834f"}, {"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"},
		{"x-header-1", "a value of ordinary length"}, {"x-header-2", "a value of ordinary length"}, {"x-header-3", "a value of ordinary length"},
		{"x-header-4", "a value of ordinary length"}, {"x-header-5", "a value of ordinary length"}, {"x-envoy-auth-partial-body", "false"},
	}
}

// check is what Envoy sends.
func (d *deliveries) check(second int64, body []byte) *authv3.CheckRequest {
	http := &authv3.AttributeContext_HttpRequest{
		Id: "11028375967313327110", Method: "POST", Path: path, Host: "hooks.example.com", Scheme: "https", Protocol: "HTTP/1.1", Size: int64(len(body)),
	}
	if d.form == rawHeaders {
		http.HeaderMap = &corev3.HeaderMap{}
	} else {
		http.Headers = map[string]string{}
	}
	for _, h := range headers(second, len(body)) {
		if d.form == rawHeaders {
			http.HeaderMap.Headers = append(http.HeaderMap.Headers, &corev3.HeaderValue{Key: h[0], RawValue: []byte(h[1])})
		} else {
			http.Headers[h[0]] = h[1]
		}
	}
	if d.form == mapAndText {
		http.Body = string(body)
	} else {
		http.RawBody = body
	}
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source: peer(sender, 35085), Destination: peer("192.0.2.2", 443),
		Request:    &authv3.AttributeContext_Request{Time: timestamppb.Now(), Http: http},
		TlsSession: &authv3.AttributeContext_TLSSession{Sni: "hooks.example.com"},
	}}
}

func peer(address string, port uint32) *authv3.AttributeContext_Peer {
	return &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: address, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
	}}}}
}

// pieces returns a new message: what changes in a copy, and the long parts
// before and between as they are. Where a field stands depends on the form.
func (d *deliveries) pieces() [][]byte {
	p := d.now()
	first, second := p.tail, p.signature
	if first > second {
		first, second = second, first
	}
	m := p.message
	changing := bytes.Clone(m[first : first+tailBytes])
	rest := m[first+tailBytes : second]
	end := bytes.Clone(m[second:])
	if p.tail < p.signature {
		p.fill(changing, end[:2*sha256.Size])
		return [][]byte{m[:first], changing, rest, end}
	}
	// The signature is longer than a tail: it takes from what follows.
	changing = bytes.Clone(m[first : first+2*sha256.Size])
	p.fill(end[:tailBytes], changing)
	return [][]byte{m[:first], changing, m[first+2*sha256.Size : second], end}
}

// policy is the service's policy.
func policy(secretFile string) string {
	return "webhooks:\n- name: stripe\n  match: {hosts: [hooks.example.com], path: " + path + "}\n  provider: stripe\n  secrets: [{file: " +
		secretFile + "}]\n  source_ip: {allow: [" + strings.Join(networks, ", ") + "]}\n"
}
