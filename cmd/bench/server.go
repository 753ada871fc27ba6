package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// server is a process that answers Check.
type server struct {
	name string
	form form // what it can read
	grpc string
	web  string // where its metrics are; empty if it has none
	cmd  *exec.Cmd
	load *loader
}

// startTimeout is how long a server may take to serve.
const startTimeout = 30 * time.Second

var listens = regexp.MustCompile(`msg=serving grpc=(\S+).* http=(\S*)`)

// launch starts a process that prints where it listens.
func launch(ctx context.Context, s *server, bin string, env []string, args ...string) error {
	s.cmd = exec.CommandContext(ctx, bin, args...) //nolint:gosec // the operator names the binaries
	s.cmd.Env = append(os.Environ(), env...)
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	found := make(chan []string, 1)
	go func() { // ends with the process
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			if m := listens.FindStringSubmatch(lines.Text()); m != nil {
				found <- m
			} else if !strings.Contains(lines.Text(), "level=INFO") {
				fmt.Fprintln(os.Stderr, s.name+":", lines.Text())
			}
		}
		close(found)
	}()
	select {
	case m, ok := <-found:
		if !ok {
			return fmt.Errorf("%s has ended: %w", s.name, s.cmd.Wait())
		}
		s.grpc, s.web = m[1], m[2]
		return nil
	case <-time.After(startTimeout):
		return fmt.Errorf("%s does not serve", s.name)
	}
}

func (s *server) stop() {
	if s.load != nil {
		s.load.close()
	}
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait() // it was killed
	}
}

// cpu is the processor time of all threads of a process. The threads of a Go
// program do not end.
func cpu(pid int) (time.Duration, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("no threads of process %d: %w", pid, errors.Join(err, os.ErrNotExist))
	}
	var total time.Duration
	for _, file := range files {
		text, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			continue // a thread that has ended
		}
		if err != nil {
			return 0, err
		}
		first, _, _ := strings.Cut(string(text), " ")
		n, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, err
		}
		total += time.Duration(n)
	}
	return total, nil
}

// resident is the resident memory of a process in bytes.
func resident(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0, errors.New("statm has no second field")
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// memory is what a Go process says of its memory.
type memory struct {
	objects, bytes float64
	gcCPU, userCPU float64 // seconds
}

func (m memory) minus(o memory) memory {
	return memory{m.objects - o.objects, m.bytes - o.bytes, m.gcCPU - o.gcCPU, m.userCPU - o.userCPU}
}

// memory reads the process's metrics, if it has any.
func (s *server) memory(ctx context.Context) (m memory, ok bool, err error) {
	if s.web == "" {
		return m, false, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.web+"/metrics", nil) //nolint:gosec // a process that we have started
	if err != nil {
		return m, false, err
	}
	response, err := http.DefaultClient.Do(req) //nolint:gosec // the same
	if err != nil {
		return m, false, err
	}
	defer func() { _ = response.Body.Close() }() // only read
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return m, false, err
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		into := map[string]*float64{
			"go_memstats_mallocs_total": &m.objects, "go_memstats_alloc_bytes_total": &m.bytes,
			"go_cpu_classes_gc_total_cpu_seconds_total": &m.gcCPU, "go_cpu_classes_user_cpu_seconds_total": &m.userCPU,
		}[name]
		if into != nil {
			if *into, err = strconv.ParseFloat(value, 64); err != nil {
				return m, false, err
			}
		}
	}
	return m, m.objects > 0, nil
}
