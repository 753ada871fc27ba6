package settings

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hookbastion/hookbastion/policy/strictyaml"
)

// Words is the annotation of a flag whose value is one of a few words.
const Words = "words"

// Flags are what a command line says of the settings.
type Flags struct {
	set      *pflag.FlagSet
	config   string
	policies []string
}

// AddFlags gives a command --policy, --config and one flag for each setting, in the
// order of the file.
func AddFlags(set *pflag.FlagSet) *Flags {
	f := &Flags{set: set}
	set.SortFlags = false
	set.StringArrayVar(&f.policies, "policy", nil, "directory or file with policies, in place of policy.directories; may be repeated (default: policies)")
	set.StringVar(&f.config, "config", "", "settings file (default: none, and what follows has its defaults)")
	for _, s := range allSettings() {
		flag := set.VarPF(&text{kind: s.kind()}, s.flag(), "", s.meaning())
		if s.field.Kind() == protoreflect.BoolKind || slices.Contains(s.words(), "true") {
			flag.NoOptDefVal = "true"
		}
		if words := s.words(); len(words) > 0 {
			flag.Annotations = map[string][]string{Words: words}
		}
	}
	return f
}

// Values reads what the file, the variables and the flags say.
func (f *Flags) Values() (*Values, error) {
	v, err := read(f.config, f.set)
	if err == nil && len(f.policies) > 0 {
		v.usePolicies(f.policies)
	}
	return v, err
}

// text is the value of a flag as it was given; the rules of the file judge it.
type text struct{ value, kind string }

func (t *text) String() string { return t.value }
func (t *text) Type() string   { return t.kind }

// Set takes the value. A list that is given more than once is one list.
func (t *text) Set(value string) error {
	if t.kind == "list" && t.value != "" {
		value = t.value + "," + value
	}
	t.value = value
	return nil
}

// kind says in help what the value looks like.
func (s setting) kind() string {
	switch {
	case s.field.IsList():
		return "list"
	case s.field.Message() != nil:
		return "duration"
	case s.field.Kind() == protoreflect.BoolKind:
		return "bool"
	case s.field.Kind() == protoreflect.Uint32Kind:
		return "number"
	case s.field.Kind() == protoreflect.Uint64Kind:
		return "size"
	default:
		return "text"
	}
}

// meaning is what help says: the comment of the .proto file, the words that may be
// given, and the default at the end.
func (s setting) meaning() string {
	about, rest, _ := strings.Cut(meanings[string(s.field.FullName())], "Default: ")
	if words := s.words(); len(words) > 0 {
		about += strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1] + ". "
	}
	return about + "Default: " + rest
}

// words are those of which the value is one; none if it is free.
func (s setting) words() []string {
	if s.field.Kind() != protoreflect.EnumKind {
		return nil
	}
	var words []string
	values := s.field.Enum().Values()
	for i := range values.Len() {
		if word := strictyaml.Word(values.Get(i)); word != "" {
			words = append(words, word)
		}
	}
	return words
}

// usageWidth is in columns.
const usageWidth = 100

// Usage is the usage of a command with the flags of settings: they are many, and each
// says more than fits on a line.
func Usage(cmd *cobra.Command) error {
	_, err := fmt.Fprintf(cmd.OutOrStderr(), "Usage:\n  %s [flags]\n\nFlags. That of a setting has a variable of the same name: HOOKBASTION_GRPC_LISTEN for\n--grpc-listen.\n%s", cmd.CommandPath(), cmd.LocalFlags().FlagUsagesWrapped(usageWidth))
	return err
}
