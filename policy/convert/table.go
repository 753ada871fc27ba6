package convert

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// columns of a table. The first two are needed.
var columns = []string{"provider", "secret_file", "path", "host", "name"}

// table reads comma-separated values (RFC 4180): a line with the names of columns, and one
// for each webhook. Two lines with the same provider, path, host and name are two secrets of
// one webhook. Files are relative to that of the table.
func (c *converter) table(data []byte) error {
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	r.Comment, r.FieldsPerRecord, r.TrimLeadingSpace = '#', -1, true
	var head []string
	byKey := map[string]*Webhook{}
	for {
		fields, err := r.Read()
		place := func(i int) Note {
			line, column := r.FieldPos(i)
			return Note{File: c.file, Line: line, Column: column}
		}
		wrong := (*csv.ParseError)(nil)
		switch {
		case errors.Is(err, io.EOF) && head == nil:
			return strictyaml.Errors{{File: c.file, Line: 1, Column: 1, Message: "the file is empty"}}
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &wrong):
			return strictyaml.Errors{{File: c.file, Line: wrong.Line, Column: wrong.Column, Message: wrong.Err.Error()}}
		case err != nil:
			return err
		}
		if i := slices.IndexFunc(fields, func(f string) bool { return !utf8.ValidString(f) }); i >= 0 {
			at := place(i)
			at.Message = "is not UTF-8"
			return strictyaml.Errors{at}
		}
		if head == nil {
			if err := c.header(fields, place); err != nil {
				return err
			}
			head = fields
		} else {
			c.row(head, fields, place, byKey)
		}
		if c.left--; c.left < 0 {
			return nil
		}
	}
}

// header checks the names of columns.
func (c *converter) header(head []string, place func(int) Note) error {
	var errs strictyaml.Errors
	fail := func(at Note, message string) {
		at.Message = message
		errs = append(errs, at)
	}
	for i, name := range head {
		head[i] = strings.TrimSpace(name)
		switch {
		case !slices.Contains(columns, head[i]):
			fail(place(i), "is no column: the first line must name some of "+strings.Join(columns, ", "))
		case slices.Index(head[:i], head[i]) >= 0:
			fail(place(i), "the column stands there twice")
		}
	}
	for _, needed := range columns[:2] {
		if !slices.Contains(head, needed) {
			fail(place(0), "the first line must name the columns, and lacks "+needed)
		}
	}
	return errs.Err()
}

func (c *converter) row(head, fields []string, place func(int) Note, byKey map[string]*Webhook) {
	if len(fields) > len(head) {
		c.note(place(len(head)), "is not carried over: there is no such column")
		fields = fields[:len(head)]
	}
	cell := func(column string) (text string, at Note) {
		i := slices.Index(head, column)
		if i < 0 || i >= len(fields) {
			return "", place(0)
		}
		at = place(i)
		at.Path = column
		return strings.TrimSpace(fields[i]), at
	}
	theirs, at := cell("provider")
	file, fileAt := cell("secret_file")
	path, _ := cell("path")
	host, _ := cell("host")
	name, _ := cell("name")
	p := c.provided(at, theirs, nil)
	if p == nil {
		return
	}
	if names := missing(p, nil); len(names) > 0 {
		c.note(at, "is left out: %s needs parameters that are not here (%s); see docs/providers/%s.md", p.GetName(), strings.Join(names, ", "), p.GetName())
		return
	}
	if name == "" {
		name = p.GetName()
	}
	if path == "" {
		path = "/webhooks/" + slug(name)
	}
	key := strings.Join([]string{p.GetName(), path, host, name}, "\x00")
	w := byKey[key]
	if w == nil {
		match := &policyv1.Match{At: &policyv1.Match_Path{Path: path}}
		if host != "" {
			match.Hosts = []string{host}
		}
		at.Path = ""
		w = &Webhook{At: at, Policy: ofProvider(name, p, match)}
		byKey[key] = w
		c.add(w)
	}
	switch {
	case file == "" && published(p):
		return
	case file == "":
		w.keep(fileAt, "", provider.First(p)).unless("the table names no file")
		return
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(filepath.Dir(c.file), file)
	}
	w.keep(fileAt, "", provider.First(p)).File = file
}
