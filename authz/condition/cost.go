package condition

import (
	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/interpreter"
	"cel.dev/cel-go/parser"
)

// maxCost bounds what all conditions of one request do together. A unit is at most
// some 100 ns: two nodes of an expression, one value of a list that is compared, 16
// bytes of a text. So any request ends within what 2 ms are on a quiet core. CEL's
// own limit does not serve: to it a list weighs 1 for each of its items, whatever
// they hold, and a call is counted after it was made.
const maxCost = 16_000

// meter counts what was done for one request. It is found under meterName in an
// activation, a name that no expression can have.
type meter struct{ used int }

const meterName = "@meter"

// charge takes the cost, and ends the evaluation where there is not as much.
func (m *meter) charge(cost int) {
	if m.used += cost; m.used > maxCost {
		panic(interpreter.EvalCancelledError{Cause: interpreter.CostLimitExceeded, Message: "too much work"})
	}
}

func (m *meter) left() int { return maxCost - m.used }

func meterOf(frame *interpreter.ExecutionFrame) *meter {
	found, _ := frame.ResolveName(meterName)
	m, ok := found.(*meter)
	if !ok {
		panic(interpreter.EvalCancelledError{Cause: interpreter.CostLimitExceeded, Message: "no meter"})
	}
	return m
}

// step stands around the condition of each loop and charges for one turn of it. What
// is in no loop is done once, and as long as the policy has written it.
const step = "@step"

// loops are the macros that loop, with a step in each.
func loops() []cel.Macro {
	var counted []cel.Macro
	for _, macro := range cel.StandardMacros {
		if macro.Function() == operators.Has {
			counted = append(counted, macro)
			continue
		}
		counted = append(counted, cel.ReceiverMacro(macro.Function(), macro.ArgCount(), counting(macro.Expander())))
	}
	return counted
}

func counting(expand cel.MacroFactory) cel.MacroFactory {
	return func(eh parser.ExprHelper, target ast.Expr, args []ast.Expr) (ast.Expr, *common.Error) {
		expanded, err := expand(eh, target, args)
		if err != nil {
			return nil, err
		}
		c := expanded.AsComprehension()
		turn := eh.NewCall(step, c.LoopCondition(), eh.NewLiteral(types.Int(2+nodes(c.LoopStep())/2)))
		return eh.NewComprehension(c.IterRange(), c.IterVar(), c.AccuVar(), c.AccuInit(), turn, c.LoopStep(), c.Result()), nil
	}
}

// nodes counts what is evaluated in one turn, but for the turns of inner loops. What
// makes a list or an object takes as long as some others.
func nodes(e ast.Expr) int {
	n := 0
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.ListKind:
			n += 4
		case ast.MapKind:
			n += 8
		default:
			n++
		}
	}))
	return n
}
