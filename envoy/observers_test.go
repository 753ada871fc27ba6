package envoy_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/envoy"
)

// upstream records what reaches it and names the decision in its answer.
type upstream struct {
	listener net.Listener
	mu       sync.Mutex
	got      []arrival
}

type arrival struct {
	header http.Header
	body   []byte
}

func startUpstream(t *testing.T) *upstream {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &upstream{listener: l}
	server := &http.Server{Handler: u}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return u
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		u.mu.Lock()
		u.got = append(u.got, arrival{r.Header.Clone(), body})
		u.mu.Unlock()
	}
	w.Header().Set("upstream-saw-decision", r.Header.Get(envoy.HeaderDecisionID))
}

func (u *upstream) take() []arrival {
	u.mu.Lock()
	defer u.mu.Unlock()
	got := u.got
	u.got = nil
	return got
}

// records keeps decision records by their id.
type records struct {
	mu      sync.Mutex
	changed chan struct{}
	all     map[string]map[string]any
	raw     bytes.Buffer
}

func newRecords() *records {
	return &records{changed: make(chan struct{}), all: map[string]map[string]any{}}
}

func (r *records) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.raw.Write(p)
	scanner := bufio.NewScanner(bytes.NewReader(p))
	for scanner.Scan() {
		var record map[string]any
		if err := json.Unmarshal(scanner.Bytes(), &record); err != nil {
			panic(fmt.Sprintf("not a record: %q", scanner.Bytes()))
		}
		r.all[record["decision_id"].(string)] = record
	}
	close(r.changed)
	r.changed = make(chan struct{})
	return len(p), nil
}

func (r *records) await(t testing.TB, id string) map[string]any {
	t.Helper()
	timeout := time.NewTimer(generous)
	defer timeout.Stop()
	for {
		r.mu.Lock()
		record, changed := r.all[id], r.changed
		r.mu.Unlock()
		if record != nil {
			return record
		}
		select {
		case <-changed:
		case <-timeout.C:
			t.Fatalf("no record of decision %s", id)
		}
	}
}

// awaitText waits for a record that has no answer with its id.
func (r *records) awaitText(t testing.TB, text string) {
	t.Helper()
	timeout := time.NewTimer(generous)
	defer timeout.Stop()
	for {
		r.mu.Lock()
		found, changed := strings.Contains(r.raw.String(), text), r.changed
		r.mu.Unlock()
		if found {
			return
		}
		select {
		case <-changed:
		case <-timeout.C:
			t.Fatalf("no record with %s", text)
		}
	}
}

// silent checks that an answer tells nothing but its status and an id.
func silent(t testing.TB, a answer) {
	t.Helper()
	words := []string{"signature", "secret", "replay", "timestamp", "webhook:", "token"}
	for _, s := range secrets {
		words = append(words, s)
	}
	for _, word := range append(words, a.reason) {
		if word != "" && strings.Contains(strings.ToLower(a.text), strings.ToLower(word)) {
			t.Errorf("the sender is told %q:\n%s", word, a.text)
		}
	}
}
