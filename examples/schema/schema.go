// Package schema holds resources of Kubernetes against the schemas that are published for them:
// those of CustomResourceDefinitions, and the OpenAPI document of Kubernetes itself. It is for
// tests.
//
// It knows types, fields, required fields, enumerations, patterns, bounds of numbers and lists.
// Rules in CEL are not run, and what only an API server knows, such as whether a name is taken,
// is not looked at.
package schema

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Set has what was read. Its zero value is not ready; it is not safe for concurrent use.
type Set struct {
	kinds       map[string]*node // by apiVersion and kind, with a space between
	definitions map[string]*node // of Kubernetes
}

// node is what is looked at of a schema.
type node struct {
	Type                 string
	Format               string
	Ref                  string `json:"$ref" yaml:"$ref"`
	Properties           map[string]*node
	Items                *node
	AdditionalProperties *node `json:"additionalProperties" yaml:"additionalProperties"`
	Required             []string
	Enum                 []any
	Pattern              string
	Minimum, Maximum     *float64
	MinItems             int  `json:"minItems" yaml:"minItems"`
	MaxItems             *int `json:"maxItems" yaml:"maxItems"`
	Nullable             bool
	Open                 bool `json:"x-kubernetes-preserve-unknown-fields" yaml:"x-kubernetes-preserve-unknown-fields"`
	IntOrString          bool `json:"x-kubernetes-int-or-string" yaml:"x-kubernetes-int-or-string"`
	free                 bool // an object of Kubernetes of which nothing is said
}

const objectMeta = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"

// Problems says what the schema of the resource's kind does not allow, with paths, sorted. A
// kind that nobody has published is a problem.
func (s *Set) Problems(object map[string]any) []string {
	kind := fmt.Sprint(object["apiVersion"], " ", object["kind"])
	at, ok := s.kinds[kind]
	if !ok {
		return []string{"no schema of " + kind}
	}
	c := check{set: s}
	c.object(at, kind, object, true)
	slices.Sort(c.problems)
	return c.problems
}

// Knows tells whether there is a schema of the kind.
func (s *Set) Knows(object map[string]any) bool {
	_, ok := s.kinds[fmt.Sprint(object["apiVersion"], " ", object["kind"])]
	return ok
}

type check struct {
	set      *Set
	problems []string
}

func (c *check) fail(path, format string, args ...any) {
	c.problems = append(c.problems, path+": "+fmt.Sprintf(format, args...))
}

func (c *check) value(n *node, path string, value any) {
	if n.Ref != "" {
		n = c.set.definitions[strings.TrimPrefix(n.Ref, "#/definitions/")]
	}
	if n == nil {
		c.fail(path, "its schema is not there")
		return
	}
	if value == nil {
		if !n.Nullable {
			c.fail(path, "is null")
		}
		return
	}
	if len(n.Enum) > 0 && !slices.Contains(n.Enum, value) {
		c.fail(path, "%v is none of %v", value, n.Enum)
	}
	kind := ""
	switch v := value.(type) {
	case map[string]any:
		kind = "object"
		c.object(n, path, v, false)
	case []any:
		kind = "array"
		if len(v) < n.MinItems || n.MaxItems != nil && len(v) > *n.MaxItems {
			c.fail(path, "%d items", len(v))
		}
		for i, inner := range v {
			if n.Items != nil {
				c.value(n.Items, fmt.Sprintf("%s[%d]", path, i), inner)
			}
		}
	case string:
		kind = "string"
		if n.Pattern != "" && !regexp.MustCompile(n.Pattern).MatchString(v) {
			c.fail(path, "%q is not like %s", v, n.Pattern)
		}
	case bool:
		kind = "boolean"
	case int:
		kind = c.number(n, path, float64(v), "integer")
	case float64:
		kind = c.number(n, path, v, "number")
	}
	either := n.IntOrString || n.Format == "int-or-string"
	switch {
	case n.Type == "" && !either, n.Type == kind && !either, n.Type == "number" && kind == "integer":
	case either && (kind == "integer" || kind == "string"):
	default:
		c.fail(path, "is %s, not %s", kind, n.Type)
	}
}

func (c *check) number(n *node, path string, v float64, kind string) string {
	if n.Minimum != nil && v < *n.Minimum || n.Maximum != nil && v > *n.Maximum {
		c.fail(path, "%v is out of bounds", v)
	}
	return kind
}

func (c *check) object(n *node, path string, value map[string]any, root bool) {
	for _, name := range n.Required {
		if _, ok := value[name]; !ok {
			c.fail(path, "%s is missing", name)
		}
	}
	for name, inner := range value {
		at := path + "." + name
		known, ok := n.Properties[name]
		switch {
		case root && (name == "apiVersion" || name == "kind"):
		case root && name == "metadata":
			if c.set.definitions[objectMeta] != nil {
				known = &node{Ref: "#/definitions/" + objectMeta}
			}
			if known != nil && (known.Ref != "" || len(known.Properties) > 0) {
				c.value(known, at, inner)
			}
		case ok:
			c.value(known, at, inner)
		case n.AdditionalProperties != nil:
			c.value(n.AdditionalProperties, at, inner)
		case !n.Open && !n.free:
			c.fail(path, "nobody knows %s", name)
		}
	}
}
