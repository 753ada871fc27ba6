package strictyaml

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// MaxTree is the size in bytes of the largest text that is made a tree at
// once. A tree takes some fifty times the memory of its text.
const MaxTree = 4 << 20

// text is the file of a document whose tree is gone. Its errors are placed by
// reading the item again that they are in.
type text struct {
	data  []byte
	list  string
	items []span // empty: the whole is read again
	json  bool   // an item is the value alone, not a list with it
	// current is the item that was read last, node its tree.
	current int
	node    *yaml.Node
	// Where data is nil, reread brings it back, if it is still what sum says.
	reread func() ([]byte, error)
	sum    [sha256.Size]byte
}

// Release drops the text of a document that DecodeEach has read. When a place is
// asked for, reread must return it once more. If it then is another, places are
// those of whole items.
func (d *Document) Release(reread func() ([]byte, error)) {
	if t := d.text; t != nil && t.data != nil {
		t.sum, t.reread = sha256.Sum256(t.data), reread
		t.data, t.node, t.current = nil, nil, -1
	}
}

// back brings the text back and reports whether that went well.
func (t *text) back() bool {
	if t.data == nil && t.reread != nil {
		data, err := t.reread()
		if t.reread = nil; err == nil && sha256.Sum256(data) == t.sum {
			t.data = data
		}
	}
	return t.data != nil
}

// stream is where the items of a list go.
type stream struct {
	field protoreflect.FieldDescriptor
	new   func() protoreflect.Message
	each  func(i int, item proto.Message, wrong *Wrong)
	from  int // items before this one were handed over already
}

// DecodeEach is Decode for a message that has a list, the named field of m, of
// a great many messages. Items are handed over one by one, in order, and not kept: good
// ones with nil, others with what is wrong with them, and those that are not YAML not at
// all. m is left without them, and rules on the list as a whole are not looked at. As
// long as the list is a YAML block or the file JSON, a file is never in memory as a whole
// tree. Any other has at most MaxTree bytes.
//
// The document keeps data, which the caller must not change.
func (o Options) DecodeEach(file string, data []byte, m proto.Message, list protoreflect.Name, each func(i int, item proto.Message, wrong *Wrong)) (*Document, error) {
	field := m.ProtoReflect().Descriptor().Fields().ByName(list)
	items := m.ProtoReflect().NewField(field).List()
	d := &decoder{doc: &Document{File: file}, options: o, stream: &stream{
		field: field, each: each, new: func() protoreflect.Message { return items.NewElement().Message() },
	}}
	doc := d.doc
	if !d.readable(data) {
		return doc, doc.errs.Err()
	}
	doc.text = &text{data: data, list: string(list), current: -1}
	if len(data) <= MaxBytes {
		doc.text.items, doc.text.json = split(data, string(list))
	}
	switch {
	case len(doc.text.items) > 0:
		d.items(m)
	case len(data) > MaxTree && len(data) <= MaxBytes:
		d.tooLarge(data)
	default:
		if d.parse(data); doc.root != nil {
			d.whole(m)
		}
	}
	doc.root, doc.bad, doc.unknown, doc.ruled = nil, nil, nil, nil
	return doc, doc.errs.Err()
}

// batch is how many items are made a tree at once.
const batch = 32

// items reads one item after the other.
func (d *decoder) items(m proto.Message) {
	t, tried := d.doc.text, false
	next, stop := t.batches()
	defer stop()
	var ahead []*yaml.Node
	for i := 0; i < len(t.items) && !d.doc.full(); i++ {
		if i%batch == 0 {
			ahead = next()
		}
		t.current, t.node = i, nil
		if ahead != nil {
			t.node = ahead[i%batch]
		} else {
			node, err := t.parse(i)
			if err != nil {
				if !tried && d.asOne(m, i) {
					return
				}
				tried = true
				part := t.items[i]
				d.syntax(err, part.of(t.data), part)
				continue
			}
			t.node = node
		}
		d.item(t.node, i)
	}
}

