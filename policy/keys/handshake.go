package keys

import (
	"errors"
	"io/fs"
	"os"

	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// Kinds of what handshakes need.
const (
	KindVerifyToken = "verify token"
	KindLearnt      = "learnt secret"
)

// VerifyToken loads the text by which a provider shows in a handshake that it is the one
// who asks. After an error it is nil.
func (l *Loader) VerifyToken(w *policyv1.Webhook, t *policyv1.WebhookHandshake_VerifyToken, at strictyaml.Place) *secret.Cell {
	if IsPerTenant(t.GetFile()) {
		l.Faults.Fail(at.At("file"), "cannot be one for each tenant")
		return nil
	}
	k := Loaded{At: at, webhook: w.GetName(), kind: KindVerifyToken, allowWeak: t.GetAllowWeak().GetReason()}
	k.ID = "verify-token"
	if !l.load(&k, t.GetFile(), t.GetEnv(), at) {
		return nil
	}
	return l.cell(&k, func(text secret.Value) (secret.Value, error) { return text.Decode(secret.Text) }, nil)
}

// LearntID is the id of a secret that the provider brought.
const LearntID = "learnt"

// Learnt loads the secret that a provider brought and somebody accepted. Without one it
// returns false, which is no error.
func (l *Loader) Learnt(webhook, file string, at strictyaml.Place) (Loaded, bool) {
	k := Loaded{At: at, Named: true, webhook: webhook, kind: "secret"}
	k.ID = LearntID
	if _, err := os.Stat(RelativeTo(at.File(), file)); errors.Is(err, fs.ErrNotExist) {
		l.waits(&k, RelativeTo(at.File(), file))
		return k, false
	}
	return k, l.load(&k, file, "", at)
}

// waits tells of a secret that is not accepted yet.
func (l *Loader) waits(k *Loaded, file string) {
	k.kind, k.file = KindLearnt, file
	l.tell(k, func(*Key) {})
}
