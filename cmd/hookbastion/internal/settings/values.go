package settings

import (
	"errors"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/hookbastion/hookbastion/policy/strictyaml"
	settingsv1 "github.com/hookbastion/hookbastion/proto/hookbastion/settings/v1"
)

// Values are the settings that somebody has given, and who gave each. They are not
// judged yet, but for what can be said of each alone.
type Values struct {
	message *settingsv1.Settings
	doc     *strictyaml.Document
	file    bool
	// given is the flag or variable of each setting that has its value from one, by
	// the setting's key.
	given map[string]string
	// Strange are variables that begin as those of settings do, and are none.
	Strange []string
}

// Load reads a file, or none, and lays variables and then flags, if there are any,
// over it.
func Load(file string, flags *pflag.FlagSet) (*Settings, error) {
	v, err := read(file, flags)
	if err != nil {
		return nil, err
	}
	return v.Settings()
}

func read(file string, flags *pflag.FlagSet) (*Values, error) {
	v := &Values{message: &settingsv1.Settings{}, doc: strictyaml.Options{}.Empty("settings"), file: file != ""}
	if v.file {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if v.doc, err = (strictyaml.Options{}).Decode(file, data, v.message); err != nil {
			return nil, err
		}
	}
	var errs strictyaml.Errors
	var err error
	if v.given, err = overlay(v.message, flags); err != nil && !errors.As(err, &errs) {
		return nil, err
	}
	var misspelt strictyaml.Errors
	v.Strange, misspelt = strangeVariables(os.Environ(), v.message)
	return v, append(errs, misspelt...).Err()
}

// usePolicies puts paths in the place of policy.directories.
func (v *Values) usePolicies(paths []string) {
	if v.message.Policy == nil {
		v.message.Policy = &settingsv1.PolicyFiles{}
	}
	v.message.Policy.Directories = paths
	v.given["policy.directories"] = "--policy"
}

// fault is an error at the place that has given the setting: in the file, or a flag
// or variable.
func (v *Values) fault(path strictyaml.Path, message string) strictyaml.Error {
	if origin, ok := v.given[keyOf(path)]; ok {
		return strictyaml.Error{File: origin, Message: message}
	}
	return v.doc.Error(path, message)
}

// keyOf is the key of a setting, without places in its list.
func keyOf(path strictyaml.Path) string {
	var names []string
	for _, step := range path {
		if name, ok := step.(string); ok {
			names = append(names, name)
		}
	}
	return strings.Join(names, ".")
}
