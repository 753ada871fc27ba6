package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a program that can be killed, paused and started again.
type process struct {
	name    string
	command []string
	env     []string
	ready   func(p *process) error // nil once it serves
	metrics string                 // where it tells of itself, if it does

	mu      sync.Mutex
	running *exec.Cmd
	served  bool // since its last start
	ended   chan struct{}
	output  tail
}

func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	cmd := exec.Command(p.command[0], p.command[1:]...) //nolint:gosec // programs of the flags
	cmd.Env = append(os.Environ(), p.env...)
	p.output.reset()
	cmd.Stderr = &p.output
	cmd.SysProcAttr = ownGroup()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }() // killed more often than not
	p.running, p.ended, p.served = cmd, ended, false
	children.Store(p, nil)
	return nil
}

// children are all processes that were started.
var children sync.Map

// untilInterrupted ends all processes when the program is told to stop: they are in groups
// of their own, so that nobody else tells them.
func untilInterrupted() {
	told := make(chan os.Signal, 1)
	signal.Notify(told, os.Interrupt, syscall.SIGTERM)
	<-told
	children.Range(func(p, _ any) bool {
		if p, ok := p.(*process); ok {
			p.signal(syscall.SIGKILL)
		}
		return true
	})
	os.Exit(130)
}

// await waits until the process serves.
func (p *process) await(limit time.Duration) error {
	end := time.Now().Add(limit)
	for {
		select {
		case <-p.ended:
			return fmt.Errorf("%s has ended\n%s", p.name, p.output.String())
		default:
		}
		err := error(nil)
		if !p.hasServed() { // what it said then may not be among its last words
			err = p.ready(p)
		}
		if err == nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.served = true
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s does not serve: %w\n%s", p.name, err, p.output.String())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (p *process) hasServed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.served
}

func (p *process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running != nil {
		_ = p.running.Process.Signal(s) // it may have ended
	}
}

// end sends the signal and waits until the process is gone.
func (p *process) end(s syscall.Signal) error {
	p.signal(s)
	p.mu.Lock()
	ended := p.ended
	p.mu.Unlock()
	if ended == nil {
		return nil
	}
	select {
	case <-ended:
		return nil
	case <-time.After(30 * time.Second):
		p.signal(syscall.SIGKILL)
		<-ended
		return fmt.Errorf("%s does not end\n%s", p.name, p.output.String())
	}
}

// gone waits until the process has ended by itself.
func (p *process) gone(limit time.Duration) error {
	p.mu.Lock()
	ended := p.ended
	p.mu.Unlock()
	select {
	case <-ended:
		return nil
	case <-time.After(limit):
		p.signal(syscall.SIGKILL)
		return fmt.Errorf("%s does not go", p.name)
	}
}

// tail keeps the last lines of what a process wrote.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailBytes = 64 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	if over := len(t.text) - tailBytes; over > 0 {
		t.text = append([]byte(nil), t.text[over:]...)
	}
	return len(b), nil
}

func (t *tail) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, "--- started\n"...)
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

// since returns what was written after the last start.
func (t *tail) since() string {
	text := t.String()
	return text[strings.LastIndex(text, "--- started\n")+1:]
}

var errSilent = errors.New("nothing of it in its output")

// says is ready when the output matches.
func says(pattern string) func(p *process) error {
	expression := regexp.MustCompile(pattern)
	return func(p *process) error {
		if !expression.MatchString(p.output.since()) {
			return errSilent
		}
		return nil
	}
}

// find returns the program of a flag, of the cache or of PATH.
func find(given, name, cached string) string {
	if given != "" {
		return given
	}
	if name == "envoy" && os.Getenv("ENVOY_BIN") != "" {
		return os.Getenv("ENVOY_BIN")
	}
	if found, _ := filepath.Glob(cached); len(found) > 0 {
		return found[len(found)-1]
	}
	return name
}

// lastLines returns the end of a text.
func lastLines(text string, n int) string {
	lines := bytes.Split([]byte(strings.TrimSpace(text)), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-n):], []byte("\n")))
}
