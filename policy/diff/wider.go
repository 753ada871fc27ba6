package diff

import (
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookbastion/hookbastion/authz/ranges"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/scheme"
	"github.com/hookbastion/hookbastion/policy/verification"
	"github.com/hookbastion/hookbastion/policy/watermark"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// widerRules says for each key of a webhook what a change of it lets in that
// was refused before. A key without a rule would go unnoticed, so that each has
// one.
var widerRules = map[string]func(before, after *policyv1.Webhook) []string{
	"name":            nothingWider,
	"formerly":        formerlyWider,
	"match":           matchWider,
	"public_url":      nothingWider, // other signatures, not more of them
	"pinned_query":    pinWider,
	"provider":        schemesWider,
	"provider_scheme": nothingWider, // with provider
	"scheme":          nothingWider, // with provider
	"secrets":         secretsWider,
	"transport":       transportWider,
	"source_ip":       sourceWider,
	"token":           tokenWider,
	"freshness":       freshnessWider,
	"replay":          replayWider,
	"limits":          limitsWider,
	"mode":            modeWider,
	"respond":         nothingWider,
	"unverified":      unverifiedWider,
	"conditions":      conditionsWider,
	"parameters":      parametersWider,
	"credentials":     nothingWider, // what the provider is told
	"handshake":       handshakeWider,
	"assertion":       nothingWider, // the application accepts it, or not
	"shadow_until":    nothingWider, // words for people
	"suppress":        nothingWider, // for validate alone
	"event_id":        nothingWider, // for records alone
}

var widerOrder = slices.Sorted(maps.Keys(widerRules))

func nothingWider(_, _ *policyv1.Webhook) []string { return nil }

// formerlyWider compares what nonces are kept under.
func formerlyWider(before, after *policyv1.Webhook) []string {
	return when(watermark.KeptAs(before) != watermark.KeptAs(after), "copies of deliveries from before, kept under another name")
}

// when returns the words if something is so.
func when(is bool, words string) []string {
	if is {
		return []string{words}
	}
	return nil
}

func matchWider(before, after *policyv1.Webhook) []string {
	var wider []string
	was, is := before.GetMatch(), after.GetMatch()
	old := lowerHosts(was.GetHosts())
	if len(old) > 0 && len(is.GetHosts()) == 0 {
		wider = append(wider, "any host")
	}
	for _, host := range lowerHosts(is.GetHosts()) {
		if len(old) > 0 && !slices.ContainsFunc(old, func(o string) bool { return coversHost(o, host) }) {
			wider = append(wider, "host "+host)
		}
	}
	if is.GetExtensionOnly() {
		wider = append(wider, when(!was.GetExtensionOnly(), "every path that Envoy names it for")...)
	} else if was.GetPath() != is.GetPath() {
		below, all := strings.CutSuffix(was.GetPath(), "/**")
		if !all || !strings.HasPrefix(is.GetPath(), below+"/") || strings.HasPrefix(is.GetPath(), below+"/{") {
			wider = append(wider, "path "+is.GetPath())
		}
	}
	methods := func(m *policyv1.Match) []string {
		if len(m.GetMethods()) == 0 {
			return policy.DefaultMethods()
		}
		return m.GetMethods()
	}
	for _, method := range methods(is) {
		if !slices.Contains(methods(was), method) {
			wider = append(wider, "method "+method)
		}
	}
	return wider
}

func lowerHosts(hosts []string) []string {
	out := slices.Clone(hosts)
	for i := range out {
		out[i] = strings.ToLower(strings.TrimSuffix(out[i], "."))
	}
	return out
}

func coversHost(pattern, host string) bool {
	suffix, wildcard := strings.CutPrefix(pattern, "*")
	return pattern == host || wildcard && strings.HasSuffix(strings.TrimPrefix(host, "*"), suffix)
}

// schemesOf returns the schemes that a webhook of a good set accepts.
func schemesOf(w *policyv1.Webhook) []*policyv1.Scheme {
	if w.GetScheme() != nil {
		return []*policyv1.Scheme{w.GetScheme()}
	}
	p, err := provider.Get(w.GetProvider())
	if err != nil {
		return nil // no set was good then
	}
	return provider.Accepted(p, w.GetProviderScheme())
}

func schemesWider(before, after *policyv1.Webhook) []string {
	old := schemesOf(before)
	if len(old) == 0 && before.GetToken() == nil {
		return nil // it asked for no proof
	}
	is := schemesOf(after)
	if len(is) == 0 {
		return when(len(old) > 0, "no signature")
	}
	for _, s := range is {
		if !slices.ContainsFunc(old, func(o *policyv1.Scheme) bool { return proto.Equal(o, s) }) && len(old) > 0 {
			return []string{"another scheme"}
		}
	}
	return nil
}

func secretsWider(before, after *policyv1.Webhook) []string {
	var wider []string
	published := func(w *policyv1.Webhook) bool {
		return (w.GetProvider() != "" || w.GetScheme() != nil) && len(w.GetSecrets()) == 0
	}
	if len(before.GetSecrets()) == 0 && !published(before) {
		return nil
	}
	if published(after) && !published(before) {
		return []string{"keys that the provider publishes"}
	}
	for i, secret := range after.GetSecrets() {
		name := secret.GetId()
		if name == "" {
			name = strconv.Itoa(i + 1)
		}
		switch same := slices.IndexFunc(before.GetSecrets(), func(o *policyv1.Secret) bool {
			return o.GetFile() == secret.GetFile() && o.GetEnv() == secret.GetEnv() && o.GetFormat() == secret.GetFormat() && o.GetKid() == secret.GetKid() && o.GetUrl() == secret.GetUrl()
		}); {
		case same < 0:
			wider = append(wider, "key "+name)
		case earlier(secret.GetNotBefore(), before.GetSecrets()[same].GetNotBefore()) ||
			later(secret.GetNotAfter(), before.GetSecrets()[same].GetNotAfter()):
			wider = append(wider, "key "+name+" at other times")
		case secret.GetAllowWeak() != nil && before.GetSecrets()[same].GetAllowWeak() == nil:
			wider = append(wider, "key "+name+" may be weak")
		}
	}
	return wider
}

// earlier reports whether a begins before b; absent is always.
func earlier(a, b *timestamppb.Timestamp) bool {
	return b != nil && (a == nil || a.AsTime().Before(b.AsTime()))
}

func later(a, b *timestamppb.Timestamp) bool {
	return b != nil && (a == nil || a.AsTime().After(b.AsTime()))
}

func sourceWider(before, after *policyv1.Webhook) []string {
	was, is := before.GetSourceIp(), after.GetSourceIp()
	var wider []string
	limited := len(was.GetAllow())+len(was.GetRanges()) > 0
	if limited && len(is.GetAllow())+len(is.GetRanges()) == 0 {
		wider = append(wider, "any source address")
	}
	for _, network := range is.GetAllow() {
		if limited && !coversNetwork(was.GetAllow(), network) {
			wider = append(wider, "source "+network)
		}
	}
	for _, name := range is.GetRanges() {
		if limited && !slices.Contains(was.GetRanges(), name) {
			wider = append(wider, "sources of "+name)
		}
	}
	for _, network := range was.GetDeny() {
		if !coversNetwork(is.GetDeny(), network) {
			wider = append(wider, "source "+network+", which was refused")
		}
	}
	return wider
}

// coversNetwork reports whether one of the networks holds all of the last.
func coversNetwork(networks []string, network string) bool {
	inner, err := ranges.ParsePrefix(network)
	return err == nil && slices.ContainsFunc(networks, func(text string) bool {
		outer, err := ranges.ParsePrefix(text)
		return err == nil && holds(outer, inner)
	})
}

func holds(outer, inner netip.Prefix) bool {
	return outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
}

func tokenWider(before, after *policyv1.Webhook) []string {
	if before.GetToken() == nil {
		return nil
	}
	if after.GetToken() == nil {
		return []string{"no token"}
	}
	wider := when(len(before.GetToken().GetAnyOf()) > 0 && len(after.GetToken().GetAnyOf()) == 0, "no static token")
	for i, rule := range after.GetToken().GetAnyOf() {
		if len(before.GetToken().GetAnyOf()) > 0 && !slices.ContainsFunc(before.GetToken().GetAnyOf(), func(o *policyv1.TokenRule) bool { return proto.Equal(o, rule) }) {
			wider = append(wider, "token "+strconv.Itoa(i+1))
		}
	}
	switch was, is := before.GetToken().GetJwt(), after.GetToken().GetJwt(); {
	case was == nil || proto.Equal(was, is):
		return wider
	case is == nil:
		return append(wider, "no JSON Web Token")
	default:
		return append(wider, "other JSON Web Tokens")
	}
}

// bounds returns how old and how early a signed time may be, and whether one is
// signed at all.
func bounds(w *policyv1.Webhook) (tolerance, future time.Duration, signed bool) {
	tolerance, future = verification.DefaultTolerance, verification.DefaultFuture
	for _, s := range schemesOf(w) {
		stamp, ok := s.Stamp()
		if !ok {
			continue
		}
		signed = true
		if span := stamp.GetTolerance().AsDuration(); span > 0 {
			tolerance = span
		}
		if span := stamp.GetFuture().AsDuration(); span > 0 {
			future = span
		}
	}
	if t := w.GetFreshness().GetTolerance(); t != nil {
		tolerance = t.AsDuration()
	}
	if f := w.GetFreshness().GetFuture(); f != nil {
		future = f.AsDuration()
	}
	return tolerance, future, signed
}

func freshnessWider(before, after *policyv1.Webhook) []string {
	oldTolerance, oldFuture, had := bounds(before)
	tolerance, future, has := bounds(after)
	if !had || !has {
		return when(had, "deliveries without a signed time")
	}
	return append(when(tolerance > oldTolerance, "deliveries signed up to "+tolerance.String()+" ago"),
		when(future > oldFuture, "deliveries signed up to "+future.String()+" ahead")...)
}

func replayWider(before, after *policyv1.Webhook) []string {
	wider := when(after.GetReplay().GetOnReplay() == policyv1.Replay_MARK && before.GetReplay().GetOnReplay() != policyv1.Replay_MARK, "copies, marked")
	window := func(w *policyv1.Webhook) time.Duration {
		if d := w.GetReplay().GetWindow(); d != nil {
			return d.AsDuration()
		}
		return verification.DefaultWindow
	}
	if _, _, signed := bounds(after); !signed && window(after) < window(before) {
		wider = append(wider, "copies after "+window(after).String())
	}
	return wider
}

// signatures is how many candidates of a request are tried.
func signatures(w *policyv1.Webhook) int {
	if n := w.GetLimits().GetMaxSignatures(); n > 0 {
		return int(n)
	}
	most := 0
	for _, s := range schemesOf(w) {
		most = max(most, scheme.MaxSignaturesOf(w, s))
	}
	if most == 0 {
		return scheme.DefaultMaxSignatures
	}
	return most
}

func limitsWider(before, after *policyv1.Webhook) []string {
	was, is := before.GetLimits(), after.GetLimits()
	size := func(set bool, n, otherwise uint64) uint64 {
		if set {
			return n
		}
		return otherwise
	}
	const unlimited = ^uint64(0) // what Envoy forwards
	wider := when(size(is.GetMaxBodyBytes() > 0, is.GetMaxBodyBytes(), unlimited) > size(was.GetMaxBodyBytes() > 0, was.GetMaxBodyBytes(), unlimited), "larger bodies")
	wider = append(wider, when(size(is.GetMaxHeaderBytes() > 0, is.GetMaxHeaderBytes(), policy.DefaultMaxHeaderBytes) >
		size(was.GetMaxHeaderBytes() > 0, was.GetMaxHeaderBytes(), policy.DefaultMaxHeaderBytes), "larger headers")...)
	wider = append(wider, when(signatures(after) > signatures(before), "more signatures")...)
	if len(was.GetContentTypes()) > 0 && len(is.GetContentTypes()) == 0 {
		wider = append(wider, "any content type")
	}
	for _, media := range is.GetContentTypes() {
		if len(was.GetContentTypes()) > 0 && !slices.Contains(was.GetContentTypes(), media) {
			wider = append(wider, "content type "+media)
		}
	}
	return wider
}

func modeWider(before, after *policyv1.Webhook) []string {
	return when(after.GetMode() == policyv1.Webhook_SHADOW && before.GetMode() != policyv1.Webhook_SHADOW, "everything, by mode SHADOW")
}

func unverifiedWider(before, after *policyv1.Webhook) []string {
	return when(after.GetUnverified() != nil && before.GetUnverified() == nil, "anything without proof, by unverified")
}

// conditionsWider looks the key up by its name.
func conditionsWider(before, after *policyv1.Webhook) []string {
	list := func(w *policyv1.Webhook) (texts []string) {
		if field := w.ProtoReflect().Descriptor().Fields().ByName("conditions"); field != nil {
			all := w.ProtoReflect().Get(field).List()
			for i := range all.Len() {
				texts = append(texts, all.Get(i).String())
			}
		}
		return texts
	}
	for _, condition := range list(before) {
		if !slices.Contains(list(after), condition) {
			return []string{"what a condition refused"}
		}
	}
	return nil
}

// pinWider finds queries that were refused before.
func pinWider(before, after *policyv1.Webhook) []string {
	return when(before.PinnedQuery != nil && (after.PinnedQuery == nil || before.GetPinnedQuery() != after.GetPinnedQuery()), "another query")
}

// parametersWider finds values that were not accepted before.
func parametersWider(before, after *policyv1.Webhook) []string {
	was, is := scheme.ParametersOf(before), scheme.ParametersOf(after)
	var wider []string
	for _, name := range slices.Sorted(maps.Keys(was)) {
		values, there := is[name]
		other := slices.ContainsFunc(values, func(value string) bool { return !slices.Contains(was[name], value) })
		wider = append(wider, when(!there || other, "another "+name)...)
	}
	return wider
}
