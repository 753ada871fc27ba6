package console

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/authztest/fetched"
)

// axePath is where `make browser` puts axe-core.
const axePath = "axe-core-4.14.1/axe.min.js"

// inCache finds a file below the repository's .cache.
func inCache(name string) (string, error) {
	dir, err := os.Getwd()
	for err == nil && dir != filepath.Dir(dir) {
		path := filepath.Join(dir, ".cache", name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
		dir = filepath.Dir(dir)
	}
	return "", fmt.Errorf("no .cache/%s: run make browser", name)
}

func TestMain(m *testing.M) {
	fetched.Need(func() error { _, err := inCache("chromium/bin/chromium"); return err }, func() error { _, err := inCache(axePath); return err })
	os.Exit(m.Run())
}

// generous is how long to wait for what a browser does at once: long after, it hangs.
const generous = time.Minute

// browser is a Chromium without a window, told what to do over a pipe, in the messages
// of its DevTools protocol.
type browser struct {
	t     *testing.T
	write *os.File

	mu      sync.Mutex
	next    int
	answers map[int]chan message
	tabs    map[string]*tab
}

// message is one of either direction.
type message struct {
	ID      int             `json:"id,omitempty"`
	Session string          `json:"sessionId,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// startBrowser starts one that ends with the test.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	bin, err := inCache("chromium/bin/chromium")
	if err != nil {
		t.Fatal(err)
	}
	theirIn, ourOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ourIn, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(bin, "--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--disable-background-networking", "--disable-component-update", "--no-first-run", "--hide-scrollbars", "--force-color-profile=srgb",
		"--font-render-hinting=none", "--user-data-dir="+t.TempDir())
	command.ExtraFiles = []*os.File{theirIn, theirOut} // 3 and 4
	var stderr bytes.Buffer
	command.Stderr = &stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = theirIn.Close(), theirOut.Close()
	b := &browser{t: t, write: ourOut, answers: map[int]chan message{}, tabs: map[string]*tab{}}
	read := make(chan struct{})
	go func() { defer close(read); b.read(ourIn) }()
	t.Cleanup(func() {
		_, _ = b.send("", "Browser.close", nil)
		ended := make(chan struct{})
		go func() { defer close(ended); _ = command.Wait() }()
		select {
		case <-ended:
		case <-time.After(generous):
			_ = command.Process.Kill()
			t.Errorf("the browser does not end: %s", &stderr)
		}
		_, _ = ourOut.Close(), ourIn.Close()
		<-read
	})
	return b
}

// read gives answers to those who wait, and events to their tabs.
func (b *browser) read(from *os.File) {
	in := bufio.NewReader(from)
	for {
		text, err := in.ReadBytes(0)
		if err != nil {
			return
		}
		var m message
		if json.Unmarshal(text[:len(text)-1], &m) != nil {
			continue
		}
		b.mu.Lock()
		answer, of := b.answers[m.ID], b.tabs[m.Session]
		delete(b.answers, m.ID)
		b.mu.Unlock()
		if answer != nil {
			answer <- m
		} else if of != nil {
			of.event(&m)
		}
	}
}

// send sends a command and waits for its answer.
func (b *browser) send(session, method string, params any) (json.RawMessage, error) {
	text, err := json.Marshal(params)
	if err != nil || params == nil {
		text = []byte("{}")
	}
	answer := make(chan message, 1)
	b.mu.Lock()
	b.next++
	m := message{ID: b.next, Session: session, Method: method, Params: text}
	b.answers[m.ID] = answer
	if text, err = json.Marshal(m); err == nil {
		_, err = b.write.Write(append(text, 0))
	}
	b.mu.Unlock()
	if err != nil {
		return nil, err
	}
	select {
	case m := <-answer:
		if m.Error != nil {
			return nil, errors.New(method + ": " + m.Error.Message)
		}
		return m.Result, nil
	case <-time.After(generous):
		return nil, errors.New(method + ": no answer")
	}
}

// tab is a page that is open.
type tab struct {
	b       *browser
	session string
	loaded  chan struct{}
	expired chan struct{} // virtual time

	mu sync.Mutex
	// requests are the addresses of all requests, troubles what the browser complains
	// of: errors of scripts and of the policy for contents, and dialogs.
	requests, troubles []string
}

// tab opens one as large as this, that prefers a color scheme.
func (b *browser) tab(width, height int, scheme string) *tab {
	b.t.Helper()
	var context struct{ BrowserContextID string }
	b.must("", "Target.createBrowserContext", nil, &context)
	var target struct{ TargetID string }
	b.must("", "Target.createTarget", map[string]any{"url": "about:blank", "browserContextId": context.BrowserContextID}, &target)
	var attached struct{ SessionID string }
	b.must("", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	t := &tab{b: b, session: attached.SessionID, loaded: make(chan struct{}, 16), expired: make(chan struct{}, 1)}
	b.mu.Lock()
	b.tabs[t.session] = t
	b.mu.Unlock()
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		t.must(domain+".enable", nil, nil)
	}
	t.must("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
	t.must("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
	return t
}

func (b *browser) must(session, method string, params, into any) {
	b.t.Helper()
	result, err := b.send(session, method, params)
	if err == nil && into != nil {
		err = json.Unmarshal(result, into)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

func (t *tab) must(method string, params, into any) {
	t.b.t.Helper()
	t.b.must(t.session, method, params, into)
}

func (t *tab) event(m *message) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch m.Method {
	case "Page.loadEventFired":
		select {
		case t.loaded <- struct{}{}:
		default:
		}
	case "Emulation.virtualTimeBudgetExpired":
		t.expired <- struct{}{}
	case "Network.requestWillBeSent":
		var p struct{ Request struct{ URL string } }
		_ = json.Unmarshal(m.Params, &p)
		t.requests = append(t.requests, p.Request.URL)
	case "Page.javascriptDialogOpening", "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded":
		t.troubles = append(t.troubles, m.Method+" "+string(m.Params))
	}
}

// open goes to an address and waits until it is loaded.
func (t *tab) open(address string) {
	t.b.t.Helper()
	for len(t.loaded) > 0 {
		<-t.loaded
	}
	t.must("Page.navigate", map[string]any{"url": address}, nil)
	t.wait()
}

// wait waits until a page is loaded.
func (t *tab) wait() {
	t.b.t.Helper()
	select {
	case <-t.loaded:
	case <-time.After(generous):
		t.b.t.Fatal("the page does not load")
	}
}

// seen returns the requests and troubles so far.
func (t *tab) seen() (requests, troubles []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.requests...), append([]string(nil), t.troubles...)
}

// eval runs a script in the page, awaits what it promises, and reads its value.
func (t *tab) eval(script string, into any) {
	t.b.t.Helper()
	var answer struct {
		Result struct {
			Value json.RawMessage
		}
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	t.must("Runtime.evaluate", map[string]any{"expression": script, "returnByValue": true, "awaitPromise": true}, &answer)
	if e := answer.ExceptionDetails; e != nil {
		t.b.t.Fatalf("%s %s", e.Text, e.Exception.Description)
	}
	if into != nil {
		if err := json.Unmarshal(answer.Result.Value, into); err != nil {
			t.b.t.Fatalf("%.100s: %v", script, err)
		}
	}
}

// advance lets time pass for the page, at once. From then on its clock runs in no other way.
func (t *tab) advance(by time.Duration) {
	t.b.t.Helper()
	t.must("Emulation.setVirtualTimePolicy", map[string]any{"policy": "advance", "budget": by.Milliseconds()}, nil)
	select {
	case <-t.expired:
	case <-time.After(generous):
		t.b.t.Fatal("time does not pass")
	}
}

// until waits until a script in the page is true.
func (t *tab) until(script string) {
	t.b.t.Helper()
	t.eval(`new Promise((done, failed) => {
		const end = performance.now() + 30000;
		const look = () => { (`+script+`) ? done(true) : performance.now() > end ? failed(new Error("it never came")) : requestAnimationFrame(look); };
		look();
	})`, nil)
}

// press presses a key.
func (t *tab) press(key string, code int) {
	t.b.t.Helper()
	for _, kind := range []string{"keyDown", "keyUp"} {
		params := map[string]any{"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code}
		if key == "Enter" && kind == "keyDown" {
			params["text"] = "\r"
		}
		t.must("Input.dispatchKeyEvent", params, nil)
	}
}

// screenshot takes a picture of the whole page, or of what is on the screen.
func (t *tab) screenshot(whole bool) []byte {
	t.b.t.Helper()
	var shot struct{ Data string }
	t.must("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": whole}, &shot)
	png, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil {
		t.b.t.Fatal(err)
	}
	return png
}

// axe runs axe-core and returns what it finds, a line for each.
func (t *tab) axe() (found []string) {
	t.b.t.Helper()
	path, err := inCache(axePath)
	if err != nil {
		t.b.t.Fatal(err)
	}
	source, err := os.ReadFile(path)
	if err != nil {
		t.b.t.Fatal(err)
	}
	t.eval(string(source)+"; undefined", nil)
	var result struct {
		Violations []struct {
			ID, Help string
			Nodes    []struct {
				HTML           string
				FailureSummary string
			}
		}
		Passes int
	}
	t.eval(`axe.run(document, {resultTypes: ["violations"]}).then(r => ({violations: r.violations, passes: r.passes.length}))`, &result)
	if result.Passes < 10 {
		t.b.t.Errorf("axe-core has looked at %d rules", result.Passes)
	}
	for _, v := range result.Violations {
		for _, n := range v.Nodes {
			found = append(found, fmt.Sprintf("%s: %s: %.200s: %s", v.ID, v.Help, n.HTML, strings.ReplaceAll(n.FailureSummary, "\n", " ")))
		}
	}
	return found
}
