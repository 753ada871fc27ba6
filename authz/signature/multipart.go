package signature

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"strings"

	"github.com/hookbastion/hookbastion/authz"
)

// maxFieldText is the size of the largest field of a multipart form that is read,
// in bytes. What is signed of such a form is a time, a token or a signature.
const maxFieldText = 4 << 10

var errMultipart = errors.New("not a multipart form: no boundary, a part that does not end, more than 1000 parts, or a field of more than 4 KiB")

// isMultipart reports whether the body is multipart/form-data by its one content
// type.
func isMultipart(req *authz.Request) bool {
	return !twoTypes(req) && strings.EqualFold(mediaType(req), "multipart/form-data")
}

var errAlike = errors.New("a field that some frameworks take for the signed one")

// isField reports whether a field has the name. One that has it behind a space,
// or before a bracket or NUL byte, is an error: PHP and others take it for the
// same. A name in another case of letters is another: mails have headers such as
// Token, which come as fields.
func isField(field, name string) (bool, error) {
	if field == name {
		return true, nil
	}
	field = strings.TrimSpace(field)
	if end := strings.IndexAny(field, "[\x00"); end >= 0 {
		field = field[:end]
	}
	if strings.TrimSpace(field) == name {
		return false, errAlike
	}
	return false, nil
}

// fieldTexts returns the values of one field of the form in the body, in their
// order; none if the body is no form.
func fieldTexts(req *authz.Request, name string) ([]string, error) {
	if isMultipart(req) {
		return multipartTexts(req, name)
	}
	all, err := formOf(req)
	var texts []string
	for _, p := range all {
		switch is, alike := isField(p.name, name); {
		case alike != nil:
			return nil, alike
		case is:
			texts = append(texts, p.value)
		}
	}
	return texts, err
}

// fieldText returns the value of a field that the form has once.
func fieldText(req *authz.Request, name string) ([]byte, bool) {
	texts, err := fieldTexts(req, name)
	if err != nil || len(texts) != 1 {
		return nil, false // of two, two readers could take different ones
	}
	return []byte(texts[0]), true
}

// multipartTexts walks the parts of a form (RFC 7578) to its end, so that there is
// no second value behind the one that was found. A value that is encoded once more
// is not decoded.
func multipartTexts(req *authz.Request, name string) ([]string, error) {
	value, _ := req.Headers.Lookup("content-type")
	_, parameters, err := mime.ParseMediaType(string(value))
	if err != nil || parameters["boundary"] == "" {
		return nil, errMultipart
	}
	reader := multipart.NewReader(req.Body.Reader(), parameters["boundary"])
	var texts []string
	for range maxParameters {
		part, err := reader.NextRawPart()
		if err == io.EOF { //nolint:errorlint // inside of another error it is the end of a part that does not end
			return texts, nil
		}
		if err != nil {
			return nil, errMultipart
		}
		is, err := isField(part.FormName(), name)
		if err != nil {
			return nil, err
		}
		if !is {
			continue
		}
		text, err := io.ReadAll(io.LimitReader(part, maxFieldText+1))
		if err != nil || len(text) > maxFieldText {
			return nil, errMultipart
		}
		texts = append(texts, string(text))
	}
	return nil, errMultipart
}

// mediaType is the content type without its parameters.
func mediaType(req *authz.Request) string {
	value, _ := req.Headers.Lookup("content-type")
	media, _, _ := bytes.Cut(value, []byte{';'})
	return string(bytes.TrimSpace(media))
}
