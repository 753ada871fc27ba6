package condition

import (
	"maps"
	"slices"
	"testing"

	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
)

// Each function of the language is charged, or costs the same whatever it is given.
func TestFunctionsAreCharged(t *testing.T) {
	same := []string{
		step, operators.Conditional, operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot,
		operators.NotStrictlyFalse, operators.OldNotStrictlyFalse, operators.OldIn, overloads.DeprecatedIn, //nolint:staticcheck // they are there still, and not to be written
		operators.Divide, operators.Modulo, operators.Multiply, operators.Negate, operators.Subtract, operators.Index,
		overloads.TypeConvertType, overloads.TypeConvertDyn,
		overloads.Matches, // has a way of its own
	}
	for _, name := range slices.Sorted(maps.Keys(environment.Functions())) {
		if costs[name] == nil && !slices.Contains(same, name) {
			t.Errorf("%s: nobody has thought about its cost", name)
		}
	}
}
