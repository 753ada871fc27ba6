package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/hookbastion/hookbastion/envoy/configmap"
)

// read parses a file and collects what its documents hold.
func (a *audit) read(file File) {
	root := node{file: file.Name}
	if a.root.file == "" {
		a.root = root
	}
	if len(file.Data) > maxBytes {
		a.fail(root, 1, fmt.Sprintf("it is larger than %d MiB", maxBytes>>20))
		return
	}
	r := &reader{audit: a, file: root, data: file.Data, dump: bytes.Contains(file.Data, []byte(listenersDump))}
	if markup.Match(file.Data) {
		a.skip(root, "it is a page of HTML or XML; a proxy or a page to log in may have answered in Envoy's place")
		return
	}
	if document := readJSON(file.Data); document != nil {
		r.document(document)
		return
	}
	for decoder := yaml.NewDecoder(bytes.NewReader(file.Data)); ; {
		var document yaml.Node
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			line, text := yamlError(err)
			a.fail(root, line, text)
			return
		}
		if len(document.Content) == 1 && resolve(document.Content[0]) != nil {
			r.document(document.Content[0])
		}
	}
	if !r.read {
		a.skip(root, "it is empty")
	}
}

// markup is how HTML and XML begin. A YAML merge begins with <<.
var markup = regexp.MustCompile(`^\s*<[!?A-Za-z]`)

// fail reports that a file cannot be read, from a line on.
func (a *audit) fail(root node, line int, text string) {
	a.unread = true
	root.at = &yaml.Node{Line: line, Column: 1}
	a.report(unreadable, root, text)
}

// unread is a place of which nothing is judged. One that is beside may well stand beside
// what is.
type unread struct {
	node
	reason string
	beside bool
}

// skip notes that nothing is judged of what stands at a place.
func (a *audit) skip(n node, reason string) { a.skipBeside(n, reason, false) }

func (a *audit) skipBeside(n node, reason string, beside bool) {
	a.unread = true
	a.unreads = append(a.unreads, unread{n, reason, beside})
}

// reader reads the documents of one file.
type reader struct {
	*audit
	file node
	data []byte
	dump bool // listeners stand beside the bootstrap once more
	read bool // there was a document
}

// listenersDump is the part of what /config_dump answers that has all listeners, also
// those of the bootstrap, which stands beside it.
const listenersDump = "envoy.admin.v3.ListenersConfigDump"

func (r *reader) document(value *yaml.Node) {
	r.read = true
	root := r.file
	root.at, root.val = value, resolve(value)
	if r.collectObjects(root) {
		return
	}
	w := &walker{audit: r.audit, data: r.data, dump: r.dump, within: map[*yaml.Node]bool{}}
	w.walk(root, place{}, 0)
	switch {
	case w.tooLarge:
		r.fail(r.file, 1, "it is too large or too deep, or contains itself")
	case !w.found:
		r.skipBeside(root, whatItIs(root), isBeside(root))
	}
}

// theDump says how to get at what is always read.
const theDump = "give Envoy's bootstrap, or what a running Envoy answers at /config_dump"

// settingsKeys are some that only the settings of the service have.
var settingsKeys = []string{"grpc", "replay", "records", "policy", "envoy"}

// whatItIs says what a document is that holds nothing of Envoy's.
func whatItIs(n node) string {
	kind, version := n.get("kind").text(), n.get("apiVersion").text()
	switch {
	case n.get("webhooks").ok():
		return "it is a policy of Hookbastion, which hookbastion validate reads"
	case kind == "ConfigMap":
		return "it is a ConfigMap without a configuration of Envoy in its data; " + theDump
	case kind != "" && version != "":
		return fmt.Sprintf("it is a Kubernetes object of the kind %.60q; %s", kind, theDump)
	case slices.ContainsFunc(settingsKeys, func(key string) bool { return n.get(key).ok() }):
		return "it looks like the settings of Hookbastion, which --config takes"
	default:
		return "it is no configuration of Envoy; " + theDump
	}
}

// isBeside tells what people keep in a directory with what Envoy is told.
func isBeside(n node) bool {
	return n.get("kind").ok() && n.get("apiVersion").ok() || n.get("webhooks").ok() ||
		slices.ContainsFunc(settingsKeys, func(key string) bool { return n.get(key).ok() })
}

// configMap reads the files in a ConfigMap that are configurations of Envoy.
func (w *walker) configMap(n node, p place, depth int) {
	n.get("data").each(func(name string, value node) {
		text := value.text()
		var document *yaml.Node
		if document = readJSON([]byte(text)); document == nil {
			var parsed yaml.Node
			if err := yaml.Unmarshal([]byte(text), &parsed); err != nil {
				if strings.Contains(text, "static_resources") {
					_, words := yamlError(err)
					w.fail(value, value.at.Line, name+": "+words)
				}
				return
			}
			if len(parsed.Content) != 1 {
				return
			}
			document = parsed.Content[0]
		}
		if document.Kind != yaml.MappingNode && document.Kind != yaml.SequenceNode {
			return
		}
		configmap.Place(w.data, document, value.val)
		if value.val = document; isMesh(value) {
			w.meshes, w.found = append(w.meshes, value), true
			return
		}
		w.walk(value, p, depth+1)
	})
}

var (
	yamlText   = regexp.MustCompile(`(?s)^yaml: (?:line (\d+): )?(.*)$`)
	yamlParser = regexp.MustCompile(`^did not find expected |^found (duplicate|incompatible|undefined) `)
)

// yamlError takes the line out of the library's error.
func yamlError(failed error) (line int, text string) {
	m := yamlText.FindStringSubmatch(failed.Error())
	if m == nil {
		return 1, failed.Error()
	}
	line, err := strconv.Atoi(m[1])
	switch {
	case err != nil:
		return 1, m[2]
	case yamlParser.MatchString(m[2]):
		return line + 1, m[2] // the library counts from 0 here
	default:
		return line, m[2]
	}
}
