package audit

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/policy"
)

// A judge runs configurations in a real Envoy and sends requests through it.

const (
	judgeSecret  = "a secret for tests that nobody prints"
	judgeTimeout = 20 * time.Second
	patience     = time.Second // of a sender that waits for 100
	tryHeader    = "x-try"
)

// stand is what stands around Envoy: the service, an application, and another service
// that lets everything pass.
type stand struct {
	service, allow, application, elsewhere net.Addr

	mu  sync.Mutex
	got map[string]arrival // by x-try
	// news tells that more has arrived.
	news chan struct{}
}

type still struct{ table *authz.Table }

func (s still) Table() *authz.Table { return s.table }

type allowAll struct {
	authv3.UnimplementedAuthorizationServer
}

func (allowAll) Check(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	return &authv3.CheckResponse{}, nil
}

func newStand(t *testing.T) *stand {
	t.Helper()
	s := &stand{got: map[string]arrival{}, news: make(chan struct{}, 1)}
	dir := t.TempDir()
	file := filepath.Join(dir, "policy.yaml")
	text := "webhooks:\n- {name: hook, match: {path: /**, methods: [POST, PUT, GET]}, provider: github, secrets: [{file: secret}]}\n" +
		"- {name: root, match: {path: /, methods: [POST, PUT, GET]}, provider: github, secrets: [{file: secret}]}\n" +
		"- {name: url, match: {path: /url/**}, provider: square, secrets: [{file: secret}]}\n"
	for name, data := range map[string]string{file: text, filepath.Join(dir, "secret"): judgeSecret} {
		if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set, err := policy.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	table, err := policy.Compile(set, policy.Deps{
		Store: memory.New(memory.Config{MaxEntries: 100_000}), MaxBodyBytes: 1 << 20,
		Fingerprinter: authz.NewFingerprinter(authz.FingerprintKey{1}),
	})
	if err != nil {
		t.Fatal(err)
	}
	service := listen(t)
	server := envoy.NewServer(&envoy.Service{Source: still{table}, Mapping: envoy.Mapping{MaxRequestBytes: 1 << 20}},
		envoy.Limits{InFlight: 1024, BytesInFlight: 256 << 20, Connections: 64, MaxRequestBytes: 1 << 20, Shutdown: time.Second}, nil)
	go func() { _ = server.Serve(service) }() // ends with Stop
	server.SetReady(true)
	t.Cleanup(server.Stop)
	allow := listen(t)
	other := grpc.NewServer()
	authv3.RegisterAuthorizationServer(other, allowAll{})
	go func() { _ = other.Serve(allow) }() // ends with Stop
	t.Cleanup(other.Stop)
	application := listen(t)
	app := &http.Server{Handler: s.takes("application"), ReadHeaderTimeout: judgeTimeout, Protocols: new(http.Protocols)}
	app.Protocols.SetHTTP1(true)
	app.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = app.Serve(application) }() // ends with Close
	t.Cleanup(func() { _ = app.Close() })
	site := listen(t) // another application, which no webhook is for
	another := &http.Server{Handler: s.takes("site"), ReadHeaderTimeout: judgeTimeout}
	go func() { _ = another.Serve(site) }() // ends with Close
	t.Cleanup(func() { _ = another.Close() })
	s.service, s.allow, s.application, s.elsewhere = service.Addr(), allow.Addr(), application.Addr(), site.Addr()
	return s
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// takes is an application of that name: it takes down what it is told of verification.
func (s *stand) takes(name string) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if id := r.Header.Get(tryHeader); name == "application" || s.got[id].application == "" { // it may be mirrored
			s.got[id] = arrival{name, strings.Join(r.Header.Values(envoy.HeaderVerified), ",")}
		}
		select {
		case s.news <- struct{}{}:
		default:
		}
	}
}

// arrival is what reached an application.
type arrival struct{ application, claim string }

var (
	portValue = regexp.MustCompile(`(port_value"?:\s*)(\d+)`)
	logPath   = regexp.MustCompile(`\.\\?/logs\\?/[a-z.]+`)
)

// place puts the stand behind a configuration's clusters, by the ports that it has for
// them, and its listeners on free ports. All else of the text stays.
func (s *stand) place(config string) string {
	ports := map[string]net.Addr{
		"19001": s.service, "9001": s.service, "18080": s.application, "24001": s.application, "24002": s.application,
		"19005": s.allow, "18090": s.elsewhere,
	}
	config = portValue.ReplaceAllStringFunc(config, func(text string) string {
		m := portValue.FindStringSubmatch(text)
		if to, ok := ports[m[2]]; ok {
			return m[1] + strconv.Itoa(to.(*net.TCPAddr).Port)
		}
		return m[1] + "0"
	})
	return logPath.ReplaceAllString(strings.ReplaceAll(config, "0.0.0.0", "127.0.0.1"), os.DevNull)
}

