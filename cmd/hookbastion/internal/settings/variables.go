package settings

import (
	"regexp"
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/policy/strictyaml"
	settingsv1 "github.com/hookbastion/hookbastion/proto/hookbastion/settings/v1"
)

// prefix begins the variables of settings.
const prefix = "HOOKBASTION_"

// ofKubernetes are the variables that Kubernetes makes for each service of a
// namespace, and so for one that is called hookbastion, or hookbastion-admin.
var ofKubernetes = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

// strangeVariables looks among variables, each NAME=value, for those that begin as
// settings do and are none. One whose name is nearly that of a setting is an error:
// who has misspelt a limit would believe in it. Others may be anything, such as
// secrets of policies, and are returned.
func strangeVariables(environment []string, m *settingsv1.Settings) ([]string, strictyaml.Errors) {
	var names []string
	for _, s := range allSettings() {
		names = append(names, s.variable())
	}
	named := []string{m.GetReplay().GetRedis().GetPassword().GetEnv(), m.GetReplay().GetRedis().GetSentinel().GetPassword().GetEnv()}
	var strange []string
	var errs strictyaml.Errors
	for _, variable := range environment {
		name, _, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, prefix) || slices.Contains(names, name) || slices.Contains(named, name) || ofKubernetes.MatchString(name) {
			continue
		}
		hint := strictyaml.Suggest(name, names)
		if parts := below(name, names); hint == "" && len(parts) > 0 {
			hint = "; its parts are " + strings.Join(parts, ", ")
		}
		if hint == "" {
			strange = append(strange, name)
			continue
		}
		errs = append(errs, strictyaml.Error{File: name, Message: "is no setting" + hint})
	}
	slices.Sort(strange)
	return strange, errs
}

// below are the names that go on after another one.
func below(name string, names []string) []string {
	var parts []string
	for _, n := range names {
		if strings.HasPrefix(n, name+"_") {
			parts = append(parts, n)
		}
	}
	return parts
}
