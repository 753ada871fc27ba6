package diff

import (
	"slices"

	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// asksForTLS reports whether a connection without TLS is refused.
func asksForTLS(t *policyv1.Transport) bool {
	return t.GetRequireTls() || t.GetMinVersion() != 0 || t.GetClientCertificate() != nil
}

func transportWider(before, after *policyv1.Webhook) []string {
	was, is := before.GetTransport(), after.GetTransport()
	wider := when(asksForTLS(was) && !asksForTLS(is), "senders without TLS")
	wider = append(wider, when(is.GetMinVersion() < was.GetMinVersion(), "older versions of TLS")...)
	old, client := was.GetClientCertificate(), is.GetClientCertificate()
	switch {
	case old == nil:
		return wider
	case client == nil:
		return append(wider, "senders without a client certificate")
	}
	wider = append(wider, more("client name", old.GetSans(), client.GetSans())...)
	wider = append(wider, more("client fingerprint", old.GetFingerprints(), client.GetFingerprints())...)
	return append(wider, when(old.GetCa() != nil && client.GetCa().GetFile() != old.GetCa().GetFile(), "client certificates of another authority")...)
}

// more lists what a list of the allowed has now and had not; an empty list
// allows all.
func more(what string, before, after []string) []string {
	if len(before) > 0 && len(after) == 0 {
		return []string{"any " + what}
	}
	var wider []string
	for _, value := range after {
		if len(before) > 0 && !slices.Contains(before, value) {
			wider = append(wider, what+" "+value)
		}
	}
	return wider
}
