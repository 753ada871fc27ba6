package secret_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz/secret"
)

// compared returns the comparison, if it is one with == or != of text made of
// bytes, or of what a secret or a hash returns. Such a comparison ends at the
// first difference.
func compared(n ast.Node) bool {
	b, ok := n.(*ast.BinaryExpr)
	if !ok || b.Op != token.EQL && b.Op != token.NEQ {
		return false
	}
	return converted(b.X) && converted(b.Y) || revealed(b.X) || revealed(b.Y)
}

// converted reports whether an expression is string(…), of what is not a name.
func converted(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok || len(call.Args) != 1 {
		return false
	}
	if of, ok := call.Args[0].(*ast.SelectorExpr); ok && of.Sel.Name == "Name" {
		return false
	}
	name, ok := call.Fun.(*ast.Ident)
	return ok && name.Name == "string"
}

// revealed reports whether an expression is, or is made by conversion of, the
// bytes of a secret or hash.
func revealed(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.ParenExpr:
		return revealed(e.X)
	case *ast.SliceExpr:
		return revealed(e.X)
	case *ast.CallExpr:
		if s, ok := e.Fun.(*ast.SelectorExpr); ok {
			return s.Sel.Name == "Reveal" || strings.HasPrefix(s.Sel.Name, "Sum") || s.Sel.Name == "EncodeToString" && len(e.Args) == 1 && revealed(e.Args[0])
		}
		return converted(e) && revealed(e.Args[0])
	default:
		return false
	}
}

// What no lint rule can say: secrets are not compared with == either. Those
// about functions are in .golangci.yml, and .ci/lint-bites shows that they bite.
func TestNoOtherComparison(t *testing.T) {
	for expression, want := range map[string]bool{
		`string(mac) == string(sum)`:                  true,
		`string(v.Reveal()) != given`:                 true,
		`given == hex.EncodeToString(h.Sum(nil))`:     true,
		`sha256.Sum256(a) == b`:                       true,
		`string((v.Reveal())[:4]) == "abcd"`:          true,
		`digest.Sum() != other`:                       true,
		`len(v.Reveal()) == 0`:                        false,
		`string(name) == "host"`:                      false,
		`string(a.Name) == string(b.Name)`:            false,
		`secret.Equal(h.Sum(nil), sum)`:               false,
		`secret.Equal(h.Sum(nil), sum) == wanted`:     false,
		`hex.EncodeToString(name) == "686f7374"`:      false,
		`string(a) < string(b) && len(a) == len("b")`: false,
	} {
		parsed, err := parser.ParseExpr(expression)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		ast.Inspect(parsed, func(n ast.Node) bool { found = found || compared(n); return true })
		if found != want {
			t.Errorf("%s: found %v, want %v", expression, found, want)
		}
	}
	for _, value := range []any{secret.Value{}, secret.Digest{}} {
		if reflect.TypeOf(value).Comparable() {
			t.Errorf("%T has ==", value)
		}
	}
	files := 0
	for _, root := range []string{"../../authz", "../../envoy", "../../cmd/hookbastion"} {
		err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
				return err
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			files++
			ast.Inspect(file, func(n ast.Node) bool {
				if compared(n) {
					t.Errorf("%s: compare with secret.Equal", set.Position(n.Pos()))
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files < 100 {
		t.Errorf("only %d files", files)
	}
}
