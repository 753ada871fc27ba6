package telemetry

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"go.opentelemetry.io/otel/trace"
)

// Sampler decides which checks get a span, by the rules of OpenTelemetry's
// samplers, but before anything of a span is built. The zero value takes none.
type Sampler struct {
	parentBased bool
	// bound is compared with 63 bits of the trace id.
	bound uint64
}

// everything is the bound that takes all.
const everything = 1 << 63

// ParseSampler reads the values of OTEL_TRACES_SAMPLER and
// OTEL_TRACES_SAMPLER_ARG. An empty name is parentbased_always_on.
func ParseSampler(name, argument string) (Sampler, error) {
	ratio := 1.0
	if argument != "" {
		var err error
		if ratio, err = strconv.ParseFloat(argument, 64); err != nil || !(ratio >= 0 && ratio <= 1) {
			return Sampler{}, fmt.Errorf("OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1, not %q", argument)
		}
	}
	bound := uint64(ratio * everything)
	switch name {
	case "", "parentbased_always_on":
		return Sampler{parentBased: true, bound: everything}, nil
	case "parentbased_always_off":
		return Sampler{parentBased: true}, nil
	case "parentbased_traceidratio":
		return Sampler{parentBased: true, bound: bound}, nil
	case "always_on":
		return Sampler{bound: everything}, nil
	case "always_off":
		return Sampler{}, nil
	case "traceidratio":
		return Sampler{bound: bound}, nil
	}
	return Sampler{}, fmt.Errorf("OTEL_TRACES_SAMPLER must be always_on, always_off, traceidratio or one of these after parentbased_, not %q", name)
}

// takes decides for a call with this parent; id is the trace's.
func (s Sampler) takes(p *parent, id trace.TraceID) bool {
	if s.parentBased && p.valid() {
		return p.flags.IsSampled()
	}
	return binary.BigEndian.Uint64(id[8:])>>1 < s.bound
}
