package condition

import (
	"cmp"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// maxCases bounds how many combinations of values are tried.
const maxCases = 1 << 16

// decide tries an expression with values for all that it compares: of what is compared
// with constants, each of them and what lies beside and between; of all else, true and
// false. What the pieces have to do with each other is seen only as far as they compare
// the same thing.
func decide(e ast.Expr, known map[string][]any) (always, never bool) {
	b := &builder{known: map[string][]ref.Val{}, terms: map[string]*term{}}
	for name, values := range known {
		if t, ok := values[0].(time.Time); ok { // the earliest
			b.after = types.Timestamp{Time: t}
			continue
		}
		for _, v := range values {
			b.known[name] = append(b.known[name], types.DefaultTypeAdapter.NativeToValue(v))
		}
	}
	f := b.formula(e)
	names := slices.Sorted(maps.Keys(b.terms))
	cases := 1
	for _, name := range names {
		if b.terms[name].values = b.domain(name, b.terms[name]); len(b.terms[name].values) == 0 {
			return false, false
		}
		if cases *= len(b.terms[name].values); cases > maxCases {
			return false, false
		}
	}
	always, never = true, true
	with := map[string]ref.Val{}
	for i := range cases {
		rest := i
		for _, name := range names {
			values := b.terms[name].values
			with[name] = values[rest%len(values)]
			rest /= len(values)
		}
		if f(with) {
			never = false
		} else {
			always = false
		}
		if !always && !never {
			break
		}
	}
	return always, never
}

// formula says whether an expression is true with these values.
type formula func(with map[string]ref.Val) bool

// term is what is compared, or asked.
type term struct {
	constants []ref.Val
	ordered   bool // compared by < as well
	size      bool // a number of things, which is not below 0
	values    []ref.Val
}

type builder struct {
	known map[string][]ref.Val
	terms map[string]*term
	after types.Timestamp // now is not before
}

func constant(value bool) formula { return func(map[string]ref.Val) bool { return value } }

// question is a formula that may be true or false.
func (b *builder) question(e ast.Expr) formula {
	name := writtenAs(e)
	t := b.term(name)
	if len(t.constants) == 0 {
		t.constants = []ref.Val{types.True, types.False}
	}
	return func(with map[string]ref.Val) bool { return with[name] == types.True }
}

func (b *builder) term(name string) *term {
	if b.terms[name] == nil {
		b.terms[name] = &term{}
	}
	return b.terms[name]
}

func (b *builder) formula(e ast.Expr) formula {
	if value, ok := b.value(e); ok {
		return constant(value == types.True)
	}
	if e.Kind() == ast.ComprehensionKind {
		return b.loop(e)
	}
	if e.Kind() != ast.CallKind {
		return b.question(e)
	}
	call := e.AsCall()
	args := call.Args()
	switch name := call.FunctionName(); {
	case name == operators.LogicalNot && len(args) == 1:
		f := b.formula(args[0])
		return func(with map[string]ref.Val) bool { return !f(with) }
	case name == operators.LogicalAnd && len(args) == 2:
		f, g := b.formula(args[0]), b.formula(args[1])
		return func(with map[string]ref.Val) bool { return f(with) && g(with) }
	case name == operators.LogicalOr && len(args) == 2:
		f, g := b.formula(args[0]), b.formula(args[1])
		return func(with map[string]ref.Val) bool { return f(with) || g(with) }
	case name == operators.Conditional && len(args) == 3:
		f, g, h := b.formula(args[0]), b.formula(args[1]), b.formula(args[2])
		return func(with map[string]ref.Val) bool { return f(with) && g(with) || !f(with) && h(with) }
	case comparisons[name] != nil && len(args) == 2:
		return b.comparison(e, name, args[0], args[1])
	case name == operators.In && len(args) == 2:
		return b.in(e, args[0], args[1])
	case call.IsMemberFunction() && len(args) == 1 && b.fitsAll(name, args[0]):
		return constant(true)
	default:
		return b.question(e)
	}
}

// comparisons say what each operator makes of -1, 0 and 1.
var comparisons = map[string]func(order int) bool{
	operators.Equals:        func(order int) bool { return order == 0 },
	operators.NotEquals:     func(order int) bool { return order != 0 },
	operators.Less:          func(order int) bool { return order < 0 },
	operators.LessEquals:    func(order int) bool { return order <= 0 },
	operators.Greater:       func(order int) bool { return order > 0 },
	operators.GreaterEquals: func(order int) bool { return order >= 0 },
}

func (b *builder) comparison(e ast.Expr, operator string, left, right ast.Expr) formula {
	holds, sign := comparisons[operator], 1
	value, ok := b.value(right)
	if !ok {
		if value, ok = b.value(left); ok {
			left, right, sign = right, left, -1
		}
	}
	switch {
	case !ok && writtenAs(left) == writtenAs(right):
		return constant(holds(0))
	case !ok:
		return b.question(e)
	case value.Type() == types.BoolType && isQuestion(left):
		f := b.formula(left)
		if holds(0) == holds(1) { // < and > of truths
			return b.question(e)
		}
		return func(with map[string]ref.Val) bool { return holds(0) == (types.Bool(f(with)) == value) }
	}
	equality := operator == operators.Equals || operator == operators.NotEquals
	name := writtenAs(left)
	t := b.term(name)
	t.constants = append(t.constants, value)
	t.ordered = t.ordered || !equality
	t.size = t.size || isSize(left)
	return func(with map[string]ref.Val) bool {
		if equality {
			order := 1
			if types.Equal(with[name], value) == types.True {
				order = 0
			}
			return holds(order)
		}
		order, ok := compare(with[name], value)
		return ok && holds(sign*order) // or else it cannot be evaluated, and denies
	}
}

func compare(a, b ref.Val) (int, bool) {
	comparer, ok := a.(traits.Comparer)
	if !ok {
		return 0, false
	}
	order, ok := comparer.Compare(b).(types.Int)
	return int(order), ok
}

// isQuestion reports whether an expression is one of the language's own truths.
func isQuestion(e ast.Expr) bool {
	if e.Kind() == ast.SelectKind {
		return e.AsSelect().IsTestOnly()
	}
	if e.Kind() != ast.CallKind {
		return e.Kind() == ast.ComprehensionKind
	}
	name := e.AsCall().FunctionName()
	return comparisons[name] != nil || slices.Contains([]string{
		operators.LogicalNot, operators.LogicalAnd, operators.LogicalOr, operators.In,
		overloads.StartsWith, overloads.EndsWith, overloads.Contains, overloads.Matches,
	}, name)
}

func isSize(e ast.Expr) bool {
	return e.Kind() == ast.CallKind && e.AsCall().FunctionName() == overloads.Size
}

// in is a list of comparisons, where the list is one of constants.
func (b *builder) in(e, item, list ast.Expr) formula {
	if list.Kind() != ast.ListKind {
		return b.question(e)
	}
	var each []formula
	for _, element := range list.AsList().Elements() {
		each = append(each, b.comparison(e, operators.Equals, item, element))
	}
	return func(with map[string]ref.Val) bool {
		return slices.ContainsFunc(each, func(f formula) bool { return f(with) })
	}
}

// allKinds are texts of all kinds, up to the longest that there is; a pattern that fits
// each of them keeps nothing out.
var allKinds = []string{"", "a", "Z", "0", " ", "-_./:", "ü", "\x01", "null", "{}", strings.Repeat("x", MaxBodyBytes)}

// fitsAll reports whether a question about a text is true of each.
func (b *builder) fitsAll(function string, arg ast.Expr) bool {
	value, ok := b.value(arg)
	text, isText := value.(types.String)
	if !ok || !isText {
		return false
	}
	switch function {
	case overloads.StartsWith, overloads.EndsWith, overloads.Contains:
		return text == ""
	case overloads.Matches:
		pattern, err := regexp.Compile(string(text))
		return err == nil && !slices.ContainsFunc(allKinds, func(t string) bool { return !pattern.MatchString(t) })
	default:
		return false
	}
}

// loop is all() or exists() with a condition that does not depend on what is looked at,
// or a question.
func (b *builder) loop(e ast.Expr) formula {
	step := e.AsComprehension().LoopStep()
	if step.Kind() == ast.CallKind && len(step.AsCall().Args()) == 2 {
		always, never := decide(step.AsCall().Args()[1], nil)
		switch name := step.AsCall().FunctionName(); {
		case name == operators.LogicalAnd && always:
			return constant(true)
		case name == operators.LogicalOr && never:
			return constant(false)
		}
	}
	return b.question(e)
}

// value is what an expression is in each request.
func (b *builder) value(e ast.Expr) (ref.Val, bool) {
	constants := map[string]any{}
	if !b.isFixed(e, constants) {
		return nil, false
	}
	if e.Kind() == ast.LiteralKind {
		return e.AsLiteral(), true
	}
	program, err := environment.PlanProgram(ast.NewAST(e, ast.NewSourceInfo(nil)))
	if err != nil {
		return nil, false
	}
	out, _, err := program.Eval(constants)
	return out, err == nil && out != nil && !types.IsUnknownOrError(out)
}

// isFixed reports whether all names of an expression have one value.
func (b *builder) isFixed(e ast.Expr, constants map[string]any) bool {
	all := true
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.IdentKind:
			values := b.known[e.AsIdent()]
			if all = all && len(values) == 1; all {
				constants[e.AsIdent()] = values[0]
			}
		case ast.ComprehensionKind:
			all = false // its own names have many
		default:
		}
	}))
	return all
}

