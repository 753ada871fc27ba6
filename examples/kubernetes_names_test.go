//go:build mesh

package examples_test

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// dangling says what resources name that is not among them: labels that no pod has, ports and
// volumes that are not there, ConfigMaps, probes that nobody hears. Secrets come from elsewhere.
func dangling(objects []map[string]any) (problems []string) {
	fail := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	have, labels, ports := map[string]bool{}, []map[string]any{}, map[string]bool{}
	var services []map[string]any
	for _, o := range objects {
		have[fmt.Sprint(o["kind"], " ", at(o, "metadata", "name"))] = true
		if at(o, "kind") == "Service" {
			services = append(services, o)
		}
		if pod := at(o, "spec", "template"); pod != nil {
			labels = append(labels, mapping(at(pod, "metadata", "labels")))
			for _, c := range containers(pod) {
				for _, p := range list(at(c, "ports")) {
					ports[fmt.Sprint(at(p, "containerPort"))] = true
				}
			}
			// The names of sidecars' ports are known neither to Services before Kubernetes 1.33 nor
			// to all that enforce a NetworkPolicy.
			for _, c := range list(at(pod, "spec", "containers")) {
				for _, p := range list(at(c, "ports")) {
					ports[fmt.Sprint(at(p, "name"))] = true
				}
			}
		}
	}
	selects := func(what string, selector any) {
		if !some(labels, mapping(selector)) {
			fail("%s selects no pod: %v", what, selector)
		}
	}
	port := func(what string, p any) {
		if !ports[fmt.Sprint(p)] {
			fail("%s: no port %v", what, p)
		}
	}
	for _, o := range objects {
		what := fmt.Sprint(o["kind"], " ", at(o, "metadata", "name"))
		switch o["kind"] {
		case "Service":
			selects(what, at(o, "spec", "selector"))
			for _, p := range list(at(o, "spec", "ports")) {
				port(what, at(p, "targetPort"))
			}
		case "PodDisruptionBudget":
			selects(what, at(o, "spec", "selector", "matchLabels"))
		case "NetworkPolicy":
			selects(what, at(o, "spec", "podSelector", "matchLabels"))
			for _, rule := range list(at(o, "spec", "ingress")) {
				if from := at(rule, "from"); from != nil && len(list(from)) == 0 {
					fail("%s: nobody named is everybody", what)
				}
				for _, p := range list(at(rule, "ports")) {
					port(what, at(p, "port"))
				}
			}
		case "HorizontalPodAutoscaler":
			if target := fmt.Sprint(at(o, "spec", "scaleTargetRef", "kind"), " ", at(o, "spec", "scaleTargetRef", "name")); !have[target] {
				fail("%s: no %s", what, target)
			}
		case "ServiceMonitor":
			if !monitors(o, services) {
				fail("%s finds no service with its ports", what)
			}
		case "Deployment", "StatefulSet":
			if !some([]map[string]any{mapping(at(o, "spec", "template", "metadata", "labels"))}, mapping(at(o, "spec", "selector", "matchLabels"))) {
				fail("%s does not select its pods", what)
			}
			problems = append(problems, pods(what, o, have)...)
		case "ConfigMap":
			problems = append(problems, settings(what, at(o, "data", "hookbastion.yaml"))...)
		}
	}
	return problems
}

// pods looks at what containers name.
func pods(what string, o map[string]any, have map[string]bool) (problems []string) {
	volumes := map[string]bool{}
	for _, v := range list(at(o, "spec", "template", "spec", "volumes")) {
		volumes[fmt.Sprint(at(v, "name"))] = true
		name, given := at(v, "configMap", "name").(string)
		if given && name != "webhook-policies" && name != "envoy" && !have["ConfigMap "+name] {
			problems = append(problems, what+": no ConfigMap "+name)
		}
		if claim, ok := at(v, "persistentVolumeClaim", "claimName").(string); ok && !have["PersistentVolumeClaim "+claim] {
			problems = append(problems, what+": no claim "+claim)
		}
	}
	for _, v := range list(at(o, "spec", "volumeClaimTemplates")) {
		volumes[fmt.Sprint(at(v, "metadata", "name"))] = true
	}
	for _, c := range containers(at(o, "spec", "template")) {
		own := map[any]bool{}
		for _, p := range list(at(c, "ports")) {
			own[at(p, "name")] = true
		}
		for _, m := range list(at(c, "volumeMounts")) {
			if !volumes[fmt.Sprint(at(m, "name"))] {
				problems = append(problems, fmt.Sprintf("%s: no volume %v", what, at(m, "name")))
			}
		}
		for _, probe := range []string{"startupProbe", "livenessProbe", "readinessProbe"} {
			p := at(c, probe)
			if p == nil && probe != "startupProbe" {
				problems = append(problems, fmt.Sprintf("%s: %v has no %s", what, at(c, "name"), probe))
			}
			for _, how := range []string{"httpGet", "tcpSocket"} {
				if name := at(p, how, "port"); name != nil && !own[name] {
					problems = append(problems, fmt.Sprintf("%s: %s asks at a port %v of nobody", what, probe, name))
				}
			}
		}
		if at(c, "resources", "limits", "memory") == nil || at(c, "resources", "requests", "cpu") == nil {
			problems = append(problems, fmt.Sprintf("%s: %v has no bounds", what, at(c, "name")))
		}
	}
	return problems
}

// settings are those of a service whose probes come from outside of the pod.
func settings(what string, text any) []string {
	s, ok := text.(string)
	if !ok {
		return nil
	}
	var tree map[string]any
	if err := yaml.Unmarshal([]byte(s), &tree); err != nil {
		return []string{what + ": " + err.Error()}
	}
	if listen, _ := at(tree, "http", "listen").(string); !strings.HasPrefix(listen, "0.0.0.0:9002") {
		return []string{what + ": probes cannot reach " + listen}
	}
	return nil
}

// monitors tells whether a service has the labels and ports.
func monitors(monitor map[string]any, services []map[string]any) bool {
	for _, s := range services {
		if !some([]map[string]any{mapping(at(s, "metadata", "labels"))}, mapping(at(monitor, "spec", "selector", "matchLabels"))) {
			continue
		}
		for _, p := range list(at(s, "spec", "ports")) {
			if at(p, "name") == at(monitor, "spec", "endpoints", 0, "port") {
				return true
			}
		}
	}
	return false
}

// some tells whether one of the sets of labels has all that are asked for, and any are.
func some(labels []map[string]any, wanted map[string]any) bool {
	for _, have := range labels {
		all := len(wanted) > 0
		for k, v := range wanted {
			all = all && have[k] == v
		}
		if all {
			return true
		}
	}
	return false
}

func containers(template any) []any {
	return append(append([]any{}, list(at(template, "spec", "initContainers"))...), list(at(template, "spec", "containers"))...)
}

// at walks to a value by keys and places; nil if it is not there.
func at(value any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			value = mapping(value)[step]
		case int:
			l := list(value)
			if step >= len(l) {
				return nil
			}
			value = l[step]
		}
	}
	return value
}

func mapping(value any) map[string]any { m, _ := value.(map[string]any); return m }
func list(value any) []any             { l, _ := value.([]any); return l }
