package audit

import (
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/policy/finding"
)

// object is one of Kubernetes.
type object struct {
	kind, namespace, name string
	node
}

// Kinds that are judged, and those that belong to them and say nothing by themselves.
var (
	istioKinds   = []string{"AuthorizationPolicy", "EnvoyFilter", "Telemetry"}
	gatewayKinds = []string{
		"SecurityPolicy", "ClientTrafficPolicy", "BackendTrafficPolicy", "EnvoyPatchPolicy", "EnvoyProxy", "HTTPRoute", "Backend",
	}
	contourKinds  = []string{"HTTPProxy", "ExtensionService", "ContourConfiguration"}
	emissaryKinds = []string{"AuthService", "Mapping", "LogService"}
	besideKinds   = []string{
		"Gateway", "GatewayClass", "ServiceEntry", "WorkloadEntry", "VirtualService", "DestinationRule", "Sidecar", "PeerAuthentication",
		"BackendTLSPolicy", "ReferenceGrant", "EnvoyExtensionPolicy", "EnvoyGateway", "HTTPRouteFilter",
		"TLSCertificateDelegation", "ContourDeployment",
	}
	// emissaryBeside are kinds whose names are too plain to stand without their group.
	emissaryBeside = []string{"Module", "Host", "Listener", "TLSContext", "TCPMapping", "TracingService", "RateLimitService"}
)

// isKnown reports whether objects of a kind are judged, or belong to what is.
func isKnown(version, kind string) bool {
	for _, kinds := range [][]string{istioKinds, gatewayKinds, contourKinds, besideKinds} {
		if slices.Contains(kinds, kind) {
			return true
		}
	}
	return strings.HasPrefix(version, "getambassador.io/") && (slices.Contains(emissaryKinds, kind) || slices.Contains(emissaryBeside, kind))
}

// isMesh tells the settings of Istio's mesh.
func isMesh(n node) bool {
	return n.get("extensionProviders").ok() || n.get("rootNamespace").ok() && n.get("defaultConfig").ok()
}

// collectObjects keeps objects of Kubernetes and settings of a mesh, and reports whether a
// document is one of those that are judged here.
func (r *reader) collectObjects(n node) bool {
	kind := n.get("kind").text()
	switch {
	case n.get("apiVersion").ok() && strings.HasSuffix(kind, "List") && n.get("items").ok():
		found := false
		for _, item := range n.get("items").items() {
			found = r.collectObjects(item) || found
		}
		return found
	case kind == "IstioOperator" && isMesh(n.get("spec", "meshConfig")):
		r.meshes = append(r.meshes, n.get("spec", "meshConfig"))
		return true
	case kind == "" && isMesh(n):
		r.meshes = append(r.meshes, n)
		return true
	case !n.get("apiVersion").ok():
		return false
	}
	meta := n.get("metadata")
	o := object{kind, meta.get("namespace").text(), meta.get("name").text(), n}
	if isKnown(n.get("apiVersion").text(), kind) {
		r.objects = append(r.objects, o)
		return true
	}
	return false
}

// ofKind returns the objects of a kind.
func (a *audit) ofKind(kind string) (found []object) {
	for _, o := range a.objects {
		if o.kind == kind {
			found = append(found, o)
		}
	}
	return found
}

// hasKind reports whether there is an object of one of the kinds.
func (a *audit) hasKind(kinds []string) bool {
	return slices.ContainsFunc(a.objects, func(o object) bool { return slices.Contains(kinds, o.kind) })
}

// mend reports a finding with a mend in the words of what was read.
func (a *audit) mend(r finding.Rule, n node, fix string, details ...string) {
	r.Fix = fix
	a.report(r, n, details...)
}

// checkObjects judges what control planes are told.
func (a *audit) checkObjects() {
	if len(a.meshes) > 0 || a.hasKind(istioKinds) {
		a.checkIstio()
	}
	if a.hasKind(gatewayKinds) {
		a.checkGateway()
	}
	if a.hasKind(contourKinds) {
		a.checkContour()
	}
	if a.hasKind(emissaryKinds) {
		a.checkEmissary()
	}
}

// objectsJudged reports whether there are any that say something of the service.
func (a *audit) objectsJudged() bool {
	return len(a.meshes) > 0 || a.hasKind(slices.Concat(istioKinds, gatewayKinds, contourKinds, emissaryKinds))
}

// checkMaxBytes compares a limit of bodies with the settings of the service.
func (a *audit) checkMaxBytes(limit node, fix string) {
	bytes, ok := limit.number()
	details := []string{whole(bytes) + " and " + whole(a.MaxRequestBytes)}
	switch {
	case ok && bytes > a.MaxRequestBytes:
		a.mend(limitAbove, limit, fix, details...)
	case ok && bytes < a.MaxRequestBytes:
		r := limitBelow
		if bytes < smallBody {
			r.Severity = finding.Error
		}
		a.mend(r, limit, fix, details...)
	}
}