// try is one request, written as it goes over the wire but for what send adds.
type try struct {
	method, host, path string
	headers            []string // name: value
	body               string
	sign               bool
	claim              string // that is forged; signature if it is empty
}

// fresh is a body that was never seen.
func fresh() string { return `{"id":"` + rand.Text() + `"}` }

// outcomeOf says how a request ended.
func outcomeOf(status int, err error) string {
	if err != nil {
		return err.Error()
	}
	return strconv.Itoa(status)
}

// later waits until one of some requests has reached the application with its claim, as
// one that is mirrored does, and returns it.
func (s *stand) later(ids map[string]string) string {
	limit := time.After(judgeTimeout)
	for {
		s.mu.Lock()
		for id, text := range ids {
			if got := s.got[id]; got.claim != "" && got.application == "application" {
				s.mu.Unlock()
				return text
			}
		}
		s.mu.Unlock()
		select {
		case <-s.news:
		case <-limit:
			return ""
		}
	}
}

// parseTry reads METHOD http://host/path [name: value] ..., as findings write requests.
func parseTry(text string) try {
	fields := strings.Fields(text)
	host, path, _ := strings.Cut(strings.TrimPrefix(fields[1], "http://"), "/")
	t := try{method: fields[0], host: host, path: "/" + path}
	for i := 2; i+1 < len(fields); i += 2 {
		if name := strings.TrimSuffix(fields[i], ":"); name == "upgrade" {
			t.headers = append(t.headers, "connection: Upgrade", "upgrade: "+fields[i+1])
		} else {
			t.headers = append(t.headers, name+": "+strings.Replace(fields[i+1], "Bearer_", "Bearer ", 1))
		}
	}
	return t
}

// answer is what became of a request.
type answer struct {
	status  int
	arrived bool
	claim   string // as the application saw it
	// application is the one that it reached.
	application string
	id          string
}

// send sends a request with a forged claim to a listener.
func (s *stand) send(address string, r try) (answer, error) {
	id := rand.Text()
	if r.body == "" {
		r.body = fresh()
	}
	if r.sign {
		mac := hmac.New(sha256.New, []byte(judgeSecret))
		if strings.HasPrefix(r.path, "/url/") {
			mac.Write([]byte("https://" + r.host + r.path + r.body))
			r.headers = append(r.headers, "x-square-hmacsha256-signature: "+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
		} else {
			mac.Write([]byte(r.body))
			r.headers = append(r.headers, "x-hub-signature-256: sha256="+hex.EncodeToString(mac.Sum(nil)))
		}
	}
	if r.claim == "" {
		r.claim = "signature"
	}
	target := r.path
	if r.method == http.MethodConnect {
		target, r.body = r.host+":80", ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nhost: %s\r\n%s: %s\r\n%s: %s\r\n", r.method, target, r.host, tryHeader, id, envoy.HeaderVerified, r.claim)
	for _, h := range r.headers {
		b.WriteString(h + "\r\n")
	}
	if !strings.Contains(b.String(), "\r\ncontent-type:") {
		b.WriteString("content-type: application/json\r\n")
	}
	head := b.String()
	upgrades := slices.ContainsFunc(r.headers, func(h string) bool { return strings.HasPrefix(h, "upgrade:") })
	fmt.Fprintf(&b, "content-length: %d\r\n\r\n", len(r.body))
	if upgrades {
		b.Reset()
		b.WriteString(head + "\r\n")
		r.body = ""
	}
	waits := slices.ContainsFunc(r.headers, func(h string) bool { return strings.HasPrefix(h, "expect:") })
	if !waits {
		b.WriteString(r.body)
	}
	a := answer{id: id}
	c, err := net.Dial("tcp", address)
	if err != nil {
		return a, err
	}
	defer func() { _ = c.Close() }() // read to its end
	limit := judgeTimeout
	if waits || upgrades {
		limit = patience
	}
	_ = c.SetDeadline(time.Now().Add(limit))
	if _, err := c.Write([]byte(b.String())); err != nil {
		return a, err
	}
	answers := bufio.NewReader(c)
	response, err := http.ReadResponse(answers, &http.Request{Method: r.method})
	if err == nil && response.StatusCode == http.StatusContinue {
		if waits {
			if _, err := c.Write([]byte(r.body)); err != nil {
				return a, err
			}
		}
		response, err = http.ReadResponse(answers, &http.Request{Method: r.method})
	}
	if err == nil {
		_ = response.Body.Close()
		a.status = response.StatusCode
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if got, ok := s.got[id]; ok {
		a.arrived, a.claim, a.application = true, got.claim, got.application
	}
	return a, err
}
