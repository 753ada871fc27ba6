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

// watchSigner looks after the files of the keys, if there are any.
func watchSigner(signer *assertion.Signer, log *slog.Logger) []fileWatch {
	if signer == nil {
		return nil
	}
	return []fileWatch{{signer.Files(), logChanged(log, "assertion keys", func() (bool, []any, error) {
		changed, err := signer.Load()
		return changed, []any{"signing", signer.SigningKey()}, err
	})}}
}
