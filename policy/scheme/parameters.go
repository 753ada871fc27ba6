package scheme

import (
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/hookbastion/hookbastion/authz/signature"
	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// Parameters are what a webhook says about itself, by name. All have a value.
type Parameters map[string][]string

// text returns a parameter that has one value; compilation has refused others where
// one is needed.
func (p Parameters) text(name string) string {
	if values := p[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// Parameters reads those of a webhook and compares them with what its schemes ask for.
// The plans that are made next are of this webhook.
func (c *Plans) Parameters(w *policyv1.Webhook, schemes []*policyv1.Scheme, at strictyaml.Place) {
	here := at.At("parameters")
	given := ParametersOf(w)
	asked := map[string]*policyv1.Parameter{}
	if p, err := provider.Get(w.GetProvider()); err == nil && p != nil {
		for _, parameter := range p.GetParameters() {
			asked[parameter.GetName()] = parameter
		}
	}
	used := usedParameters(schemes)
	var own []*policyv1.Scheme // which the policy itself has
	if w.GetScheme() != nil {
		own = schemes
	}
	if t := w.GetToken().GetJwt(); t != nil {
		own = append(own[:len(own):len(own)], &policyv1.Scheme{Kind: &policyv1.Scheme_Jws{Jws: JWSOf(t)}})
	}
	for name, use := range usedParameters(own) {
		asked[name], used[name] = &policyv1.Parameter{Several: !use.single}, use
	}
	names := slices.Sorted(maps.Keys(asked))
	for _, name := range slices.Sorted(maps.Keys(given)) {
		declared := asked[name]
		switch {
		case declared == nil && len(names) == 0:
			c.faults.Fail(here.At(name), "has no use: the scheme asks for no parameters")
		case declared == nil:
			c.faults.Fail(here.At(name), "the scheme asks for no such parameter, but for "+strings.Join(names, ", ")+strictyaml.Suggest(name, names))
		case len(given[name]) > 1 && !declared.GetSeveral():
			c.faults.Fail(here.At(name), "must be one text, not a list")
		}
	}
	for _, name := range names {
		if _, there := given[name]; there || asked[name].GetOptional() || used[name] == (use{}) {
			continue
		}
		message := "needs parameters: {" + name + ": …}"
		if text := asked[name].GetText(); text != "" {
			message += ": " + text
		}
		c.faults.Fail(at, message)
	}
	c.params = given
}

// ParametersOf returns the parameters of a webhook that could be read.
func ParametersOf(w *policyv1.Webhook) Parameters {
	given := Parameters{}
	for name, value := range w.GetParameters().GetFields() {
		switch value := value.GetKind().(type) {
		case *structpb.Value_StringValue:
			given[name] = []string{value.StringValue}
		case *structpb.Value_ListValue:
			for _, item := range value.ListValue.GetValues() {
				given[name] = append(given[name], item.GetStringValue())
			}
		}
	}
	return given
}

// use is how schemes use a parameter: at all, and as one text.
type use struct{ used, single bool }

// usedParameters finds the names in all fields of schemes that are called parameter, and
// in the issuers and audiences of tokens.
func usedParameters(schemes []*policyv1.Scheme) map[string]use {
	found := map[string]use{}
	for _, s := range schemes {
		findParameters(s.ProtoReflect(), found)
	}
	return found
}

func findParameters(m protoreflect.Message, found map[string]use) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Kind() == protoreflect.MessageKind && f.IsList():
			for i := range v.List().Len() {
				findParameters(v.List().Get(i).Message(), found)
			}
		case f.Kind() == protoreflect.MessageKind && !f.IsMap():
			findParameters(v.Message(), found)
		case f.Kind() == protoreflect.StringKind && !f.IsList() && f.Name() == "parameter":
			_, single := m.Interface().(*policyv1.Part)
			found[v.String()] = use{used: true, single: single || found[v.String()].single}
		case f.Kind() == protoreflect.StringKind && f.IsList() && (f.Name() == "issuers" || f.Name() == "audiences"):
			for i := range v.List().Len() {
				if _, name, _, ok := placeholder(v.List().Get(i).String()); ok {
					found[name] = use{used: true, single: found[name].single}
				}
			}
		}
		return true
	})
}

// Pinned returns the texts of the body that a scheme pins to parameters.
func (c *Plans) Pinned(s *policyv1.Scheme) []signature.OneOf {
	var pinned []signature.OneOf
	for _, pin := range s.GetPins() {
		if values := c.params[pin.GetParameter()]; len(values) > 0 {
			pinned = append(pinned, signature.OneOf{JSON: pin.GetJson(), Values: values})
		}
	}
	return pinned
}