// domain is what a term is tried with.
func (b *builder) domain(name string, t *term) []ref.Val {
	for known, values := range b.known {
		if name == "(name "+known+")" {
			return values
		}
	}
	if name == "(name now)" && !b.after.IsZero() {
		return b.times(t)
	}
	values := slices.Clone(t.constants)
	numbers := map[float64]bool{}
	other := types.String("\x00other")
	for _, c := range t.constants {
		switch c := c.(type) {
		case types.Int:
			numbers[float64(c)] = true
		case types.Uint:
			numbers[float64(c)] = true
		case types.Double:
			numbers[float64(c)] = true
		case types.String:
			values = append(values, other)
			if t.ordered {
				values = append(values, types.String(""), c+"\x00", types.String("\U0010ffff\U0010ffff"))
			}
		case types.Bool:
			values = append(values, !c)
		case types.Timestamp, types.Duration, types.Bytes:
			return nil // nothing is known of what lies between
		default:
			values = append(values, other)
		}
	}
	values = append(values, between(numbers)...)
	if t.size {
		values = slices.DeleteFunc(values, func(v ref.Val) bool { order, ok := compare(v, types.IntZero); return ok && order < 0 || isFraction(v) })
	}
	return values
}

// times are the time from which on all requests come, and those that it is compared with,
// where they are still to come.
func (b *builder) times(t *term) []ref.Val {
	values := []ref.Val{b.after}
	for _, c := range t.constants {
		at, ok := c.(types.Timestamp)
		if !ok {
			return nil
		}
		for _, step := range []time.Duration{-time.Second, 0, time.Second} {
			if near := at.Time.Add(step); near.After(b.after.Time) {
				values = append(values, types.Timestamp{Time: near})
			}
		}
	}
	return values
}

func isFraction(v ref.Val) bool {
	d, ok := v.(types.Double)
	return ok && float64(d) != math.Trunc(float64(d))
}

// between are numbers beside and between others.
func between(numbers map[float64]bool) []ref.Val {
	sorted := slices.SortedFunc(maps.Keys(numbers), cmp.Compare[float64])
	var values []ref.Val
	for i, n := range sorted {
		// Whole numbers, too: of things there are only such.
		values = append(values, types.Double(n-1), types.Double(n+1), types.Double(math.Floor(n)), types.Double(math.Ceil(n)+1))
		if i > 0 {
			values = append(values, types.Double((sorted[i-1]+n)/2))
		}
	}
	return values
}
