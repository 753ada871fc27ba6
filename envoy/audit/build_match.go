package audit

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hookbastion/hookbastion/envoy/audit/model"
)

// text makes a StringMatcher, or one of the older fields in its place.
func stringMatcher(n node) model.Text {
	fold := n.get("ignore_case").truth()
	for _, kind := range []string{"exact", "prefix", "suffix", "contains"} {
		if v := n.get(kind); v.ok() {
			return model.NewText(kind, v.text(), fold)
		}
	}
	if v := n.get("safe_regex", "regex"); v.ok() {
		return model.NewText("regex", v.text(), false)
	}
	return model.Text{}
}

// headerMatcher makes a HeaderMatcher of a route or a rule.
func headerMatcher(n node) model.Condition {
	text := model.NewText("present", "", false)
	invert := n.get("invert_match").truth()
	older := map[string]string{"exact_match": "exact", "prefix_match": "prefix", "suffix_match": "suffix", "contains_match": "contains"}
	switch {
	case n.get("string_match").ok():
		text = stringMatcher(n.get("string_match"))
	case n.get("safe_regex_match").ok():
		text = model.NewText("regex", n.get("safe_regex_match", "regex").text(), false)
	case n.get("range_match").ok():
		text = model.Text{}
	case n.get("present_match").ok():
		invert = invert == n.get("present_match").truth()
	default:
		for field, kind := range older {
			if v := n.get(field); v.ok() {
				text = model.NewText(kind, v.text(), false)
			}
		}
	}
	return model.Header(strings.ToLower(n.get("name").text()), text, invert, n.get("treat_missing_header_as_empty").truth())
}

// routeMatch makes a RouteMatch.
func (a *audit) routeMatch(n node) model.Condition {
	fold := n.get("case_sensitive").ok() && !n.get("case_sensitive").truth()
	var list []model.Condition
	switch {
	case n.get("prefix").ok():
		list = append(list, model.Path(model.NewText("prefix", n.get("prefix").text(), fold)))
	case n.get("path").ok():
		list = append(list, model.Path(model.NewText("exact", n.get("path").text(), fold)))
	case n.get("path_separated_prefix").ok():
		list = append(list, model.Beneath(n.get("path_separated_prefix").text(), fold))
	case n.get("safe_regex").ok():
		list = append(list, model.Path(model.NewText("regex", n.get("safe_regex", "regex").text(), false)))
	case n.get("connect_matcher").ok():
		list = append(list, model.IsMethod("CONNECT"))
	case n.get("path_match_policy").ok():
		list = append(list, template(n.get("path_match_policy", "typed_config")))
	}
	for _, h := range n.get("headers").items() {
		list = append(list, headerMatcher(h))
	}
	for _, q := range n.get("query_parameters").items() {
		text := model.NewText("present", "", false)
		if q.get("string_match").ok() {
			text = stringMatcher(q.get("string_match"))
		}
		list = append(list, model.Query(q.get("name").text(), text))
	}
	for range n.get("cookies").items() {
		list = append(list, model.Unknown())
	}
	if n.get("grpc").ok() {
		list = append(list, model.GRPC())
	}
	if f := n.get("runtime_fraction"); f.ok() {
		list = append(list, model.Always(a.fraction(f)))
	}
	if n.get("tls_context").ok() {
		list = append(list, model.Unknown())
	}
	for _, field := range []string{"dynamic_metadata", "filter_state"} {
		for _, m := range n.get(field).items() {
			list = append(list, model.SetByFilters(field == "filter_state", m.get("invert").truth()))
		}
	}
	return model.All(list...)
}

var variable = regexp.MustCompile(`\\\{[^}=]*(=[^}]*)?\\\}|\\\*\\\*|\\\*`)

// template makes a path template.
func template(config node) model.Condition {
	_, body := config.typed()
	text := body.get("path_template").text()
	if text == "" {
		return model.Unknown()
	}
	expression := variable.ReplaceAllStringFunc(regexp.QuoteMeta(text), func(v string) string {
		if strings.Contains(v, `\*\*`) {
			return ".*"
		}
		return "[^/]+"
	})
	return model.Path(model.NewText("regex", expression, false))
}

// metadataMatcher makes a condition on one value of dynamic metadata.
func metadataMatcher(n node) model.Condition {
	var keys []string
	for _, segment := range n.get("path").items() {
		keys = append(keys, segment.get("key").text())
	}
	value := n.get("value", "string_match")
	if !value.ok() || len(keys) != 1 {
		return model.SetByFilters(false, n.get("invert").truth())
	}
	return model.MetadataIs(n.get("filter").text(), keys[0], stringMatcher(value), n.get("invert").truth())
}

