package provider_test

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/authz"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// variant is a request, and what of a part of several borders was moved in it.
type variant struct {
	inside string
	req    *authz.Request
}

// requests are those whose parts have these texts: several where one part can be
// written in several ways.
func (sp *splitter) requests(shares []string) []variant {
	req := with(sp.sent)
	var forms []variant
	plain := true
	for i, p := range sp.parts {
		share := shares[i]
		switch part := p.GetPart().(type) {
		case *policyv1.Part_Body:
			if sp.texts[i] != "" {
				req.Body.Segments = [][]byte{[]byte(share)}
			}
		case *policyv1.Part_Timestamp:
			sp.setTime(req, share)
		case *policyv1.Part_Header:
			req.Set(strings.ToLower(part.Header.GetName()), share)
		case *policyv1.Part_Method:
			req.Method = authz.View(share)
		case *policyv1.Part_Url:
			req.Path = authz.View(strings.TrimPrefix(share, splitOrigin))
		case *policyv1.Part_Path:
			req.Path = authz.View(share)
		case *policyv1.Part_Json:
			setJSONText(req, part.Json, share)
		case *policyv1.Part_Form:
			forms, plain = sp.forms(req, share), false
		case *policyv1.Part_Code:
			if part.Code == policyv1.Part_PLIVO_V3 {
				return sp.plivo(req, share)
			}
		}
	}
	if field := sp.field(); field != "" {
		return []variant{{"", req}, {"body as a field of a form", asField(req, field)}, {"body as a field of the query", asQuery(req, field)}, {"body as a field of the query of a GET", asGET(req, field)}}
	}
	// The path is known only now, whatever the order of the parts.
	for i := range forms {
		forms[i].req.Path = req.Path
	}
	if plain {
		return []variant{{"", req}}
	}
	return forms
}

// with copies a request, and gives it another body if there is one.
func with(req *authz.Request, body ...string) *authz.Request {
	other := *req
	other.Headers = slices.Clone(req.Headers)
	for _, text := range body {
		other.Body.Segments = [][]byte{[]byte(text)}
	}
	return &other
}

// forms are requests whose parameters join to the text: as they were sent, all in
// one name, or a name and a value with the border at each place.
func (sp *splitter) forms(req *authz.Request, text string) []variant {
	if text == "" {
		return []variant{{"", with(req, "")}}
	}
	var all []variant
	was, _ := url.ParseQuery(string(sp.sent.Body.Joined()))
	if text == formText(sp.sent) {
		all = append(all, variant{"", with(req, was.Encode())})
	} else if front, ok := strings.CutSuffix(text, formText(sp.sent)); ok {
		all = append(all, variant{"", with(req, url.QueryEscape(front)+"=&"+was.Encode())})
	}
	for k := range len(text) + 1 {
		if form := (url.Values{text[:k]: {text[k:]}}).Encode(); form != was.Encode() {
			all = append(all, variant{"names and values of the form", with(req, form)})
		}
	}
	return all
}

// plivo are requests for a text of Plivo's: the query up to a dot or all of it,
// as the parameters that it shows or as one.
func (sp *splitter) plivo(req *authz.Request, text string) []variant {
	path, rest, _ := strings.Cut(strings.TrimPrefix(text, splitOrigin), "?")
	var all []variant
	for dot := 0; dot <= len(rest); dot++ {
		query, form := rest[:dot], rest[dot:]
		if dot > 0 && dot < len(rest) {
			if rest[dot] != '.' {
				continue
			}
			form = form[1:]
		}
		name, value, _ := strings.Cut(query, "=")
		for _, written := range []string{query, url.QueryEscape(name) + "=" + url.QueryEscape(value)} {
			inside := ""
			switch {
			case query != splitQuery:
				inside = "query | form"
			case written != query:
				inside = "parameters of the query"
			}
			other := with(req)
			other.Path = authz.View(path)
			if query != "" {
				other.Path = authz.View(path + "?" + written)
			}
			for _, v := range sp.forms(other, form) {
				if inside != "" {
					v.inside = inside
				}
				all = append(all, v)
			}
		}
	}
	return all
}

// field is the name of a form's field that is signed in place of the body.
func (sp *splitter) field() string {
	for _, p := range sp.parts {
		if name := p.GetBody().GetFormField(); name != "" {
			return name
		}
	}
	return ""
}

func asField(req *authz.Request, name string) *authz.Request {
	other := with(req, url.Values{name: {string(req.Body.Joined())}}.Encode())
	other.Set("content-type", "application/x-www-form-urlencoded")
	return other
}

func asGET(req *authz.Request, name string) *authz.Request {
	other := asQuery(req, name)
	other.Method = authz.View("GET")
	return other
}

func asQuery(req *authz.Request, name string) *authz.Request {
	other := with(req, "")
	other.Path = authz.View("/a/x?" + url.Values{name: {string(req.Body.Joined())}}.Encode())
	return other
}

// setTime puts another text where the signed time stands.
func (sp *splitter) setTime(req *authz.Request, text string) {
	t := sp.s.content().GetTimestamp()
	switch {
	case t.GetHeader() != "":
		req.Set(strings.ToLower(t.GetHeader()), text)
	case t.GetJson() != "":
		setJSONText(req, t.GetJson(), text)
	case t.GetKey() != "" || t.GetFirst() != nil:
		name := sp.s.place()
		value, _ := req.Headers.Lookup(name)
		req.Set(name, strings.Replace(string(value), sp.stamp(), text, 1))
	}
}

// setJSONText sets a text in the JSON body by its keys.
func setJSONText(req *authz.Request, path, text string) {
	var tree map[string]any
	if json.Unmarshal(req.Body.Joined(), &tree) != nil {
		return
	}
	at, keys := tree, strings.Split(path, ".")
	for _, key := range keys[:len(keys)-1] {
		at, _ = at[key].(map[string]any)
	}
	if at != nil {
		at[keys[len(keys)-1]] = text
	}
	body, _ := json.Marshal(tree) // it was read from JSON
	req.Body.Segments = [][]byte{body}
}
