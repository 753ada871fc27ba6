package authz_test

import (
	"context"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
)

func TestLimits(t *testing.T) {
	limits := authz.Limits{MaxBodyBytes: 10, MaxHeaderBytes: 100, ContentTypes: []string{"application/json"}, BodySigned: true}
	json := authz.Header{Name: authz.View("content-type"), Value: authz.View("application/json")}
	typed := func(values ...string) authz.Headers {
		var h authz.Headers
		for _, v := range values {
			h = append(h, authz.Header{Name: authz.View("content-type"), Value: authz.View(v)})
		}
		return h
	}
	body := func(state authz.BodyState, size int64, pieces ...string) authz.Body {
		b := authz.Body{State: state, Size: size}
		for _, p := range pieces {
			b.Segments = append(b.Segments, []byte(p))
		}
		return b
	}
	whole := body(authz.BodyWhole, 0, "x")
	for name, c := range map[string]struct {
		headers authz.Headers
		body    authz.Body
		want    authz.Reason
	}{
		"good":                   {typed("application/json"), whole, authz.OK},
		"with parameters":        {typed("Application/JSON ; charset=utf-8"), whole, authz.OK},
		"exactly full":           {typed("application/json"), body(authz.BodyWhole, 0, "12345", "67890"), authz.OK},
		"one byte more":          {typed("application/json"), body(authz.BodyWhole, 0, "12345", "678901"), authz.BodyTooLarge},
		"more than was sent":     {typed("application/json"), body(authz.BodyCut, 11, "1234567890"), authz.BodyTooLarge},
		"another type":           {typed("application/jsonp"), whole, authz.ContentType},
		"no type":                {nil, whole, authz.ContentType},
		"type twice":             {typed("application/json", "application/json"), whole, authz.ContentType},
		"joined by Envoy":        {typed("application/json,text/html"), whole, authz.ContentType},
		"headers exactly full":   {authz.Headers{json, {Name: authz.View("x"), Value: authz.View(strings.Repeat("y", 71))}}, whole, authz.OK},
		"headers one byte more":  {authz.Headers{json, {Name: authz.View("x"), Value: authz.View(strings.Repeat("y", 72))}}, whole, authz.MalformedRequest},
		"a cut body":             {typed("application/json"), body(authz.BodyCut, 0, "x"), authz.BodyTruncated},
		"a changed body":         {typed("application/json"), body(authz.BodyChanged, 0, "x"), authz.BodyAltered},
		"no body":                {typed("application/json"), body(authz.BodyUnknown, 0), authz.BodyNotForwarded},
		"a state that is no one": {typed("application/json"), body(99, 0, "x"), authz.BodyNotForwarded},
	} {
		call := &authz.Call{Context: context.Background(), Request: &authz.Request{Headers: c.headers, Body: c.body}, Explanation: &authz.Explanation{}}
		if got := limits.Run(call); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	unsigned := authz.Limits{MaxBodyBytes: 10, MaxHeaderBytes: 100}
	call := &authz.Call{Context: context.Background(), Request: &authz.Request{Body: body(authz.BodyUnknown, 0)}}
	if got := unsigned.Run(call); got != authz.OK {
		t.Errorf("where nothing signs the body: %s", got)
	}
}
