package keylist

import (
	"os"
	"time"

	"github.com/hookbastion/hookbastion/authz/handshake"
	"github.com/hookbastion/hookbastion/policy/keys"
)

// describeWaiting says how it stands with a secret that the provider is to bring.
func (l *Key) describeWaiting(k *keys.Key) {
	info, err := os.Stat(k.File + handshake.Waiting)
	if err != nil {
		l.Advice = append(l.Advice, "not there yet: the provider brings it while handshake.setup_until is open")
		return
	}
	l.Modified = timeOrNil(info.ModTime().UTC())
	l.Advice = append(l.Advice, "brought at "+l.Modified.Format(time.RFC3339)+" and not accepted: hookbastion keys accept --webhook "+k.Webhook)
}
