package condition

import (
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// Facts is what can be said of an expression without any request. It is for those who
// look at policies; no verdict depends on it.
type Facts struct {
	// Always says that it is true, and Never that it is false, whatever is sent, as far as
	// it can be evaluated. Neither is said unless it is so; some that are so go unseen.
	Always, Never bool
	// Reads is what it looks at, each once.
	Reads []Read
	// Compares is what of that is compared with a fixed text; of the body, Name is body and
	// the keys.
	Compares []Read
}

// Read is a name that an expression looks at. Key is the header or parameter, where the
// name is headers or query and only one of them is looked at.
type Read struct{ Name, Key string }

// String writes headers['x-event'] or body.
func (r Read) String() string {
	if r.Key == "" {
		return r.Name
	}
	return r.Name + "['" + r.Key + "']"
}

// FactsOf looks at an expression that compiles; see Facts of Parsed.
func FactsOf(text string, known map[string][]any) (Facts, error) {
	p, err := Parse(text)
	if err != nil {
		return Facts{}, err
	}
	return p.Facts(known), nil
}

// Parsed is an expression that can be looked at again and again. It is safe for concurrent
// use.
type Parsed struct {
	root  ast.Expr
	facts Facts // that are the same for all webhooks
}

// Parse reads an expression. The error says what is wrong with it.
func Parse(text string) (*Parsed, error) {
	checked, issues := environment.Compile(text)
	if err := issues.Err(); err != nil {
		return nil, firstIssue(text, issues)
	}
	p := &Parsed{root: checked.NativeRep().Expr()}
	r := reader{facts: &p.facts}
	r.read(p.root)
	ast.PreOrderVisit(p.root, ast.NewExprVisitor(func(e ast.Expr) {
		if read, ok := comparedWithText(e); ok && !slices.Contains(p.facts.Compares, read) {
			p.facts.Compares = append(p.facts.Compares, read)
		}
	}))
	return p, nil
}

// Facts says what can be said of it without a request. Known are the values that names can have in
// all requests of a webhook, such as its methods; a name that is not among them may have any.
// Of now it is the earliest.
func (p *Parsed) Facts(known map[string][]any) Facts {
	facts := p.facts
	facts.Always, facts.Never = decide(p.root, known)
	return facts
}

// comparedWithText returns what is compared with a text of eight characters or more.
func comparedWithText(e ast.Expr) (Read, bool) {
	if e.Kind() != ast.CallKind {
		return Read{}, false
	}
	call := e.AsCall()
	var sides []ast.Expr
	switch name := call.FunctionName(); {
	case (name == operators.Equals || name == operators.NotEquals || name == operators.In) && len(call.Args()) == 2:
		sides = call.Args()
	case call.IsMemberFunction() && len(call.Args()) == 1:
		sides = []ast.Expr{call.Target(), call.Args()[0]}
	default:
		return Read{}, false
	}
	for i, side := range sides {
		if other := sides[1-i]; isText(side) {
			return subject(other)
		}
	}
	return Read{}, false
}

// isText reports whether an expression is a fixed text that could be a token, or a list of
// such.
func isText(e ast.Expr) bool {
	const least = 8
	switch e.Kind() {
	case ast.LiteralKind:
		text, ok := e.AsLiteral().(types.String)
		return ok && len(text) >= least
	case ast.ListKind:
		return slices.ContainsFunc(e.AsList().Elements(), isText)
	default:
		return false
	}
}

// subject is the header, parameter or key that an expression takes a value from.
func subject(e ast.Expr) (Read, bool) {
	if read, ok := named(e); ok {
		return read, true
	}
	switch e.Kind() {
	case ast.SelectKind:
		read, ok := subject(e.AsSelect().Operand())
		read.Name += "." + e.AsSelect().FieldName()
		return read, ok
	case ast.CallKind:
		if call := e.AsCall(); call.FunctionName() == operators.Index && len(call.Args()) == 2 {
			return subject(call.Args()[0])
		}
		return Read{}, false
	case ast.IdentKind:
		return Read{Name: e.AsIdent()}, true
	default:
		return Read{}, false
	}
}

// reader collects what is looked at.
type reader struct {
	facts *Facts
	local []string // variables of loops
}

func (r *reader) note(read Read) {
	if !slices.Contains(r.facts.Reads, read) {
		r.facts.Reads = append(r.facts.Reads, read)
	}
}

func (r *reader) read(e ast.Expr) {
	if read, ok := named(e); ok {
		r.note(read)
		return
	}
	switch e.Kind() {
	case ast.IdentKind:
		if name := e.AsIdent(); !slices.Contains(r.local, name) && !strings.HasPrefix(name, "@") {
			r.note(Read{Name: name})
		}
	case ast.SelectKind:
		r.read(e.AsSelect().Operand())
	case ast.CallKind:
		if call := e.AsCall(); call.IsMemberFunction() {
			r.read(call.Target())
		}
		for _, arg := range e.AsCall().Args() {
			r.read(arg)
		}
	case ast.ListKind:
		for _, item := range e.AsList().Elements() {
			r.read(item)
		}
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			r.read(entry.AsMapEntry().Key())
			r.read(entry.AsMapEntry().Value())
		}
	case ast.ComprehensionKind:
		c := e.AsComprehension()
		r.read(c.IterRange())
		before := r.local
		r.local = append(before[:len(before):len(before)], c.IterVar(), c.IterVar2(), c.AccuVar())
		for _, part := range []ast.Expr{c.AccuInit(), c.LoopCondition(), c.LoopStep(), c.Result()} {
			r.read(part)
		}
		r.local = before
	default:
	}
}

