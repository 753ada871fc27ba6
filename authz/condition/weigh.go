package condition

import (
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// costs says what a call costs beside its node, before it is made. What stands in
// no table costs the same whatever it is given, which a test holds against the
// functions that there are.
var costs = map[string]func(args []ref.Val, left int) int{
	operators.Equals:              both,
	operators.NotEquals:           both,
	operators.In:                  both,
	operators.Add:                 texts,
	operators.Less:                texts,
	operators.LessEquals:          texts,
	operators.Greater:             texts,
	operators.GreaterEquals:       texts,
	overloads.Size:                texts,
	overloads.StartsWith:          texts,
	overloads.EndsWith:            texts,
	overloads.Contains:            contains,
	overloads.TypeConvertBool:     texts,
	overloads.TypeConvertBytes:    texts,
	overloads.TypeConvertDouble:   texts,
	overloads.TypeConvertDuration: texts,
	overloads.TypeConvertInt:      texts,
	overloads.TypeConvertString:   texts,
	overloads.TypeConvertUint:     texts,

	overloads.TypeConvertTimestamp: texts,
	overloads.TimeGetFullYear:      zone,
	overloads.TimeGetMonth:         zone,
	overloads.TimeGetDayOfYear:     zone,
	overloads.TimeGetDayOfMonth:    zone,
	overloads.TimeGetDate:          zone,
	overloads.TimeGetDayOfWeek:     zone,
	overloads.TimeGetHours:         zone,
	overloads.TimeGetMinutes:       zone,
	overloads.TimeGetSeconds:       zone,
	overloads.TimeGetMilliseconds:  zone,
}

// both is what it costs to compare two values, or one with all of a list: no more
// than to walk over both.
func both(args []ref.Val, left int) int {
	n := weigh(args[0], left)
	if _, ok := args[1].(traits.Mapper); ok && n <= left {
		if _, ok := args[0].(traits.Mapper); !ok {
			return n // a look-up
		}
	}
	return n + weigh(args[1], left-n)
}

// textUnit is how many bytes of a text weigh as much as a node.
const textUnit = 64

func texts(args []ref.Val, _ int) int {
	n := 0
	for _, arg := range args {
		n += length(arg) / textUnit
	}
	return n
}

// contains is a search: linear, but for the long texts for which Go compares at
// each place that has the same sum, which can be all.
func contains(args []ref.Val, left int) int {
	text, part := length(args[0]), length(args[1])
	n := texts(args, left)
	if part > textUnit {
		n += text / textUnit * (part / textUnit)
	}
	return n
}

// zone is the cost of a time zone, which is read from a file.
func zone(args []ref.Val, _ int) int {
	if len(args) > 1 {
		return 1_000
	}
	return 0
}

func length(value ref.Val) int {
	switch value := value.(type) {
	case types.String:
		return len(value)
	case types.Bytes:
		return len(value)
	default:
		return 0
	}
}

// weigh counts what is in a value, and no further than left.
func weigh(value any, left int) int {
	n := 1
	switch value := value.(type) {
	case string:
		n += len(value) / textUnit
	case types.String:
		n += len(value) / textUnit
	case types.Bytes:
		n += len(value) / textUnit
	case []any:
		for i := 0; i < len(value) && n <= left; i++ {
			n += weigh(value[i], left-n)
		}
	case map[string]any:
		for key, item := range value {
			if n > left {
				break
			}
			n += 2 + len(key)/textUnit + weigh(item, left-n)
		}
	case traits.Lister:
		if size, ok := value.Size().(types.Int); !ok || int(size) > left {
			return left + 1
		}
		if items, ok := value.Value().([]any); ok {
			return weigh(items, left)
		}
		for it := value.Iterator(); n <= left && it.HasNext() == types.True; {
			n += weigh(it.Next(), left-n)
		}
	case traits.Mapper:
		for it := value.Iterator(); n <= left && it.HasNext() == types.True; {
			key := it.Next()
			n += weigh(key, left-n) + weigh(value.Get(key), left-n)
		}
	}
	return n
}
