package provider

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// SignatureHeaders returns for each entry the headers, in lower case and in
// order, without which a delivery cannot be verified by its first scheme.
// Entries whose proof stands in no header are left out.
func SignatureHeaders() (map[string][]string, error) {
	providers, err := catalogue()
	all := map[string][]string{}
	for name, p := range providers {
		for _, s := range p.GetSchemes() {
			if !s.GetOptional() {
				headers := schemeHeaders(s.GetScheme().ProtoReflect())
				if s.GetScheme().GetSharedToken().GetBasic() != nil {
					headers = append(headers, "authorization")
				}
				if slices.Sort(headers); len(headers) > 0 {
					all[name] = slices.Compact(headers)
				}
				break
			}
		}
	}
	return all, err
}

// schemeHeaders collects the texts of all fields that name headers, wherever
// in a scheme they stand.
func schemeHeaders(m protoreflect.Message) (names []string) {
	add := func(text string) {
		if text != "" {
			names = append(names, strings.ToLower(text))
		}
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		name := string(f.Name())
		switch {
		case f.Kind() == protoreflect.MessageKind && f.IsList():
			for i := range v.List().Len() {
				names = append(names, schemeHeaders(v.List().Get(i).Message())...)
			}
		case f.Kind() == protoreflect.MessageKind && !f.IsMap():
			names = append(names, schemeHeaders(v.Message())...)
		case f.Kind() == protoreflect.StringKind && f.IsList() && name == "headers":
			add(v.List().Get(0).String()) // the others are alternatives
		case f.Kind() == protoreflect.StringKind && !f.IsList() && (name == "header" || name == "key_id_header"):
			add(v.String())
		}
		return true
	})
	if named, ok := m.Interface().(*policyv1.SignedHeader); ok {
		add(named.GetName())
	}
	return names
}
