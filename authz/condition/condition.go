// Package condition asks what a policy says of a delivery whose proof held:
// boolean expressions in the Common Expression Language (CEL).
//
// An expression is parsed, type-checked and its cost bounded when the policy is
// loaded. At request time only what it names is built; the body is parsed only
// where an expression reads it, only up to [MaxBodyBytes] and 10,000 keys and
// values, and only if no object in it has two keys that some reader could take
// for one. An expression that fails or is not true denies. What all of them do for
// one request is counted before it is done: what it would compare, search and go
// through, not the time that passes. Where that is more than a bound, the reason
// is timeout, on a fast machine as on a busy one.
//
// It does not make a proof: what the signature leaves out, a condition reads as
// the sender wrote it.
package condition

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"

	"github.com/hookbastion/hookbastion/authz"
)

// MaxBodyBytes is the size of the largest body that a condition reads.
const MaxBodyBytes = 64 << 10

// environment has the names that an expression may use.
var environment = func() *cel.Env {
	texts := cel.MapType(cel.StringType, cel.ListType(cel.StringType))
	env, err := cel.NewEnv(
		cel.ClearMacros(), cel.Macros(loops()...), cel.Function(step,
			cel.Overload(step, []*cel.Type{cel.BoolType, cel.IntType}, cel.BoolType,
				cel.BinaryBinding(func(condition, _ ref.Val) ref.Val { return condition }))),
		cel.Variable("body", cel.DynType),
		cel.Variable("headers", texts),
		cel.Variable("query", texts),
		cel.Variable("method", cel.StringType),
		cel.Variable("path", cel.StringType),
		cel.Variable("host", cel.StringType),
		cel.Variable("source", cel.StringType),
		cel.Variable("webhook", cel.StringType),
		cel.Variable("tenant", cel.StringType),
		cel.Variable("key_id", cel.StringType),
		cel.Variable("signed_time", cel.TimestampType),
		cel.Variable("now", cel.TimestampType),
	)
	if err != nil {
		panic(err) // the list above is wrong
	}
	return env
}()

// Expression is one condition, compiled. It is safe for concurrent use.
type Expression struct {
	text      string
	program   cel.Program
	readsBody bool
}

// ErrNotBool says that an expression is no condition.
var ErrNotBool = errors.New("is not true or false")

// Compile parses and checks an expression. The error says what is wrong and at
// which column of the text.
func Compile(text string) (*Expression, error) {
	checked, issues := environment.Compile(text)
	if err := issues.Err(); err != nil {
		return nil, firstIssue(text, issues)
	}
	if out := checked.OutputType(); !out.IsExactType(cel.BoolType) && !out.IsExactType(cel.DynType) {
		return nil, ErrNotBool
	}
	program, err := environment.Program(checked, cel.CustomDecoratorV2(charged), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, err
	}
	readsBody := false
	for _, reference := range checked.NativeRep().ReferenceMap() {
		readsBody = readsBody || reference.Name == "body"
	}
	return &Expression{text: text, program: program, readsBody: readsBody}, nil
}

func firstIssue(text string, issues *cel.Issues) error {
	first := issues.Errors()[0]
	return fmt.Errorf("is no condition: %s (column %d)%s", firstLine(first.Message), first.Location.Column()+1, asList(text, first.Message))
}

// values are what stands in a condition for all values of a name.
var values = regexp.MustCompile(`(?:headers|query)(?:\.[A-Za-z_]\w*|\[[^\]]{1,100}\])`)

// asList says how to take one value of several, where an expression takes the list of
// them for a text.
func asList(text, message string) string {
	if !strings.Contains(message, "no matching overload") || !strings.Contains(message, "list(string)") {
		return ""
	}
	list := values.FindString(text)
	if list == "" {
		return ""
	}
	return "; " + list + " is the list of all values: write " + list + "[0] for the first"
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	line, _, _ = strings.Cut(line, " expecting ") // a list of tokens
	return line
}

// Check asks for all expressions. It is safe for concurrent use.
type Check struct {
	Expressions []*Expression
}

