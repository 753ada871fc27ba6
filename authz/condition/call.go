package condition

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"

	"cel.dev/cel-go/common/functions"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"
)

// charged returns the node with a charge before it, where it needs one.
func charged(node interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	inner, ok := node.(interpreter.InterpretableCall)
	if !ok {
		return node, nil
	}
	name := inner.Function()
	switch name {
	case step:
		return &turn{inner.ID(), inner.Args()[0], inner.Args()[1]}, nil
	case overloads.Matches:
		return matching(inner)
	}
	cost := costs[name]
	if cost == nil || written(inner) {
		return node, nil
	}
	result, err := implementation(inner)
	if err != nil {
		return nil, err
	}
	return &call{id: inner.ID(), args: inner.Args(), cost: cost, result: result}, nil
}

// written reports whether the call costs no more than what the policy has written:
// all is constant, or one of two values that are compared, or the list
// that is searched.
func written(inner interpreter.InterpretableCall) bool {
	args := inner.Args()
	constants, last := 0, false
	for _, arg := range args {
		_, last = arg.(interpreter.InterpretableConst)
		if last {
			constants++
		}
	}
	switch inner.Function() {
	case operators.Equals, operators.NotEquals:
		return constants > 0
	case operators.In:
		return last
	default:
		return constants == len(args)
	}
}

// call is a call that is charged before it is made. To CEL's planner it is no call,
// or it would put another in its place.
type call struct {
	id     int64
	args   []interpreter.InterpretableV2
	cost   func(args []ref.Val, left int) int
	result func(args []ref.Val) ref.Val
}

// ID returns the number of the node.
func (c *call) ID() int64 { return c.id }

// Eval is as Exec.
func (c *call) Eval(vars interpreter.Activation) ref.Val { return c.Exec(interpreter.AsFrame(vars)) }

// Exec evaluates the arguments, charges and calls.
func (c *call) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	args := make([]ref.Val, len(c.args))
	for i, arg := range c.args {
		args[i] = arg.Exec(frame)
		if types.IsUnknownOrError(args[i]) {
			return args[i]
		}
	}
	m := meterOf(frame)
	m.charge(1 + c.cost(args, m.left()))
	return c.result(args)
}

// turn is the condition of a loop, which is charged for one turn.
type turn struct {
	id              int64
	condition, cost interpreter.InterpretableV2
}

// ID returns the number of the node.
func (t *turn) ID() int64 { return t.id }

// Eval is as Exec.
func (t *turn) Eval(vars interpreter.Activation) ref.Val { return t.Exec(interpreter.AsFrame(vars)) }

// Exec charges and evaluates the condition.
func (t *turn) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	cost, _ := t.cost.Exec(frame).(types.Int)
	meterOf(frame).charge(int(cost))
	return t.condition.Exec(frame)
}

// implementation is what CEL's planner would call.
func implementation(inner interpreter.InterpretableCall) (func(args []ref.Val) ref.Val, error) {
	name, overload := inner.Function(), inner.OverloadID()
	switch name {
	case operators.Equals:
		return func(args []ref.Val) ref.Val { return types.Equal(args[0], args[1]) }, nil
	case operators.NotEquals:
		return func(args []ref.Val) ref.Val { return types.Bool(types.Equal(args[0], args[1]) != types.True) }, nil
	}
	bindings, err := environment.Functions()[name].Bindings()
	if err != nil {
		return nil, err
	}
	var found *functions.Overload
	for _, b := range bindings {
		if b.Operator == overload || b.Operator == name && found == nil {
			found = b
		}
	}
	return func(args []ref.Val) ref.Val {
		first := args[0]
		switch {
		case found != nil && (found.OperandTrait == 0 || first.Type().HasTrait(found.OperandTrait)):
			return apply(found, args)
		case first.Type().HasTrait(traits.ReceiverType):
			receiver, _ := first.(traits.Receiver)
			return receiver.Receive(name, overload, args[1:])
		default:
			return types.NewErr("no such overload: %s", name)
		}
	}, nil
}

func apply(o *functions.Overload, args []ref.Val) ref.Val {
	switch {
	case len(args) == 1 && o.Unary != nil:
		return o.Unary(args[0])
	case len(args) == 2 && o.Binary != nil:
		return o.Binary(args[0], args[1])
	case o.Function != nil:
		return o.Function(args...)
	default:
		return types.NewErr("no such overload: %s", o.Operator)
	}
}

// errPattern refuses patterns that a sender could write: some of twenty bytes take
// milliseconds to be read.
var errPattern = errors.New("is no condition: the pattern of matches() must be a literal")

// instructionsPerUnit is how many steps of a pattern cost as much as a node.
const instructionsPerUnit = 10

// matching compiles the pattern. A match costs at most as many steps as the text has
// bytes, times the instructions of the pattern.
func matching(inner interpreter.InterpretableCall) (interpreter.InterpretableV2, error) {
	args := inner.Args()
	if len(args) != 2 {
		return inner, nil
	}
	literal, ok := args[1].(interpreter.InterpretableConst)
	if !ok {
		return nil, errPattern
	}
	text, ok := literal.Value().(types.String)
	if !ok {
		return nil, errPattern
	}
	pattern, err := regexp.Compile(string(text))
	if err != nil {
		return nil, fmt.Errorf("is no condition: %w", err)
	}
	instructions := instructionsOf(string(text))
	return &call{
		id: inner.ID(), args: args,
		cost: func(args []ref.Val, _ int) int {
			return (1 + length(args[0])) * instructions / instructionsPerUnit
		},
		result: func(args []ref.Val) ref.Val {
			text, ok := args[0].(types.String)
			if !ok {
				return types.NewErr("no such overload: %s", overloads.Matches)
			}
			return types.Bool(pattern.MatchString(string(text)))
		},
	}, nil
}

func instructionsOf(pattern string) int {
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return maxCost
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return maxCost
	}
	return len(program.Inst)
}
