package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/hookbastion/hookbastion/authz/files"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/envoy/mtls"
)

// secure puts TLS on the listeners for Envoy and operators, or says what it
// means to have none.
func (r *running) secure(s *settings.Settings, log *slog.Logger) error {
	if s.GRPCListen != "" && !settings.Loopback(s.GRPCListen) && !settings.Mutual(s.TLS) {
		without := "without TLS"
		if s.TLS != nil {
			without = "and asks for no client certificate"
		}
		log.Warn("the service listens beyond loopback "+without+": whoever reaches it can ask it", "address", s.GRPCListen)
	}
	if s.Admin.Listen != "" && !settings.Loopback(s.Admin.Listen) && s.Admin.TLS == nil {
		log.Warn("the admin listener is beyond loopback without TLS: whoever sees its traffic has its token", "address", s.Admin.Listen)
	}
	if s.TLS != nil {
		if err := r.wrap(&r.grpc[0], s.TLS, "service", log); err != nil { // TCP is first
			return err
		}
	}
	if s.Admin.TLS != nil {
		return r.wrap(&r.admin.listener, s.Admin.TLS, "admin listener", log)
	}
	return nil
}

// wrap puts TLS on a listener and looks after its files.
func (r *running) wrap(l *net.Listener, c *mtls.Config, of string, log *slog.Logger) error {
	server, err := mtls.New(*c)
	if err != nil {
		return err
	}
	refused := logRefused(log, of)
	*l = server.Listen(*l, func(client net.Addr, err error) {
		r.bounds.handshakes.Add(1)
		refused(client, err)
	})
	r.watched = append(r.watched, fileWatch{server.Files(), logChanged(log, "certificate", func() (bool, []any, error) {
		changed, err := server.Load()
		return changed, []any{"of", of, "not_after", server.NotAfter()}, err
	})})
	return nil
}

// fileWatch is files, and what to do when they may have changed.
type fileWatch struct {
	files []string
	load  func()
}

// watchFiles looks after the files until the context ends. The function that
// it returns waits for that.
func (r *running) watchFiles(ctx context.Context, log *slog.Logger) (wait func()) {
	var all sync.WaitGroup
	for _, w := range r.watched {
		all.Go(func() { files.Run(ctx, w.files, w.load, logPolled(log, w.files)) })
	}
	return all.Wait
}

// logPolled returns a function that says that changes of files are noticed late.
func logPolled(log *slog.Logger, of []string) func(error) {
	return func(err error) {
		if err != nil {
			log.Warn("changes are noticed late, by looking now and then: the system tells of some directories nothing", "of", strings.Join(of, " "), "error", err.Error())
			return
		}
		log.Info("changes are noticed at once again", "of", strings.Join(of, " "))
	}
}

// logChanged returns a function that loads something and logs what came of it:
// what is new, and an error once.
func logChanged(log *slog.Logger, what string, load func() (changed bool, facts []any, err error)) func() {
	last := ""
	return func() {
		changed, facts, err := load()
		switch {
		case err != nil && err.Error() != last:
			last = err.Error()
			log.Error(what+" not loaded, the last good one keeps serving", "error", last)
		case err == nil && (changed || last != ""):
			last = ""
			log.Info(what+" loaded", facts...)
		}
	}
}

// Refused clients that are logged in each period: strangers can cause them.
const (
	refusedPeriod = 10 * time.Second
	refusedLines  = 20
)

var errSilent = errors.New("it has said nothing, and there are too many others that have said nothing either")

// logNoPlace logs connections for which there was no place among so many.
func logNoPlace(log *slog.Logger, places int) func(client net.Addr, silent bool) {
	refused := logRefused(log, "service")
	many := fmt.Errorf("there are as many connections as limits.connections allows, %d: each worker of each Envoy has one or two, see docs/operations.md#sizing", places)
	return func(client net.Addr, silent bool) {
		if silent {
			refused(client, errSilent)
		} else {
			refused(client, many)
		}
	}
}

// logRefused logs clients that were refused, the first of each period.
func logRefused(log *slog.Logger, of string) mtls.Refused {
	lines := &lineLimit{most: refusedLines, period: refusedPeriod}
	return func(client net.Addr, err error) {
		ok, others, _ := lines.allow(time.Now())
		if others > 0 {
			log.Warn("clients of the "+of+" were refused", "others", others)
		}
		if ok {
			log.Warn("a client of the "+of+" was refused", "client", client.String(), "error", err.Error())
		}
	}
}