// asOne reads the file as a whole from item i on, which is not YAML by itself.
// It reports whether the whole is.
func (d *decoder) asOne(m proto.Message, i int) bool {
	var doc yaml.Node
	t := d.doc.text
	if len(t.data) > MaxTree || yaml.Unmarshal(t.data, &doc) != nil || len(doc.Content) != 1 {
		return false
	}
	d.doc.root, d.stream.from = doc.Content[0], i
	t.items, t.node, t.current = nil, nil, -1
	d.whole(m)
	return true
}

func (d *decoder) whole(m proto.Message) {
	d.message(d.doc.root, m.ProtoReflect())
	d.doc.validate(m, nil)
}

// item reads one item and hands it over if it is good.
func (d *decoder) item(n *yaml.Node, i int) {
	if i < d.stream.from {
		return
	}
	doc, before := d.doc, len(d.doc.errs)
	depth, bad, unknown, ruled := len(d.path), len(doc.bad), len(doc.unknown), len(doc.ruled)
	d.path = append(d.path[:0], doc.text.list, i)
	item := d.stream.new()
	d.message(n, item)
	doc.validate(item.Interface(), d.path)
	d.path = d.path[:depth]
	var wrong *Wrong
	if len(doc.errs) > before {
		wrong = &Wrong{Unread: slices.Clone(doc.bad[bad:]), Ruled: slices.Clone(doc.ruled[ruled:])}
	}
	doc.bad, doc.unknown, doc.ruled = doc.bad[:bad], doc.unknown[:unknown], doc.ruled[:ruled]
	d.stream.each(i, item.Interface(), wrong)
}

// Wrong is what is wrong with an item that was read with errors.
type Wrong struct {
	// Unread are the values that the item lacks, since they could not be read, and
	// keys that nobody knows.
	Unread []Path
	// Ruled are the values that break a rule. The item has them.
	Ruled []Path
}

// tooLarge reports a file that would have to be read as one tree.
func (d *decoder) tooLarge(data []byte) {
	var syntax *json.SyntaxError
	if text := bytes.TrimLeft(data, " \t\r\n"); text[0] == '{' && errors.As(json.Unmarshal(data, new(json.RawMessage)), &syntax) {
		at := cursor{data: data, line: 1, column: 1}
		at.advance(min(max(int(syntax.Offset)-1, 0), len(data)))
		d.doc.addAt(at.line, at.column, nil, "not JSON: "+syntax.Error())
		return
	}
	d.doc.addAt(1, 1, nil, fmt.Sprintf("a file of more than %d MiB must be JSON, or have %s: on a line of its own and below it a line with \"- \" for each item",
		MaxTree>>20, d.stream.field.Name()))
}