// fraction tells how often a RuntimeFractionalPercent holds: by the static layers of the
// runtime, or by its default.
func (a *audit) fraction(n node) model.Truth {
	share, whole := n.get("default_value", "numerator").numberOr(0), denominator(n.get("default_value"))
	if set := a.runtime[n.get("runtime_key").text()]; set.ok() {
		if number, ok := set.number(); ok {
			share, whole = number, 100
		} else if set.get("numerator").ok() || set.get("denominator").ok() {
			share, whole = set.get("numerator").numberOr(0), denominator(set)
		}
	}
	switch {
	case share >= whole:
		return model.Yes
	case share == 0:
		return model.No
	default:
		return model.Maybe
	}
}

func denominator(n node) uint64 {
	switch n.get("denominator").text() {
	case "TEN_THOUSAND", "1":
		return 10_000
	case "MILLION", "2":
		return 1_000_000
	default:
		return 100
	}
}

// fractionBool reads a RuntimeFeatureFlag or RuntimeFractional Boolean.
func (a *audit) fractionBool(n node) bool {
	if set := a.runtime[n.get("runtime_key").text()]; set.ok() {
		return set.truth()
	}
	return n.get("default_value").truth()
}

// readRuntime keeps the values of the static layers, the last of each key.
func (a *audit) readRuntime(n node) {
	var flatten func(string, node)
	flatten = func(prefix string, values node) {
		values.each(func(key string, value node) {
			if prefix != "" {
				key = prefix + "." + key
			}
			a.runtime[key] = value
			if !value.get("numerator").ok() && !value.get("denominator").ok() {
				flatten(key, value)
			}
		})
	}
	for _, layer := range n.get("layers").items() {
		flatten("", layer.get("static_layer"))
	}
}

// rbac makes the rules of an RBAC filter.
func (b *builder) rbac(body node) *model.RBAC {
	built := &model.RBAC{
		Pass: model.Always(model.Yes), Namespace: "envoy.filters.http.rbac",
		Key: body.get("shadow_rules_stat_prefix").text() + "shadow_effective_policy_id",
	}
	if rules := body.get("rules"); rules.ok() {
		built.Pass = passes(rules)
	} else if body.get("matcher").ok() {
		built.Pass = model.Unknown()
	}
	for _, name := range policyNames(body.get("shadow_rules", "policies")) {
		built.Shadow = append(built.Shadow, model.Policy{Name: name, If: policyOf(body.get("shadow_rules", "policies").key(name))})
	}
	return built
}

func policyNames(policies node) (names []string) {
	policies.each(func(name string, _ node) { names = append(names, name) })
	slices.Sort(names) // Envoy keeps them in a sorted map
	return names
}

func passes(rules node) model.Condition {
	list := []model.Condition{model.Always(model.No)}
	rules.get("policies").each(func(_ string, p node) { list = append(list, policyOf(p)) })
	switch rules.get("action").text() {
	case "DENY", "1":
		return model.Not(model.Any(list...))
	case "LOG", "2":
		return model.Always(model.Yes)
	default:
		return model.Any(list...)
	}
}

func policyOf(p node) model.Condition {
	parts := []model.Condition{rulesOf(p.get("permissions")), rulesOf(p.get("principals"))}
	if p.get("condition").ok() || p.get("checked_condition").ok() {
		parts = append(parts, model.Unknown())
	}
	return model.All(parts...)
}

func rulesOf(list node) model.Condition {
	conditions := []model.Condition{model.Always(model.No)}
	for _, rule := range list.items() {
		conditions = append(conditions, ruleOf(rule, 0))
	}
	return model.Any(conditions...)
}

// ruleOf makes a Permission or a Principal.
func ruleOf(n node, depth int) model.Condition {
	several := func(list node) (made []model.Condition) {
		for _, item := range list.items() {
			made = append(made, ruleOf(item, depth+1))
		}
		return made
	}
	if depth > maxDepth {
		return model.Unknown()
	}
	switch {
	case n.get("any").ok():
		return model.Always(model.Known(n.get("any").truth()))
	case n.get("header").ok():
		return headerMatcher(n.get("header"))
	case n.get("url_path").ok():
		return model.Path(stringMatcher(n.get("url_path", "path")))
	case n.get("and_rules").ok():
		return model.All(several(n.get("and_rules", "rules"))...)
	case n.get("and_ids").ok():
		return model.All(several(n.get("and_ids", "ids"))...)
	case n.get("or_rules").ok():
		return model.Any(append(several(n.get("or_rules", "rules")), model.Always(model.No))...)
	case n.get("or_ids").ok():
		return model.Any(append(several(n.get("or_ids", "ids")), model.Always(model.No))...)
	case n.get("not_rule").ok():
		return model.Not(ruleOf(n.get("not_rule"), depth+1))
	case n.get("not_id").ok():
		return model.Not(ruleOf(n.get("not_id"), depth+1))
	case n.get("metadata").ok():
		return metadataMatcher(n.get("metadata"))
	default: // addresses, names, certificates
		return model.Unknown()
	}
}