// Stage returns StageConditions.
func (c *Check) Stage() authz.Stage { return authz.StageConditions }

// ReadsBody reports whether an expression needs the whole body.
func (c *Check) ReadsBody() bool {
	return slices.ContainsFunc(c.Expressions, func(e *Expression) bool { return e.readsBody })
}

// Run evaluates the expressions in order; the first that is not true denies.
func (c *Check) Run(call *authz.Call) authz.Reason {
	names := &activation{call: call}
	for _, e := range c.Expressions {
		out, _, err := e.program.Eval(names)
		held := err == nil && out != nil && out.Value() == true
		over := errors.As(err, new(interpreter.EvalCancelledError))
		if call.Explanation != nil {
			call.Explain(e.text, describe(err, held, over))
		}
		if over || call.Context.Err() != nil {
			return authz.Timeout
		}
		if !held {
			return authz.ConditionFailed
		}
	}
	return authz.OK
}

// describe does not print the error: it may hold a part of the body.
func describe(err error, held, over bool) string {
	switch {
	case over:
		return "more work than the conditions of one request may take"
	case err != nil:
		return "something that cannot be evaluated: a field that is absent, another type, or no JSON"
	case held:
		return "true"
	default:
		return "false"
	}
}

// activation builds the values that expressions name, each once.
type activation struct {
	call  *authz.Call
	built map[string]any
	meter meter
}

// Parent returns nil: there are no other names.
func (a *activation) Parent() interpreter.Activation { return nil }

// ResolveName returns the value of a name. Where it cannot be built, the name
// is unknown, and the expression fails.
func (a *activation) ResolveName(name string) (any, bool) {
	if name == meterName {
		return &a.meter, true
	}
	if value, ok := a.built[name]; ok {
		return value, value != nil
	}
	value := a.build(name)
	if a.built == nil {
		a.built = map[string]any{}
	}
	a.built[name] = value
	return value, value != nil
}

func (a *activation) build(name string) any {
	req := a.call.Request
	switch name {
	case "body":
		a.meter.charge(min(req.Body.Len(), MaxBodyBytes) / textUnit)
		return body(&req.Body)
	case "headers":
		a.meter.charge(len(req.Headers))
		headers := map[string][]string{}
		for _, h := range req.Headers {
			headers[string(h.Name)] = append(headers[string(h.Name)], string(h.Value))
		}
		return headers
	case "query":
		_, query, _ := strings.Cut(string(req.Path), "?")
		a.meter.charge(len(query) / textUnit)
		values, err := url.ParseQuery(query)
		if err != nil {
			return nil
		}
		return map[string][]string(values)
	case "method":
		return string(req.Method)
	case "path":
		return string(req.PathOnly())
	case "host":
		return string(req.Host)
	case "source":
		if !req.Source.IsValid() {
			return ""
		}
		return req.Source.String()
	case "webhook":
		return a.call.Webhook
	case "tenant":
		return string(a.call.Tenant)
	case "key_id":
		return a.call.KeyID
	case "now":
		return a.call.Now
	case "signed_time":
		if a.call.SignedTime.IsZero() {
			return nil
		}
		return a.call.SignedTime
	default:
		return nil
	}
}

// body returns the JSON value of a body; nil if it has none or is too large.
func body(b *authz.Body) any {
	if b.Len() > MaxBodyBytes {
		return nil
	}
	var value any
	if err := authz.StrictJSON(b.Joined(), &value); err != nil {
		return nil
	}
	return numbers(value)
}

// numbers turns JSON's numbers into CEL's: an int where it is one, else a double.
func numbers(value any) any {
	switch value := value.(type) {
	case json.Number:
		if n, err := strconv.ParseInt(value.String(), 10, 64); err == nil {
			return n
		}
		f, _ := value.Float64() // too large for one: infinite, with its sign
		return f
	case map[string]any:
		for key := range value {
			value[key] = numbers(value[key])
		}
	case []any:
		for i := range value {
			value[i] = numbers(value[i])
		}
	}
	return value
}