// named recognises one header or parameter: headers['a'], headers.a and 'a' in headers.
func named(e ast.Expr) (Read, bool) {
	of := func(operand ast.Expr, key string) (Read, bool) {
		if operand.Kind() != ast.IdentKind || operand.AsIdent() != "headers" && operand.AsIdent() != "query" {
			return Read{}, false
		}
		return Read{operand.AsIdent(), key}, true
	}
	switch e.Kind() {
	case ast.SelectKind:
		return of(e.AsSelect().Operand(), e.AsSelect().FieldName())
	case ast.CallKind:
		call := e.AsCall()
		if len(call.Args()) != 2 {
			return Read{}, false
		}
		operand, key := call.Args()[0], call.Args()[1]
		switch call.FunctionName() {
		case operators.In:
			operand, key = key, operand
		case operators.Index:
		default:
			return Read{}, false
		}
		if key.Kind() == ast.LiteralKind {
			if text, ok := key.AsLiteral().(types.String); ok {
				return of(operand, string(text))
			}
		}
	default:
	}
	return Read{}, false
}

// writtenAs is an expression as a text that two have only if they say the same.
func writtenAs(e ast.Expr) string {
	var b strings.Builder
	write(&b, e)
	return b.String()
}

func write(b *strings.Builder, e ast.Expr) {
	list := func(all []ast.Expr) {
		for _, item := range all {
			b.WriteByte(' ')
			write(b, item)
		}
	}
	b.WriteByte('(')
	defer b.WriteByte(')')
	switch e.Kind() {
	case ast.IdentKind:
		b.WriteString("name " + e.AsIdent())
	case ast.LiteralKind:
		b.WriteString("value " + literalText(e))
	case ast.SelectKind:
		b.WriteString("field " + strconv.FormatBool(e.AsSelect().IsTestOnly()) + " " + strconv.Quote(e.AsSelect().FieldName()))
		list([]ast.Expr{e.AsSelect().Operand()})
	case ast.CallKind:
		// headers['a'] and headers.a are the same.
		if read, ok := named(e); ok && e.AsCall().FunctionName() == operators.Index {
			b.WriteString("field false " + strconv.Quote(read.Key) + " (name " + read.Name + ")")
			return
		}
		b.WriteString("call " + e.AsCall().FunctionName())
		if e.AsCall().IsMemberFunction() {
			list([]ast.Expr{e.AsCall().Target()})
		}
		list(e.AsCall().Args())
	case ast.ListKind:
		b.WriteString("list")
		list(e.AsList().Elements())
	case ast.MapKind:
		b.WriteString("map")
		for _, entry := range e.AsMap().Entries() {
			list([]ast.Expr{entry.AsMapEntry().Key(), entry.AsMapEntry().Value()})
		}
	case ast.ComprehensionKind:
		c := e.AsComprehension()
		b.WriteString("loop " + c.IterVar() + " " + c.IterVar2() + " " + c.AccuVar())
		list([]ast.Expr{c.IterRange(), c.AccuInit(), c.LoopCondition(), c.LoopStep(), c.Result()})
	default:
		b.WriteString("other " + strconv.FormatInt(e.ID(), 10)) // equal to itself alone
	}
}

func literalText(e ast.Expr) string {
	value := e.AsLiteral()
	return value.Type().TypeName() + " " + strconv.Quote(types.Format(value))
}