// xds makes a tree of matchers whose actions are read by a function.
func xds(n node, action func(node) any, depth int) *model.Matcher {
	if !n.ok() || depth > maxDepth {
		return nil
	}
	branch := func(on node) *model.Branch {
		if inner := on.get("matcher"); inner.ok() {
			return &model.Branch{Then: xds(inner, action, depth+1)}
		}
		return &model.Branch{Action: action(on.get("action"))}
	}
	m := &model.Matcher{}
	for _, item := range n.get("matcher_list", "matchers").items() {
		b := branch(item.get("on_match"))
		b.If = predicate(item.get("predicate"), depth)
		m.List = append(m.List, *b)
	}
	if tree := n.get("matcher_tree"); tree.ok() {
		m.Tree = &model.Tree{Header: inputHeader(tree.get("input")), Exact: map[string]*model.Branch{}, Longest: map[string]*model.Branch{}}
		tree.get("exact_match_map", "map").each(func(key string, on node) { m.Tree.Exact[key] = branch(on) })
		tree.get("prefix_match_map", "map").each(func(key string, on node) { m.Tree.Longest[key] = branch(on) })
		m.Opaque = tree.get("custom_match").ok()
	}
	if on := n.get("on_no_match"); on.ok() {
		m.Else = branch(on)
	}
	return m
}

// inputHeader is the header that an input of a matcher reads, "" for other inputs.
func inputHeader(input node) string {
	typ, body := input.get("typed_config").typed()
	if typ != "HttpRequestHeaderMatchInput" {
		return ""
	}
	return strings.ToLower(body.get("header_name").text())
}

func predicate(n node, depth int) model.Condition {
	if depth > maxDepth {
		return model.Unknown()
	}
	several := func(list node) (made []model.Condition) {
		for _, item := range list.items() {
			made = append(made, predicate(item, depth+1))
		}
		return made
	}
	switch {
	case n.get("single_predicate").ok():
		single := n.get("single_predicate")
		name := inputHeader(single.get("input"))
		if name == "" || !single.get("value_match").ok() {
			return model.Unknown()
		}
		return model.Header(name, stringMatcher(single.get("value_match")), false, false)
	case n.get("and_matcher").ok():
		return model.All(several(n.get("and_matcher", "predicate"))...)
	case n.get("or_matcher").ok():
		return model.Any(several(n.get("or_matcher", "predicate"))...)
	case n.get("not_matcher").ok():
		return model.Not(predicate(n.get("not_matcher"), depth+1))
	default:
		return model.Unknown()
	}
}

// choice makes a filter that a matcher puts in or leaves out.
func (b *builder) choice(f *filter) *model.Choice {
	all := b.inner(f.inner)
	if !f.composite.ok() {
		tree := f.body.get("xds_matcher")
		if !tree.ok() {
			tree = f.body.get("matcher")
		}
		return &model.Choice{Else: all, Tree: xds(tree, func(action node) any {
			if typ, _ := action.get("typed_config").typed(); typ == "SkipFilter" {
				return []*model.Filter{}
			}
			return nil
		}, 0)}
	}
	tree := f.body.get("matcher")
	if f.kind == "ExtensionWithMatcher" {
		if tree = f.body.get("xds_matcher"); !tree.ok() {
			tree = f.body.get("matcher")
		}
	}
	return &model.Choice{Tree: xds(tree, func(action node) any {
		_, body := action.get("typed_config").typed()
		var chosen []*model.Filter
		for _, entry := range executed(body, f.composite) {
			inner := b.newFilter(entry, 0)
			inner.ours = b.isOurs(&inner)
			built := b.filter(&inner)
			built.Inner = true
			chosen = append(chosen, built)
		}
		if share := body.get("sample_percent"); share.ok() && b.fraction(share) != model.Yes {
			return nil
		}
		return chosen
	}, 0)}
}

// executed are the entries that an ExecuteFilterAction runs.
func executed(action, composite node) []node {
	if one := action.get("typed_config"); one.ok() {
		return []node{one}
	}
	if list := action.get("filter_chain", "typed_config"); list.ok() {
		return list.items()
	}
	return composite.get("named_filter_chains").key(action.get("filter_chain_name").text()).get("typed_config").items()
}

// whole reads a port or a size as text, for comparisons.
func whole(n uint64) string { return strconv.FormatUint(n, 10) }
