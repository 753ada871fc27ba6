package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/envoy"
)

const (
	// usual is the setting envoy.max_request_bytes that nobody has said.
	usual = 1 << 20
	// usualInFlight is limits.bytes_in_flight that nobody has said.
	usualInFlight = 256 << 20
	// most is the largest envoy.max_request_bytes that settings take.
	most = 256 << 20
	// together is how many of the longest deliveries are given room at once.
	together = 64
)

// need is what the deliveries of one provider may have in bytes.
type need struct {
	Provider string // or what webhooks without one have
	Webhooks int
	Bytes    uint64 // 0: nobody knows
	Said     string
}

// measure says how long deliveries may be, and what they take in memory.
func (v *view) measure(webhooks []Webhook) {
	byProvider := map[string]*need{}
	for _, w := range webhooks {
		name := cmp.Or(w.Provider, "a scheme of its own")
		n := byProvider[name]
		if n == nil {
			n = &need{Provider: name}
			byProvider[name] = n
		}
		n.Webhooks++
		bytes, said := w.Largest, w.Said+" ("+w.Source+")"
		if w.MaxBytes > 0 && (bytes == 0 || w.MaxBytes < bytes) {
			bytes, said = w.MaxBytes, "limits.max_body_bytes of the policy"
		}
		if bytes > n.Bytes {
			n.Bytes, n.Said = bytes, said
		}
	}
	for _, n := range byProvider {
		v.Needs = append(v.Needs, *n)
	}
	slices.SortFunc(v.Needs, func(a, b need) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), strings.Compare(a.Provider, b.Provider))
	})
	v.Limit = v.MaxRequestBytes
	if v.Limit == 0 {
		v.Limit = usual
		if len(v.Needs) > 0 {
			v.Limit = min(max(v.Limit, v.Needs[0].Bytes), most)
		}
	}
	for _, n := range v.Needs {
		if n.Bytes > v.Limit {
			v.Unmet = append(v.Unmet, n)
		}
	}
	v.InFlight = cmp.Or(v.BytesInFlight, usualInFlight)
	v.Least = uint64(envoy.MinBytesInFlight(int64(v.Limit))) //nolint:gosec // at most 256 MiB
	v.AtOnce = v.InFlight / v.Least
	v.For = (v.Least*together + 1<<20 - 1) >> 20
}

// size says bytes in words.
func size(bytes uint64) string {
	switch {
	case bytes >= 1<<20 && bytes%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", bytes>>20)
	case bytes >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
	case bytes >= 1<<10 && bytes%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", bytes>>10)
	default:
		return fmt.Sprintf("%d bytes", bytes)
	}
}

// refuse says all that cannot be written right.
func (v *view) refuse() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	mesh := v.Target != Envoy
	if mesh && (v.Listen.Unix != "" || v.Service.Unix != "" || v.Application.Unix != "") {
		fail("a Unix socket is for --for envoy alone")
	}
	if v.Target == Envoy && v.Listen.Unix == "" && !v.Listen.IsIP() {
		fail("Envoy listens on an IP address, not on %q", v.Listen.Host)
	}
	if v.RequireTLS && v.Sender.Certificate == "" {
		fail("policies require TLS: --certificate is needed")
	}
	if v.RequireCertificate && v.Target != Envoy {
		fail("policies require certificates of senders, which is written for --for envoy alone: docs/transport.md says what the listener needs")
	}
	if v.RequireCertificate && v.Target == Envoy && (v.Sender.CA == "" || v.Sender.Certificate == "") {
		fail("policies require certificates of senders: --certificate and --client-ca are needed")
	}
	if v.Target == Contour {
		v.refuseContour(fail)
	}
	return errors.Join(errs...)
}

func (v *view) refuseContour(fail func(string, ...any)) {
	if v.Sender.Certificate == "" {
		fail("Contour asks a service only for hosts with TLS: --certificate names their Secret")
	}
	if !v.Service.Internal() || !v.Application.Internal() {
		fail("Contour knows Services alone: --service and --application must end in .svc.cluster.local")
	}
	if !v.OnePhase {
		fail("Contour sends no gRPC access log, so that nobody says what became of deliveries: the service needs replay.access_log: false, in the file of --config or with --one-phase")
	}
	if v.RequireTLS && !v.Edge {
		fail("policies require TLS, and Contour does not forward the session: the service needs envoy.edge: true, in the file of --config")
	}
	for _, h := range v.Routed {
		if h.Name == anyHost && len(h.Routes) > 0 {
			fail("Contour needs the host of each webhook: match.hosts in the policy, or --host")
		}
	}
}

// Limit is max_request_bytes where no setting says it: what the webhooks' providers deliver
// at most, and 1 MiB at least.
func Limit(webhooks []Webhook) uint64 {
	v := &view{}
	v.measure(webhooks)
	return v.Limit
}
