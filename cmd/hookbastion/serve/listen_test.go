package serve

import (
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/envoy/mtls"
)

// A service that does not start leaves no listener open.
func TestNoListenerStaysOpen(t *testing.T) {
	dir := t.TempDir()
	bad := &mtls.Config{Cert: "none", Key: "none"}
	for name, s := range map[string]*settings.Settings{
		"TLS for Envoy":     {TLS: bad},
		"TLS for operators": {Admin: settings.Admin{TLS: bad}},
	} {
		s.GRPCListen, s.UnixPath, s.UnixMode, s.HTTPListen, s.Admin.Listen = "127.0.0.1:0", filepath.Join(dir, "s"), 0o600, "127.0.0.1:0", "127.0.0.1:0"
		log := slog.New(slog.DiscardHandler)
		a, err := newAdmin(s, nil, nil, log)
		if err != nil {
			t.Fatal(err)
		}
		r := &running{admin: a}
		if err := r.listen(s, log); err == nil || !strings.Contains(err.Error(), "no such file") {
			t.Fatalf("%s: %v", name, err)
		}
		all := append(r.grpc, r.web, a.listener)
		if len(all) != 4 {
			t.Errorf("%s: %d listeners", name, len(all))
		}
		for _, l := range all {
			if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s: %s: %v", name, l.Addr(), err)
			}
		}
	}
}
