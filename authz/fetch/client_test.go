package fetch

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}

// server is a real TLS server on loopback, and a client that trusts it.
func server(t *testing.T, handler http.HandlerFunc, change func(*httptest.Server)) (*httptest.Server, *x509.CertPool) {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if change != nil {
		change(s)
	}
	s.StartTLS()
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return s, roots
}

func answer(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// Whatever a server does, the client ends with one word, and nothing of what the
// server sent stands in the error.
func TestServersThatMisbehave(t *testing.T) {
	const marker = "sent-by-the-server"
	long := func(w http.ResponseWriter, _ *http.Request) {
		for range 2 << 10 {
			if _, err := w.Write(bytes.Repeat([]byte("x"), 1<<10)); err != nil {
				return
			}
		}
	}
	tests := []struct {
		name    string
		handler http.HandlerFunc
		change  func(*httptest.Server)
		config  func(*ClientConfig)
		url     func(string) string
		want    Failure
	}{
		{name: "good", handler: answer(200, "keys"), want: None},
		{name: "slow to answer", handler: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, config: short100, want: Timeout},
		{name: "slow to send", handler: func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, marker)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, config: short100, want: Timeout},
		{name: "huge, and says so", handler: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(2<<20))
			long(w, r)
		}, want: TooLarge},
		{name: "huge, in pieces", handler: long, want: TooLarge},
		{name: "a head without end", handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Fill", strings.Repeat(marker, 16<<10))
		}, want: Transport},
		{name: "elsewhere", handler: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://127.0.0.1/"+marker, http.StatusMovedPermanently)
		}, want: Redirect},
		{name: "elsewhere in the same place", handler: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", http.StatusFound) }, want: Redirect},
		{name: "nothing", handler: answer(404, marker), want: NotFound},
		{name: "gone", handler: answer(410, marker), want: NotFound},
		{name: "not for us", handler: answer(403, marker), want: Credentials},
		{name: "broken", handler: answer(500, marker), want: BadStatus},
		{name: "no content", handler: answer(204, ""), want: BadStatus},
		{name: "unchanged, unasked", handler: answer(304, ""), want: BadStatus},
		{name: "packed", handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, marker)
		}, want: Content},
		{name: "breaks off", handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, marker)
		}, want: Transport},
		{name: "TLS 1.1", handler: answer(200, ""), change: func(s *httptest.Server) {
			s.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
		}, want: TLS},
		{name: "a stranger's certificate", handler: answer(200, ""), config: func(c *ClientConfig) { c.Roots = x509.NewCertPool() }, want: TLS},
		{name: "a private address", handler: answer(200, ""), config: func(c *ClientConfig) { c.AllowPrivate = nil }, want: Address},
		{name: "another private address", handler: answer(200, ""), config: func(c *ClientConfig) {
			c.AllowPrivate = []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32"), netip.MustParsePrefix("10.0.0.0/8")}
		}, want: Address},
		{name: "without TLS", url: func(s string) string { return strings.Replace(s, "https:", "http:", 1) }, handler: answer(200, ""), want: BadURL},
		{name: "with a user", url: func(s string) string { return strings.Replace(s, "https://", "https://u:p@", 1) }, handler: answer(200, ""), want: BadURL},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, roots := server(t, tt.handler, tt.change)
			config := ClientConfig{AllowPrivate: loopback, Roots: roots}
			if tt.config != nil {
				tt.config(&config)
			}
			url := s.URL + "/keys"
			if tt.url != nil {
				url = tt.url(url)
			}
			_, err := NewClient(config).Get(t.Context(), &Request{URL: url})
			if got := FailureOf(err); got != tt.want {
				t.Fatalf("%v (%v), want %v", got, err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), marker) {
				t.Errorf("the error tells what the server sent: %v", err)
			}
		})
	}
}

func short100(c *ClientConfig) { c.Timeout = 100 * time.Millisecond }

// listen runs a server that is no HTTP server.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serve(conn)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

