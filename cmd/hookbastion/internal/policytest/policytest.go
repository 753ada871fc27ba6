// Package policytest reads tests of policies and runs them: each case against the chain that
// serve has, with a store of nonces in memory that is new for the case.
//
// A test file is data; see proto/hookbastion/test/v1. It is read strictly, and everything
// that is wrong with it is an error with its place. Files are bounded as policies are, what
// they name to 256 MiB, and a case to 100 steps.
//
// It does not test what only a network shows: Envoy, keys and addresses that providers
// publish, Redis.
package policytest

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/sample"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	testv1 "github.com/hookbastion/hookbastion/proto/hookbastion/test/v1"
)

// Suffix ends the names of test files, before .yaml, .yml or .json.
const Suffix = "_test"

// File is one test file that was read without an error.
type File struct {
	Name  string
	text  []byte
	doc   *strictyaml.Document
	tests *testv1.Tests
	// unread is what is wrong with its form.
	unread policy.Errors
}

// IsTest reports whether a file's name is that of tests.
func IsTest(name string) bool {
	ext := filepath.Ext(name)
	return (ext == ".yaml" || ext == ".yml" || ext == ".json") && strings.HasSuffix(strings.TrimSuffix(name, ext), Suffix)
}

// Find lists the test files of the paths, each once, in order. A directory has those below
// it; a file of policies has the one beside it, if there is one.
func Find(paths ...string) ([]string, error) {
	var names []string
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case err != nil:
			return nil, err
		case info.IsDir():
			below, err := policy.Below(path, IsTest)
			if err != nil {
				return nil, err
			}
			names = append(names, below...)
		case IsTest(path):
			names = append(names, filepath.Clean(path))
		default:
			ext := filepath.Ext(path)
			if beside := strings.TrimSuffix(path, ext) + Suffix + ext; exists(beside) {
				names = append(names, filepath.Clean(beside))
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

func exists(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// Read reads test files. The error is a [policy.Errors] with everything that is wrong with
// any of them.
func Read(names ...string) ([]*File, error) {
	var all []*File
	var errs policy.Errors
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			errs = append(errs, policy.Error{File: name, Message: "cannot be read: " + err.Error(), Unread: true})
			continue
		}
		file, wrong := Parse(name, text)
		errs = append(errs, wrong...)
		all = append(all, file)
	}
	return all, errs.Err()
}

// Parse reads the text of one test file.
func Parse(name string, text []byte) (*File, policy.Errors) {
	f := &File{Name: name, text: text, tests: &testv1.Tests{}}
	var err error
	f.doc, err = strictyaml.Options{}.Decode(name, text, f.tests)
	_ = errors.As(err, &f.unread) // there is no other error
	c := f.checker()
	c.file(f)
	return f, append(slices.Clone(f.unread), c.faults.Errors()...)
}

// Check looks for what the policies make wrong with a file: a key of which nothing would be
// made. Which webhooks and keys there are is told by the cases themselves.
func (r *Runner) Check(f *File) policy.Errors {
	c := f.checker()
	for i, test := range f.tests.GetTests() {
		for j, step := range test.GetSteps() {
			d := sample.Delivery{Webhook: step.GetSign().GetWebhook(), KeyID: step.GetSign().GetKeyId(), Key: step.GetSign().GetKey()}
			if why := d.Needless(r.table, r.keys); why != "" {
				c.faults.Fail(f.doc.At("tests", i, "steps", j, "sign", "key"), why)
			}
		}
	}
	return c.faults.Errors()
}

func (f *File) checker() *checker {
	c := &checker{unread: f.unread}
	c.faults.Follows = c.follows
	return c
}

// checker looks for what is wrong with tests beside their form.
type checker struct {
	faults strictyaml.Faults
	unread policy.Errors // what is wrong with the form
}

// follows reports whether a value stands in a step of which something was not read: who
// knows what it was to mean.
func (c *checker) follows(at strictyaml.Place) bool {
	path := at.Path()
	if len(path) > 4 {
		path = path[:4] // tests, 0, steps, 0
	}
	within := path.String()
	return slices.ContainsFunc(c.unread, func(e policy.Error) bool {
		return e.Path == "" || e.Path == within || strings.HasPrefix(e.Path, within+".") || strings.HasPrefix(e.Path, within+"[")
	})
}

func (c *checker) file(f *File) {
	c.address(f.tests.GetSourceIp(), f.doc.At("source_ip"))
	c.time(f.tests.GetNow(), f.doc.At("now"))
	first := map[string]int{}
	for i, test := range f.tests.GetTests() {
		at := f.doc.At("tests", i)
		if before, doubled := first[test.GetName()]; doubled {
			c.faults.Fail(at.At("name"), fmt.Sprintf("is the name of another case at %s", f.doc.At("tests", before, "name")))
		} else {
			first[test.GetName()] = i
		}
		c.time(test.GetNow(), at.At("now"))
		for j, step := range test.GetSteps() {
			c.step(step, j, at.At("steps", j))
		}
	}
}

func (c *checker) step(s *testv1.Step, number int, at strictyaml.Place) {
	if s.GetCopy() != nil && number == 0 {
		c.faults.Fail(at.At("copy"), "is of the case's first request, which this is itself")
	}
	if s.GetAfter().AsDuration() > 0 && number == 0 {
		c.faults.Fail(at.At("after"), "is the time since the step before, and there is none; now says when a case begins")
	}
	c.address(s.GetSourceIp(), at.At("source_ip"))
	if sign := s.GetSign(); sign != nil {
		if sign.GetBody() != "" && sign.GetBodyFile() != "" {
			c.faults.Fail(at.At("sign", "body_file"), "only one of body and body_file may be given")
		}
		if sign.GetHandshake() != "" && sign.GetBody()+sign.GetBodyFile() != "" {
			c.faults.Fail(at.At("sign", "handshake"), "has a body of its own")
		}
		if !oneLine(sign.GetHost()) {
			c.faults.Fail(at.At("sign", "host"), "must be on one line")
		}
		if sign.GetPath() != "" {
			c.path(sign.GetPath(), at.At("sign", "path"))
		}
	}
	if request := s.GetRequest(); request != nil {
		c.request(request, at.At("request"))
	}
	for i, change := range s.GetChange() {
		c.change(change, at.At("change", i))
	}
	c.expect(s.GetExpect(), at.At("expect"))
}

func (c *checker) request(r *testv1.Request, at strictyaml.Place) {
	if r.GetBody() != "" && r.GetBodyFile() != "" {
		c.faults.Fail(at.At("body_file"), "only one of body and body_file may be given")
	}
	if r.GetPath() == "" {
		c.faults.Fail(at.At("path"), "is missing")
	} else {
		c.path(r.GetPath(), at.At("path"))
	}
	if r.GetMethod() != "" && !visible(r.GetMethod()) {
		c.faults.Fail(at.At("method"), "must be a method, such as POST")
	}
	if !oneLine(r.GetHost()) {
		c.faults.Fail(at.At("host"), "must be on one line")
	}
	for i, line := range r.GetHeaders() {
		c.header(line, at.At("headers", i))
	}
}

func (c *checker) change(change *testv1.Change, at strictyaml.Place) {
	switch v := change.GetChange().(type) {
	case *testv1.Change_SetHeader:
		c.header(v.SetHeader, at.At("set_header"))
	case *testv1.Change_AddHeader:
		c.header(v.AddHeader, at.At("add_header"))
	case *testv1.Change_RemoveHeader:
		c.headerName(v.RemoveHeader, at.At("remove_header"))
	case *testv1.Change_DoubleHeader:
		c.headerName(v.DoubleHeader, at.At("double_header"))
	case *testv1.Change_TamperHeader:
		c.headerName(v.TamperHeader, at.At("tamper_header"))
	case *testv1.Change_Path:
		c.path(v.Path, at.At("path"))
	case *testv1.Change_Method:
		if !visible(v.Method) {
			c.faults.Fail(at.At("method"), "must be a method, such as POST")
		}
	case *testv1.Change_Host:
		if !oneLine(v.Host) {
			c.faults.Fail(at.At("host"), "must be on one line")
		}
	}
}

func (c *checker) expect(e *testv1.Expect, at strictyaml.Place) {
	var reason authz.Reason
	if reason.UnmarshalText([]byte(e.GetReason())) != nil {
		var words []string
		for r := range authz.Reason(authz.ReasonCount) {
			words = append(words, r.String())
		}
		c.faults.Fail(at.At("reason"), "there is no reason "+quoted(e.GetReason())+strictyaml.Suggest(e.GetReason(), words)+"; docs/reasons.md lists them")
		return
	}
	if e.GetVerdict() == testv1.Expect_ALLOW != reason.Allows() {
		c.faults.Fail(at.At("reason"), fmt.Sprintf("%s is no reason with which to %s", reason, strings.ToLower(e.GetVerdict().String())))
	}
	if status := e.GetStatus(); status != 0 && status < 200 {
		c.faults.Fail(at.At("status"), "must be from 200 to 599")
	}
}

func (c *checker) address(text string, at strictyaml.Place) {
	if _, err := netip.ParseAddr(text); text != "" && err != nil {
		c.faults.Fail(at, "must be an address such as 203.0.113.7")
	}
}

func (c *checker) time(t *timestamppb.Timestamp, at strictyaml.Place) {
	if t != nil && (t.AsTime().Year() < 1971 || t.AsTime().Year() > 2200) {
		c.faults.Fail(at, "must be a year from 1971 to 2200")
	}
}

func (c *checker) path(text string, at strictyaml.Place) {
	if !visible(text) {
		c.faults.Fail(at, "must be a path with its query, percent-encoded, such as /webhooks/github?a=b")
	}
}

func (c *checker) header(line string, at strictyaml.Place) {
	name, _, ok := strings.Cut(line, ":")
	if !ok || !visible(name) || !oneLine(line) {
		c.faults.Fail(at, `must be a header line such as "X-Event: push"`)
	}
}

func (c *checker) headerName(name string, at strictyaml.Place) {
	if !visible(name) || strings.Contains(name, ":") {
		c.faults.Fail(at, "must be the name of a header, such as X-Event")
	}
}

// visible reports whether a text is visible ASCII and not empty.
func visible(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

func oneLine(text string) bool { return !strings.ContainsAny(text, "\r\n\x00") }

func quoted(text string) string { return fmt.Sprintf("%.60q", text) }

// nowOf is when a case begins.
func (f *File) nowOf(test *testv1.Case, now time.Time) time.Time {
	switch {
	case test.GetNow() != nil:
		return test.GetNow().AsTime()
	case f.tests.GetNow() != nil:
		return f.tests.GetNow().AsTime()
	default:
		return now
	}
}
