package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// File is one file's name, as it appears in differences, and its content.
type File struct {
	Name string
	Data []byte
}

// Difference is one between a file and what Generate writes.
type Difference struct {
	File         string
	Line, Column int
	Path, Text   string
}

func (d Difference) String() string {
	return fmt.Sprintf("%s:%d:%d: %s: %s", d.File, d.Line, d.Column, d.Path, d.Text)
}

// Check compares files with what Generate writes for the webhooks and options. What is
// written must be there, and what else is there does not count: envoy/audit judges that.
// Names, addresses and certificates of a site are its own, and are not compared. A route may
// be wider than what is written; it must take what webhooks get.
//
// Pieces of Envoy's configuration are compared with those for Envoy whatever the target is, so
// that the dump of an Envoy behind a control plane can be compared as well. It fails if
// Generate does, or if a file is no YAML.
func Check(webhooks []Webhook, o Options, files []File) ([]Difference, error) {
	c := &comparison{}
	for _, f := range files {
		if err := c.read(f); err != nil {
			return nil, err
		}
	}
	text, err := Generate(webhooks, o)
	if err != nil {
		return nil, err
	}
	want := &comparison{}
	if err := want.read(File{Name: "", Data: text}); err != nil {
		return nil, err
	}
	if !c.has(objects) && o.Target != Envoy {
		o.Target = Envoy
		o.Listen = Address{Host: "127.0.0.1", Port: 1}
		return Check(webhooks, o, files)
	}
	if len(files) == 0 || len(c.pieces) == 0 {
		return []Difference{{File: name(files), Line: 1, Column: 1, Path: "file", Text: "has nothing of Envoy's configuration"}}, nil
	}
	for _, p := range want.pieces {
		if o.Target == Envoy && p.object || routing[p.kind] || ownBusiness[p.short()] {
			continue
		}
		if p, err = c.likeTheirs(p); err != nil {
			return nil, err
		}
		c.compare(p)
	}
	c.routes(webhooks, o)
	slices.SortStableFunc(c.found, func(a, b Difference) int {
		if a.File != b.File {
			return strings.Compare(a.File, b.File)
		}
		return a.Line - b.Line
	})
	return c.found, nil
}

func name(files []File) string {
	if len(files) == 0 {
		return "-"
	}
	return files[0].Name
}

// routing are kinds whose routes are compared by what they take, ownBusiness those that say
// where a site has what.
var (
	routing     = map[string]bool{"HTTPRoute": true, "VirtualService": true}
	ownBusiness = map[string]bool{
		"Router": true, "DownstreamTlsContext": true, "Gateway": true, "GatewayClass": true, "ServiceEntry": true, "HTTPRouteFilter": true,
	}
)

// site are keys whose values are a site's own.
var site = map[string]bool{
	"name": true, "namespace": true, "stat_prefix": true, "codec_type": true, "cluster_name": true, "authority": true,
	"sni": true, "filename": true, "fqdn": true, "secretName": true, "caSecret": true, "subjectName": true, "subjectAltNames": true,
	"credentialName": true, "endpoints": true, "backendRefs": true, "targetRef": true, "targetRefs": true, "extensionRef": true,
	"parametersRef": true, "services": true, "host": true, "caCertificateRefs": true, "clientCertificateRef": true, "matcher": true,
	"workloadSelector": true, "provider": true, "routes": true, "san_type": true, "appProtocols": true,
}

// apart are keys of Envoy's messages whose values are pieces of their own.
var apart = map[string]bool{"route_config": true, "http_filters": true, "access_log": true, "early_header_mutation_extensions": true}

// piece is a message with a type, or an object of Kubernetes.
type piece struct {
	kind   string
	object bool
	file   string
	node   *yaml.Node
}

// short is the kind without its package.
func (p piece) short() string { return p.kind[strings.LastIndexByte(p.kind, '.')+1:] }

// name is that of an object.
func (p piece) name() string {
	if n := get(get(p.node, "metadata"), "name"); n != nil {
		return n.Value
	}
	return ""
}

