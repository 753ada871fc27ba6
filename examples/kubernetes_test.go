//go:build mesh

package examples_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/examples/schema"
)

// published are modules that have the schemas of the resources, and where.
var published = map[string]string{
	"k8s.io/kubernetes@v1.36.3":                                  "api/openapi-spec/swagger.json",
	"github.com/prometheus-operator/prometheus-operator@v0.85.0": "example/prometheus-operator-crd/*.yaml",
	"github.com/cert-manager/cert-manager@v1.21.2":               "deploy/crds/*.yaml",
	"github.com/external-secrets/external-secrets@v1.3.2":        "config/crds/bases/*.yaml",
	"sigs.k8s.io/gateway-api@v1.6.3":                             "config/crd/standard/*.yaml",
}

const (
	chart    = "kubernetes/helm/hookbastion"
	overlays = "kubernetes/overlays"
)

// tool runs what .ci/fetch-kubernetes has built.
func tool(t *testing.T, in []byte, name string, args ...string) ([]byte, error) {
	t.Helper()
	bin, err := filepath.Abs(filepath.Join("..", ".cache/kubernetes", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(bin); err != nil {
		t.Fatalf("%v: run `make schemas`, which builds it", err)
	}
	cmd := exec.CommandContext(t.Context(), bin, args...)
	cmd.Stdin = bytes.NewReader(in)
	home := t.TempDir()
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	out, err := cmd.Output()
	if err != nil {
		out = append(out, stderr(err)...)
	}
	return out, err
}

func stderr(err error) []byte {
	if exit, ok := err.(*exec.ExitError); ok { //nolint:errorlint // the error of exec itself
		return exit.Stderr
	}
	return nil
}

// values are the arguments for a file of values.
func values(file string) []string {
	args := []string{chart, "--namespace", "webhooks", "--values", file}
	if filepath.Base(file) == "sidecar.yaml" {
		args = append(args, "--set-file", "envoy.config="+overlays+"/sidecar/envoy.yaml")
	}
	return args
}

// deployments are all that the examples make of resources, by what makes it.
func deployments(t *testing.T) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	files, err := filepath.Glob(chart + "/ci/*.yaml")
	if err != nil || len(files) < 5 {
		t.Fatalf("values: %v, %v", files, err)
	}
	for _, file := range files {
		if out, err := tool(t, nil, "helm", append([]string{"lint", "--strict"}, values(file)...)...); err != nil {
			t.Errorf("helm lint, %s: %v\n%s", file, err, out)
		}
		out, err := tool(t, nil, "helm", append([]string{"template", "hookbastion"}, values(file)...)...)
		if err != nil {
			t.Fatalf("helm template, %s: %v\n%s", file, err, out)
		}
		all[file] = out
	}
	for _, overlay := range []string{"central", "sidecar"} {
		out, err := tool(t, nil, "kustomize", "build", filepath.Join(overlays, overlay))
		if err != nil {
			t.Fatalf("kustomize build, %s: %v\n%s", overlay, err, out)
		}
		all[overlay] = out
	}
	monitored, err := tool(t, nil, "kustomize", "build", withMonitoring(t))
	if err != nil {
		t.Fatalf("kustomize build with monitoring: %v\n%s", err, monitored)
	}
	all["central with monitoring"] = monitored
	return all
}

// withMonitoring is a copy of the examples in which the overlay central has the component that
// it has as a comment.
func withMonitoring(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("kubernetes")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "overlays/central/kustomization.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	edited := strings.Replace(string(text), "# - ../../components/monitoring", "  - ../../components/monitoring", 1)
	if edited == string(text) {
		t.Fatal("the overlay does not name the component")
	}
	if err := os.WriteFile(file, []byte(edited), 0o600); err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(file)
}

// TestKubernetes: all resources fit the schemas of Kubernetes and of those who define more, name
// what is there, and make pods that a namespace takes whose level is restricted.
func TestKubernetes(t *testing.T) {
	schemas, err := schema.Read(t.Context(), published)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	for from, text := range deployments(t) {
		objects, err := schema.Documents[map[string]any](text)
		if err != nil {
			t.Fatalf("%s: %v", from, err)
		}
		for _, object := range objects {
			kinds[object["kind"].(string)] = true
			for _, problem := range schemas.Problems(object) {
				t.Errorf("%s: %s", from, problem)
			}
		}
		for _, problem := range dangling(objects) {
			t.Errorf("%s: %s", from, problem)
		}
		if out, err := tool(t, text, "podsecurity"); err != nil {
			t.Errorf("%s: %v\n%s", from, err, out)
		}
		for _, object := range objects {
			if at, ok := object["spec"].(map[string]any); ok {
				at["unknown"] = true
				if len(schemas.Problems(object)) == 0 {
					t.Errorf("%s: an unknown field of %v is not seen", from, object["kind"])
				}
			}
		}
	}
	for _, kind := range []string{
		"Deployment", "StatefulSet", "Service", "ConfigMap", "ServiceAccount", "NetworkPolicy", "PodDisruptionBudget", "HorizontalPodAutoscaler",
		"PersistentVolumeClaim", "ServiceMonitor", "PrometheusRule", "ExternalSecret", "Certificate", "Issuer", "Namespace",
	} {
		if !kinds[kind] {
			t.Errorf("there is no %s", kind)
		}
	}
}

// TestPodsRefused: the judge of pods refuses what is not restricted.
func TestPodsRefused(t *testing.T) {
	good, err := tool(t, nil, "kustomize", "build", overlays+"/sidecar")
	if err != nil {
		t.Fatalf("%v\n%s", err, good)
	}
	for _, change := range [][2]string{
		{"runAsNonRoot: true", "runAsNonRoot: false"}, {"allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true"},
		{"type: RuntimeDefault", "type: Unconfined"}, {"- ALL", "- NET_RAW"}, {"emptyDir:\n          sizeLimit: 64Mi", "hostPath:\n          path: /"},
		{"enableServiceLinks: false", "hostNetwork: true"},
	} {
		bad := bytes.ReplaceAll(good, []byte(change[0]), []byte(change[1]))
		if bytes.Equal(bad, good) {
			t.Errorf("there is no %q", change[0])
		}
		if out, err := tool(t, bad, "podsecurity"); err == nil {
			t.Errorf("%s: taken\n%s", change[1], out)
		}
	}
}

// TestValuesRefused: the chart says what contradicts itself.
func TestValuesRefused(t *testing.T) {
	for _, c := range []struct{ file, set, want string }{
		{"csi.yaml", "replicas=2", "store.type FILE is for one pod, and 2 are asked for"},
		{"sidecar-single.yaml", "replicas=3", "store.type MEMORY is for one pod, and 3 are asked for"},
		{"csi.yaml", "autoscaling.enabled=true", "store.type FILE is for one pod, and 6 are asked for"},
		{"central.yaml", "settings.replay.store=MEMORY", "settings.replay.store is made by the chart"},
		{"central.yaml", "settings.http.listen=127.0.0.1:9002", "settings.http.listen is made by the chart"},
		{"central.yaml", "store.redis.url=", "store.redis.url says where Redis is"},
		{"central.yaml", "store.redis.url=http://redis", "does not match pattern"},
		{"central.yaml", "store.redis.deploy=true", "one of them"},
		{"external.yaml", "networkPolicy.enabled=false", "store.redis.deploy needs networkPolicy.enabled"},
		{"central.yaml", "tls.secret=", "tls.secret names the certificate"},
		{"central.yaml", "tls.insecure=true", "tls has secret and insecure"},
		{"central.yaml", "policies=null", "policies has no file"},
		{"central.yaml", "policiesConfigMap=x", "policies and policiesConfigMap"},
		{"external.yaml", "secrets.external.store.name=", "secrets.external.store.name says where"},
		{"csi.yaml", "secrets.existing[0].name=x", "secrets.csi stands in place"},
		{"sidecar-single.yaml", "envoy.configMap=", "envoy.config is what"},
		{"sidecar-single.yaml", "networkPolicy.enabled=true", "networkPolicy.egress must let Envoy reach the application"},
		{"central.yaml", "replica=3", "additional properties 'replica' not allowed"},
		{"central.yaml", "mode=both", "value must be one of"},
		{"central.yaml", "replicas=0", "minimum"},
		{"central.yaml", "autoscaling.minReplicas=9", "autoscaling.minReplicas is more than maxReplicas"},
		{"central.yaml", "settings.grpc=null", "settings.grpc.tls is made by the chart"},
		{"central.yaml", "settings.replay=x", "settings.replay.redis.url is made by the chart"},
		{"central.yaml", "settings.limits.shutdown=60s", "settings.limits.shutdown is made by the chart"},
		{"central.yaml", "settings.limits.bytes_in_flight=2GiB", "resources.limits.memory is too little for settings.limits.bytes_in_flight: it takes 2532Mi at least"},
		{"external.yaml", "resources.limits.memory=512Mi", "it takes 540Mi at least"},
		{"central.yaml", "store.redis.url=rediss://user:word@redis:6379", "does not match pattern"},
		{"central.yaml", "networkPolicy.envoys=null", "networkPolicy.envoys names nobody"},
		{"central.yaml", "networkPolicy.monitoring=null", "monitoring.serviceMonitor needs networkPolicy.monitoring"},
		{"csi.yaml", "networkPolicy.egress=null", "the collector of OTEL_EXPORTER_OTLP_ENDPOINT"},
		{"central.yaml", "settings.replay.redis.addresses={a:7000}", "networkPolicy.redis must name the ports"},
		{"central.yaml", `podLabels.app\.kubernetes\.io/name=other`, "podLabels: app.kubernetes.io/name is what"},
		{"sidecar.yaml", "envoy.port=10001", "envoy.config listens nowhere on 10001, which is envoy.port"},
		{"sidecar.yaml", "envoy.adminPort=990", "minimum"},
		{"sidecar.yaml", "envoy.adminPort=9902", "listens nowhere on 9902, which is envoy.adminPort"},
	} {
		out, err := tool(t, nil, "helm", append([]string{"template", "x"}, append(values(chart+"/ci/"+c.file), "--set", c.set)...)...)
		if err == nil || !strings.Contains(string(out), c.want) {
			t.Errorf("%s, %s: %v, want %q\n%s", c.file, c.set, err, c.want, out[:min(len(out), 600)])
		}
	}
	out, err := tool(t, nil, "helm", append([]string{"template", "1x"}, values(chart+"/ci/csi.yaml")...)...)
	if err == nil || !strings.Contains(string(out), "must begin with a letter") {
		t.Errorf("a name that no Service may have: %v\n%s", err, out)
	}
	out, err = tool(t, nil, "helm", "template", "x", chart)
	if err == nil || strings.Count(string(out), "\n- ") < 3 {
		t.Errorf("without values: %v\n%s", err, out)
	}
}

// TestValuesFollowed: what depends on a value changes with it.
func TestValuesFollowed(t *testing.T) {
	for _, c := range []struct{ file, release, set, want string }{
		{"central.yaml", "x", "shutdownSeconds=30", "terminationGracePeriodSeconds: 85"},
		{"central.yaml", "x", "shutdownSeconds=30", "shutdown: 30s"},
		{"sidecar.yaml", "x", "shutdownSeconds=30", "terminationGracePeriodSeconds: 100"},
		{"central.yaml", "x", "store.redis.url=rediss://redis:6380/2", "- ports: [{port: 6380, protocol: TCP}]"},
		{"central.yaml", "x", "store.redis.url=rediss://redis", "- ports: [{port: 6379, protocol: TCP}]"},
		{"central.yaml", "x", "store.redis.url=rediss://[fd00::1]:6381", "- ports: [{port: 6381, protocol: TCP}]"},
		{"external.yaml", "x", "store.redis.maxMemory=3gb", "limits: {memory: 6Gi}"},
		{"central.yaml", "x", "image.tag=" + strings.Repeat("1.", 40), `app.kubernetes.io/version: "` + strings.Repeat("1.", 31) + "1\"\n"},
		{"central.yaml", "a.b", "replicas=2", "name: a-b-hookbastion\n"},
		{"central.yaml", strings.Repeat("a", 38) + "--b", "replicas=2", "name: " + strings.Repeat("a", 38) + "\n"},
	} {
		out, err := tool(t, nil, "helm", append([]string{"template", c.release}, append(values(chart+"/ci/"+c.file), "--set", c.set)...)...)
		if err != nil || !strings.Contains(string(out), c.want) {
			t.Errorf("%s of %s, %s: %v, want %q\n%s", c.release, c.file, c.set, err, c.want, out[:min(len(out), 600)])
		}
	}
}

// TestKubernetesPages: the commands of the pages that need no cluster do what they are for.
func TestKubernetesPages(t *testing.T) {
	block := regexp.MustCompile("(?s)<!-- builds -->\\s*```sh\n(.*?)```")
	for _, page := range []string{"kubernetes/README.md", chart + "/README.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		blocks := block.FindAllSubmatch(text, -1)
		if len(blocks) == 0 {
			t.Errorf("%s builds nothing", page)
		}
		for _, b := range blocks {
			for line := range strings.Lines(strings.ReplaceAll(string(b[1]), "\\\n", " ")) {
				words := strings.Fields(line)
				if i := slices.Index(words, ">"); i >= 0 {
					words = words[:i]
				}
				if len(words) == 0 {
					continue // the indentation of a step
				}
				for i, word := range words {
					words[i] = strings.ReplaceAll(strings.TrimPrefix(word, "examples/"), "=examples/", "=")
				}
				if out, err := tool(t, nil, words[0], words[1:]...); err != nil || len(out) == 0 {
					t.Errorf("%s: %s: %v\n%s", page, line, err, out)
				}
			}
		}
	}
}

// TestSamePods: the chart and the overlays of kustomize make the same containers.
func TestSamePods(t *testing.T) {
	for overlay, args := range map[string][]string{
		"sidecar": values(chart + "/ci/sidecar.yaml"),
		"central": append(values(chart+"/ci/external.yaml"), "--set", "resources.requests.memory=1Gi,resources.limits.memory=1Gi"),
	} {
		ofChart, err := tool(t, nil, "helm", append([]string{"template", "hookbastion"}, args...)...)
		if err != nil {
			t.Fatalf("%v\n%s", err, ofChart)
		}
		ofOverlay, err := tool(t, nil, "kustomize", "build", filepath.Join(overlays, overlay))
		if err != nil {
			t.Fatalf("%v\n%s", err, ofOverlay)
		}
		want, got := podsOf(t, ofChart), podsOf(t, ofOverlay)
		for name, pod := range want {
			if !reflect.DeepEqual(pod, got[name]) {
				t.Errorf("%s of %s: the chart has\n%v\nthe overlay\n%v", name, overlay, pod, got[name])
			}
		}
		if len(want) != 2 || len(got) != 2 {
			t.Errorf("%s: %d and %d kinds of pods", overlay, len(want), len(got))
		}
	}
}

// podsOf are the parts of pods that do not have names of a release in them.
func podsOf(t *testing.T, text []byte) map[string]any {
	t.Helper()
	objects, err := schema.Documents[map[string]any](text)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]any{}
	for _, o := range objects {
		if pod := mapping(at(o, "spec", "template", "spec")); pod != nil {
			delete(pod, "volumes")
			delete(pod, "topologySpreadConstraints")
			found[o["kind"].(string)] = pod
		}
	}
	return found
}