func TestNoServer(t *testing.T) {
	client := NewClient(ClientConfig{AllowPrivate: loopback})
	dead := listen(t, func(net.Conn) {})
	rubbish := listen(t, func(c net.Conn) { _, _ = c.Write([]byte("220 mail ready\r\n")) })
	closed := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return l.Addr().String()
	}()
	for _, tt := range []struct {
		address string
		want    Failure
	}{{closed, Connect}, {rubbish, TLS}, {dead, Transport}} {
		_, err := client.Get(t.Context(), &Request{URL: "https://" + tt.address + "/"})
		if got := FailureOf(err); got != tt.want {
			t.Errorf("%s: %v (%v), want %v", tt.address, got, err, tt.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.Get(ctx, &Request{URL: "https://" + closed + "/"}); err == nil {
		t.Error("a fetch that nobody waits for is no success")
	}
}

// names is a DNS server on loopback.
func names(t *testing.T, address func(name string) netip.Addr) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buffer := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buffer[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			m.Response, m.Additionals = true, nil
			q := m.Questions[0]
			if a := address(q.Name.String()); a.Is4() && q.Type == dnsmessage.TypeA {
				m.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 0}, Body: &dnsmessage.AResource{A: a.As4()},
				}}
			} else if !a.IsValid() {
				m.RCode = dnsmessage.RCodeNameError
			}
			if packed, err := m.Pack(); err == nil {
				_, _ = conn.WriteTo(packed, from)
			}
		}
	}()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// A name that is moved to an address of the inside is refused at the moment in
// which it would be dialled, whatever it was a moment before.
func TestRebinding(t *testing.T) {
	var asked atomic.Int64
	s, roots := server(t, func(w http.ResponseWriter, _ *http.Request) { asked.Add(1); _, _ = io.WriteString(w, "keys") }, nil)
	var where atomic.Pointer[netip.Addr]
	move := func(a netip.Addr) { where.Store(&a) }
	move(netip.MustParseAddr("127.0.0.1"))
	client := NewClient(ClientConfig{AllowPrivate: loopback, Roots: roots, Resolver: names(t, func(string) netip.Addr { return *where.Load() })})
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	get := func() error {
		_, err := client.Get(t.Context(), &Request{URL: "https://example.com:" + port + "/"}) // a name of the server's certificate
		return err
	}
	if err := get(); err != nil {
		t.Fatal(err)
	}
	for _, private := range []string{"127.0.0.2", "169.254.169.254", "10.1.2.3", "100.100.100.200", "0.0.0.0"} {
		move(netip.MustParseAddr(private))
		if err := get(); FailureOf(err) != Address {
			t.Errorf("%s: %v", private, err)
		}
	}
	move(netip.Addr{})
	if err := get(); FailureOf(err) != DNS {
		t.Errorf("no address: %v", err)
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the server was asked %d times", n)
	}
}

func TestProxyOnlyOfSettings(t *testing.T) {
	s, roots := server(t, answer(200, "keys"), nil)
	var connects atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connects.Add(1)
		out, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil || r.Method != http.MethodConnect {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.WriteHeader(http.StatusOK)
		in, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		go func() { _, _ = io.Copy(out, in); _ = out.Close() }()
		_, _ = io.Copy(in, out)
		_ = in.Close()
	}))
	t.Cleanup(proxy.Close)
	t.Setenv("HTTPS_PROXY", proxy.URL)
	t.Setenv("https_proxy", proxy.URL)
	resolver := names(t, func(string) netip.Addr { return netip.MustParseAddr("127.0.0.1") })
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	r := &Request{URL: "https://example.com:" + port + "/"}
	if _, err := NewClient(ClientConfig{AllowPrivate: loopback, Roots: roots, Resolver: resolver}).Get(t.Context(), r); err != nil || connects.Load() != 0 {
		t.Errorf("%v, and the proxy of the environment was asked %d times", err, connects.Load())
	}
	through, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := NewClient(ClientConfig{Proxy: through, Roots: roots}).Get(t.Context(), r)
	if err != nil || string(resp.Body) != "keys" || connects.Load() != 1 {
		t.Errorf("%v, and the proxy of the settings was asked %d times", err, connects.Load())
	}
}

