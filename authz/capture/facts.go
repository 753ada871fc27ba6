package capture

import (
	"net/netip"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
)

// Facts are what a request does not say of itself, in headers before its own. Anybody can
// write such headers: they say how to judge a request offline, and prove nothing.
type Facts struct {
	// Decision is the id of the decision that the service made, Reason its reason.
	Decision, Reason string
	// Time is when it came.
	Time time.Time
	// Source is the sender's address; invalid if there is none.
	Source netip.Addr
	// TLS: the sender used it.
	TLS bool
	// Webhook is the one that Envoy's route names; empty if none.
	Webhook string
	// Redacted are the names of headers, and with ? of parameters of the query, whose
	// values were taken out.
	Redacted []string
}

// factPrefix begins the names of these headers, which the service removes from requests.
const factPrefix = "x-hookbastion-capture-"

// Headers are the facts as headers.
func (f *Facts) Headers() []authz.Header {
	var all []authz.Header
	add := func(name, value string) {
		if value != "" {
			all = append(all, authz.Header{Name: authz.View(factPrefix + name), Value: authz.View(value)})
		}
	}
	add("decision", f.Decision)
	add("reason", f.Reason)
	add("time", f.Time.UTC().Format(time.RFC3339Nano))
	if f.Source.IsValid() {
		add("source", f.Source.String())
	}
	add("scheme", map[bool]string{true: "https", false: "http"}[f.TLS])
	add("webhook", f.Webhook)
	add("redacted", strings.Join(f.Redacted, " "))
	return all
}

// TakeFacts takes the facts out of a request's headers. ok says that there are any, which are
// the first headers then.
func TakeFacts(req *authz.Request) (f Facts, ok bool) {
	n := 0
	for ; n < len(req.Headers); n++ {
		name, found := strings.CutPrefix(string(req.Headers[n].Name), factPrefix)
		if !found {
			break
		}
		value := string(req.Headers[n].Value)
		switch name {
		case "decision":
			f.Decision = value
		case "reason":
			f.Reason = value
		case "time":
			f.Time, _ = time.Parse(time.RFC3339Nano, value) // zero: not known
		case "source":
			f.Source, _ = netip.ParseAddr(value) // invalid: not known
		case "scheme":
			f.TLS = value == "https"
		case "webhook":
			f.Webhook = value
		case "redacted":
			f.Redacted = strings.Fields(value)
		}
	}
	req.Headers = req.Headers[n:]
	return f, n > 0
}
