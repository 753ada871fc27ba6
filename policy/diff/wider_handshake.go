package diff

import policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"

// handshakeWider compares what is answered, and until when the provider may bring the
// secret.
func handshakeWider(before, after *policyv1.Webhook) []string {
	was, is := before.GetHandshake(), after.GetHandshake()
	wider := when(answers(is) > answers(was), "more handshakes, which are answered")
	if until := is.GetSetupUntil(); until != nil {
		later := was.GetSetupUntil() == nil || until.AsTime().After(was.GetSetupUntil().AsTime())
		wider = append(wider, when(later, "a secret that the provider brings, until "+until.AsTime().Format("2006-01-02T15:04:05Z"))...)
	}
	return append(wider, when(is.GetLearnt().GetFile() != "" && is.GetLearnt().GetFile() != was.GetLearnt().GetFile(), "a secret in "+is.GetLearnt().GetFile())...)
}

// answers orders the modes by how many handshakes they answer.
func answers(h *policyv1.WebhookHandshake) int {
	switch h.GetMode() {
	case policyv1.WebhookHandshake_OFF:
		return 0
	case policyv1.WebhookHandshake_ON:
		return 2
	default:
		return 1
	}
}
