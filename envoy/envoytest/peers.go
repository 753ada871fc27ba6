package envoytest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"

	"github.com/hookbastion/hookbastion/envoy"
)

// HeaderSawDecision is where the upstream's answer names the decision that let
// the request through.
const HeaderSawDecision = "upstream-saw-decision"

// Upstream records what reaches it.
type Upstream struct {
	listener net.Listener
	server   *http.Server
	mu       sync.Mutex
	got      []Arrival
	answer   http.HandlerFunc
}

// Arrival is one request as the upstream got it.
type Arrival struct {
	Header  http.Header
	Body    []byte
	Trailer http.Header
}

func startUpstream() (*Upstream, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	u := &Upstream{listener: l}
	u.server = &http.Server{Handler: u, ReadHeaderTimeout: clientTimeout, Protocols: new(http.Protocols)}
	u.server.Protocols.SetHTTP1(true)
	u.server.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = u.server.Serve(l) }() // ends with Close
	return u, nil
}

// Addr is where the upstream listens.
func (u *Upstream) Addr() net.Addr { return u.listener.Addr() }

// ServeHTTP takes down a request, cut ones included.
func (u *Upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // what came before an error has reached us too
	u.mu.Lock()
	u.got = append(u.got, Arrival{r.Header.Clone(), body, r.Trailer.Clone()})
	answer := u.answer
	u.mu.Unlock()
	w.Header().Set(HeaderSawDecision, r.Header.Get(envoy.HeaderDecisionID))
	if answer != nil {
		answer(w, r)
	}
}

// Answer sets how the upstream answers from now on; 200 if nil.
func (u *Upstream) Answer(answer http.HandlerFunc) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answer = answer
}

// Take returns what arrived since the last call.
func (u *Upstream) Take() []Arrival {
	u.mu.Lock()
	defer u.mu.Unlock()
	got := u.got
	u.got = nil
	return got
}

func (u *Upstream) stop() error { return u.server.Close() }

// Records keeps decision records by their id. It is safe for concurrent use.
type Records struct {
	arrivals
	byID  map[string]map[string]any
	text  bytes.Buffer
	watch *Watch
}

func newRecords(watch *Watch) *Records {
	return &Records{watch: watch, byID: map[string]map[string]any{}}
}

// Write takes whole records, as telemetry.Writer writes them.
func (r *Records) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text.Write(p)
	r.watch.Saw("record", p)
	for line := range bytes.Lines(p) {
		var record map[string]any
		if err := json.Unmarshal(line, &record); err != nil {
			panic(fmt.Sprintf("not a record: %q", line))
		}
		id, _ := record["decision_id"].(string)
		r.byID[id] = record
	}
	r.wake()
	return len(p), nil
}

// Await waits for the record of a decision; nil if it does not come.
func (r *Records) Await(id string) (record map[string]any) {
	r.soon(func() bool { record = r.byID[id]; return record != nil })
	return record
}

// AwaitText waits for a record with this text, for denials whose sender does
// not learn their id. It reports whether it came.
func (r *Records) AwaitText(text string) bool {
	return r.soon(func() bool { return bytes.Contains(r.text.Bytes(), []byte(text)) })
}

func (r *Records) soon(found func() bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), clientTimeout)
	defer cancel()
	return r.await(ctx, found)
}

// Text returns all records so far.
func (r *Records) Text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}