type comparison struct {
	pieces []piece
	roots  []piece
	found  []Difference
}

const objects = true

func (c *comparison) has(object bool) bool {
	return slices.ContainsFunc(c.pieces, func(p piece) bool { return p.object == object })
}

// maxDepth bounds how deep files are looked into.
const maxDepth = 64

func (c *comparison) read(f File) error {
	decoder := yaml.NewDecoder(strings.NewReader(string(f.Data)))
	for {
		var document yaml.Node
		switch err := decoder.Decode(&document); {
		case err != nil && err.Error() == "EOF":
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		for _, root := range append(inConfigMap(f.Data, &document), &document) {
			if root == &document && isConfigMap(root) {
				continue // what is in it counts
			}
			c.roots = append(c.roots, piece{file: f.Name, node: root})
			c.collect(f.Name, root, maxDepth)
		}
	}
}

// collect finds pieces. What is inside of an object is compared with the object.
func (c *comparison) collect(file string, n *yaml.Node, depth int) {
	if depth == 0 {
		return
	}
	if n.Kind == yaml.MappingNode {
		if kind := get(n, "kind"); kind != nil && get(n, "apiVersion") != nil && kind.Value != "List" {
			c.pieces = append(c.pieces, piece{kind.Value, true, file, n})
			return
		}
		if t := get(n, "@type"); t != nil {
			c.pieces = append(c.pieces, piece{strings.TrimPrefix(t.Value, "type.googleapis.com/envoy."), false, file, n})
		}
	}
	for _, child := range n.Content {
		c.collect(file, child, depth-1)
	}
}

// get returns the value of a key, also where it is written as in JSON; nil if there is none.
func get(n *yaml.Node, key string) *yaml.Node {
	n = follow(n)
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if k := n.Content[i].Value; k == key || k == camel(key) {
			return follow(n.Content[i+1])
		}
	}
	return nil
}

func follow(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func camel(key string) string {
	words := strings.Split(key, "_")
	for i := 1; i < len(words); i++ {
		if words[i] != "" {
			words[i] = strings.ToUpper(words[i][:1]) + words[i][1:]
		}
	}
	return strings.Join(words, "")
}

// compare looks for the piece of a kind that has the name of the one that is wanted, or else
// is most like it.
func (c *comparison) compare(want piece) {
	var best []Difference
	found := false
	named := slices.ContainsFunc(c.pieces, func(p piece) bool { return p.kind == want.kind && want.object && p.name() == want.name() })
	for _, p := range c.pieces {
		if p.kind != want.kind || p.object != want.object || named && p.name() != want.name() {
			continue
		}
		d := differ{p.file, want.object}.diff(want.short(), want.node, p.node)
		if !found || len(d) < len(best) {
			best, found = d, true
		}
	}
	if !found {
		what := "there is none"
		if want.object {
			what += ", such as " + want.name()
		}
		file := c.pieces[0].file
		best = []Difference{{File: file, Line: 1, Column: 1, Path: want.kind, Text: what}}
	}
	c.found = append(c.found, best...)
}

// differ compares within a file, in an object or a piece of Envoy's.
type differ struct {
	file   string
	object bool
}

// diff lists what of want is not in got.
func (e differ) diff(path string, want, got *yaml.Node) (all []Difference) {
	want, got = follow(want), follow(got)
	at := func(n *yaml.Node, format string, args ...any) {
		all = append(all, Difference{e.file, n.Line, n.Column, path, fmt.Sprintf(format, args...)})
	}
	if want.Kind != got.Kind {
		at(got, "is of another kind than what is written: %s", short(want))
		return all
	}
	switch want.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(want.Content); i += 2 {
			key, value := want.Content[i].Value, want.Content[i+1]
			if site[key] || key == "metadata" && !strings.Contains(path, ".") || !e.object && apart[key] {
				continue
			}
			inner := path + "." + key
			switch there := get(got, key); {
			case there != nil:
				all = append(all, e.diff(inner, value, there)...)
			case !isZero(value):
				all = append(all, Difference{e.file, got.Line, got.Column, inner, "is missing, should be " + short(value)})
			}
		}
	case yaml.SequenceNode:
		all = append(all, e.diffList(path, want, got)...)
	default:
		if !same(want.Value, got.Value) {
			at(got, "is %s, should be %s", short(got), short(want))
		}
	}
	return all
}

