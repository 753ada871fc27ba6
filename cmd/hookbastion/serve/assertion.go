package serve

import (
	"log/slog"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/envoy/assertion"
)

// newSigner reads the keys; nil if there are none.
func newSigner(s *settings.Settings) (*assertion.Signer, error) {
	if len(s.Assertion.Files) == 0 {
		return nil, nil //nolint:nilnil // a nil signer signs nothing, and says so
	}
	return assertion.New(s.Assertion)
}

// publish puts the keys on the HTTP listener and looks after their files.
func (r *running) publish(signer *assertion.Signer, log *slog.Logger) {
	if signer == nil {
		return
	}
	r.site.mux.Handle("GET /.well-known/jwks.json", signer)
	r.watched = append(r.watched, fileWatch{signer.Files(), logChanged(log, "assertion keys", func() (bool, []any, error) {
		changed, err := signer.Load()
		return changed, []any{"signing", signer.SigningKey()}, err
	})})
}
