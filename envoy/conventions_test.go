package envoy_test

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"

	"github.com/hookbastion/hookbastion/envoy/envoytest"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
)

// convention is what OpenTelemetry's package says of an attribute.
type convention struct{ kind, comment string }

// conventions are those of the package whose version the schema URL names, read from its
// source: the package has the keys, and the types only in its comments.
var conventions = sync.OnceValues(func() (map[string]convention, error) {
	version := telemetry.SchemaURL[strings.LastIndexByte(telemetry.SchemaURL, '/')+1:]
	found, err := build.Import("go.opentelemetry.io/otel/semconv/v"+version, ".", build.FindOnly)
	if err != nil {
		return nil, err
	}
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(found.Dir, "attribute_group.go"), nil, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	all := map[string]convention{}
	kind := regexp.MustCompile(`(?m)^Type: (.*)$`)
	for _, d := range file.Decls {
		constants, ok := d.(*ast.GenDecl)
		if !ok || constants.Tok != token.CONST {
			continue
		}
		for _, s := range constants.Specs {
			spec, _ := s.(*ast.ValueSpec)
			if spec == nil || spec.Doc == nil || len(spec.Values) != 1 {
				continue
			}
			call, ok := spec.Values[0].(*ast.CallExpr)
			if !ok || len(call.Args) != 1 {
				continue
			}
			literal, ok := call.Args[0].(*ast.BasicLit)
			if m := kind.FindStringSubmatch(spec.Doc.Text()); ok && m != nil {
				if key, err := strconv.Unquote(literal.Value); err == nil {
					all[key] = convention{m[1], spec.Doc.Text()}
				}
			}
		}
	}
	return all, nil
})

// followConventions fails for each attribute of a span that is neither ours nor one of the
// conventions', with a value of its type.
func followConventions(t *testing.T, s envoytest.Span) {
	t.Helper()
	known, err := conventions()
	if err != nil || len(known) < 300 {
		t.Fatalf("%d conventions: %v", len(known), err)
	}
	theirs := 0
	for _, a := range s.GetAttributes() {
		if strings.HasPrefix(a.GetKey(), "hookbastion.") {
			continue
		}
		c, ok := known[a.GetKey()]
		if !ok {
			t.Errorf("%s is neither ours nor a convention", a.GetKey())
			continue
		}
		theirs++
		_, isText := a.GetValue().GetValue().(*commonpb.AnyValue_StringValue)
		_, isNumber := a.GetValue().GetValue().(*commonpb.AnyValue_IntValue)
		switch c.kind {
		case "string", "Enum":
			ok = isText
		case "int":
			ok = isNumber
		default:
			ok = false // of none of those that we have
		}
		if !ok {
			t.Errorf("%s is %v, and its type is %s", a.GetKey(), a.GetValue(), c.kind)
		}
		if strings.Contains(c.comment, "Deprecated") {
			t.Errorf("%s is deprecated", a.GetKey())
		}
	}
	// What a span of an RPC and of an HTTP request must have.
	for _, key := range []string{"rpc.system.name", "rpc.method", "rpc.response.status_code", "http.request.method", "url.path", "server.address"} {
		if envoytest.Value(s.GetAttributes(), key) == nil {
			t.Errorf("there is no %s", key)
		}
	}
	if theirs < 6 {
		t.Errorf("only %d attributes of the conventions", theirs)
	}
}