// parse returns the tree of one item, its places being those in the file.
func (t *text) parse(i int) (*yaml.Node, error) {
	part := t.items[i]
	if part.end-part.start > MaxTree {
		return nil, fmt.Errorf("yaml: more than %d MiB in one item", MaxTree>>20)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(part.of(t.data), &doc); err != nil {
		return nil, err
	}
	if len(doc.Content) != 1 {
		return nil, errors.New("yaml: an item that is empty")
	}
	node := doc.Content[0]
	if !t.json {
		if node.Kind != yaml.SequenceNode || len(node.Content) != 1 {
			return nil, errors.New("yaml: not one item")
		}
		node = node.Content[0]
	}
	move(node, int(part.line)-1, int(part.column)-1)
	return node, nil
}

// batches makes trees of one batch after the other, on as many processors as
// there are, since this is half of the work of a load. next waits for the trees
// of the next batch; they are nil if it has to be read item by item.
func (t *text) batches() (next func() []*yaml.Node, stop func()) {
	if t.json {
		return func() []*yaml.Node { return nil }, func() {}
	}
	data, items, quit := t.data, t.items, make(chan struct{}) // t may change meanwhile
	queue := make(chan chan []*yaml.Node, runtime.GOMAXPROCS(0))
	go func() {
		for from := 0; from < len(items); from += batch {
			trees := make(chan []*yaml.Node, 1)
			select {
			case queue <- trees:
			case <-quit:
				return
			}
			go func() {
				var some []*yaml.Node
				defer func() {
					_ = recover() // item by item, the same panic comes where the caller can see it
					trees <- some
				}()
				some = parseSome(data, items[from:min(from+batch, len(items))])
			}()
		}
	}()
	return func() []*yaml.Node { return <-<-queue }, func() { close(quit) }
}

// parseSome returns the trees of some items of a block at once, which costs
// half as much. It returns nil if that does not go without trouble.
func parseSome(data []byte, items []span) []*yaml.Node {
	begin, end := items[0].start, items[len(items)-1].end
	var doc yaml.Node
	if int(end-begin) > MaxTree/4 || yaml.Unmarshal(data[begin:end], &doc) != nil || len(doc.Content) != 1 {
		return nil
	}
	list := doc.Content[0]
	if list.Kind != yaml.SequenceNode || len(list.Content) != len(items) {
		return nil
	}
	move(list, int(items[0].line)-1, 0)
	return list.Content
}

// move makes places in an item places in the file.
func move(n *yaml.Node, lines, columns int) {
	if n.Line == 1 {
		n.Column += columns
	}
	n.Line += lines
	for _, c := range n.Content {
		move(c, lines, columns)
	}
}

// start returns the tree that holds the value at the path, the place of its
// root, and the rest of the path. The tree is nil if there is none, or if the
// place is all that is known.
func (d *Document) start(path Path) (node *yaml.Node, line, column int, rest Path) {
	switch t := d.text; {
	case d.root != nil:
		node = d.root
	case t == nil:
		return nil, 0, 0, nil
	case !t.back():
		line, column = t.itemPlace(path)
		return nil, line, column, nil
	case len(t.items) == 0:
		node = t.tree(-1)
	default:
		if i := t.item(path); i >= 0 {
			node, path = t.tree(i), path[2:]
			break
		}
		line, column = t.head(len(path) > 0)
		return nil, line, column, nil
	}
	if node == nil {
		return nil, 0, 0, nil
	}
	return node, node.Line, node.Column, path
}

// item returns the number of the item that the path leads into, or -1.
func (t *text) item(path Path) int {
	if len(path) > 1 && path[0] == t.list {
		if i, ok := path[1].(int); ok && i < len(t.items) {
			return i
		}
	}
	return -1
}

// itemPlace returns the place of the item without the text.
func (t *text) itemPlace(path Path) (line, column int) {
	if i := t.item(path); i >= 0 {
		return int(t.items[i].line), int(t.items[i].column)
	}
	return 1, 1
}

// tree returns the tree of item i, or of the whole for -1.
func (t *text) tree(i int) *yaml.Node {
	if t.current == i && t.node != nil {
		return t.node
	}
	var node *yaml.Node
	if i >= 0 {
		node, _ = t.parse(i) // it was read before
	} else if doc := new(yaml.Node); yaml.Unmarshal(t.data, doc) == nil && len(doc.Content) == 1 {
		node = doc.Content[0]
	}
	t.current, t.node = i, node
	return node
}

// head returns the place of the root, or of the list's key.
func (t *text) head(key bool) (line, column int) {
	at := cursor{data: t.data, line: 1, column: 1}
	to := 0
	for rest := t.data; ; {
		line, after, more := bytes.Cut(rest, []byte{'\n'})
		if text := bytes.TrimSpace(line); more && (len(text) == 0 || text[0] == '#' || string(text) == "---") {
			to, rest = to+len(line)+1, after
			continue
		}
		to += len(line) - len(bytes.TrimLeft(line, " \t"))
		break
	}
	if key && t.data[to] == '{' {
		to += max(0, bytes.IndexByte(t.data[to:], '"'))
	}
	at.advance(to)
	return at.line, at.column
}
