package policy

import (
	"errors"

	"github.com/hookbastion/hookbastion/policy/keys"
)

// KeyFinding is what validate says about a weak key.
func KeyFinding(k *keys.Key) (Finding, bool) {
	if k.Weakness == nil {
		return Finding{}, false
	}
	f := Finding{Error: k.Place, ID: "HB050", Severity: "warning"}
	f.Message = k.Advice()
	if errors.Is(k.Weakness, keys.ErrPublished) {
		f.ID = "HB051"
	}
	if k.AllowWeak != "" {
		f.Severity = "info"
	}
	return f, true
}
