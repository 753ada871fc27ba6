package explain

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/handshake"
)

// hint adds what a captured request does not hold and the command line could
// have said, and what in the request may be why its signature does not hold.
func (o *explainOptions) hint(e *explained, req *authz.Request) {
	warn := func(text string) { e.Warnings = append(e.Warnings, text) }
	switch {
	case o.now == "" && e.Reason == authz.TimestampTooOld.String():
		warn("the request was judged as if it came now; say with --now when it came")
	case o.source == "" && e.Reason == authz.SourceDenied.String():
		warn("a captured request has no sender's address; give it with --source-ip")
	case e.Reason == authz.KeysUnavailable.String() && slices.ContainsFunc(e.Checks, func(c explainedItem) bool { return strings.HasSuffix(c.Found, handshake.SeeKeys) }):
	case e.Reason == authz.NotReady.String():
		warn("explain fetches nothing, and these addresses are not in the program: list some in allow to judge by them")
	case e.Reason == authz.KeysUnavailable.String():
		warn("explain fetches nothing: give the key in secrets, with the kid that the request names, to judge by it")
	case e.Reason == authz.SignatureInvalid.String():
		for _, name := range []string{"x-forwarded-prefix", "x-envoy-original-path", "x-original-uri", "x-original-url"} {
			if value, n := req.Headers.Lookup(name); n > 0 {
				warn(fmt.Sprintf("%s says %.100q: if a gateway changed the path and the provider signs it, public_url must have what was taken off", name, value))
			}
		}
	}
}

// namedOnly lists the webhooks that Envoy alone selects.
func namedOnly(table *authz.Table) []string {
	var names []string
	for _, w := range table.Webhooks() {
		if _, path := table.Sample(w.Name); path == "" {
			names = append(names, w.Name)
		}
	}
	return names
}
