// Podsecurity says which pods among resources, YAML on standard input, Kubernetes would not let
// into a namespace whose level is restricted: with Kubernetes' own code for that. It is a module
// of its own, so that nothing of it is among what the program is made of.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"
)

func main() {
	seen, refused, err := judge(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	fmt.Printf("%d kinds of pods, %d refused\n", seen, refused)
	if seen == 0 || refused > 0 {
		os.Exit(1)
	}
}

func judge(in io.Reader) (seen, refused int, err error) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return 0, 0, err
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	documents := utilyaml.NewYAMLReader(bufio.NewReader(in))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return seen, refused, nil
		}
		if err != nil {
			return seen, refused, err
		}
		name, pod, err := template(document)
		if err != nil {
			return seen, refused, err
		}
		if pod == nil {
			continue
		}
		seen++
		for _, result := range evaluator.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec) {
			if !result.Allowed {
				refused++
				fmt.Printf("%s: %s: %s\n", name, result.ForbiddenReason, result.ForbiddenDetail)
			}
		}
	}
}

// template is the pod of a resource that makes pods, and none of another.
func template(document []byte) (string, *corev1.PodTemplateSpec, error) {
	var kind struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ObjectMeta `json:"metadata"`
	}
	if err := yaml.Unmarshal(document, &kind); err != nil {
		return "", nil, err
	}
	name := kind.Kind + " " + kind.Name
	switch kind.Kind {
	case "Deployment":
		var d appsv1.Deployment
		err := yaml.UnmarshalStrict(document, &d)
		return name, &d.Spec.Template, err
	case "StatefulSet":
		var s appsv1.StatefulSet
		err := yaml.UnmarshalStrict(document, &s)
		return name, &s.Spec.Template, err
	case "Pod", "DaemonSet", "ReplicaSet", "Job", "CronJob", "ReplicationController":
		return "", nil, fmt.Errorf("%s: nobody has said where its pod is", name)
	}
	return "", nil, nil
}
