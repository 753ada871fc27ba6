package httpsig

import (
	"errors"
	"strings"

	"github.com/dunglas/httpsfv"
)

// Component names a part of a request that a signature covers, with its
// parameters (RFC 9421 §2).
type Component struct{ component }

// ErrComponent says that a text names no component of a request.
var ErrComponent = errors.New("not a component of a request")

// ParseComponent reads one, as RFC 9421 writes it or, without parameters, as its
// bare name.
func ParseComponent(text string) (Component, error) {
	if !strings.HasPrefix(text, `"`) {
		name, params, _ := strings.Cut(text, ";")
		text = `"` + name + `"`
		if params != "" {
			text += ";" + params
		}
	}
	item, err := httpsfv.UnmarshalItem([]string{text})
	if err != nil {
		return Component{}, ErrComponent
	}
	c, problem := readComponent(item)
	if problem.Exists() {
		return Component{}, ErrComponent
	}
	return Component{c}, nil
}

// Name is the component's name without its parameters.
func (c Component) Name() string { return c.name }

// String is the component as RFC 9421 writes it.
func (c Component) String() string { return c.identifier }

// component is one with what its parameters say.
type component struct {
	name       string
	identifier string // as it came
	key        string // of a dictionary
	param      string // of the query, as it is encoded
	strict     bool   // sf
	bytes      bool   // bs
	trailer    bool   // tr
}

// equals compares without the order of parameters.
func (c component) equals(o component) bool {
	c.identifier, o.identifier = "", ""
	return c == o
}

// derived are the components of a request that are no fields.
var derived = map[string]bool{
	"@method": true, "@target-uri": true, "@authority": true, "@scheme": true, "@request-target": true,
	"@path": true, "@query": true, "@query-param": true,
}

func readComponent(item httpsfv.Item) (component, Problem) {
	name, ok := item.Value.(string)
	if !ok {
		return component{}, malformed("a component that is no string")
	}
	if !derived[name] && !isFieldName(name) {
		return component{}, malformed("a component that no request has")
	}
	c := component{name: name}
	for _, param := range item.Params.Names() {
		value, _ := item.Params.Get(param)
		text, isText := value.(string)
		flag := value == true
		switch {
		case param == "name" && name == "@query-param" && isText:
			c.param = text
		case derived[name]:
			return component{}, malformed("a component with a parameter that is not its own")
		case param == "key" && isText && text != "":
			c.key = text
		case param == "sf" && flag:
			c.strict = true
		case param == "bs" && flag:
			c.bytes = true
		case param == "tr" && flag:
			c.trailer = true
		default: // req is for responses
			return component{}, malformed("a component with a parameter that does not exist")
		}
	}
	if _, named := item.Params.Get("name"); name == "@query-param" && !named {
		return component{}, malformed("@query-param without a name")
	}
	if c.bytes && (c.strict || c.key != "") {
		return component{}, malformed("a component with parameters that exclude each other")
	}
	identifier, err := httpsfv.Marshal(item)
	if err != nil {
		return component{}, malformed("a component that cannot be written")
	}
	c.identifier = identifier
	return c, Problem{}
}

// isFieldName reports whether it is a field's name in lower case (RFC 9110 §5.1).
func isFieldName(name string) bool {
	if name == "" {
		return false
	}
	for _, c := range []byte(name) {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0 {
			continue
		}
		return false
	}
	return true
}