func TestConditionalRequest(t *testing.T) {
	s, roots := server(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		w.Header().Set("Cache-Control", "public, max-age=7200")
		w.Header().Set("Age", "200")
		if r.Header.Get("If-None-Match") == `"v1"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = io.WriteString(w, "keys "+r.Method+r.Header.Get("Authorization"))
		_, _ = io.Copy(w, r.Body)
	}, nil)
	client := NewClient(ClientConfig{AllowPrivate: loopback, Roots: roots})
	first, err := client.Get(t.Context(), &Request{
		Method: "POST", URL: s.URL, Header: http.Header{"Authorization": {"Bearer x"}}, Body: []byte(`{}`),
	})
	if err != nil || string(first.Body) != "keys POSTBearer x{}" || first.Good != 7000*time.Second {
		t.Fatalf("%+v, %v", first, err)
	}
	second, err := client.Get(t.Context(), &Request{URL: s.URL, ETag: first.ETag})
	if err != nil || !second.NotModified || second.Body != nil || second.ETag != `"v1"` {
		t.Fatalf("%+v, %v", second, err)
	}
}

func TestGoodFor(t *testing.T) {
	const date = "Sun, 29 Nov 2026 07:00:00 GMT"
	for _, tt := range []struct {
		header string
		want   time.Duration
	}{
		{"", 0},
		{"Cache-Control: max-age=60", time.Minute},
		{"Cache-Control: public, MAX-AGE=\"60\"", time.Minute},
		{"Cache-Control: max-age=60\nAge: 90", time.Nanosecond},
		{"Cache-Control: no-store, max-age=60", time.Nanosecond},
		{"Cache-Control: max-age=-1", 0},
		{"Cache-Control: max-age=99999999999", 0},
		{"Date: " + date + "\nExpires: Sun, 29 Nov 2026 08:00:00 GMT", time.Hour},
		{"Date: " + date + "\nExpires: Sat, 28 Nov 2026 08:00:00 GMT", time.Nanosecond},
		{"Date: " + date + "\nExpires: 0", 0},
	} {
		h := http.Header{}
		for line := range strings.SplitSeq(tt.header, "\n") {
			if name, value, ok := strings.Cut(line, ": "); ok {
				h.Add(name, value)
			}
		}
		if got := goodFor(h); got != tt.want {
			t.Errorf("%q: %v, want %v", tt.header, got, tt.want)
		}
	}
}

func TestPublicAddresses(t *testing.T) {
	for _, a := range []string{"8.8.8.8", "::ffff:8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "100.63.255.255", "100.128.0.0", "172.32.0.1", "192.0.1.1"} {
		if !Public(netip.MustParseAddr(a)) {
			t.Errorf("%s is public", a)
		}
	}
	for _, a := range []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.9.9.9", "169.254.169.254", "172.16.0.1", "172.31.255.255",
		"192.0.0.192", "192.0.2.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "168.63.129.16",
		"::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::7f00:1", "fe80::1", "fe80::1%eth0", "2606:4700::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "fec0::1",
		"64:ff9b::7f00:1", "64:ff9b:1::a00:1", "64:ff9b::a00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2001:db8::1", "2001::1", "100::1",
	} {
		if Public(netip.MustParseAddr(a)) {
			t.Errorf("%s is not public", a)
		}
	}
	if err := NewClient(ClientConfig{}).control("tcp", "not an address", nil); FailureOf(err) != Address {
		t.Errorf("what is no address: %v", err)
	}
}

func TestFailuresAreAClosedSet(t *testing.T) {
	seen := map[string]bool{}
	for _, word := range Failures() {
		if word == "" || seen[word] {
			t.Errorf("%q", word)
		}
		seen[word] = true
	}
	if len(seen) != int(failureCount)-1 || failureCount.String() != "unknown" || FailureOf(errors.New("x")) != Content {
		t.Error("a failure has no word")
	}
}