// diffList looks for each item of want, wherever it stands in got.
func (e differ) diffList(path string, want, got *yaml.Node) (all []Difference) {
	for i, item := range want.Content {
		inner := fmt.Sprintf("%s[%d]", path, i)
		var best []Difference
		found := false
		for _, there := range got.Content {
			if !alike(item, there) {
				continue
			}
			d := e.diff(inner, item, there)
			if !found || len(d) < len(best) {
				best, found = d, true
			}
		}
		if !found {
			best = []Difference{{e.file, got.Line, got.Column, inner, "is missing: " + short(item)}}
		}
		all = append(all, best...)
	}
	return all
}

// alike reports whether two items of a list are about the same thing.
func alike(want, got *yaml.Node) bool {
	want, got = follow(want), follow(got)
	if want.Kind == yaml.ScalarNode {
		return got.Kind == yaml.ScalarNode && same(want.Value, got.Value)
	}
	if t := firstType(want, maxDepth); t != "" && t != firstType(got, maxDepth) {
		return false
	}
	for _, key := range []string{"applyTo", "type", "operation", "jsonPath", "key"} {
		if w := get(want, key); w != nil {
			g := get(got, key)
			if g == nil || w.Kind == yaml.ScalarNode && !same(w.Value, g.Value) {
				return false
			}
			if key == "operation" && !alike(pathOf(w), pathOf(g)) {
				return false
			}
		}
	}
	return true
}

// firstType is the type of the first message in a value; empty if there is none. It does not
// follow aliases, of which a small file can make a large tree.
func firstType(n *yaml.Node, depth int) string {
	if n == nil || depth == 0 {
		return ""
	}
	if t := get(n, "@type"); t != nil {
		return t.Value
	}
	for _, child := range n.Content {
		if t := firstType(child, depth-1); t != "" {
			return t
		}
	}
	return ""
}

// pathOf is where a JSON patch goes.
func pathOf(operation *yaml.Node) *yaml.Node {
	if p := get(operation, "path"); p != nil {
		return p
	}
	return &yaml.Node{Kind: yaml.ScalarNode}
}

// isZero reports whether a value is what Envoy takes where there is none.
func isZero(n *yaml.Node) bool {
	n = follow(n)
	return n.Kind == yaml.ScalarNode && slices.Contains([]string{"false", "0", "", "null", "0s"}, n.Value) || n.Kind != yaml.ScalarNode && len(n.Content) == 0
}

// same compares scalars, also numbers in quotes and lengths of time in other units.
func same(a, b string) bool {
	if a == b {
		return true
	}
	x, errX := time.ParseDuration(a)
	y, errY := time.ParseDuration(b)
	if errX == nil && errY == nil {
		return x == y
	}
	status := func(s string) bool { return s == "503" || s == "ServiceUnavailable" }
	return status(a) && status(b)
}

// short is a value on one line.
func short(n *yaml.Node) string {
	copied := *n
	text, err := yaml.Marshal(flow(&copied))
	if err != nil {
		return "?"
	}
	line := strings.Join(strings.Fields(string(text)), " ")
	if len(line) > 160 {
		line = strings.ToValidUTF8(line[:157], "") + "..."
	}
	return line
}

func flow(n *yaml.Node) *yaml.Node {
	n.Style |= yaml.FlowStyle
	n.HeadComment, n.LineComment, n.FootComment = "", "", ""
	content := n.Content
	n.Content = nil
	for _, child := range content {
		c := *child
		n.Content = append(n.Content, flow(&c))
	}
	return n
}
